/* bide/transaction.h: a message that is sent if, and only if, a transaction of your own has committed.
 *
 *     bide_transaction_options options = {.check = "order-check"};
 *     bide_message_set_id(message, "order-42", &error);                  // the key of your transaction
 *     if (bide_transaction_prepare(producer, message, &options, &error) != BIDE_OK)
 *         errx(1, "%s", error.text);                                     // nothing is prepared: do not begin
 *     bool done = book(order);                                           // your own transaction
 *     code = done ? bide_transaction_commit(producer, "order-42", &error)
 *                 : bide_transaction_abort(producer, "order-42", &error);
 *
 * A prepared message is held. Commit sends it; its delay counts from then. Abort drops it. Where neither
 * comes by the deadline, because the producer has died, a handler of yours is asked: a message of the type
 * `check` carries the body and headers of the prepared one, and the header BIDE_TRANSACTION_ID. It returns
 * bide_commit(context) or bide_abort(context) (bide/handler.h); whatever else it does means "not known yet",
 * and it is asked again. After the last time the message is a dead letter with the reason `unresolved`, and
 * somebody has to decide: commit and abort still work.
 *
 * A transaction is known by the id of its message. The decision is a fact in the store: of several calls, and
 * of a call and a handler's answer, the first one decides, and repeating a call does no harm. Needs the store
 * of the workers (bide_producer_open_with_store). docs/transactions.md tells all.
 *
 * Codes, beside those of sending: BIDE_E_NOT_FOUND: no such transaction; it is forgotten, or never was.
 * BIDE_E_CONFLICT: it has been decided otherwise. After BIDE_E_BROKER, BIDE_E_TIMEOUT or BIDE_E_NOMEM nobody
 * knows what was done: repeat the call; else the check finds out.
 *
 * Thread-safety: as the producer's: any thread. Messages stay the caller's. */
#ifndef BIDE_TRANSACTION_H
#define BIDE_TRANSACTION_H

#include <bide/producer.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BIDE_TRANSACTION_ID "bide-transaction" /* header of the check message: the transaction's id */
#define BIDE_TRANSACTION_CHECKS "bide-transaction-checks" /* … and how often it is asked at most */

enum { BIDE_TRANSACTION_ID_MAX = 200 }; /* bytes */

typedef struct bide_transaction_options {
    const char *check;       /* type of the handler that is asked */
    const char *check_queue; /* its queue; NULL: the producer's default queue */
    int64_t deadline_ms;     /* when it is asked first, counted from preparing: up to 7 days; 0: 60 s */
    int64_t interval_ms;     /* between two times, up to 1 day; 0: 60 s */
    int checks;              /* how often it is asked, up to 1000; 0: 15 */
} bide_transaction_options;

/* Returns when the store and the broker have it: only then begin your own transaction. Fixes the message's id
 * and queue. A message with a unique key is refused (BIDE_E_DATA), as is one of more than about 1 MB.
 * Preparing the same message again does no harm; BIDE_E_CONFLICT: another one, or it has been decided. */
BIDE_API bide_code bide_transaction_prepare(bide_producer *producer, bide_message *message,
    const bide_transaction_options *options, bide_error *error);

/* Returns when the broker has the message. A failure that comes after the decision says so: the message is
 * sent at the latest when its check is due. */
BIDE_API bide_code bide_transaction_commit(bide_producer *producer, const char *id, bide_error *error);
BIDE_API bide_code bide_transaction_abort(bide_producer *producer, const char *id, bide_error *error);

/* ---- looking ---- */

typedef struct bide_transaction_view {
    const char *id;
    const char *state; /* "prepared", "committing" (decided, not sent yet), "committed", "aborted",
                          "unresolved" (asked in vain) */
    /* Of one that is neither committed nor aborted; else "": */
    const char *type, *queue; /* of the prepared message */
    const char *check;        /* the type that is asked */
    int64_t left_ms;          /* prepared: until it is asked first; below 0: since then. Else 0 */
} bide_transaction_view;

/* What it points to lives until the callback returns. */
typedef void bide_transaction_visit(void *user, const bide_transaction_view *view);

BIDE_API bide_code bide_transaction_show(
    bide_producer *producer, const char *id, bide_transaction_visit *visit, void *user, bide_error *error);
/* Those that are neither committed nor aborted. */
BIDE_API bide_code bide_transaction_list(
    bide_producer *producer, bide_transaction_visit *visit, void *user, bide_error *error);

#ifdef __cplusplus
}
#endif

#endif
