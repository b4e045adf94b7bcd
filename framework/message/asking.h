/* message/asking.h: messages that ask a handler what became of a transaction (docs/transactions.md).
 *
 * Such a message is a copy of the prepared one with another id, type and queue, and with the headers below.
 * Any thread. */
#ifndef BIDE_MESSAGE_ASKING_H
#define BIDE_MESSAGE_ASKING_H

#include <string.h>

#include "message/message.h"

#define BIDE_ASKING_PREFIX "transaction:" /* of its id; the transaction's follows */
enum { BIDE_ASKING_CHECKS_MAX = 1000 };

/* Its headers: the transaction's id; how often its handler is asked at most; what else the framework must
 * know of the prepared message (transactions/transaction.h). */
#define BIDE_ASKING_ID "bide-transaction"
#define BIDE_ASKING_CHECKS "bide-transaction-checks"
#define BIDE_ASKING_TERMS "bide-transaction-terms"

static inline bool bide_asking_may_be(const char *id)
{
    return id[0] == BIDE_ASKING_PREFIX[0] &&
           strncmp(id, BIDE_ASKING_PREFIX, sizeof BIDE_ASKING_PREFIX - 1) == 0;
}

/* How often its handler is asked at most; 0: it asks for no transaction. */
int bide_asking_checks(const bide_message *message);

#endif
