/* GET /dead, GET /dead/ID, POST /dead/ID/retry, POST /dead/ID/drop. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/json.h"
#include "broker/report.h"
#include "console/serving.h"
#include "keys/admin.h"

enum {
    USUAL = 100,
    MOST = 1000,
    SEARCHED = 10000, /* how many of the newest letters a search reads */
    SEARCH_BYTES = 200,
    WAIT_MS = 2000, /* how long to wait for another request that walks */
};

struct listing {
    struct bide_buffer *to;
    const char *search; /* NULL: no search */
    size_t limit, n;
    bool whole;
};

static bool add_letter(void *user, const struct bide_dead_letter *letter)
{
    struct listing *listing = user;
    if (listing->search && !bide_dead_mentions(letter->message, listing->search))
        return true;
    bide_json_open(listing->to, NULL, '{');
    if (listing->whole)
        bide_report_dead_whole(listing->to, letter);
    else
        bide_report_dead(listing->to, letter);
    bide_buffer_char(listing->to, '}');
    return ++listing->n < listing->limit && !listing->to->failed;
}

bide_code bide_console_take_turn(struct bide_console *console, bide_error *error)
{
    int64_t until_ms = bide_mono_ms(console->clock) + WAIT_MS;
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    if (pthread_mutex_clocklock(&console->letters, CLOCK_MONOTONIC, &until) == 0)
        return BIDE_OK;
    return bide_fail(
        error, BIDE_E_TIMEOUT, "another request walks through messages, which takes long: try again later");
}

void bide_console_end_turn(struct bide_console *console)
{
    pthread_mutex_unlock(&console->letters);
}

static bide_code each(struct bide_console *console, const struct bide_dead_filter *filter,
    struct listing *listing, bide_error *error)
{
    const struct bide_console_options *options = console->options;
    struct bide_admin *admin;
    bide_code code = bide_console_take_turn(console, error);
    if (code != BIDE_OK)
        return code;
    code = options->adapter->open_admin(options->broker, &admin, error);
    if (code == BIDE_OK) {
        code = admin->ops->dead_each(admin, filter, add_letter, listing, error);
        bide_admin_destroy(admin);
    }
    bide_console_end_turn(console);
    return code;
}

/* ---- the list ---- */

static const char *given(const struct bide_request *request, const char *name)
{
    const char *value = bide_request_query(request, name);
    return value && *value ? value : NULL;
}

static bool read_limit(const char *text, size_t *ret_limit)
{
    char *end;
    *ret_limit = USUAL;
    if (!text)
        return true;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (*end || end == text || errno || value < 1 || value > MOST)
        return false;
    *ret_limit = (size_t)value;
    return true;
}

static bool read_filter(
    const struct bide_request *request, struct bide_dead_filter *filter, struct listing *listing)
{
    const char *reason = given(request, "reason");
    *filter = (struct bide_dead_filter){
        .type = given(request, "type"), .queue = given(request, "queue"), .without_bodies = true};
    listing->search = given(request, "search");
    if (listing->search && strlen(listing->search) > SEARCH_BYTES)
        return false;
    return read_limit(given(request, "limit"), &listing->limit) &&
           (!reason || bide_reason_parse(reason, &filter->reason));
}

void bide_serve_dead_list(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    struct listing listing = {.to = &reply->body};
    struct bide_dead_filter filter;
    bide_error error = {0};
    if (!read_filter(request, &filter, &listing)) {
        bide_reply_error(reply, 400,
            "limit is a number from 1 to 1000; search has at most 200 bytes; reason is one of `bide dead "
            "list`");
        return;
    }
    filter.limit = listing.search ? SEARCHED : listing.limit;
    bide_buffer_char(&reply->body, '[');
    bide_code code = each(console, &filter, &listing, &error);
    bide_buffer_char(&reply->body, ']');
    if (code != BIDE_OK)
        bide_reply_failure(reply, code, &error);
}

/* ---- one letter ---- */

static void not_found(struct bide_reply *reply)
{
    bide_reply_error(reply, 404, "no dead letter has this id");
}

void bide_serve_dead_show(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    struct listing listing = {.to = &reply->body, .limit = 1, .whole = true};
    const char *const ids[] = {request->name};
    bide_error error = {0};
    bide_code code = each(console, &(struct bide_dead_filter){.ids = ids, .n_ids = 1}, &listing, &error);
    if (code != BIDE_OK)
        bide_reply_failure(reply, code, &error);
    else if (listing.n == 0)
        not_found(reply);
}

static bool go_on(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    (void)done;
    (void)total;
    return true;
}

/* Of several the last one is told. */
static void note_refused(void *user, const char *id, const char *key, const char *holder)
{
    bide_error *why = user;
    (void)bide_fail(why, BIDE_E_NOT_FOUND, "'%.100s' stays dead: its unique key '%s' is held by '%.100s'", id,
        key, holder);
}

static bide_code act_on(struct bide_admin *admin, const char *id, bool retry, uint64_t *ret_n,
    bide_error *refusal, bide_error *error)
{
    const char *const ids[] = {id};
    const struct bide_dead_filter filter = {.ids = ids, .n_ids = 1};
    struct bide_replay replay = {
        .filter = &filter, .progress = go_on, .refused = note_refused, .refused_user = refusal};
    if (!retry)
        return admin->ops->dead_drop(admin, &filter, go_on, NULL, ret_n, error);
    bide_code code = bide_admin_replay(admin, &replay, error);
    *ret_n = replay.n;
    return code;
}

static void act(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply, bool retry)
{
    const struct bide_console_options *options = console->options;
    struct bide_admin *admin;
    bide_error error = {0}, refusal = {0};
    uint64_t n = 0;
    bide_code code = bide_console_take_turn(console, &error);
    if (code != BIDE_OK) {
        bide_reply_failure(reply, code, &error);
        return;
    }
    code = options->adapter->open_admin(options->broker, &admin, &error);
    if (code == BIDE_OK) {
        bide_admin_take_store(admin, options->config);
        code = act_on(admin, request->name, retry, &n, &refusal, &error);
        bide_admin_close(admin);
    }
    bide_console_end_turn(console);
    if (code != BIDE_OK)
        bide_reply_failure(reply, code, &error);
    else if (*refusal.text)
        bide_reply_error(reply, 409, refusal.text);
    else if (n == 0)
        not_found(reply);
    else
        bide_buffer_format(&reply->body, "{\"count\":%" PRIu64 "}", n);
}

void bide_serve_dead_retry(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    act(console, request, reply, true);
}

void bide_serve_dead_drop(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    act(console, request, reply, false);
}
