/* bide bench: what the configured broker does on this machine, with a worker as it would be started here. */
#include "cli/bench/bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

enum { CHUNK = 1000, INTERRUPTED = 130 };

#define AT(member) .offset = offsetof(struct bide_cli_bench_values, member)

#define COMMON                                                                                               \
    {"body", BIDE_CLI_INT, AT(body), .value = "BYTES", .fallback = "256", .min = 0, .max = 1024 * 1024,      \
        .help = "Size of each message's body."},                                                             \
    {                                                                                                        \
        "threads", BIDE_CLI_INT, AT(threads),                                                                \
            .value = "N", .min = 1, .max = 256,                                                              \
            .help = "Handlers that run at once, instead of the configuration's worker.threads."              \
    }

static const struct bide_cli_option throughput_options[] = {
    {"messages", BIDE_CLI_INT, AT(messages), .value = "N", .fallback = "20000", .min = 1, .max = 10000000,
        .help = "How many messages are sent, then run."},
    COMMON,
    {0},
};

static const struct bide_cli_option delay_options[] = {
    {"messages", BIDE_CLI_INT, AT(messages), .value = "N", .fallback = "5000", .min = 1, .max = 10000000,
        .help = "How many messages are sent."},
    {"rate", BIDE_CLI_INT, AT(rate), .value = "N", .fallback = "1000", .min = 1, .max = 1000000,
        .help = "Messages sent a second."},
    {"delay", BIDE_CLI_DURATION, AT(delay_ms), .value = "DURATION", .fallback = "2s", .min = 1,
        .max = 3600 * 1000, .help = "Each message is delayed by a random time up to this."},
    COMMON,
    {0},
};

/* ---- time ---- */

static int64_t now_us(void)
{
    return bide_mono_us(bide_clock_system());
}

/* Of all threads of this process. */
static int64_t cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}

/* One half of a measurement. */
struct half {
    int64_t took_us, cpu_us;
};

static int64_t rate_of(const struct half *half, int64_t messages)
{
    return half->took_us > 0 ? messages * 1000000 / half->took_us : 0;
}

static int64_t cpu_ns_of(const struct half *half, int64_t messages)
{
    return half->cpu_us * 1000 / messages;
}

/* ---- what both print ---- */

static void begin_json(struct bide_buffer *line, const struct bide_cli_bench *bench)
{
    bide_cli_object_begin(line);
    bide_json_text(line, "broker", bench->session.broker.url.redacted);
    bide_json_int(line, "messages", bench->values->messages);
    bide_json_int(line, "body_bytes", bench->values->body);
    bide_json_int(line, "threads", bench->threads);
}

static void end_json(struct bide_buffer *line)
{
    bide_cli_object_end(line);
}

static void print_heading(const struct bide_cli_bench *bench)
{
    printf("%s: %" PRId64 " messages of %" PRId64 " bytes, %d threads\n", bench->session.broker.url.redacted,
        bench->values->messages, bench->values->body, bench->threads);
}

/* ---- throughput ---- */

static bide_code send_all(struct bide_cli_bench *bench, struct half *half, bide_error *error)
{
    int64_t left = bench->values->messages;
    bide_code code = BIDE_OK;
    bide_cli_progress_init(&bench->progress, "sent");
    *half = (struct half){-now_us(), -cpu_us()};
    while (code == BIDE_OK && left > 0 && !bide_cli_bench_interrupted()) {
        size_t n = left < CHUNK ? (size_t)left : CHUNK;
        code = bide_cli_bench_send(bench, n, 0, error);
        left -= (int64_t)n;
        bide_cli_progress_show(
            &bench->progress, (uint64_t)(bench->values->messages - left), (uint64_t)bench->values->messages);
    }
    half->took_us += now_us();
    half->cpu_us += cpu_us();
    bide_cli_progress_end(&bench->progress);
    return code;
}

