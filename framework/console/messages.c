/* GET /messages, GET /messages/ID, POST /messages/cancel, POST /messages/reschedule (docs/waiting.md). */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/units.h"
#include "broker/report.h"
#include "console/serving.h"
#include "keys/admin.h"

enum { USUAL = 100, MOST = 1000, BODY_MOST = 512 * 1024 };

/* ---- the list ---- */

struct listing {
    struct bide_buffer *to;
    size_t limit, n;
    bool whole;
};

static bool add_message(void *user, const bide_found *found)
{
    struct listing *listing = user;
    bide_json_open(listing->to, NULL, '{');
    if (listing->whole)
        bide_report_found_whole(listing->to, found);
    else
        bide_report_found(listing->to, found);
    bide_buffer_char(listing->to, '}');
    return ++listing->n < listing->limit && !listing->to->failed;
}

static const char *given(const struct bide_request *request, const char *name)
{
    const char *value = bide_request_query(request, name);
    return value && *value ? value : NULL;
}

static bool read_state(const char *name, unsigned *ret_states)
{
    *ret_states = 0;
    if (!name)
        return true;
    for (unsigned state = BIDE_STATE_DELAYED; state <= BIDE_STATE_RUNNING; state *= 2)
        if (strcmp(name, bide_message_state_name((bide_message_state)state)) == 0)
            *ret_states = state;
    return *ret_states != 0;
}

/* False: the query is wrong. */
static bool read_query(const struct bide_request *request, bide_selection *selection,
    char cursor[BIDE_CURSOR_SIZE], size_t *ret_limit)
{
    const char *limit = given(request, "limit"), *after = given(request, "after");
    int64_t n = USUAL;
    *selection = (bide_selection){
        .type = given(request, "type"), .queue = given(request, "queue"), .without_bodies = true};
    if (limit && bide_parse_int(limit, 1, MOST, &n, NULL) != BIDE_OK)
        return false;
    if (after && strlen(after) >= BIDE_CURSOR_SIZE)
        return false;
    snprintf(cursor, BIDE_CURSOR_SIZE, "%s", after ? after : "");
    *ret_limit = (size_t)n;
    return read_state(given(request, "state"), &selection->states);
}

/* A broker that cannot search is no failure of this console. */
static void fail(struct bide_reply *reply, bide_code code, const bide_error *error, bool can_search)
{
    if (code == BIDE_E_CONFIG && !can_search)
        bide_reply_error(reply, 501, error->text);
    else if (code == BIDE_E_DATA || code == BIDE_E_USAGE)
        bide_reply_error(reply, 400, error->text);
    else if (code == BIDE_E_NOT_FOUND)
        bide_reply_error(reply, 404, error->text);
    else
        bide_reply_failure(reply, code, error);
}

/* What is asked of the broker while it is this request's turn. */
typedef bide_code asked(struct bide_admin *admin, void *user, bide_error *error);

static void ask(struct bide_console *console, asked *question, void *user, struct bide_reply *reply)
{
    const struct bide_console_options *options = console->options;
    struct bide_admin *admin;
    bide_error error = {0};
    bool can_search = true;
    bide_code code = bide_console_take_turn(console, &error);
    if (code != BIDE_OK) {
        bide_reply_failure(reply, code, &error);
        return;
    }
    code = options->adapter->open_admin(options->broker, &admin, &error);
    if (code == BIDE_OK) {
        bide_admin_take_store(admin, options->config);
        can_search = admin->ops->find != NULL;
        code = question(admin, user, &error);
        bide_admin_close(admin);
    }
    bide_console_end_turn(console);
    if (code != BIDE_OK)
        fail(reply, code, &error, can_search);
}

struct list_question {
    struct listing listing;
    bide_selection selection;
    char cursor[BIDE_CURSOR_SIZE];
};

static bide_code list(struct bide_admin *admin, void *user, bide_error *error)
{
    struct list_question *question = user;
    struct bide_buffer *to = question->listing.to;
    bide_buffer_char(to, '{');
    bide_json_name(to, "messages");
    bide_buffer_char(to, '[');
    bide_code code = bide_admin_list(
        admin, &question->selection, question->cursor, add_message, &question->listing, error);
    bide_buffer_char(to, ']');
    bide_json_text(to, "after", question->cursor);
    bide_buffer_char(to, '}');
    return code;
}

void bide_serve_messages(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    struct list_question question = {.listing.to = &reply->body};
    if (!read_query(request, &question.selection, question.cursor, &question.listing.limit)) {
        bide_reply_error(reply, 400,
            "state is delayed, ready or running; limit is a number from 1 to 1000; after is what an answer "
            "said");
        return;
    }
    ask(console, list, &question, reply);
}

/* ---- one message ---- */

