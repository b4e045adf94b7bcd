#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "contract_store/cases.h"

static unsigned serial;

int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    bide_error error;
    assert_non_null(fixture);
    snprintf(fixture->name_space, sizeof fixture->name_space, "case-%d-%u", (int)getpid(), ++serial);
    const struct store_place *place = *state;
    fixture->server = place->server;
    assert_ok(bide_url_parse(place->url, &fixture->url, &error), &error);
    fixture->options = (struct bide_store_options){.url = &fixture->url,
        .name_space = fixture->name_space,
        .client_name = "contract",
        .timeout_ms = SOON_MS,
        .clock = bide_clock_system()};
    assert_ok(bide_store_open(&fixture->options, &fixture->store, &error), &error);
    *state = fixture;
    return 0;
}

static void forget_last(void);

int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < FIXTURE_CHILDREN; i++)
        fixture_kill(fixture, i);
    forget_last();
    bide_store_destroy(fixture->store);
    bide_store_destroy(fixture->other);
    bide_url_clear(&fixture->url);
    free(fixture);
    return 0;
}

struct bide_store *fixture_other(struct fixture *fixture)
{
    bide_error error;
    if (!fixture->other)
        assert_ok(bide_store_open(&fixture->options, &fixture->other, &error), &error);
    return fixture->other;
}

/* ---- children ---- */

static int play(struct fixture *fixture, int number, child_role *role, int out)
{
    struct bide_store *store = NULL;
    bide_error error;
    bide_code code = bide_store_open(&fixture->options, &store, &error);
    if (code == BIDE_OK)
        code = role(store, number, out, &error);
    if (code != BIDE_OK)
        fprintf(stderr, "child %d: %s\n", number, error.text);
    bide_store_destroy(store);
    return code == BIDE_OK ? 0 : 1;
}

int fixture_fork(struct fixture *fixture, int number, child_role *role)
{
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(pipes[0]);
        _exit(play(fixture, number, role, pipes[1]));
    }
    close(pipes[1]);
    fixture->children[number] = child;
    return pipes[0];
}

void fixture_kill(struct fixture *fixture, int number)
{
    if (fixture->children[number] > 0) {
        kill(fixture->children[number], SIGKILL);
        waitpid(fixture->children[number], NULL, 0);
    }
    fixture->children[number] = 0;
}

void fixture_wait(struct fixture *fixture, int number)
{
    int status = -1;
    assert_int_equal(waitpid(fixture->children[number], &status, 0), fixture->children[number]);
    fixture->children[number] = 0;
    assert_int_equal(status, 0);
}

/* ---- operations ---- */

struct bide_slice text(const char *text)
{
    return (struct bide_slice){text, strlen(text)};
}

struct bide_store_operation turn(const char *key, unsigned from, unsigned to, const char *data)
{
    return (struct bide_store_operation){.kind = BIDE_STORE_TURN,
        .scope = "scope",
        .key = key,
        .lasts_ms = LONG_MS,
        .turn = {.from = from, .to = to, .data = text(data)}};
}

struct bide_store_operation get(const char *key)
{
    return (struct bide_store_operation){.kind = BIDE_STORE_GET, .scope = "scope", .key = key};
}

struct bide_store_operation arrive(const char *key, int64_t member, int64_t total)
{
    return (struct bide_store_operation){.kind = BIDE_STORE_ARRIVE,
        .scope = "scope",
        .key = key,
        .lasts_ms = LONG_MS,
        .arrive = {member, total}};
}

struct bide_store_operation meter(const char *key, int64_t n, int64_t interval_us, int64_t within_us)
{
    return (struct bide_store_operation){
        .kind = BIDE_STORE_METER, .scope = "scope", .key = key, .meter = {n, interval_us, within_us}};
}

struct bide_store_operation acquire(const char *key, const char *holder, int64_t n)
{
    return (struct bide_store_operation){.kind = BIDE_STORE_ACQUIRE,
        .scope = "scope",
        .key = key,
        .lasts_ms = LONG_MS,
        .acquire = {holder, n}};
}

struct bide_store_operation release(const char *key, const char *holder)
{
    return (struct bide_store_operation){
        .kind = BIDE_STORE_RELEASE, .scope = "scope", .key = key, .acquire = {.holder = holder}};
}

struct bide_store_operation close_scope(int64_t lasts_ms)
{
    return (struct bide_store_operation){.kind = BIDE_STORE_CLOSE, .scope = "scope", .lasts_ms = lasts_ms};
}

struct bide_store_operation in_scope(struct bide_store_operation operation, const char *scope)
{
    operation.scope = scope;
    return operation;
}

struct bide_store_operation lasting(struct bide_store_operation operation, int64_t lasts_ms)
{
    operation.lasts_ms = lasts_ms;
    return operation;
}

/* ---- applying ---- */

void apply_all(struct bide_store *store, struct bide_store_operation *operations, size_t n)
{
    bide_error error;
    struct bide_store_letter letter = {.operations = operations, .n = n};
    assert_ok(bide_store_apply(store, &letter, 1, &error), &error);
    assert_int_equal(letter.code, BIDE_OK);
}

void letter_forget(struct bide_store_operation *operations, size_t n)
{
    bide_store_letter_clear(&(struct bide_store_letter){.operations = operations, .n = n});
}

static struct bide_store_operation last;

static void forget_last(void)
{
    letter_forget(&last, 1);
}

const struct bide_store_answer *apply(struct bide_store *store, struct bide_store_operation operation)
{
    forget_last();
    last = operation;
    apply_all(store, &last, 1);
    return &last.answer;
}

void assert_fact(struct bide_store *store, const char *key, unsigned state, const char *data)
{
    const struct bide_store_answer *answer = apply(store, get(key));
    assert_int_equal(answer->state, state);
    assert_int_equal(answer->ok, state != 0);
    assert_int_equal(answer->size, data ? strlen(data) : 0);
    if (data && *data)
        assert_memory_equal(answer->data, data, answer->size);
    if (state)
        assert_between(answer->lasts_ms, 1, 3 * (int64_t)LONG_MS);
}

void wait_until_lapsed(struct bide_store *store, const char *scope, const char *key)
{
    struct deadline deadline = deadline_in_ms(SOON_MS);
    while (apply(store, in_scope(get(key), scope))->ok && !deadline_passed(&deadline))
        deadline_nap(&deadline);
    assert_false(apply(store, in_scope(get(key), scope))->ok);
}
