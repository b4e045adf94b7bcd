/* bide stream send: each line of each file is a member. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "cli/core/session.h"
#include "cli/send/send.h"
#include "cli/send/stream.h"
#include "producer/configured.h"
#include "producer/unserved.h"

enum { FILES_MAX = 10000 };

struct values {
    const char *type, *queue, *subscriptions, *on_end;
    int64_t deadline_ms;
    bool wait;
};

/* One run of the command. */
struct sending {
    const struct bide_cli *cli;
    const struct values *values;
    size_t longest; /* bytes of a line */
    bide_producer *producer;
    char *names; /* of the subscriptions, each with a NUL; owned */
    const char **subscriptions;
    size_t n_subscriptions;
    /* of the file under way */
    bide_stream *stream;
    struct bide_cli_progress progress;
    bide_code code;
    bide_error error;
};

/* ---- lines ---- */

static bide_code add_line(struct sending *sending, const char *text, size_t size)
{
    bide_error *error = &sending->error;
    bide_message *message;
    if (!text)
        return bide_fail(error, BIDE_E_DATA, "line %" PRId64 " has more than %zu bytes (worker.max_body)",
            bide_stream_count(sending->stream) + 1, sending->longest);
    bide_code code = bide_message_create(sending->values->type, &message, error);
    if (code != BIDE_OK)
        return code;
    code = bide_message_set_body(message, text, size, error);
    if (code == BIDE_OK)
        return bide_stream_add(sending->stream, message, error);
    bide_message_destroy(message);
    return code;
}

static bool on_line(void *user, const char *text, size_t size)
{
    struct sending *sending = user;
    sending->code = add_line(sending, text, size);
    bide_cli_progress_show(&sending->progress, (uint64_t)bide_stream_count(sending->stream), 0);
    return sending->code == BIDE_OK && !bide_stream_is_cancelled(sending->stream);
}

static void on_idle(void *user)
{
    (void)user;
}

static bide_code send_lines(struct sending *sending, int fd, bide_error *error)
{
    const struct bide_cli_splitter splitter = {.fd = fd,
        .wakeup_fd = -1,
        .longest = sending->longest,
        .line = on_line,
        .idle = on_idle,
        .user = sending};
    sending->code = BIDE_OK;
    bide_code code = bide_cli_split(&splitter, error);
    if (code == BIDE_OK && sending->code != BIDE_OK) {
        *error = sending->error;
        code = sending->code;
    }
    return code == BIDE_OK ? bide_stream_end(sending->stream, error) : code;
}

/* ---- files ---- */

static bide_code open_file(const char *name, int *ret_fd, bide_error *error)
{
    bool is_input = strcmp(name, "-") == 0;
    *ret_fd = is_input ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    return *ret_fd >= 0 ? BIDE_OK
                        : bide_fail(error, BIDE_E_DATA, "cannot read %s: %s", name, strerror(errno));
}

/* What has been sent of it would run to no end. */
static void cancel(struct sending *sending)
{
    bide_error error;
    if (bide_stream_cancel(sending->producer, bide_stream_id(sending->stream), &error) != BIDE_OK)
        fprintf(stderr, "bide stream send: %s cannot be cancelled, and fails at its deadline: %s\n",
            bide_stream_id(sending->stream), error.text);
}

static void say_sent(const struct sending *sending, const char *name)
{
    struct bide_buffer line;
    const char *id = bide_stream_id(sending->stream);
    int64_t count = bide_stream_count(sending->stream);
    if (sending->values->wait) {
        fprintf(stderr, "%s: %" PRId64 " lines of %s are sent\n", id, count, name);
        return;
    }
    if (!sending->cli->json) {
        puts(id);
        return;
    }
    bide_cli_object_begin(&line);
    bide_json_text(&line, "stream", id);
    bide_json_text(&line, "name", name);
    bide_json_int(&line, "total", count);
    bide_cli_object_end(&line);
}

