/* adapter URL MESSAGES SEND_BATCH LIMIT [RECEIVERS]: a broker adapter alone, without pool and handlers.
 *
 * One process sends 256-byte messages in batches; RECEIVERS processes (default 1) receive and acknowledge
 * them at the same time, holding LIMIT at most. Prints rates and CPU time a message, to be set beside the
 * broker's bare yardstick. */
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "broker/broker.h"

enum { BODY = 256, RECEIVERS_MAX = 16 };

static const char *const queues[] = {"default"};

struct bench {
    const struct bide_adapter *adapter;
    struct bide_broker_options options;
    size_t messages, send_batch, limit, receivers;
    atomic_size_t *drained; /* by all processes */
};

static void check(bide_code code, const bide_error *error)
{
    if (code == BIDE_OK)
        return;
    fprintf(stderr, "adapter: %s\n", error->text);
    exit(bide_code_exit(code));
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void report(const char *what, size_t messages, double wall, double cpu)
{
    printf("adapter %s: %zu messages, %.0f/s, %.2f us CPU a message\n", what, messages,
        (double)messages / (seconds(CLOCK_MONOTONIC) - wall),
        (seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (double)messages * 1e6);
    fflush(stdout);
}

static struct bide_message *make_message(const struct bench *bench, bide_error *error)
{
    char body[BODY];
    struct bide_message *message;
    memset(body, 'x', sizeof body);
    check(bide_message_create("journal", &message, error), error);
    check(bide_message_set_body(message, body, sizeof body, error), error);
    check(bide_message_stamp(message, queues[0], bench->options.clock, error), error);
    return message;
}

static void send_all(const struct bench *bench)
{
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    struct bide_message **batch = calloc(bench->send_batch, sizeof *batch);
    enum bide_sent *results = calloc(bench->send_batch, sizeof *results);
    struct bide_sender *sender;
    bide_error error;
    check(bench->adapter->open_sender(&bench->options, &sender, &error), &error);
    for (size_t sent = 0; batch && results && sent < bench->messages;) {
        size_t n = 0;
        for (; n < bench->send_batch && sent + n < bench->messages; n++)
            batch[n] = make_message(bench, &error);
        memset(results, 0, n * sizeof *results);
        check(bide_sender_send(sender, batch, n, results, &error), &error);
        for (size_t i = 0; i < n; i++)
            bide_message_destroy(batch[i]);
        sent += n;
    }
    bide_sender_destroy(sender);
    free(batch);
    free(results);
    report("send", bench->messages, wall, cpu);
}

static void wait_for_more(struct bide_receiver *receiver)
{
    struct bide_wait wait;
    receiver->ops->wait(receiver, &wait);
    int timeout_ms = wait.timeout_us < 0 ? -1 : (int)((wait.timeout_us + 999) / 1000);
    (void)poll(wait.fds, wait.n_fds, timeout_ms > 100 || timeout_ms < 0 ? 100 : timeout_ms);
}

static size_t acknowledge(struct bide_receiver *receiver, struct bide_delivery **deliveries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct bide_settlement done = {.delivery = deliveries[i], .verdict = BIDE_VERDICT_ACK};
        receiver->ops->settle(receiver, &done, 1);
    }
    return n;
}

static void drain_all(const struct bench *bench)
{
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    struct bide_delivery **deliveries = calloc(bench->limit, sizeof(struct bide_delivery *));
    struct bide_receiver *receiver;
    bide_error error;
    size_t mine = 0, n;
    check(bench->adapter->open_receiver(&bench->options, &receiver, &error), &error);
    receiver->ops->limit(receiver, 0, bench->limit);
    while (atomic_load(bench->drained) < bench->messages) {
        check(receiver->ops->receive(receiver, deliveries, bench->limit, &n, &error), &error);
        if (n == 0)
            wait_for_more(receiver);
        mine += acknowledge(receiver, deliveries, n);
        atomic_fetch_add(bench->drained, n);
    }
    bide_receiver_destroy(receiver);
    free(deliveries);
    report("drain", mine, wall, cpu);
}

static pid_t start(const struct bench *bench, void (*part)(const struct bench *))
{
    pid_t pid = fork();
    if (pid == 0) {
        part(bench);
        _exit(0);
    }
    return pid;
}

static int run(const struct bench *bench)
{
    int status, failed = 0;
    for (size_t i = 0; i < bench->receivers; i++)
        (void)start(bench, drain_all);
    (void)start(bench, send_all);
    while (wait(&status) > 0)
        failed |= status != 0;
    return failed ? 70 : 0;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fputs("usage: adapter URL MESSAGES SEND_BATCH LIMIT [RECEIVERS]\n", stderr);
        return 64;
    }
    struct bide_url url;
    bide_error error;
    struct bench bench = {
        .options = {.url = &url,
            .name_space = "bide",
            .base_dir = ".",
            .queues = queues,
            .n_queues = 1,
            .client_name = "bench",
            .timeout_ms = 10000,
            .max_body = 1 << 20,
            .clock = bide_clock_system()},
        .messages = strtoul(argv[2], NULL, 10),
        .send_batch = strtoul(argv[3], NULL, 10),
        .limit = strtoul(argv[4], NULL, 10),
        .receivers = argc > 5 ? strtoul(argv[5], NULL, 10) : 1,
        .drained = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
    };
    check(bide_url_parse(argv[1], &url, &error), &error);
    check(bide_adapter_find(&url, &bench.adapter, &error), &error);
    int status = run(&bench);
    bide_url_clear(&url);
    return status;
}
