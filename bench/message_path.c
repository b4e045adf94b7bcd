/* message_path FILE MESSAGES: what a worker does with a message, from the broker's file back to it, on one
 * thread.
 *
 * receive -> route -> run -> settle, by the worker's own functions, with its board but without the pool's
 * threads: how often those wake each other depends on the time they are given, which a count of instructions
 * must not. `drive` is what tests/integration/test_instructions.py counts. The messages are sent first, all
 * due. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "dispatch/board.h"
#include "dispatch/context.h"
#include "worker/intake.h"

enum { BODY = 256, SEND_BATCH = 1000 };

#define TYPE "noop"

struct path {
    struct bide_config *config;
    struct bide_handlers handlers;
    struct bide_intake intake;
    struct bide_board board;
    struct bide_context context;
    const struct bide_clock *clock;
    size_t ran;
};

static void check(bide_code code, const bide_error *error)
{
    if (code == BIDE_OK)
        return;
    fprintf(stderr, "message_path: %s\n", error->text);
    exit(bide_code_exit(code));
}

static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    (void)state, (void)message, (void)context;
    return BIDE_DONE;
}

/* ---- before ---- */

static struct bide_message *make_message(const struct bide_clock *clock, bide_error *error)
{
    char body[BODY];
    struct bide_message *message;
    memset(body, 'x', sizeof body);
    check(bide_message_create(TYPE, &message, error), error);
    check(bide_message_set_body(message, body, sizeof body, error), error);
    check(bide_message_stamp(message, "default", clock, error), error);
    return message;
}

static void send_all(
    const struct bide_adapter *adapter, const struct bide_broker_options *options, size_t messages)
{
    struct bide_sender *sender;
    bide_error error;
    check(adapter->open_sender(options, &sender, &error), &error);
    for (size_t sent = 0; sent < messages;) {
        struct bide_message *batch[SEND_BATCH];
        enum bide_sent results[SEND_BATCH] = {BIDE_SENT_UNKNOWN};
        size_t n = 0;
        for (; n < SEND_BATCH && sent + n < messages; n++)
            batch[n] = make_message(options->clock, &error);
        check(bide_sender_send(sender, batch, n, results, &error), &error);
        for (size_t i = 0; i < n; i++)
            bide_message_destroy(batch[i]);
        sent += n;
    }
    bide_sender_destroy(sender);
}

static void configure(struct path *path, bide_error *error)
{
    static const bide_plugin_descriptor plugin = {BIDE_PLUGIN_HEAD, .name = TYPE, .handle = handle};
    check(bide_config_default(&path->config, error), error);
    path->config->handlers = bide_calloc(1, sizeof *path->config->handlers);
    path->config->n_handlers = 1;
    path->config->handlers[0] =
        (struct bide_handler_config){.type = bide_strdup(TYPE), .retry = {.attempts = 1}};
    check(bide_handlers_builtin(path->config, &plugin, NULL, &path->handlers, error), error);
}

static void prepare(struct path *path, const struct bide_adapter *adapter,
    const struct bide_broker_options *options, bide_error *error)
{
    const struct bide_config *config = path->config;
    struct bide_intake *intake = &path->intake;
    struct bide_receiver *receiver;
    check(bide_intake_init(intake, config, &path->handlers, path->clock, error), error);
    check(
        bide_board_init(&path->board, config->queues, config->n_queues, config->worker.order, error), error);
    bide_prefetch_init(&intake->passage.prefetch[0], BIDE_BATCH, 1, 1);
    check(bide_passage_begin(&intake->passage, error), error);
    bide_context_init(&path->context, path->clock);
    check(adapter->open_receiver(options, &receiver, error), error);
    receiver->ops->limit(receiver, 0, BIDE_BATCH);
    intake->passage.settling.receiver = receiver;
}

/* ---- the path ---- */

static void run_one(struct path *path, struct bide_job *job, int64_t wall_us, int64_t mono_us)
{
    bide_context_begin(&path->context, job, wall_us, mono_us);
    bide_outcome outcome =
        job->handler->runner->run(job->handler, 0, job->delivery->message, &path->context, NULL);
    bide_context_end(&path->context, job, outcome);
    bide_board_finished(&path->board, job->handler);
    path->ran++;
    bide_passage_settle(&path->intake.passage, job);
}

static void run_all(struct path *path)
{
    for (;;) {
        int64_t wall_us = bide_wall_us(path->clock), mono_us = bide_mono_us(path->clock);
        struct bide_job *job = bide_board_take(&path->board, wall_us, mono_us);
        if (!job)
            return;
        run_one(path, job, wall_us, mono_us);
    }
}

static void receive_batch(struct path *path, bide_error *error)
{
    struct bide_passage *passage = &path->intake.passage;
    struct bide_receiver *receiver = passage->settling.receiver;
    struct bide_delivery *deliveries[BIDE_BATCH];
    struct bide_job_list jobs = {0};
    struct bide_job *job;
    size_t n;
    check(receiver->ops->receive(receiver, deliveries, BIDE_BATCH, &n, error), error);
    int64_t wall_us = bide_wall_us(path->clock), mono_us = bide_mono_us(path->clock);
    for (size_t i = 0; i < n; i++)
        bide_passage_take_in(passage, deliveries[i], wall_us, &jobs);
    passage->out += jobs.n;
    while ((job = bide_job_pop(&jobs))) {
        job->submitted = true;
        bide_prefetch_took(&passage->prefetch[0], 1);
        (void)bide_board_add(&path->board, job, wall_us, mono_us); /* none is early: needs no memory */
    }
}

static __attribute__((noinline)) void drive(struct path *path, size_t messages, bide_error *error)
{
    struct bide_settling *settling = &path->intake.passage.settling;
    struct bide_receiver_stats stats;
    do {
        receive_batch(path, error);
        run_all(path);
        bide_settle_flush(settling);
        settling->receiver->ops->stats(settling->receiver, &stats);
    } while (path->ran < messages || stats.unsettled > 0);
}

/* ---- after ---- */

static void clear(struct path *path)
{
    bide_receiver_destroy(path->intake.passage.settling.receiver);
    bide_board_clear(&path->board);
    bide_context_close(&path->context);
    bide_intake_clear(&path->intake);
    bide_handlers_close(&path->handlers);
    bide_config_destroy(path->config);
}

int main(int argc, char **argv)
{
    static struct path path;
    static const char *const queues[] = {"default"};
    struct bide_url url;
    const struct bide_adapter *adapter;
    bide_error error;
    if (argc != 3) {
        fputs("usage: message_path sqlite:FILE MESSAGES\n", stderr);
        return 64;
    }
    path.clock = bide_clock_system();
    configure(&path, &error);
    check(bide_url_parse(argv[1], &url, &error), &error);
    check(bide_adapter_find(&url, &adapter, &error), &error);
    const struct bide_broker_options options = {.url = &url,
        .name_space = "bide",
        .base_dir = ".",
        .queues = queues,
        .n_queues = 1,
        .client_name = "message_path",
        .timeout_ms = 10000,
        .max_body = 1 << 20,
        .clock = path.clock};
    size_t messages = strtoul(argv[2], NULL, 10);
    send_all(adapter, &options, messages);
    prepare(&path, adapter, &options, &error);
    drive(&path, messages, &error);
    clear(&path);
    bide_url_clear(&url);
    return 0;
}
