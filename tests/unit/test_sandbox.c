/* dispatch/sandbox: what passes between a worker and its sandbox children. */
#include "sandbox_cases.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

/* ---- what passes ---- */

static void all_fields_arrive(void **state)
{
    struct fixture *fixture = *state;
    struct bide_message *message = message_saying("a\tbody");
    bide_message_set_content_type(message, "text/plain", NULL);
    bide_message_set_header(message, "one", "1", NULL);
    bide_message_set_header(message, "empty", "", NULL);
    message->attempt = 4;
    message->error = "the last failure";
    message->expires_ms = message->due_ms + 99;
    struct bide_run run = sandbox_run(&fixture->rig, &fixture->context, message);
    assert_int_equal(run.outcome, BIDE_DONE);
    assert_int_equal(run.n_sends, 1);
    const struct bide_message *echo = run.sends[0];
    assert_string_equal(echo->id, message->id);
    assert_string_equal(echo->type, "test");
    assert_string_equal(echo->queue, "default");
    assert_string_equal(echo->content_type, "text/plain");
    assert_string_equal(echo->body, "a\tbody");
    assert_string_equal(seen(&run, "one"), "1");
    assert_string_equal(seen(&run, "empty"), "");
    assert_string_equal(seen(&run, "saw-error"), "the last failure");
    assert_int_equal(seen_number(&run, "saw-attempt"), 4);
    assert_int_equal(seen_number(&run, "saw-due"), message->due_ms);
    assert_int_equal(seen_number(&run, "saw-sent"), message->sent_ms);
    assert_int_equal(seen_number(&run, "saw-expires"), message->expires_ms);
    assert_int_equal(seen_number(&run, "saw-started"), run.started_us);
    assert_between(seen_number(&run, "saw-remaining"), 30 * 1000, 60 * 1000);
    assert_int_not_equal(seen_number(&run, "saw-pid"), getpid());
    bide_run_release(&run);
    bide_message_destroy(message);
}

static void verdicts_arrive(void **state)
{
    struct bide_run run = run_text(*state, "retry");
    assert_int_equal(run.outcome, BIDE_RETRY);
    assert_int_equal(run.delay_ms, 1234);
    assert_string_equal(run.error, "later: 7");
    bide_run_release(&run);
    run = run_text(*state, "dead");
    assert_int_equal(run.outcome, BIDE_DEAD);
    assert_string_equal(run.error, "never");
    bide_run_release(&run);
    run = run_text(*state, "nonsense");
    assert_int_equal(run.outcome, BIDE_RETRY);
    assert_int_equal(run.delay_ms, BIDE_BY_POLICY);
    assert_non_null(strstr(run.error, "77"));
    bide_run_release(&run);
}

static void large_bodies_pass(void **state)
{
    static const size_t sizes[] = {0, 1, 4095, 1 << 20, (8 << 20) + 3};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char *body = malloc(sizes[i] + 1);
        assert_non_null(body);
        for (size_t j = 0; j < sizes[i]; j++)
            body[j] = (char)(j * 31 + j / 251);
        struct bide_message *message = message_saying("");
        assert_int_equal(bide_message_set_body(message, body, sizes[i], NULL), BIDE_OK);
        struct bide_run run = sandbox_run(&fixture->rig, &fixture->context, message);
        assert_int_equal(run.outcome, BIDE_DONE);
        assert_int_equal(run.sends[0]->body_size, sizes[i]);
        assert_memory_equal(run.sends[0]->body, body, sizes[i]);
        bide_run_release(&run);
        bide_message_destroy(message);
        free(body);
    }
}

static void one_child_serves_many(void **state)
{
    pid_t first = run_well(*state);
    for (int i = 0; i < 200; i++)
        assert_int_equal(run_well(*state), first);
}

/* ---- logs ---- */

struct heard {
    char text[64], id[64], word[64];
    int64_t number;
    bide_log_level level;
    size_t lines;
};

static void hear(void *user, bide_log_level level, const char *text, const bide_log_field *fields)
{
    struct heard *heard = user;
    heard->lines++;
    heard->level = level;
    snprintf(heard->text, sizeof heard->text, "%s", text);
    for (; fields->kind != BIDE_LOG_END; fields++)
        if (strcmp(fields->name, "id") == 0)
            snprintf(heard->id, sizeof heard->id, "%s", fields->str);
        else if (strcmp(fields->name, "word") == 0)
            snprintf(heard->word, sizeof heard->word, "%s", fields->str ? fields->str : "(null)");
        else if (strcmp(fields->name, "number") == 0)
            heard->number = fields->integer;
}

static bide_outcome log_and_crash(void *state, const bide_message *message, bide_context *context)
{
    (void)state;
    for (int i = 0; i < 2000; i++)
        bide_context_log(context, BIDE_LOG_WARN, "still here",
            (const bide_log_field[]){BIDE_STR("word", i % 2 ? NULL : "even"), BIDE_INT("number", i), {0}});
    return obey(state, message, context);
}

