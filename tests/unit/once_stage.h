/* tests/unit/once_stage.h: a worker's passage with a store in a file, for the tests of gates that ask it; no
 * pool. Begin with set_up. */
#ifndef BIDE_UNIT_ONCE_STAGE_H
#define BIDE_UNIT_ONCE_STAGE_H
#include <poll.h>
#include <sqlite3.h>
#include <unistd.h>

#include "bide/log.h"
#include "broker/adapters.h"
#include "dispatch/context.h"
#include "support/deadline.h"
#include "support/temp_dir.h"
#include "unit/unit.h"
#include "worker/passage.h"

static char queue_name[] = "first", once_type[] = "a", plain_type[] = "b";

enum { ONCE, PLAIN, HANDLERS };
enum {
    SOON_MS = 60000,
    STORE_TIMEOUT_MS = 500, /* after so long a blocked store is away; one that a busy machine slows is not */
    DELIVERIES = 4
};

static struct {
    struct bide_receiver receiver;
    struct bide_settlement last;
    char error[300]; /* of that */
    bool acknowledged[DELIVERIES];
    size_t n, limit;                   /* settlements; what the passage wants in hand */
    size_t unsettled;                  /* of them, as the receiver says */
    char sent_id[600], sent_body[600]; /* of the last message that went with a settlement */
    size_t n_sent;
} broker;

static struct {
    struct temp_dir dir;
    char path[TEMP_DIR_PATH + 32];
    struct bide_url url;
    const struct bide_clock *clock; /* NULL: the system's */
    sqlite3 *blocker;
    struct bide_configured_broker broker;
    struct bide_store_metrics metrics;
    struct bide_wakeup wakeup;
    const char *queue; /* of what comes in; NULL: the first */
    struct bide_queue_config queues[1];
    struct bide_handler_config handlers[HANDLERS];
    struct bide_handler rows[HANDLERS];
    struct bide_handlers all;
    struct bide_config config;
    struct bide_plugin plugin;
    struct bide_clerk *clerk;
    struct bide_passage passage;
    bool marks;                      /* of the site */
    char unique[16], generation[32]; /* of what is taken in, … */
    int64_t sent_ms, due_ms;         /* … and when */
    bool id_is_new;                  /* … without an id of its sender's */
    struct bide_message messages[DELIVERIES];
    struct bide_delivery deliveries[DELIVERIES];
    struct bide_header *headers; /* of the next message; NULL: none */
    size_t n_headers;
} stage;

static inline void note_sends(const struct bide_settlement *settlement)
{
    for (size_t i = 0; i < settlement->n_sends; i++) {
        snprintf(broker.sent_id, sizeof broker.sent_id, "%s", bide_message_id(settlement->sends[i]));
        snprintf(broker.sent_body, sizeof broker.sent_body, "%s",
            (const char *)bide_message_body(settlement->sends[i], NULL));
        broker.n_sent++;
    }
}

static inline void settle(struct bide_receiver *receiver, const struct bide_settlement *settlements, size_t n)
{
    (void)receiver;
    broker.last = settlements[n - 1];
    snprintf(broker.error, sizeof broker.error, "%s", broker.last.error ? broker.last.error : "");
    broker.n += n;
    for (size_t i = 0; i < n; i++) {
        if (settlements[i].verdict == BIDE_VERDICT_ACK)
            broker.acknowledged[settlements[i].delivery - stage.deliveries] = true;
        note_sends(&settlements[i]);
        bide_settlement_release(&settlements[i]);
    }
}

static inline void forget(struct bide_receiver *receiver, struct bide_delivery *delivery)
{
    (void)receiver, (void)delivery;
}

static inline void stats(const struct bide_receiver *receiver, struct bide_receiver_stats *ret_stats)
{
    (void)receiver;
    *ret_stats = (struct bide_receiver_stats){.connected = true, .unsettled = broker.unsettled};
}

static inline void limit(struct bide_receiver *receiver, size_t queue, size_t wanted)
{
    (void)receiver, (void)queue;
    broker.limit = wanted;
}

static inline void set_up_config(void)
{
    stage.queues[0] = (struct bide_queue_config){.name = queue_name, .weight = 1};
    const struct bide_retry_config retry = {.attempts = 3, .base_ms = 10, .cap_ms = 10, .crash_attempts = 3};
    stage.handlers[ONCE] = (struct bide_handler_config){
        .type = once_type, .queue = queue_name, .once_ms = 60000, .retry = retry};
    stage.handlers[PLAIN] =
        (struct bide_handler_config){.type = plain_type, .queue = queue_name, .retry = retry};
    for (size_t i = 0; i < HANDLERS; i++)
        stage.rows[i] = (struct bide_handler){
            .runner = &bide_thread_runner, .config = &stage.handlers[i], .plugin = &stage.plugin};
    stage.all = (struct bide_handlers){.rows = stage.rows, .n = HANDLERS};
    stage.config = (struct bide_config){.queues = stage.queues,
        .n_queues = 1,
        .handlers = stage.handlers,
        .n_handlers = HANDLERS,
        .worker = {.threads = 2}};
}