static bide_code send_file(
    struct sending *sending, const char *name, char *ret_id, size_t id_size, bide_error *error)
{
    const struct values *values = sending->values;
    const bide_stream_options options = {.queue = values->queue,
        .topic = values->queue ? NULL : sending->cli->arguments.items[0],
        .subscriptions = sending->subscriptions,
        .n_subscriptions = sending->n_subscriptions,
        .name = name,
        .on_end = values->on_end,
        .deadline_ms = values->deadline_ms};
    int fd;
    bide_code code = open_file(name, &fd, error);
    if (code != BIDE_OK)
        return code;
    code = bide_stream_begin(sending->producer, &options, &sending->stream, error);
    if (code == BIDE_OK) {
        bide_cli_progress_init(&sending->progress, "sent");
        code = send_lines(sending, fd, error);
        bide_cli_progress_end(&sending->progress);
        snprintf(ret_id, id_size, "%s", bide_stream_id(sending->stream));
        if (code == BIDE_OK)
            say_sent(sending, name);
        else
            cancel(sending);
        bide_stream_close(sending->stream);
    }
    if (fd != STDIN_FILENO)
        close(fd);
    return code;
}

static bide_code wait_for_all(struct sending *sending, char (*ids)[64], size_t n, bide_error *error)
{
    struct bide_cli_stream_report report;
    bide_code code = BIDE_OK;
    bool all_done = true;
    bide_cli_stream_report_init(&report, sending->cli->json);
    for (size_t i = 0; i < n; i++) {
        bide_error own;
        bool is_done = false;
        bide_code ended = bide_cli_stream_wait(sending->producer, ids[i], &report, &is_done, &own);
        all_done &= is_done;
        if (ended != BIDE_OK && code == BIDE_OK) {
            *error = own;
            code = ended;
        }
    }
    bide_cli_table_end(&report.table);
    if (code == BIDE_OK && !all_done)
        ((struct bide_cli *)(uintptr_t)sending->cli)->status = 1;
    return code;
}

static bide_code send_files(struct sending *sending, const char *const *names, size_t n, bide_error *error)
{
    char(*ids)[64] = bide_calloc(n, sizeof *ids);
    bide_code code = ids ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n && code == BIDE_OK; i++)
        code = send_file(sending, names[i], ids[i], sizeof ids[i], error);
    if (code == BIDE_OK && sending->values->wait)
        code = wait_for_all(sending, ids, n, error);
    bide_free(ids);
    return code;
}

/* ---- the command ---- */

/* "geo,errors". */
static bide_code split_names(struct sending *sending, bide_error *error)
{
    const char *given = sending->values->subscriptions;
    size_t n = 1;
    if (!given)
        return BIDE_OK;
    for (const char *at = given; *at; at++)
        n += *at == ',';
    sending->names = bide_strdup(given);
    sending->subscriptions = bide_calloc(n, sizeof *sending->subscriptions);
    if (!sending->names || !sending->subscriptions)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (char *rest = sending->names, *name; (name = strsep(&rest, ","));)
        sending->subscriptions[sending->n_subscriptions++] = name;
    return BIDE_OK;
}

/* A mistyped name is seen now, not at the deadline. */
static void warn_of_unserved(const struct bide_config *config, const char *type, const char *queue)
{
    char text[BIDE_UNSERVED_TEXT];
    if (bide_is_unserved(config, type, queue, text))
        fprintf(stderr, "bide stream send: warning: %s\n", text);
}

/* The subscriptions get what is sent from now on. */
static bide_code join(const struct sending *sending, const struct bide_config *config, bide_error *error)
{
    const char *type = sending->values->type, *topic = sending->cli->arguments.items[0];
    if (sending->values->queue) {
        warn_of_unserved(config, type, sending->values->queue);
        return BIDE_OK;
    }
    for (size_t i = 0; i < sending->n_subscriptions; i++) {
        char queue[2 * BIDE_NAME_MAX];
        snprintf(queue, sizeof queue, "%s@%s", sending->subscriptions[i], topic);
        warn_of_unserved(config, type, queue);
    }
    return bide_join_configured(config, topic, sending->subscriptions, sending->n_subscriptions, error);
}