static bide_code run_all(struct bide_cli_bench *bench, struct half *half, bide_error *error)
{
    *half = (struct half){0, -cpu_us()};
    bide_code code = bide_cli_bench_start(bench, error);
    if (code == BIDE_OK)
        code = bide_cli_bench_wait(bench, error);
    half->cpu_us += cpu_us();
    half->took_us = atomic_load(&bench->runs.last_us) - atomic_load(&bench->runs.first_us);
    return code;
}

static void json_half(
    struct bide_buffer *line, const char *name, const struct half *half, const struct bide_cli_bench *bench)
{
    bide_json_name(line, name);
    bide_buffer_char(line, '{');
    bide_json_int(line, "per_second", rate_of(half, bench->values->messages));
    bide_json_int(line, "took_us", half->took_us);
    bide_json_int(line, "cpu_ns_a_message", cpu_ns_of(half, bench->values->messages));
    bide_buffer_char(line, '}');
}

static void table_half(struct bide_cli_table *table, const char *name, const struct half *half,
    const struct bide_cli_bench *bench)
{
    char cpu[32];
    snprintf(cpu, sizeof cpu, "%.2f", (double)cpu_ns_of(half, bench->values->messages) / 1000);
    bide_cli_table_text(table, name);
    bide_cli_table_count(table, rate_of(half, bench->values->messages));
    bide_cli_table_text(table, cpu);
}

static void print_throughput(
    const struct bide_cli_bench *bench, const struct half *sent, const struct half *ran)
{
    static const char *const columns[] = {"", ">messages/s", ">CPU us a message", NULL};
    if (bench->cli->json) {
        struct bide_buffer line;
        begin_json(&line, bench);
        json_half(&line, "send", sent, bench);
        json_half(&line, "run", ran, bench);
        end_json(&line);
        return;
    }
    struct bide_cli_table table;
    print_heading(bench);
    bide_cli_table_init(&table, columns);
    table_half(&table, "send", sent, bench);
    table_half(&table, "run and settle", ran, bench);
    bide_cli_table_flush(&table);
    bide_cli_table_release(&table);
}

static bide_code measure_throughput(struct bide_cli_bench *bench, bide_error *error)
{
    struct half sent, ran;
    bide_code code = send_all(bench, &sent, error);
    if (code == BIDE_OK && !bide_cli_bench_interrupted())
        code = run_all(bench, &ran, error);
    if (code == BIDE_OK && !bide_cli_bench_interrupted())
        print_throughput(bench, &sent, &ran);
    return code;
}

/* ---- delay ---- */

