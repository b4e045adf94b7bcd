/* worker/gates/transaction.c: what becomes of a commit whose message, or its handler's, the broker refuses.
 */
#include "unit/asking_stage.h"

/* It is committed for ever, and nobody could see it: a dead letter says so. Replayed, it is sent. */
static void test_a_message_that_is_refused(void **state)
{
    static const struct bide_adapter refusing = {.name = "refusing", .open_sender = open_refusing};
    (void)state;
    prepare();
    stage.broker.adapter = &refusing;
    say(meet_open(0), BIDE_ANSWER_COMMIT);
    all_answers();
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_DEAD);
    assert_int_equal(broker.last.reason, BIDE_REASON_UNRESOLVED);
    assert_int_equal(broker.n_sent, 0);
    assert_non_null(strstr(broker.error, "is committed, and the broker refuses its message: refused"));
    expect_state(BIDE_TRANSACTION_DECIDED);
}

static bide_code take_the_first(struct bide_sender *sender, struct bide_message *const *messages, size_t n,
    enum bide_sent *results, bide_error *error)
{
    (void)sender;
    for (size_t i = 0; i < n; i++)
        results[i] = strcmp(bide_message_id(messages[i]), "o") == 0 ? BIDE_SENT_OK : BIDE_SENT_REFUSED;
    return bide_fail(error, BIDE_E_DATA, "refused");
}

static bide_code open_choosy(
    const struct bide_broker_options *options, struct bide_sender **ret_sender, bide_error *error)
{
    static const struct bide_sender_ops ops = {.send = take_the_first, .destroy = keep};
    static struct bide_sender sender = {.ops = &ops};
    (void)options, (void)error;
    *ret_sender = &sender;
    return BIDE_OK;
}

/* What the handler has sent itself goes with the settlement, whose receiver knows what becomes of it. */
static void test_what_the_handler_sends_is_refused(void **state)
{
    static const struct bide_adapter choosy = {.name = "choosy", .open_sender = open_choosy};
    bide_message **sends = bide_malloc(sizeof *sends);
    (void)state;
    prepare();
    stage.broker.adapter = &choosy;
    assert_non_null(sends);
    assert_int_equal(bide_message_create("c", sends, NULL), BIDE_OK);
    struct bide_job *job = meet_open(0);
    job->run = (struct bide_run){.ran = true,
        .outcome = BIDE_DONE,
        .delay_ms = BIDE_BY_POLICY,
        .answer = BIDE_ANSWER_COMMIT,
        .sends = sends,
        .n_sends = 1};
    bide_passage_settle(&stage.passage, job);
    bide_settle_flush(&stage.passage.settling);
    bide_clerk_wake(stage.clerk);
    all_answers();
    assert_true(broker.acknowledged[0]);
    assert_int_equal(broker.n_sent, 1);
    assert_string_not_equal(broker.sent_id, "o");
    expect_state(BIDE_TRANSACTION_COMMITTED);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up_asking, tear_down_asking)

static const struct CMUnitTest tests[] = {
    CASE(test_a_message_that_is_refused),
    CASE(test_what_the_handler_sends_is_refused),
};

UNIT_MAIN(tests)
