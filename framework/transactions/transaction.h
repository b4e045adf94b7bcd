/* transactions/transaction.h: what the store has of a transaction (bide/transaction.h), and the two messages
 * of one: the prepared message, and the one that asks.
 *
 *   scope "transactions"   id -> state. The decision is one TURN of it
 *   scope "prepared"       id -> its terms and the prepared message, until it has been sent or dropped
 *
 * The asking message is a delayed message like any other, and carries all that the prepared one is made from:
 * where the store has lost its facts, the handler is asked all the same, and its answer is obeyed.
 *
 *        prepare                commit                    sent
 *   (none) ──> PREPARED ──────────────────> DECIDED ──────────> COMMITTED
 *                 │   \ abort                  ^   \ the sender died: another takes over (its lease is over)
 *                 │    └────> ABORTED          │
 *                 └──> UNRESOLVED ─────────────┘   (or ABORTED)
 *
 * Whoever turns it to DECIDED writes a token and sends; others wait until its lease is over. Pure, but for
 * memory. Any thread. */
#ifndef BIDE_TRANSACTIONS_TRANSACTION_H
#define BIDE_TRANSACTIONS_TRANSACTION_H

#include "base/buffer.h"
#include "bide/transaction.h"
#include "message/message.h"
#include "store/store.h"

#define BIDE_TRANSACTIONS "transactions"
#define BIDE_PREPARED "prepared"

enum bide_transaction_state {
    BIDE_TRANSACTION_UNKNOWN,
    BIDE_TRANSACTION_PREPARED,
    BIDE_TRANSACTION_DECIDED,
    BIDE_TRANSACTION_COMMITTED,
    BIDE_TRANSACTION_ABORTED,
    BIDE_TRANSACTION_UNRESOLVED,
};
const char *bide_transaction_state_name(unsigned state);
/* The members of a JSON object that tells of one, without braces. */
void bide_transaction_report(struct bide_buffer *to, const bide_transaction_view *view);

/* How long facts last. OPEN: after the last time it is asked. ENDED: from the decision until the asking
 * message has come; longer than any deadline. MET: after that, and after the time in which a copy of it may
 * come. */
#define BIDE_TRANSACTION_OPEN_MS (INT64_C(30) * 24 * 3600 * 1000)
#define BIDE_TRANSACTION_ENDED_MS (INT64_C(14) * 24 * 3600 * 1000)
#define BIDE_TRANSACTION_MET_MS (INT64_C(3600) * 1000)
#define BIDE_TRANSACTION_DEADLINE_MAX_MS (INT64_C(7) * 24 * 3600 * 1000)
#define BIDE_TRANSACTION_INTERVAL_MAX_MS (INT64_C(24) * 3600 * 1000)

/* ---- the messages ---- */

/* How it was prepared. In a header and in the store it is one line: names and numbers, as in `read`. */
struct bide_transaction_terms {
    char type[BIDE_NAME_MAX + 1], queue[BIDE_NAME_MAX + 1];        /* of the prepared message */
    int64_t delay_ms, due_ms, expires_after_ms;                    /* likewise, as in struct bide_message */
    char check[BIDE_NAME_MAX + 1], check_queue[BIDE_NAME_MAX + 1]; /* of the asking message */
    int64_t deadline_ms, interval_ms;
    int checks;
};

/* text may be NULL. BIDE_E_DATA: it is no such line. */
bide_code bide_transaction_terms_read(
    const char *text, struct bide_transaction_terms *ret_terms, bide_error *error);

/* The message that asks, due at the deadline once it is stamped. */
bide_code bide_transaction_ask(const struct bide_transaction_terms *terms, const bide_message *prepared,
    bide_message **ret_asking, bide_error *error);
/* The prepared message, from the one that asks; the terms are those in its header. */
bide_code bide_transaction_restore(
    const bide_message *asking, bide_message **ret_prepared, bide_error *error);

/* The fact in the scope "prepared": the same text each time that the same message is prepared. */
void bide_transaction_record(
    struct bide_buffer *to, const struct bide_transaction_terms *terms, const bide_message *prepared);
/* The terms of such a fact. */
bide_code bide_transaction_record_terms(
    struct bide_slice record, struct bide_transaction_terms *ret_terms, bide_error *error);
bide_code bide_transaction_recall(
    struct bide_slice record, const char *id, bide_message **ret_prepared, bide_error *error);

/* ---- the decision ---- */

/* Who sends, and for how long nobody else does: the data of a fact that is DECIDED. */
enum { BIDE_TRANSACTION_CLAIM_TEXT = 48, BIDE_TRANSACTION_OPERATIONS = 2 };
void bide_transaction_claim(char to[BIDE_TRANSACTION_CLAIM_TEXT], uint64_t token, int64_t lease_ms);
/* For how much longer, by the answer that has it; 0: anybody may. Also `old`, what it says. */
int64_t bide_transaction_lease_ms(
    const struct bide_store_answer *answer, char old[BIDE_TRANSACTION_CLAIM_TEXT]);

/* The operations of one letter each; what they name is borrowed until it is applied.
 * decide: `from` has bits of states; the second operation gets the prepared message. */
enum { BIDE_TRANSACTION_IS_OPEN = 1 << BIDE_TRANSACTION_PREPARED | 1 << BIDE_TRANSACTION_UNRESOLVED };
void bide_transaction_write_decide(
    struct bide_store_operation operations[2], const char *id, unsigned from, const char *claim);
/* Takes over from the one that wrote `old`. */
void bide_transaction_write_claim(
    struct bide_store_operation *operation, const char *id, const char *old, const char *claim);
/* It has been sent by the one that wrote `claim`. */
void bide_transaction_write_sent(
    struct bide_store_operation operations[2], const char *id, const char *claim);
void bide_transaction_write_abort(struct bide_store_operation operations[2], const char *id, unsigned from);
void bide_transaction_write_unresolved(struct bide_store_operation *operation, const char *id);
/* Its asking message has come, and has nothing to ask: it need not be remembered for long. A copy of that,
 * such as a retry whose publish was repeated, may come an interval later. */
void bide_transaction_write_met(
    struct bide_store_operation *operation, const char *id, unsigned state, int64_t interval_ms);

#endif
