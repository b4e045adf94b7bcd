/* bide/worker.h: a worker inside somebody else's program, by the public headers alone. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include <bide/producer.h>
#include <bide/worker.h>

#include "support/deadline.h"
#include "support/plugin_run.h"
#include "unit/unit.h"
#include "worker/supervised.h"

enum { PATIENCE_MS = 60000 };

struct place {
    struct temp_dir dir;
    char config[TEMP_DIR_PATH];
    char url[TEMP_DIR_PATH + 16];
    char journal[TEMP_DIR_PATH + 16];
};

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    char programs[TEMP_DIR_PATH], text[TEMP_DIR_PATH + 300];
    assert_non_null(place);
    assert_int_equal(temp_dir_create(&place->dir), 0);
    test_program_dir(programs);
    snprintf(text, sizeof text,
        "broker = \"sqlite:x.db\"; plugin_dir = \"%s/../handlers\"; "
        "allow_unsafe_plugins = true;\n"
        "handlers = ( { type = \"note\"; plugin = \"journal\"; settings: { path = \"runs\"; }; } );\n",
        programs);
    assert_int_equal(temp_dir_write(&place->dir, "bide.conf", text, place->config), 0);
    snprintf(place->url, sizeof place->url, "sqlite:%s/x.db", place->dir.path);
    snprintf(place->journal, sizeof place->journal, "%s/runs", place->dir.path);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    temp_dir_remove(&place->dir);
    free(place);
    return 0;
}

static void send_notes(const struct place *place, int n)
{
    bide_producer *producer;
    bide_error error;
    assert_ok(bide_producer_open(place->url, NULL, &producer, &error), &error);
    for (int i = 0; i < n; i++) {
        bide_message *message;
        assert_ok(bide_message_create("note", &message, &error), &error);
        assert_ok(bide_producer_send(producer, message, &error), &error);
        bide_message_destroy(message);
    }
    bide_producer_close(producer);
}

/* So many runs are in the journal. */
static int count_runs(const struct place *place)
{
    int n = 0;
    FILE *file = fopen(place->journal, "r");
    for (int c; file && (c = fgetc(file)) != EOF;)
        n += c == '\n';
    if (file)
        fclose(file);
    return n;
}

static void test_runs_what_is_there_and_leaves(void **state)
{
    const struct place *place = *state;
    const bide_worker_options options = {.threads = 2, .exit_idle_ms = 100};
    bide_worker *worker;
    bide_error error;
    send_notes(place, 3);
    assert_ok(bide_worker_create(place->config, &options, &worker, &error), &error);
    assert_ok(bide_worker_run(worker, &error), &error);
    bide_worker_destroy(worker);
    assert_int_equal(count_runs(place), 3);
}

static void test_the_programs_broker_wins(void **state)
{
    const struct place *place = *state;
    const bide_worker_options options = {.broker = "sqlite:other.db", .exit_idle_ms = 50};
    bide_worker *worker;
    bide_error error;
    send_notes(place, 1);
    assert_ok(bide_worker_create(place->config, &options, &worker, &error), &error);
    assert_ok(bide_worker_run(worker, &error), &error);
    bide_worker_destroy(worker);
    assert_int_equal(count_runs(place), 0);
}

static void test_never_run(void **state)
{
    const struct place *place = *state;
    bide_worker *worker;
    bide_error error;
    assert_ok(bide_worker_create(place->config, NULL, &worker, &error), &error);
    bide_worker_destroy(worker);
    bide_worker_destroy(NULL);
    assert_int_equal(bide_worker_create("/nowhere/bide.conf", NULL, &worker, &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "/nowhere/bide.conf"));
}

struct running {
    bide_worker *worker;
    pthread_t thread;
    bide_code code;
};

static void *run_worker(void *user)
{
    struct running *running = user;
    running->code = bide_worker_run(running->worker, NULL);
    return NULL;
}

static void test_two_in_one_process_are_stopped_by_it(void **state)
{
    const struct place *place = *state;
    struct running both[2];
    bide_error error;
    for (size_t i = 0; i < COUNT_OF(both); i++) {
        assert_ok(bide_worker_create(place->config, NULL, &both[i].worker, &error), &error);
        assert_int_equal(pthread_create(&both[i].thread, NULL, run_worker, &both[i]), 0);
    }
    send_notes(place, 20);
    struct deadline deadline = deadline_in_ms(PATIENCE_MS);
    while (count_runs(place) < 20 && !deadline_passed(&deadline))
        deadline_nap(&deadline);
    for (size_t i = 0; i < COUNT_OF(both); i++) {
        bide_worker_stop(both[i].worker);
        pthread_join(both[i].thread, NULL);
        assert_int_equal(both[i].code, BIDE_OK);
        bide_worker_destroy(both[i].worker);
    }
    assert_int_equal(count_runs(place), 20);
}

