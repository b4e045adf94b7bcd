/* POST /transactions, GET /transactions, GET /transactions/ID, POST /transactions/ID/commit and …/abort
 * (docs/transactions.md). */
#include "bide/transaction.h"

#include <string.h>

#include <jansson.h>

#include "base/json.h"
#include "base/units.h"
#include "console/serving.h"
#include "message/jsontext.h"
#include "producer/configured.h"
#include "transactions/transaction.h"

static void refuse(struct bide_reply *reply, bide_code code, const bide_error *error)
{
    static const unsigned statuses[] = {
        [BIDE_E_USAGE] = 400, [BIDE_E_DATA] = 400, [BIDE_E_NOT_FOUND] = 404, [BIDE_E_CONFLICT] = 409};
    unsigned status = (size_t)code < sizeof statuses / sizeof statuses[0] ? statuses[code] : 0;
    if (status)
        bide_reply_error(reply, status, error->text);
    else
        bide_reply_failure(reply, code, error);
}

static void say(struct bide_buffer *to, const char *id, const char *state)
{
    bide_buffer_char(to, '{');
    bide_json_text(to, "id", id);
    bide_json_text(to, "state", state);
    bide_buffer_char(to, '}');
}

/* One for all requests: it may be used by several at once, and connects again by itself. */
static bide_code producer_of(struct bide_console *console, bide_producer **ret_producer, bide_error *error)
{
    bide_code code = BIDE_OK;
    pthread_mutex_lock(&console->transactor.lock);
    if (!console->transactor.producer)
        code = bide_producer_open_configured(console->options->config, &console->transactor.producer, error);
    *ret_producer = console->transactor.producer;
    pthread_mutex_unlock(&console->transactor.lock);
    return code;
}

/* ---- preparing ---- */

struct task {
    json_t *root; /* owns the texts of the options */
    bide_transaction_options options;
    bide_message *message;
};

static bide_code read_text(const json_t *value, const char **to, bide_error *error)
{
    *to = json_string_value(value);
    return *to ? BIDE_OK : bide_fail(error, BIDE_E_DATA, "must be a string");
}

static bide_code read_duration(const json_t *value, int64_t *to, bide_error *error)
{
    const char *text = json_string_value(value);
    bide_code code = text ? bide_parse_duration(text, to, error) : BIDE_E_DATA;
    return text && (code != BIDE_OK || *to > 0)
               ? code
               : bide_fail(error, BIDE_E_DATA, "must be a duration such as \"60s\", more than 0");
}

static bide_code read_count(const json_t *value, int *to, bide_error *error)
{
    json_int_t n = json_integer_value(value);
    if (!json_is_integer(value) || n < 1 || n > INT32_MAX)
        return bide_fail(error, BIDE_E_DATA, "must be a number, 1 or more");
    *to = (int)n;
    return BIDE_OK;
}

static bide_code read_option(
    const char *key, const json_t *value, bide_transaction_options *options, bide_error *error)
{
    if (strcmp(key, "check") == 0)
        return read_text(value, &options->check, error);
    if (strcmp(key, "check_queue") == 0)
        return read_text(value, &options->check_queue, error);
    if (strcmp(key, "deadline") == 0)
        return read_duration(value, &options->deadline_ms, error);
    if (strcmp(key, "interval") == 0)
        return read_duration(value, &options->interval_ms, error);
    if (strcmp(key, "checks") == 0)
        return read_count(value, &options->checks, error);
    return strcmp(key, "message") == 0
               ? BIDE_OK
               : bide_fail(error, BIDE_E_DATA,
                     "is unknown: message, check, check_queue, deadline, interval, checks");
}

static bide_code read_options(struct task *task, bide_error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach(task->root, key, value)
    {
        bide_code code = read_option(key, value, &task->options, error);
        if (code != BIDE_OK)
            return bide_fail_within(error, "'%.60s'", key);
    }
    return BIDE_OK;
}

static bide_code read_task(const struct bide_config *config, const struct bide_request *request,
    struct task *task, bide_error *error)
{
    struct bide_slice line;
    task->root = json_loadb(request->body, request->body_size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    if (!json_is_object(task->root) || !bide_json_member(request->body, request->body_size, "message", &line))
        return bide_fail(error, BIDE_E_DATA,
            "a JSON object is wanted: {\"check\":\"TYPE\",\"message\":{\"type\":\"…\",\"body\":…}}");
    bide_code code = read_options(task, error);
    if (code == BIDE_OK)
        code = bide_message_read_line(config, line.bytes, line.size, &task->message, error);
    if (code == BIDE_OK && task->options.check && !task->options.check_queue)
        task->options.check_queue = bide_config_address(config, task->options.check);
    return code;
}

void bide_serve_transaction_prepare(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    struct task task = {0};
    bide_producer *producer;
    bide_error error = {0};
    bide_code code = read_task(console->options->config, request, &task, &error);
    if (code == BIDE_OK)
        code = producer_of(console, &producer, &error);
    if (code == BIDE_OK)
        code = bide_transaction_prepare(producer, task.message, &task.options, &error);
    if (code == BIDE_OK)
        say(&reply->body, bide_message_id(task.message), "prepared");
    else
        refuse(reply, code, &error);
    bide_message_destroy(task.message);
    json_decref(task.root);
}

/* ---- deciding, looking ---- */

/* What is asked of a producer about one transaction, or about all. */
typedef bide_code asked(bide_producer *producer, const char *id, struct bide_buffer *to, bide_error *error);

static void ask(struct bide_console *console, const struct bide_request *request, asked *question,
    struct bide_reply *reply)
{
    bide_producer *producer;
    bide_error error = {0};
    bide_code code = producer_of(console, &producer, &error);
    if (code == BIDE_OK)
        code = question(producer, request->name, &reply->body, &error);
    if (code != BIDE_OK)
        refuse(reply, code, &error);
}

static bide_code commit(bide_producer *producer, const char *id, struct bide_buffer *to, bide_error *error)
{
    bide_code code = bide_transaction_commit(producer, id, error);
    if (code == BIDE_OK)
        say(to, id, "committed");
    return code;
}

static bide_code abort_it(bide_producer *producer, const char *id, struct bide_buffer *to, bide_error *error)
{
    bide_code code = bide_transaction_abort(producer, id, error);
    if (code == BIDE_OK)
        say(to, id, "aborted");
    return code;
}

static void add(void *user, const bide_transaction_view *view)
{
    struct bide_buffer *to = user;
    bide_json_open(to, NULL, '{');
    bide_transaction_report(to, view);
    bide_buffer_char(to, '}');
}

static bide_code show(bide_producer *producer, const char *id, struct bide_buffer *to, bide_error *error)
{
    return bide_transaction_show(producer, id, add, to, error);
}

static bide_code list(bide_producer *producer, const char *id, struct bide_buffer *to, bide_error *error)
{
    (void)id;
    bide_buffer_char(to, '{');
    bide_json_open(to, "transactions", '[');
    bide_code code = bide_transaction_list(producer, add, to, error);
    bide_buffer_text(to, "]}");
    return code;
}

void bide_serve_transaction_commit(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    ask(console, request, commit, reply);
}

void bide_serve_transaction_abort(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    ask(console, request, abort_it, reply);
}

void bide_serve_transaction(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    ask(console, request, show, reply);
}

void bide_serve_transactions(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    ask(console, request, list, reply);
}
