/* Which redelivered message is one that this receiver had acknowledged, and which only looks like it. */
#include <string.h>

#include "broker/rabbitmq/acked.h"
#include "unit/unit.h"

static char id[] = "1", other_id[] = "2", none[] = "";
static struct bide_rmq_acked acked;
static struct bide_message message;
static struct bide_rmq_delivery delivery;

static int set_up(void **state)
{
    (void)state;
    memset(&acked, 0, sizeof acked);
    message = (struct bide_message){.id = id, .attempt = 1, .sent_ms = 1000, .body = "body", .body_size = 4};
    delivery = (struct bide_rmq_delivery){.base.message = &message, .generation = 1};
    return 0;
}

static void test_it_is_found_once_on_another_connection(void **state)
{
    (void)state;
    bide_rmq_acked_note(&acked, &delivery);
    assert_false(bide_rmq_acked_find(&acked, &delivery)); /* this connection got the acknowledgement */
    delivery.generation = 2;
    assert_true(bide_rmq_acked_find(&acked, &delivery));
    assert_false(bide_rmq_acked_find(&acked, &delivery));
}

static void test_what_differs_is_another_one(void **state)
{
    (void)state;
    bide_rmq_acked_note(&acked, &delivery);
    delivery.generation = 2;
    message.attempt = 2;
    assert_false(bide_rmq_acked_find(&acked, &delivery));
    message.attempt = 1;
    message.sent_ms = 1001;
    assert_false(bide_rmq_acked_find(&acked, &delivery));
    message.sent_ms = 1000;
    message.body = "Body";
    assert_false(bide_rmq_acked_find(&acked, &delivery));
    message.body = "body";
    message.id = other_id;
    assert_false(bide_rmq_acked_find(&acked, &delivery));
    message.id = id;
    delivery.part = BIDE_RMQ_LANDING;
    assert_false(bide_rmq_acked_find(&acked, &delivery));
    delivery.part = BIDE_RMQ_WORK;
    assert_true(bide_rmq_acked_find(&acked, &delivery));
}

static void test_what_has_no_name_or_time_is_never_one(void **state)
{
    (void)state;
    message.sent_ms = 0;
    bide_rmq_acked_note(&acked, &delivery);
    delivery.generation = 2;
    assert_false(bide_rmq_acked_find(&acked, &delivery));
    message.sent_ms = 1000;
    message.id = none;
    delivery.generation = 1;
    bide_rmq_acked_note(&acked, &delivery);
    delivery.generation = 2;
    assert_false(bide_rmq_acked_find(&acked, &delivery));
}

static void test_the_oldest_is_forgotten(void **state)
{
    (void)state;
    for (int64_t i = 1; i <= BIDE_RMQ_ACKED + 1; i++) {
        message.sent_ms = i;
        bide_rmq_acked_note(&acked, &delivery);
    }
    delivery.generation = 2;
    message.sent_ms = 1;
    assert_false(bide_rmq_acked_find(&acked, &delivery));
    message.sent_ms = 2;
    assert_true(bide_rmq_acked_find(&acked, &delivery));
    message.sent_ms = BIDE_RMQ_ACKED + 1;
    assert_true(bide_rmq_acked_find(&acked, &delivery));
}

#define CASE(name) cmocka_unit_test_setup(name, set_up)
static const struct CMUnitTest tests[] = {
    CASE(test_it_is_found_once_on_another_connection),
    CASE(test_what_differs_is_another_one),
    CASE(test_what_has_no_name_or_time_is_never_one),
    CASE(test_the_oldest_is_forgotten),
};

UNIT_MAIN(tests)