/* ---- dead letters that are told of ---- */

static void send_payment(const struct place *place, const char *id, const char *body)
{
    bide_producer *producer;
    bide_message *message;
    bide_error error;
    assert_ok(bide_producer_open(place->url, NULL, &producer, &error), &error);
    assert_ok(bide_message_create("pay", &message, &error), &error);
    assert_ok(bide_message_set_id(message, id, &error), &error);
    assert_ok(bide_message_set_body(message, body, strlen(body), &error), &error);
    assert_ok(bide_producer_send(producer, message, &error), &error);
    bide_message_destroy(message);
    bide_producer_close(producer);
}

static void read_runs(const struct place *place, char *to, size_t size)
{
    FILE *file = fopen(place->journal, "r");
    size_t n = file ? fread(to, 1, size - 1, file) : 0;
    to[n] = '\0';
    if (file)
        fclose(file);
}

static const char chain[] =
    "broker = \"sqlite:x.db\"; plugin_dir = \"%s/../handlers\"; allow_unsafe_plugins = true;\n"
    "queues = ( { name = \"default\"; }, { name = \"alarms\"; } );\n"
    "handlers = (\n"
    "  { type = \"pay\"; plugin = \"probe\"; on_dead = \"alarm\"; settings: { path = \"probes\"; }; },\n"
    "  { type = \"alarm\"; plugin = \"command\"; queue = \"alarms\"; on_dead = \"note\";\n"
    "    retry: { attempts = 1; };\n"
    "    settings: { program = \"sh\"; args = [ \"-c\", \"cat >> %s; exit 1\" ]; }; },\n"
    "  { type = \"note\"; plugin = \"journal\"; settings: { path = \"runs\"; }; } );\n";

/* `pay` tells `alarm`, whose death would tell `note`: but what tells of a death has nobody told of its own.
 */
static void test_on_dead(void **state)
{
    static const char *const wanted[] = {
        "\"id\":\"order-1\"", "\"type\":\"pay\"", "\"reason\":\"rejected\"", "\"attempts\":1", "amount"};
    static const bide_worker_options options = {.exit_idle_ms = 50};
    const struct place *place = *state;
    char programs[TEMP_DIR_PATH], text[4 * TEMP_DIR_PATH], config[TEMP_DIR_PATH], runs[8192];
    bide_worker *worker;
    bide_error error;
    test_program_dir(programs);
    snprintf(text, sizeof text, chain, programs, place->journal);
    assert_int_equal(temp_dir_write(&place->dir, "dead.conf", text, config), 0);
    send_payment(place, "order-1", "{\"dead\": true, \"amount\": 12}");
    send_payment(place, "order-2", "{}");
    assert_ok(bide_worker_create(config, &options, &worker, &error), &error);
    assert_ok(bide_worker_run(worker, &error), &error);
    bide_worker_destroy(worker);
    read_runs(place, runs, sizeof runs);
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        if (!strstr(runs, wanted[i]))
            fail_msg("%s is not in: %s", wanted[i], runs);
    assert_null(strstr(runs, "order-2"));
    assert_null(strstr(runs, "\"type\":\"note\""));
    assert_null(strstr(strstr(runs, "\"id\":") + 1, "\"id\":"));
}

/* ---- a broker that is away ---- */

static _Atomic int waits_said;

static void count_waits(void *user, bide_log_level level, const char *text, const bide_log_field *fields)
{
    (void)user, (void)level, (void)fields;
    waits_said += strstr(text, "the worker waits for it") != NULL;
}

static bool has_said_it_waits(void *user)
{
    (void)user;
    return waits_said > 0;
}

