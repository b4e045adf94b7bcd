/* GET /limits, POST /limits/NAME (docs/limits.md). */
#include "limits/manage.h"

#include "base/json.h"
#include "base/units.h"
#include "console/serving.h"
#include "store/configured.h"

enum { TIMEOUT_MS = 5 * 1000 };

typedef bide_code asked(
    struct bide_store *store, const struct bide_config *config, void *user, bide_error *error);

/* Asks the store, while it is this request's turn. */
static void ask(struct bide_console *console, asked *question, void *user, struct bide_reply *reply)
{
    const struct bide_config *config = console->options->config;
    struct bide_configured_store configured;
    struct bide_store *store = NULL;
    bide_error error = {0};
    bide_code code = bide_console_take_turn(console, &error);
    if (code != BIDE_OK) {
        bide_reply_failure(reply, code, &error);
        return;
    }
    code = bide_store_configure(config, "console", &configured, &error);
    if (code == BIDE_OK) {
        configured.options.timeout_ms = TIMEOUT_MS;
        code = configured.type ? bide_store_open(&configured.options, &store, &error)
                               : bide_store_refuse("a limit", &error);
        if (code == BIDE_OK)
            code = question(store, config, user, &error);
        bide_store_destroy(store);
        bide_configured_store_clear(&configured);
    }
    bide_console_end_turn(console);
    if (code == BIDE_E_DATA)
        bide_reply_error(reply, 400, error.text);
    else if (code != BIDE_OK)
        bide_reply_failure(reply, code, &error);
}

static void add_row(void *user, const struct bide_limit_row *row)
{
    struct bide_buffer *to = user;
    bide_json_open(to, NULL, '{');
    bide_limit_report(to, row);
    bide_buffer_char(to, '}');
}

static bide_code list(
    struct bide_store *store, const struct bide_config *config, void *user, bide_error *error)
{
    return bide_limits_each(store, config, NULL, add_row, user, error);
}

void bide_serve_limits(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    (void)request;
    bide_buffer_char(&reply->body, '{');
    bide_json_open(&reply->body, "limits", '[');
    if (console->options->config->n_limits > 0)
        ask(console, list, &reply->body, reply);
    if (reply->status == 200)
        bide_buffer_text(&reply->body, "]}");
}

struct set_question {
    const char *name;
    struct bide_rate rate;
    int64_t concurrency;
};

static bide_code set(
    struct bide_store *store, const struct bide_config *config, void *user, bide_error *error)
{
    const struct set_question *question = user;
    return bide_limits_set(store, config, question->name, &question->rate, question->concurrency, error);
}

/* Without a query the limit is as configured again. */
void bide_serve_limit_set(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    const char *rate = bide_request_query(request, "rate"),
               *concurrency = bide_request_query(request, "concurrency");
    struct set_question question = {.name = request->name};
    bide_error error = {0};
    bide_code code =
        rate ? bide_parse_rate(rate, &question.rate.n, &question.rate.window_ms, &error) : BIDE_OK;
    if (code == BIDE_OK && concurrency)
        code = bide_parse_int(concurrency, 1, BIDE_STORE_HOLDERS_MAX, &question.concurrency, &error);
    if (code == BIDE_OK && bide_request_queries(request) != (size_t)(rate != NULL) + (concurrency != NULL))
        code = bide_fail(&error, BIDE_E_USAGE, "the query takes rate=N/TIME and concurrency=N, once each");
    if (code != BIDE_OK) {
        bide_reply_error(reply, 400, error.text);
        return;
    }
    bide_buffer_char(&reply->body, '{');
    bide_json_text(&reply->body, "limit", request->name);
    bide_json_bool(&reply->body, "set", rate || concurrency);
    bide_buffer_char(&reply->body, '}');
    ask(console, set, &question, reply);
}
