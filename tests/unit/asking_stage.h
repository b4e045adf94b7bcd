/* tests/unit/asking_stage.h: messages that ask what became of the transaction "o", in the stage of
 * once_stage.h. */
#ifndef BIDE_TESTS_ASKING_STAGE_H
#define BIDE_TESTS_ASKING_STAGE_H

#include "transactions/transaction.h"
#include "unit/once_stage.h"

#define ASKING "transaction:o"
#define CHECKS "3"
enum { INTERVAL_MS = 600000 };

static const char terms[] = "1 b first 0 0 0 b first 1000 600000 3";
static struct bide_admin *keeper; /* the messages in memory end with their last user */

static struct bide_header headers[] = {{"bide-transaction", "o"}, {"bide-transaction-checks", CHECKS},
    {"bide-transaction-terms", terms}, {"mine", "1"}};

static inline int set_up_asking(void **state)
{
    set_up(state);
    stage.headers = headers;
    stage.n_headers = sizeof headers / sizeof headers[0];
    return stage.broker.adapter->open_admin(&stage.broker.options, &keeper, NULL) == BIDE_OK ? 0 : -1;
}

static inline int tear_down_asking(void **state)
{
    keeper->ops->erase(keeper, NULL);
    bide_admin_destroy(keeper);
    return tear_down(state);
}

/* ---- what producers write ---- */

/* Applies one letter; returns whether its first operation is as asked. */
static inline bool apply(struct bide_store_operation *operations, size_t n)
{
    struct bide_store *store = open_store();
    struct bide_store_letter letter = {.operations = operations, .n = n};
    assert_int_equal(bide_store_apply(store, &letter, 1, NULL), BIDE_OK);
    bool ok = operations[0].answer.ok;
    bide_store_letter_clear(&letter);
    bide_store_destroy(store);
    return ok;
}

static inline void prepare(void)
{
    struct bide_store_operation operation = {.kind = BIDE_STORE_TURN,
        .scope = BIDE_TRANSACTIONS,
        .key = "o",
        .lasts_ms = BIDE_TRANSACTION_OPEN_MS,
        .turn = {.from = 1 << BIDE_TRANSACTION_UNKNOWN, .to = BIDE_TRANSACTION_PREPARED}};
    assert_true(apply(&operation, 1));
}

static inline void decide(int64_t lease_ms)
{
    char claim[BIDE_TRANSACTION_CLAIM_TEXT];
    struct bide_store_operation operations[2];
    bide_transaction_claim(claim, 1, lease_ms);
    bide_transaction_write_decide(operations, "o", BIDE_TRANSACTION_IS_OPEN, claim);
    assert_true(apply(operations, 2));
}

static inline void forget_fact(void)
{
    struct bide_store_operation operation = {
        .kind = BIDE_STORE_TURN, .scope = BIDE_TRANSACTIONS, .key = "o", .turn = {.from = BIDE_STORE_ANY}};
    apply(&operation, 1);
}

static inline void commit_and_send(void)
{
    char claim[BIDE_TRANSACTION_CLAIM_TEXT];
    struct bide_store_operation operations[2];
    bide_transaction_claim(claim, 1, 1000);
    bide_transaction_write_decide(operations, "o", BIDE_TRANSACTION_IS_OPEN, claim);
    assert_true(apply(operations, 2));
    bide_transaction_write_sent(operations, "o", claim);
    assert_true(apply(operations, 2));
}

static inline void drop(void)
{
    struct bide_store_operation operations[2];
    bide_transaction_write_abort(operations, "o", BIDE_TRANSACTION_IS_OPEN);
    assert_true(apply(operations, 2));
}

/* Returns for how much longer it is so. */
static inline int64_t expect_state(enum bide_transaction_state wanted)
{
    struct bide_store *store = open_store();
    struct bide_store_operation get = {.kind = BIDE_STORE_GET, .scope = BIDE_TRANSACTIONS, .key = "o"};
    struct bide_store_letter letter = {.operations = &get, .n = 1};
    assert_int_equal(bide_store_apply(store, &letter, 1, NULL), BIDE_OK);
    assert_int_equal(get.answer.state, wanted);
    int64_t lasts_ms = get.answer.lasts_ms;
    bide_store_letter_clear(&letter);
    bide_store_destroy(store);
    return lasts_ms;
}

/* ---- what comes in ---- */

static inline struct bide_job *meet(size_t i)
{
    struct bide_job *job = take_in_as(i, plain_type, ASKING);
    return job ? job : all_answers();
}

static inline struct bide_job *meet_open(size_t i)
{
    struct bide_job *job = meet(i);
    assert_non_null(job);
    return job;
}

static inline void say(struct bide_job *job, enum bide_answer answer)
{
    job->run =
        (struct bide_run){.ran = true, .outcome = BIDE_DONE, .delay_ms = BIDE_BY_POLICY, .answer = answer};
    bide_passage_settle(&stage.passage, job);
    bide_settle_flush(&stage.passage.settling);
    bide_clerk_wake(stage.clerk);
}

static inline bool expect_message(void *user, const bide_found *found)
{
    const bide_message *message = found->message;
    assert_string_equal(message->id, "o");
    assert_string_equal(message->type, "b");
    assert_int_equal(message->n_headers, 1);
    ++*(int *)user;
    return true;
}

/* The clerk's sender has put it into the broker in memory, before the settlement. */
static inline int sent(void)
{
    int n = 0;
    char cursor[BIDE_CURSOR_SIZE] = "";
    const bide_selection all = {.states = BIDE_STATE_DELAYED | BIDE_STATE_READY | BIDE_STATE_RUNNING};
    assert_int_equal(keeper->ops->find(keeper, &all, cursor, expect_message, &n, NULL), BIDE_OK);
    return n;
}

#endif