static void sleep_until(int64_t then_us)
{
    struct timespec until = {.tv_sec = then_us / 1000000, .tv_nsec = then_us % 1000000 * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

/* As many as are due by the clock, then a pause until the next: a rate that is held on average. */
static bide_code send_paced(struct bide_cli_bench *bench, bide_error *error)
{
    const struct bide_cli_bench_values *values = bench->values;
    int64_t started_us = now_us(), sent = 0;
    bide_code code = BIDE_OK;
    bide_cli_progress_init(&bench->progress, "sent");
    while (code == BIDE_OK && sent < values->messages && !bide_cli_bench_interrupted()) {
        int64_t wanted = (now_us() - started_us) * values->rate / 1000000 + 1;
        int64_t n = (wanted < values->messages ? wanted : values->messages) - sent;
        if (n > 0)
            code = bide_cli_bench_send(bench, n < CHUNK ? (size_t)n : CHUNK, values->delay_ms, error);
        sent += n < CHUNK ? n : CHUNK;
        bide_cli_progress_show(&bench->progress, (uint64_t)sent, (uint64_t)values->messages);
        sleep_until(started_us + sent * 1000000 / values->rate);
    }
    bide_cli_progress_end(&bench->progress);
    return code;
}

static int by_value(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return left < right ? -1 : left > right;
}

/* Shares of all messages, in ten thousandths. */
static const struct {
    const char *name;
    int64_t share;
} quantiles[] = {
    {"min", 0},
    {"p50", 5000},
    {"p90", 9000},
    {"p99", 9900},
    {"p99_9", 9990},
    {"max", 10000},
};

enum { N_QUANTILES = sizeof quantiles / sizeof quantiles[0] };

static int64_t quantile(const struct bide_cli_bench *bench, size_t which)
{
    int64_t n = bench->values->messages, place = n * quantiles[which].share / 10000;
    return bench->runs.lateness_us[place < n ? place : n - 1];
}

static void print_delay(struct bide_cli_bench *bench)
{
    qsort(bench->runs.lateness_us, (size_t)bench->values->messages, sizeof(int64_t), by_value);
    if (bench->cli->json) {
        struct bide_buffer line;
        begin_json(&line, bench);
        bide_json_int(&line, "rate", bench->values->rate);
        bide_json_int(&line, "delay_ms", bench->values->delay_ms);
        bide_json_name(&line, "lateness_us");
        bide_buffer_char(&line, '{');
        for (size_t i = 0; i < N_QUANTILES; i++)
            bide_json_int(&line, quantiles[i].name, quantile(bench, i));
        bide_buffer_char(&line, '}');
        end_json(&line);
        return;
    }
    print_heading(bench);
    printf("late by, in ms:");
    for (size_t i = 0; i < N_QUANTILES; i++)
        printf("  %s %.3f", quantiles[i].name, (double)quantile(bench, i) / 1000);
    putchar('\n');
}

static bide_code measure_delay(struct bide_cli_bench *bench, bide_error *error)
{
    bide_error sending;
    bide_code code = bide_cli_bench_start(bench, error);
    if (code != BIDE_OK)
        return code;
    bide_code sent = send_paced(bench, &sending);
    if (sent != BIDE_OK)
        bide_worker_stop(bench->worker);
    code = bide_cli_bench_wait(bench, error);
    if (sent != BIDE_OK)
        return bide_fail(error, sent, "%s", sending.text);
    if (code == BIDE_OK && !bide_cli_bench_interrupted())
        print_delay(bench);
    return code;
}

/* ---- the commands ---- */

static bide_code run(struct bide_cli *cli, void *given,
    bide_code (*measure)(struct bide_cli_bench *bench, bide_error *error), bide_error *error)
{
    struct bide_cli_bench bench;
    bide_code code = bide_cli_bench_open(cli, given, &bench, error);
    if (code == BIDE_OK && !bide_cli_bench_interrupted())
        code = measure(&bench, error);
    code = bide_cli_bench_close(&bench, code, error);
    if (code == BIDE_OK && bide_cli_bench_interrupted()) {
        fprintf(stderr, "bide %s: interrupted; nothing is left in the broker\n", cli->command->name);
        cli->status = INTERRUPTED;
    }
    return code;
}

static bide_code run_throughput(struct bide_cli *cli, void *given, bide_error *error)
{
    return run(cli, given, measure_throughput, error);
}

static bide_code run_delay(struct bide_cli *cli, void *given, bide_error *error)
{
    return run(cli, given, measure_delay, error);
}

#define OWN_PLACE                                                                                            \
    "In a namespace of its own, the configured one with '-bench' behind it, which is deleted at the end, "   \
    "also after\nCtrl-C. The configuration's handlers do not run: one that does nothing takes their place, " \
    "in one process."

const struct bide_cli_command bide_cli_bench_throughput = {
    .name = "bench throughput",
    .usage = "[--messages N] [options]",
    .examples = "bide bench throughput --broker redis://localhost",
    .summary = "Measures how many messages a second the broker takes in, and a worker runs.",
    .details = OWN_PLACE "\nCPU time is this process's, not the server's.",
    .options = throughput_options,
    .values_size = sizeof(struct bide_cli_bench_values),
    .log_level = BIDE_LOG_WARN,
    .run = run_throughput,
};

const struct bide_cli_command bide_cli_bench_delay = {
    .name = "bench delay",
    .usage = "[--messages N] [--rate N] [--delay DURATION] [options]",
    .examples = "bide bench delay --rate 1000 --delay 5s",
    .summary = "Measures how late delayed messages begin to run.",
    .details = OWN_PLACE,
    .options = delay_options,
    .values_size = sizeof(struct bide_cli_bench_values),
    .log_level = BIDE_LOG_WARN,
    .run = run_delay,
};