/* Follow-up messages go to a broker in memory. */
static inline void set_up_broker(void)
{
    static const char *const queues[] = {queue_name};
    assert_int_equal(bide_url_parse("memory:", &stage.broker.url, NULL), BIDE_OK);
    stage.broker.adapter = &bide_memory_adapter;
    stage.broker.options = (struct bide_broker_options){.url = &stage.broker.url,
        .name_space = "once",
        .queues = queues,
        .n_queues = 1,
        .max_body = 1000,
        .clock = bide_clock_system()};
}

/* A process with the store of the one before it. */
static inline void begin(void)
{
    const struct bide_clock *clock = stage.clock ? stage.clock : bide_clock_system();
    struct bide_clerk_options options = {
        .store = {.url = &stage.url,
            .name_space = "bide",
            .base_dir = "/",
            .client_name = "test",
            .timeout_ms = STORE_TIMEOUT_MS,
            .clock = clock},
        .broker = &stage.broker,
        .done = &stage.wakeup,
        .metrics = &stage.metrics,
    };
    assert_int_equal(bide_clerk_create(&options, &stage.clerk, NULL), BIDE_OK);
    struct bide_site site = {.config = &stage.config,
        .clock = clock,
        .handlers = &stage.all,
        .clerk = stage.clerk,
        .marks = stage.marks};
    memset(&stage.passage, 0, sizeof stage.passage);
    assert_int_equal(bide_passage_init(&stage.passage, &site, NULL), BIDE_OK);
    assert_int_equal(bide_passage_begin(&stage.passage, NULL), BIDE_OK);
    stage.passage.settling.receiver = &broker.receiver;
}

/* The process ends. What the clerk still has is forgotten. */
static inline void end_process(void)
{
    bide_clerk_stop(stage.clerk);
    for (struct bide_errand *errand = bide_clerk_take(stage.clerk), *next; errand; errand = next) {
        next = errand->next;
        bide_run_release(&errand->job->run);
        bide_clerk_free(stage.clerk, errand);
    }
    bide_passage_clear(&stage.passage);
    bide_clerk_destroy(stage.clerk);
}

static inline int set_up(void **state)
{
    static const struct bide_receiver_ops ops = {
        .settle = settle, .stats = stats, .forget = forget, .limit = limit};
    char text[TEMP_DIR_PATH + 64];
    (void)state;
    memset(&stage, 0, sizeof stage);
    memset(&broker, 0, sizeof broker);
    broker.receiver.ops = &ops;
    bide_log_set_level(BIDE_LOG_OFF);
    assert_int_equal(temp_dir_create(&stage.dir), 0);
    snprintf(stage.path, sizeof stage.path, "%s/store.db", stage.dir.path);
    snprintf(text, sizeof text, "sqlite:%s", stage.path);
    assert_int_equal(bide_url_parse(text, &stage.url, NULL), BIDE_OK);
    assert_int_equal(bide_wakeup_init(&stage.wakeup, NULL), BIDE_OK);
    set_up_config();
    set_up_broker();
    begin();
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    end_process();
    sqlite3_close(stage.blocker);
    bide_wakeup_close(&stage.wakeup);
    bide_url_clear(&stage.url);
    bide_url_clear(&stage.broker.url);
    temp_dir_remove(&stage.dir);
    return 0;
}

/* ---- what happens ---- */

static inline struct bide_job *take_in_as(size_t i, const char *type, const char *id)
{
    static char names[DELIVERIES][2][600], none[] = "";
    struct bide_job_list jobs = {0};
    snprintf(names[i][0], sizeof names[i][0], "%s", type);
    snprintf(names[i][1], sizeof names[i][1], "%s", id);
    stage.messages[i] = (struct bide_message){.id = names[i][1],
        .type = names[i][0],
        .queue = stage.queue ? stage.queue : queue_name,
        .content_type = none,
        .failures = none,
        .body = none,
        .headers = stage.headers,
        .n_headers = stage.n_headers,
        .unique = stage.unique,
        .generation = stage.generation,
        .sent_ms = stage.sent_ms,
        .due_ms = stage.due_ms,
        .attempt = 1};
    stage.deliveries[i] = (struct bide_delivery){.message = &stage.messages[i], .id_is_new = stage.id_is_new};
    bide_passage_take_in(&stage.passage, &stage.deliveries[i], bide_wall_us(stage.passage.site.clock), &jobs);
    bide_settle_flush(&stage.passage.settling);
    bide_clerk_wake(stage.clerk);
    return jobs.first;
}

