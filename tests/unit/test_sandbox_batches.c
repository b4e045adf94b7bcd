/* dispatch/sandbox: batches, whose child may end for the sake of one message, or of all together. */
#include "sandbox_cases.h"

#include "dispatch/call.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define UNDER_SANITIZER 1 /* which takes address space by the terabyte */
#else
#define UNDER_SANITIZER 0
#endif

enum { TOGETHER = 20, LARGE = 4 << 20 };

static void obey_each(void *state, const bide_message *const messages[], bide_context *const contexts[],
    size_t n, bide_outcome outcomes[])
{
    for (size_t i = 0; i < n; i++)
        outcomes[i] = obey(state, messages[i], contexts[i]);
}

static void open_batches(struct fixture *fixture, int64_t memory)
{
    bide_error error;
    sandbox_rig_init(&fixture->rig, NULL);
    fixture->rig.plugin.descriptor.handle_batch = obey_each;
    fixture->rig.config.limits.memory = memory;
    bide_context_init(&fixture->context, bide_clock_system());
    assert_ok(sandbox_open(&fixture->rig, &error), &error);
}

/* The same message n times, but for the last one, in one call. */
static void run_together(struct fixture *fixture, struct bide_message *message, struct bide_message *last,
    size_t n, struct bide_run runs[])
{
    const struct bide_clock *clock = bide_clock_system();
    struct bide_delivery delivery = {.message = message}, of_last = {.message = last};
    struct bide_job jobs[TOGETHER];
    struct bide_call call = {0};
    for (size_t i = 0; i < n; i++) {
        jobs[i] =
            (struct bide_job){.delivery = i + 1 < n ? &delivery : &of_last, .handler = &fixture->rig.handler};
        if (i > 0)
            bide_job_append(&jobs[0].mates, &jobs[i]);
    }
    assert_true(
        bide_call_begin(&call, &fixture->context, &jobs[0], bide_wall_us(clock), bide_mono_us(clock)));
    bide_sandbox_runner.run_batch(&fixture->rig.handler, 0, &call, NULL);
    bide_call_end(&call);
    bide_call_release(&call);
    for (size_t i = 0; i < n; i++)
        runs[i] = jobs[i].run;
}

static void expect_all_apart(struct bide_run runs[])
{
    for (size_t i = 0; i < TOGETHER; i++) {
        assert_true(runs[i].ran);
        assert_true(runs[i].batch_died);
        assert_false(runs[i].crashed);
        bide_run_release(&runs[i]);
    }
}

/* Nobody knows which it was; by itself it is to blame. */
static void a_death_is_nobodys_fault_yet(void **state)
{
    struct fixture fixture;
    struct bide_run runs[TOGETHER];
    struct bide_message *message = message_saying("echo"), *bad = message_saying("exit");
    (void)state;
    open_batches(&fixture, 0);
    run_together(&fixture, message, bad, TOGETHER, runs);
    expect_all_apart(runs);
    run_together(&fixture, message, bad, 1, runs);
    assert_true(runs[0].crashed);
    assert_false(runs[0].batch_died);
    bide_run_release(&runs[0]);
    bide_message_destroy(message);
    bide_message_destroy(bad);
    close_with(&fixture);
}

#if !UNDER_SANITIZER
/* Nobody is to blame for what the others need: no attempt is burnt, and each runs by itself. */
static void what_does_not_fit_together_runs_apart(void **state)
{
    struct fixture fixture;
    struct bide_run runs[TOGETHER];
    struct bide_message *message = message_saying("");
    char *body = calloc(1, LARGE);
    (void)state;
    assert_non_null(body);
    assert_int_equal(bide_message_set_body(message, body, LARGE, NULL), BIDE_OK);
    open_batches(&fixture, TOGETHER * LARGE);
    run_together(&fixture, message, message, TOGETHER, runs);
    expect_all_apart(runs);
    run_together(&fixture, message, message, 1, runs);
    assert_int_equal(runs[0].outcome, BIDE_DONE);
    bide_run_release(&runs[0]);
    free(body);
    bide_message_destroy(message);
    close_with(&fixture);
}
#endif

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_death_is_nobodys_fault_yet),
#if !UNDER_SANITIZER
    cmocka_unit_test(what_does_not_fit_together_runs_apart),
#endif
};

UNIT_MAIN(tests)