static void lines_before_a_crash_are_not_lost(void **state)
{
    struct heard heard = {0};
    struct fixture fixture;
    (void)state;
    bide_log_set_sink(hear, &heard);
    open_with(&fixture, log_and_crash);
    struct bide_message *message = message_saying("exit");
    struct bide_run run = sandbox_run(&fixture.rig, &fixture.context, message);
    assert_true(run.crashed);
    assert_int_equal(heard.lines, 2000);
    assert_int_equal(heard.level, BIDE_LOG_WARN);
    assert_string_equal(heard.text, "still here");
    assert_string_equal(heard.id, message->id);
    assert_string_equal(heard.word, "(null)");
    assert_int_equal(heard.number, 1999);
    bide_run_release(&run);
    bide_message_destroy(message);
    close_with(&fixture);
    bide_log_set_sink(NULL, NULL);
}

/* ---- cancellation ---- */

static bide_outcome wait_for_cancel(void *state, const bide_message *message, bide_context *context)
{
    struct pollfd fd = {.fd = bide_cancel_fd(context), .events = POLLIN};
    if (!says(message, "wait"))
        return echo_all(state, message, context);
    if (bide_cancelled(context))
        return bide_dead(context, "cancelled from the start");
    bide_context_log(context, BIDE_LOG_INFO, "waits", NULL);
    int ready = poll(&fd, 1, 20 * 1000);
    return bide_retry(context, BIDE_BY_POLICY, "%d %d", ready, bide_cancelled(context));
}

static _Atomic bool child_waits;

static void note_that_it_waits(
    void *user, bide_log_level level, const char *text, const bide_log_field *fields)
{
    (void)user, (void)level, (void)fields;
    if (strcmp(text, "waits") == 0)
        atomic_store(&child_waits, true);
}

static void *cancel_when_it_waits(void *user)
{
    struct deadline deadline = deadline_in_ms(60 * 1000);
    while (!atomic_load(&child_waits) && !deadline_passed(&deadline))
        deadline_nap(&deadline);
    bide_context_cancel(user);
    return NULL;
}

static void cancellation_is_passed_on(void **state)
{
    struct fixture fixture;
    pthread_t thread;
    (void)state;
    bide_log_set_sink(note_that_it_waits, NULL);
    open_with(&fixture, wait_for_cancel);
    pid_t before = run_well(&fixture);
    for (int i = 0; i < 2; i++) {
        atomic_store(&child_waits, false);
        bide_context_close(&fixture.context); /* a new one, that nobody has cancelled */
        bide_context_init(&fixture.context, bide_clock_system());
        assert_int_equal(pthread_create(&thread, NULL, cancel_when_it_waits, &fixture.context), 0);
        struct bide_run run = run_text(&fixture, "wait");
        pthread_join(thread, NULL);
        assert_int_equal(run.outcome, BIDE_RETRY);
        assert_string_equal(run.error, "1 1");
        bide_run_release(&run);
        assert_int_equal(run_well(&fixture), before); /* the same child, and not cancelled */
    }
    close_with(&fixture);
    bide_log_set_sink(NULL, NULL);
}

/* ---- many at once ---- */

enum { THREADS = 8, EACH = 100 };

struct load {
    struct sandbox_rig *rig;
    int wrong; /* of its own thread's */
};

static void *run_many(void *user)
{
    struct load *load = user;
    struct bide_context context;
    bide_context_init(&context, bide_clock_system());
    for (int i = 0; i < EACH; i++) {
        struct bide_message *message;
        bool dies = i % 25 == 7;
        load->wrong += bide_message_create("test", &message, NULL) != BIDE_OK;
        bide_message_stamp(message, "default", bide_clock_system(), NULL);
        bide_message_set_body(message, dies ? "exit" : "echo", 4, NULL);
        struct bide_run run = sandbox_run(load->rig, &context, message);
        bool right = dies ? run.crashed && run.outcome == BIDE_RETRY
                          : run.outcome == BIDE_DONE && strcmp(run.sends[0]->id, message->id) == 0;
        load->wrong += !right;
        bide_run_release(&run);
        bide_message_destroy(message);
    }
    bide_context_close(&context);
    return NULL;
}

static void many_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct load loads[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        loads[i] = (struct load){.rig = &fixture->rig};
        assert_int_equal(pthread_create(&threads[i], NULL, run_many, &loads[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(loads[i].wrong, 0);
    }
}

static const struct CMUnitTest tests[] = {
    WITH_RIG(all_fields_arrive),
    WITH_RIG(verdicts_arrive),
    WITH_RIG(large_bodies_pass),
    WITH_RIG(one_child_serves_many),
    cmocka_unit_test(lines_before_a_crash_are_not_lost),
    cmocka_unit_test(cancellation_is_passed_on),
    WITH_RIG(many_at_once),
};

UNIT_MAIN(tests)