static inline void wait_for_wakeup(void)
{
    struct pollfd fd = {.fd = stage.wakeup.fd, .events = POLLIN};
    poll(&fd, 1, 20);
    bide_wakeup_drain(&stage.wakeup);
}

/* What the clerk has answered goes on. Returns those that may start. */
static inline struct bide_job_list go_on(void)
{
    struct bide_job_list jobs = {0};
    wait_for_wakeup();
    bide_passage_take_answers(&stage.passage, bide_wall_us(stage.passage.site.clock), &jobs);
    bide_gates_round(&stage.passage.gates, bide_mono_us(stage.passage.site.clock));
    bide_settle_flush(&stage.passage.settling);
    bide_clerk_wake(stage.clerk);
    return jobs;
}

/* Until nothing waits for the clerk. Returns the one that may start, or NULL. */
static inline struct bide_job *all_answers(void)
{
    struct bide_job *started = NULL;
    struct deadline end = deadline_in_ms(SOON_MS);
    do {
        struct bide_job_list jobs = go_on();
        assert_true(jobs.n + (started != NULL) <= 1);
        started = jobs.first ? jobs.first : started;
        assert_false(deadline_passed(&end));
    } while (bide_passage_waiting(&stage.passage) > 0);
    return started;
}

static inline struct bide_job *take_in(size_t i, const char *id)
{
    assert_null(take_in_as(i, once_type, id));
    return all_answers();
}

/* It has run. What it sends is one message, or none. */
static inline void ran(struct bide_job *job, bide_outcome outcome, bool sends)
{
    job->run = (struct bide_run){.ran = true, .outcome = outcome, .delay_ms = BIDE_BY_POLICY};
    if (sends) {
        job->run.sends = bide_calloc(1, sizeof *job->run.sends);
        job->run.n_sends = 1;
        assert_int_equal(bide_message_create("next", &job->run.sends[0], NULL), BIDE_OK);
        assert_int_equal(
            bide_message_stamp(job->run.sends[0], queue_name, stage.passage.site.clock, NULL), BIDE_OK);
    }
    bide_passage_settle(&stage.passage, job);
    bide_settle_flush(&stage.passage.settling);
    bide_clerk_wake(stage.clerk);
}

/* Nobody can write into the store. */
static inline void block_store(void)
{
    assert_int_equal(sqlite3_open(stage.path, &stage.blocker), SQLITE_OK);
    sqlite3_busy_timeout(stage.blocker, SOON_MS); /* the clerk may be writing */
    assert_int_equal(sqlite3_exec(stage.blocker, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
}

static inline void unblock_store(void)
{
    assert_int_equal(sqlite3_exec(stage.blocker, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
}

static inline void await_away(bool away)
{
    for (struct deadline end = deadline_in_ms(SOON_MS); bide_clerk_is_away(stage.clerk) != away;) {
        assert_false(deadline_passed(&end));
        go_on();
    }
    go_on();
}

static inline void expect_held(void)
{
    assert_int_equal(broker.last.verdict, BIDE_VERDICT_RETRY);
    assert_int_equal(broker.last.attempt, 1);
    assert_true(broker.last.due_ms >= bide_wall_ms(stage.passage.site.clock) + BIDE_GATE_SHORTEST_MS / 2);
}

/* ---- a sender that refuses all, and the store as others see it ---- */

static inline bide_code refuse_all(struct bide_sender *sender, struct bide_message *const *messages, size_t n,
    enum bide_sent *results, bide_error *error)
{
    (void)sender, (void)messages;
    for (size_t i = 0; i < n; i++)
        results[i] = BIDE_SENT_REFUSED;
    return bide_fail(error, BIDE_E_DATA, "refused");
}

static inline void keep(struct bide_sender *sender)
{
    (void)sender;
}

static inline bide_code open_refusing(
    const struct bide_broker_options *options, struct bide_sender **ret_sender, bide_error *error)
{
    static const struct bide_sender_ops ops = {.send = refuse_all, .destroy = keep};
    static struct bide_sender sender = {.ops = &ops};
    (void)options, (void)error;
    *ret_sender = &sender;
    return BIDE_OK;
}

static inline struct bide_store *open_store(void)
{
    struct bide_store *store;
    const struct bide_store_options options = {.url = &stage.url,
        .name_space = "bide",
        .base_dir = "/",
        .client_name = "test",
        .timeout_ms = SOON_MS,
        .clock = stage.clock ? stage.clock : bide_clock_system()};
    assert_int_equal(bide_store_open(&options, &store, NULL), BIDE_OK);
    return store;
}

#endif
