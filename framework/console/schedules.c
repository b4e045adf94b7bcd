/* GET /schedules, POST /schedules/NAME/pause, …/resume, …/run (docs/schedules.md). */
#include "console/schedules.h"

#include "base/json.h"
#include "bide/log.h"
#include "console/serving.h"
#include "producer/configured.h"
#include "store/configured.h"

enum { TIMEOUT_MS = 3 * 1000, FRESH_MS = 1000 };

/* What is asked of the store. */
typedef bide_code asked(
    struct bide_console *console, struct bide_store *store, const char *name, void *user, bide_error *error);

static bide_code ask(
    struct bide_console *console, asked *question, const char *name, void *user, bide_error *error)
{
    struct bide_configured_store configured;
    struct bide_store *store = NULL;
    bide_code code = bide_store_configure(console->options->config, "console", &configured, error);
    if (code != BIDE_OK)
        return code;
    configured.options.timeout_ms = TIMEOUT_MS;
    code = configured.type ? bide_store_open(&configured.options, &store, error)
                           : bide_store_refuse("`schedules`", error);
    if (code == BIDE_OK)
        code = question(console, store, name, user, error);
    bide_store_destroy(store);
    bide_configured_store_clear(&configured);
    return code;
}

/* ---- what is known of them ---- */

static bide_code take_list(
    struct bide_console *console, struct bide_store *store, const char *name, void *user, bide_error *error)
{
    (void)name;
    return bide_schedule_list_take(
        store, console->options->config, bide_wall_ms(console->clock), user, error);
}

bide_code bide_schedules_borrow(
    struct bide_console *console, const struct bide_schedule_list **ret_list, bide_error *error)
{
    struct bide_known_schedules *known = &console->schedules;
    struct bide_schedule_list list = {0};
    pthread_mutex_lock(&known->lock);
    if (known->taken_ms == 0 || bide_mono_ms(console->clock) - known->taken_ms >= FRESH_MS) {
        known->error = (bide_error){0};
        known->code = ask(console, take_list, NULL, &list, &known->error);
        known->taken_ms = bide_mono_ms(console->clock);
        if (known->code == BIDE_OK) {
            bide_schedule_list_clear(&known->list);
            known->list = list;
        }
    }
    *ret_list = &known->list;
    return known->code == BIDE_OK ? BIDE_OK : bide_fail(error, known->code, "%s", known->error.text);
}

void bide_schedules_give_back(struct bide_console *console)
{
    pthread_mutex_unlock(&console->schedules.lock);
}

void bide_serve_schedules(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    const struct bide_schedule_list *list;
    bide_error error = {0};
    (void)request;
    bide_code code = bide_schedules_borrow(console, &list, &error);
    bide_buffer_char(&reply->body, '{');
    bide_json_open(&reply->body, "schedules", '[');
    for (size_t i = 0; i < list->n; i++) {
        bide_json_open(&reply->body, NULL, '{');
        bide_schedule_row_report(&list->rows[i], bide_wall_ms(console->clock), &reply->body);
        bide_buffer_char(&reply->body, '}');
    }
    bide_buffer_text(&reply->body, "]}");
    bide_schedules_give_back(console);
    if (code != BIDE_OK)
        bide_reply_failure(reply, code, &error);
}

/* ---- what operators change ---- */

static void act(
    struct bide_console *console, asked *what, const char *name, const char *done, struct bide_reply *reply)
{
    char id[BIDE_ID_MAX + 1] = "";
    bide_error error = {0};
    bide_code code = ask(console, what, name, id, &error);
    if (code == BIDE_E_NOT_FOUND || code == BIDE_E_DATA) {
        bide_reply_error(reply, code == BIDE_E_DATA ? 409 : 404, error.text);
        return;
    }
    if (code != BIDE_OK) {
        bide_reply_failure(reply, code, &error);
        return;
    }
    pthread_mutex_lock(&console->schedules.lock);
    console->schedules.taken_ms = 0; /* the next one who looks sees the change */
    pthread_mutex_unlock(&console->schedules.lock);
    bide_log(BIDE_LOG_INFO, "schedule changed by an operator", BIDE_STR("schedule", name),
        BIDE_STR("result", done));
    bide_buffer_char(&reply->body, '{');
    bide_json_text(&reply->body, "schedule", name);
    bide_json_text(&reply->body, "result", done);
    if (*id)
        bide_json_text(&reply->body, "id", id);
    bide_buffer_char(&reply->body, '}');
}

static bide_code pause_it(
    struct bide_console *console, struct bide_store *store, const char *name, void *user, bide_error *error)
{
    (void)user;
    return bide_schedule_pause(
        store, console->options->config, name, true, bide_wall_ms(console->clock), error);
}

static bide_code resume_it(
    struct bide_console *console, struct bide_store *store, const char *name, void *user, bide_error *error)
{
    (void)user;
    return bide_schedule_pause(
        store, console->options->config, name, false, bide_wall_ms(console->clock), error);
}

static bide_code run_it(
    struct bide_console *console, struct bide_store *store, const char *name, void *ret_id, bide_error *error)
{
    const struct bide_config *config = console->options->config;
    bide_producer *producer;
    bide_code code = bide_producer_open_configured(config, &producer, error);
    if (code != BIDE_OK)
        return code;
    code = bide_schedule_run(store, config, name, bide_wall_ms(console->clock), producer, ret_id, error);
    bide_producer_close(producer);
    return code;
}

void bide_serve_schedule_pause(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    act(console, pause_it, request->name, "paused", reply);
}

void bide_serve_schedule_resume(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    act(console, resume_it, request->name, "resumed", reply);
}

void bide_serve_schedule_run(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    act(console, run_it, request->name, "sent", reply);
}