/* A folder that is missing is refused at once (78); a port where nobody listens may get a listener. */
static void test_waits_for_a_broker_that_is_away(void **state)
{
    const struct place *place = *state;
    static const bide_worker_options away = {.broker = "redis://127.0.0.1:1"};
    static const bide_worker_options wrong = {.broker = "sqlite:/nonexistent/x.db"};
    struct running running;
    bide_error error;
    bide_log_set_sink(count_waits, NULL);
    assert_ok(bide_worker_create(place->config, &away, &running.worker, &error), &error);
    assert_int_equal(bide_worker_run(running.worker, &error), BIDE_E_BROKER);
    assert_false(has_said_it_waits(NULL));
    bide_worker_wait_for_broker(running.worker);
    assert_int_equal(pthread_create(&running.thread, NULL, run_worker, &running), 0);
    bool said = wait_until(has_said_it_waits, NULL, PATIENCE_MS);
    bide_worker_stop(running.worker);
    pthread_join(running.thread, NULL);
    bide_worker_destroy(running.worker);
    assert_true(said);
    assert_int_equal(running.code, BIDE_OK);
    assert_int_equal(waits_said, 1);
    assert_ok(bide_worker_create(place->config, &wrong, &running.worker, &error), &error);
    bide_worker_wait_for_broker(running.worker);
    assert_int_equal(bide_worker_run(running.worker, &error), BIDE_E_CONFIG);
    bide_worker_destroy(running.worker);
    bide_log_set_sink(NULL, NULL);
}

/* ---- how it ends ---- */

enum { HANDLER_SLEEPS_S = 60 };

static bool is_full(void *path)
{
    FILE *file = fopen(path, "r");
    bool full = file && fgetc(file) != EOF;
    if (file)
        fclose(file);
    return full;
}

/* A worker whose only thread is inside a handler that returns when it is told to. */
static void begin_a_long_run(struct place *place, const char *drain, struct running *running)
{
    char programs[TEMP_DIR_PATH], text[2 * TEMP_DIR_PATH + 400];
    bide_error error;
    bide_message *message;
    bide_producer *producer;
    static char begun[TEMP_DIR_PATH + 16];
    test_program_dir(programs);
    snprintf(begun, sizeof begun, "%s/begun", place->dir.path);
    snprintf(text, sizeof text,
        "broker = \"sqlite:x.db\"; plugin_dir = \"%s/../handlers\"; worker: { threads = 1; drain = \"%s\"; "
        "};\n"
        "handlers = ( { type = \"long\"; plugin = \"command\"; settings: { program = \"/bin/sh\"; args = "
        "(\"-c\", "
        "\"echo x > %s; exec sleep %d\"); }; } );\n",
        programs, drain, begun, HANDLER_SLEEPS_S);
    assert_int_equal(temp_dir_write(&place->dir, "bide.conf", text, place->config), 0);
    assert_ok(bide_producer_open(place->url, NULL, &producer, &error), &error);
    assert_ok(bide_message_create("long", &message, &error), &error);
    assert_ok(bide_producer_send(producer, message, &error), &error);
    bide_message_destroy(message);
    bide_producer_close(producer);
    assert_ok(bide_worker_create(place->config, NULL, &running->worker, &error), &error);
    assert_int_equal(pthread_create(&running->thread, NULL, run_worker, running), 0);
    assert_true(wait_until(is_full, begun, PATIENCE_MS));
}

/* The handler is cancelled, gets its moment to return, and the message goes back without a burnt attempt. */
static void ends_in_order(struct running *running)
{
    struct deadline deadline = deadline_in_ms(25 * 1000); /* less than the run's own timeout */
    pthread_join(running->thread, NULL);
    assert_false(deadline_passed(&deadline));
    assert_int_equal(running->code, BIDE_OK);
    assert_false(bide_worker_abandoned(running->worker));
    bide_worker_destroy(running->worker);
}

static void test_cancelled_at_the_end_of_drain_it_may_return(void **state)
{
    static const char *const drains[] = {"50ms", "0ms"};
    for (size_t i = 0; i < COUNT_OF(drains); i++) {
        struct running running;
        begin_a_long_run(*state, drains[i], &running);
        bide_worker_stop(running.worker);
        ends_in_order(&running);
        tear_down(state);
        set_up(state);
    }
}

static void test_two_stops_at_once(void **state)
{
    struct running running;
    begin_a_long_run(*state, "60s", &running);
    bide_worker_stop(running.worker);
    bide_worker_stop(running.worker);
    ends_in_order(&running);
}

/* SIGUSR2 says "sooner". Of two signals that wait, the kernel delivers the lower number first. */
static void test_a_hurry_before_the_stop(void **state)
{
    struct running running;
    begin_a_long_run(*state, "60s", &running);
    bide_worker_on_signal(running.worker, SIGUSR2);
    bide_worker_on_signal(running.worker, SIGTERM);
    ends_in_order(&running);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_runs_what_is_there_and_leaves, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_the_programs_broker_wins, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_never_run, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_two_in_one_process_are_stopped_by_it, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_cancelled_at_the_end_of_drain_it_may_return, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_two_stops_at_once, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_on_dead, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_waits_for_a_broker_that_is_away, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_a_hurry_before_the_stop, set_up, tear_down),
};

UNIT_MAIN(tests)