struct show_question {
    struct listing listing;
    const char *id;
};

static bide_code show(struct bide_admin *admin, void *user, bide_error *error)
{
    struct show_question *question = user;
    bide_buffer_char(question->listing.to, '[');
    bide_code code = bide_admin_show(admin, question->id, add_message, &question->listing, error);
    bide_buffer_char(question->listing.to, ']');
    return code;
}

void bide_serve_message(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    struct show_question question = {
        .listing = {.to = &reply->body, .limit = MOST, .whole = true}, .id = request->name};
    ask(console, show, &question, reply);
}

/* ---- changing ---- */

struct change_question {
    struct bide_buffer *to;
    bool cancel;
    int64_t due_ms;
    const char *key; /* NULL: by ids; both lie in the request's JSON */
    size_t n;
    const char *ids[MOST];
};

static void add_fate(void *user, const char *id, bide_fate fate)
{
    struct change_question *question = user;
    bide_json_open(question->to, NULL, '{');
    bide_json_text(question->to, "id", id);
    bide_json_text(question->to, "result", bide_fate_name(fate));
    bide_buffer_char(question->to, '}');
}

static bide_code change(struct bide_admin *admin, void *user, bide_error *error)
{
    struct change_question *question = user;
    const bide_selection selection = {.ids = question->ids, .n_ids = question->n};
    const bide_account account = {.fate = add_fate, .user = question};
    bide_code code;
    bide_buffer_char(question->to, '[');
    if (question->key)
        code = question->cancel
                   ? bide_admin_cancel_key(admin, question->key, &account, error)
                   : bide_admin_reschedule_key(admin, question->key, question->due_ms, &account, error);
    else
        code = question->cancel ? bide_admin_cancel(admin, &selection, &account, error)
                                : bide_admin_reschedule(admin, &selection, question->due_ms, &account, error);
    bide_buffer_char(question->to, ']');
    return code;
}

static bide_code read_ids(const json_t *list, struct change_question *question, bide_error *error)
{
    size_t n = json_array_size(list);
    if (n == 0 || n > MOST)
        return bide_fail(error, BIDE_E_DATA, "ids is a list of 1 to 1000 texts");
    for (size_t i = 0; i < n; i++) {
        const char *id = json_string_value(json_array_get(list, i));
        if (!id || !*id || strlen(id) > BIDE_ID_MAX)
            return bide_fail(error, BIDE_E_DATA, "ids: an id is a text of 1 to 255 bytes");
        question->ids[question->n++] = id;
    }
    return BIDE_OK;
}

static bide_code read_which(const json_t *object, struct change_question *question, bide_error *error)
{
    const json_t *ids = json_object_get(object, "ids"), *key = json_object_get(object, "key");
    if (key && (ids || !json_is_string(key)))
        return bide_fail(error, BIDE_E_DATA, "key is a text, and stands in the place of ids");
    question->key = json_string_value(key);
    return key ? BIDE_OK : read_ids(ids, question, error);
}

static bide_code read_due(
    const json_t *object, const struct bide_clock *clock, int64_t *ret_ms, bide_error *error)
{
    const char *delay = json_string_value(json_object_get(object, "delay"));
    const char *at = json_string_value(json_object_get(object, "at"));
    int64_t ms = 0;
    if (!delay == !at)
        return bide_fail(error, BIDE_E_DATA, "give \"delay\":\"90s\" or \"at\":\"2026-12-24T18:00:00Z\"");
    bide_code code = delay ? bide_parse_duration(delay, &ms, error) : bide_parse_instant(at, &ms, error);
    if (code == BIDE_OK)
        *ret_ms = delay ? bide_wall_ms(clock) + ms : ms;
    return code;
}

static void serve_change(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply, bool cancel)
{
    struct change_question question = {.to = &reply->body, .cancel = cancel};
    bide_error error = {0};
    if (request->body_size > BODY_MOST) {
        bide_reply_error(reply, 413, "a request has at most 512 KiB: send several");
        return;
    }
    json_t *object = json_loadb(request->body ? request->body : "", request->body_size, 0, NULL);
    bide_code code = json_is_object(object) ? read_which(object, &question, &error)
                                            : bide_fail(&error, BIDE_E_DATA,
                                                  "the body is a JSON object with \"ids\" or \"key\"");
    if (code == BIDE_OK && !cancel)
        code = read_due(object, console->clock, &question.due_ms, &error);
    if (code == BIDE_OK)
        ask(console, change, &question, reply);
    else
        bide_reply_error(reply, 400, error.text);
    json_decref(object);
}

void bide_serve_cancel(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    serve_change(console, request, reply, true);
}

void bide_serve_reschedule(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    serve_change(console, request, reply, false);
}
