/* tests/unit/prepared.h: a transaction that is prepared, with this id. */
#ifndef BIDE_TESTS_UNIT_PREPARED_H
#define BIDE_TESTS_UNIT_PREPARED_H

#include "bide/transaction.h"
#include "sqlite_place.h"

static inline void prepare(bide_producer *producer, const char *id)
{
    const bide_transaction_options usual = {.check = "order-check"};
    bide_message *message;
    bide_error error;
    assert_ok(bide_message_create("order", &message, &error), &error);
    assert_ok(bide_message_set_id(message, id, &error), &error);
    assert_ok(bide_transaction_prepare(producer, message, &usual, &error), &error);
    bide_message_destroy(message);
}

#endif