static bide_code check_usage(const struct bide_cli *cli, const struct values *values, bide_error *error)
{
    if (!values->type)
        return bide_fail(error, BIDE_E_USAGE, "which type do the lines have? Give --type");
    if (values->queue && values->subscriptions)
        return bide_fail(error, BIDE_E_USAGE, "--for has no meaning with --queue");
    if (!values->queue && (cli->arguments.n == 0 || !values->subscriptions))
        return bide_fail(error, BIDE_E_USAGE,
            "where to? Give a topic and, with --for, those of its subscriptions that are waited for; or "
            "--queue");
    return BIDE_OK;
}

static bide_code with_config(
    struct bide_cli *cli, const struct values *values, const struct bide_config *config, bide_error *error)
{
    static const char *const input[] = {"-"};
    struct sending sending = {.cli = cli, .values = values, .longest = (size_t)config->worker.max_body};
    size_t skipped = values->queue ? 0 : 1;
    const char *const *names = cli->arguments.items + skipped;
    size_t n = cli->arguments.n - skipped;
    bide_code code = split_names(&sending, error);
    if (code == BIDE_OK)
        code = bide_producer_open_configured(config, &sending.producer, error);
    if (code == BIDE_OK)
        code = join(&sending, config, error);
    if (code == BIDE_OK)
        code = send_files(&sending, n ? names : input, n ? n : 1, error);
    bide_producer_close(sending.producer);
    bide_free(sending.subscriptions);
    bide_free(sending.names);
    return code;
}

static bide_code run(struct bide_cli *cli, void *given, bide_error *error)
{
    struct bide_config *config;
    bide_code code = check_usage(cli, given, error);
    if (code == BIDE_OK)
        code = bide_cli_load(cli, &config, error);
    if (code != BIDE_OK)
        return code;
    code = with_config(cli, given, config, error);
    bide_config_destroy(config);
    return code;
}

static const struct bide_cli_option options[] = {
    {"type", BIDE_CLI_TEXT, offsetof(struct values, type), .value = "TYPE",
        .help = "Type of each line's message."},
    {"for", BIDE_CLI_TEXT, offsetof(struct values, subscriptions), .value = "SUB,SUB",
        .help = "The subscriptions of the topic in which each line must end; others get the lines, too."},
    {"queue", BIDE_CLI_TEXT, offsetof(struct values, queue), .value = "QUEUE",
        .help = "Instead of a topic: one queue."},
    {"wait", BIDE_CLI_FLAG, offsetof(struct values, wait),
        .help = "Returns when each line is done or dead, everywhere, and prints how many."},
    {"deadline", BIDE_CLI_DURATION, offsetof(struct values, deadline_ms), .value = "DURATION",
        .fallback = "24h", .help = "How long all that may take; then the stream has failed."},
    {"on-end", BIDE_CLI_TEXT, offsetof(struct values, on_end), .value = "TYPE",
        .help = "A message of this type tells each subscription of its end, with the counts."},
    {0},
};

const struct bide_cli_command bide_cli_stream_send = {
    .name = "stream send",
    .usage = "TOPIC --type TYPE --for SUB,SUB [FILE…] [options]\n--queue QUEUE --type TYPE [FILE…] [options]",
    .examples =
        "bide stream send logs --type line --for geo,errors --wait access-*.log\nbide stream send --queue "
        "mail --type mail --on-end mailing-done < addresses.ndjson",
    .summary = "Sends each line of files, and knows when all are done.",
    .details = "Each FILE is a stream, - is standard input (default), each line a message. Needs a store "
               "(docs/store.md). Prints the streams' ids,\nwith --wait a table when all have ended. Exit "
               "status with "
               "--wait: 0 each line is done, 1 some are dead or were dropped, 69 a\nstream has failed at its "
               "deadline. "
               "What cannot be sent to its end is cancelled.",
    .options = options,
    .values_size = sizeof(struct values),
    .max_arguments = FILES_MAX,
    .log_level = BIDE_LOG_WARN,
    .run = run,
};
