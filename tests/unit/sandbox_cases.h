/* tests/unit/sandbox_cases.h: what the tests of dispatch/sandbox share: handlers that obey the message's
 * body, and a rig around them. */
#ifndef TESTS_UNIT_SANDBOX_CASES_H
#define TESTS_UNIT_SANDBOX_CASES_H

#include "unit.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "support/deadline.h"
#include "support/sandbox_rig.h"

/* ---- a message, and what the handlers here do with it ---- */

static inline struct bide_message *message_saying(const char *text)
{
    struct bide_message *message;
    assert_int_equal(bide_message_create("test", &message, NULL), BIDE_OK);
    assert_int_equal(bide_message_set_body(message, text, strlen(text), NULL), BIDE_OK);
    assert_int_equal(bide_message_stamp(message, "default", bide_clock_system(), NULL), BIDE_OK);
    return message;
}

static inline bool says(const bide_message *message, const char *text)
{
    return strcmp(bide_message_body(message, NULL), text) == 0;
}

/* A header of what it saw. */
static inline void note(bide_message *echo, const char *name, int64_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)value);
    bide_message_set_header(echo, name, text, NULL);
}

static inline bide_outcome echo_all(void *state, const bide_message *message, bide_context *context)
{
    bide_message *echo;
    bide_error error = {0};
    size_t size;
    const void *body = bide_message_body(message, &size);
    (void)state;
    if (bide_message_create(bide_message_type(message), &echo, &error) != BIDE_OK)
        return bide_dead(context, "%s", error.text);
    bide_message_set_id(echo, bide_message_id(message), &error);
    bide_message_set_queue(echo, bide_message_queue(message), &error);
    bide_message_set_content_type(echo, bide_message_content_type(message), &error);
    bide_message_set_body(echo, body, size, &error);
    for (size_t i = 0; i < bide_message_header_count(message); i++)
        bide_message_set_header(
            echo, bide_message_header_name(message, i), bide_message_header_value(message, i), &error);
    note(echo, "saw-due", bide_message_due_ms(message));
    note(echo, "saw-sent", bide_message_sent_ms(message));
    note(echo, "saw-expires", bide_message_expires_ms(message));
    note(echo, "saw-attempt", bide_message_attempt(message));
    note(echo, "saw-started", bide_started_us(context));
    note(echo, "saw-remaining", bide_remaining_ms(context));
    note(echo, "saw-pid", getpid());
    bide_message_set_header(echo, "saw-error", bide_message_error(message), &error);
    return bide_context_send(context, echo, &error) == BIDE_OK ? BIDE_DONE : BIDE_RETRY;
}

/* Dies, or not, as the body says. */
static inline bide_outcome obey(void *state, const bide_message *message, bide_context *context)
{
    (void)state;
    if (says(message, "segv"))
        raise(SIGSEGV);
    if (says(message, "abort"))
        raise(SIGABRT);
    if (says(message, "exit"))
        exit(3);
    while (says(message, "hang"))
        pause();
    if (says(message, "spin on"))
        signal(SIGXCPU, SIG_IGN);
    while (says(message, "spin") || says(message, "spin on"))
        ;
    if (says(message, "retry"))
        return bide_retry(context, 1234, "later: %d", 7);
    if (says(message, "dead"))
        return bide_dead(context, "never");
    if (says(message, "nonsense"))
        return (bide_outcome)77;
    return echo_all(state, message, context);
}

static inline const char *seen(const struct bide_run *run, const char *name)
{
    assert_int_equal(run->n_sends, 1);
    const char *value = bide_message_header(run->sends[0], name);
    assert_non_null(value);
    return value;
}

static inline int64_t seen_number(const struct bide_run *run, const char *name)
{
    return strtoll(seen(run, name), NULL, 10);
}

/* ---- one rig for the tests that take the handler `obey` ---- */

struct fixture {
    struct sandbox_rig rig;
    struct bide_context context;
};

static inline int open_fixture(void **state)
{
    static struct fixture fixture;
    bide_error error;
    sandbox_rig_init(&fixture.rig, obey);
    fixture.rig.config.timeout_ms = 60 * 1000;
    bide_context_init(&fixture.context, bide_clock_system());
    assert_ok(sandbox_open(&fixture.rig, &error), &error);
    *state = &fixture;
    return 0;
}

static inline int close_fixture(void **state)
{
    struct fixture *fixture = *state;
    sandbox_close(&fixture->rig);
    bide_context_close(&fixture->context);
    return 0;
}

static inline struct bide_run run_text(struct fixture *fixture, const char *text)
{
    struct bide_message *message = message_saying(text);
    struct bide_run run = sandbox_run(&fixture->rig, &fixture->context, message);
    bide_message_destroy(message);
    return run;
}

/* A message that is echoed; returns the pid of the child that did it. */
static inline pid_t run_well(struct fixture *fixture)
{
    struct bide_run run = run_text(fixture, "echo");
    assert_int_equal(run.outcome, BIDE_DONE);
    assert_true(run.ran);
    assert_false(run.crashed);
    pid_t pid = (pid_t)seen_number(&run, "saw-pid");
    bide_run_release(&run);
    return pid;
}

/* A rig of the test's own. */
static inline void open_with(
    struct fixture *fixture, bide_outcome (*handle)(void *, const bide_message *, bide_context *))
{
    bide_error error;
    sandbox_rig_init(&fixture->rig, handle);
    bide_context_init(&fixture->context, bide_clock_system());
    assert_ok(sandbox_open(&fixture->rig, &error), &error);
}

static inline void close_with(struct fixture *fixture)
{
    sandbox_close(&fixture->rig);
    bide_context_close(&fixture->context);
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)

#endif
