#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/killpoint.h"
#include "broker/reconnect.h"
#include "broker/redis/admin/admin.h"
#include "store/redis/inside.h"
#include "store/stores.h"

/* So much is on its way at once. */
enum { CHUNKS = 16, BYTES = 4 * 1024 * 1024 };

static const struct bide_redis_script_row rows[] = {
#define SCRIPT_ROW(constant, name, lua) {name, lua, BIDE_REDIS_KIND_STORE},
    BIDE_STORE_SCRIPTS(SCRIPT_ROW)
#undef SCRIPT_ROW
};
const struct bide_redis_script_set bide_store_scripts = {rows, BIDE_STORE_N_SCRIPTS};

/* ---- one call, over any number of connections ---- */

/* What is done over a link. *ret_action says what a failure leads to. */
typedef bide_code store_task(
    struct bide_redis_store *store, void *user, enum bide_redis_action *ret_action, bide_error *error);

static void give_up_link(struct bide_redis_store *store)
{
    bide_redis_link_destroy(store->link);
    store->link = NULL;
}

static bide_code try_task(struct bide_redis_store *store, store_task *task, void *user,
    enum bide_redis_action *action, bide_error *error)
{
    bide_code code = BIDE_OK;
    if (!store->link)
        code = bide_redis_link_create(store->settings, true, &store->host, &store->link, action, error);
    return code == BIDE_OK ? task(store, user, action, error) : code;
}

/* Makes a lost connection again until the call's end; a task goes on where it was. */
static bide_code perform_until(
    struct bide_redis_store *store, store_task *task, void *user, int64_t end_us, bide_error *error)
{
    const struct bide_clock *clock = store->settings->clock;
    struct bide_reconnect reconnect = {0};
    for (;;) {
        enum bide_redis_action action = BIDE_REDIS_RECONNECT;
        bide_code code = try_task(store, task, user, &action, error);
        if (code == BIDE_OK || code == BIDE_E_NOMEM || action != BIDE_REDIS_RECONNECT) {
            if (code == BIDE_E_NOMEM) /* answers may be left in it */
                give_up_link(store);
            return code;
        }
        give_up_link(store);
        int64_t now_us = bide_mono_us(clock);
        bide_reconnect_failed(&reconnect, now_us);
        if (reconnect.next_us >= end_us)
            return code;
        usleep((useconds_t)bide_reconnect_wait_us(&reconnect, now_us));
    }
}

static bide_code perform(struct bide_redis_store *store, store_task *task, void *user, bide_error *error)
{
    struct bide_redis_settings *settings = store->settings;
    settings->until_us = bide_mono_us(settings->clock) + store->base.timeout_us;
    bide_code code = perform_until(store, task, user, settings->until_us, error);
    settings->until_us = 0;
    return code;
}

/* ---- letters ---- */

struct batch {
    struct bide_store_letter *letters;
    size_t n;
    size_t done;      /* so many letters, from the first on, have an answer or a failure */
    bide_code code;   /* the first failure of a letter */
    bide_error error; /* and its text */
};

static void fail_letters(struct batch *batch, size_t n, bide_code code, const bide_error *error)
{
    for (size_t i = batch->done; i < batch->done + n; i++) {
        bide_store_letter_clear(&batch->letters[i]);
        if (batch->letters[i].code == BIDE_OK)
            batch->letters[i].code = code;
    }
    if (batch->code == BIDE_OK) {
        batch->code = code;
        batch->error = *error;
    }
}

/* Takes the answer for the next n letters. What another connection will not mend is the failure of these
 * letters alone. */
static bide_code take_reply(struct bide_redis_store *store, struct batch *batch, size_t n,
    enum bide_redis_action *action, bide_error *error)
{
    redisReply *reply = NULL;
    bide_code code = bide_redis_link_reply(store->link, &reply, error);
    if (code != BIDE_OK)
        return code;
    if (reply->type == REDIS_REPLY_ERROR) {
        *action = bide_redis_action_on(bide_redis_trouble_of(reply->str), BIDE_REDIS_KIND_STORE);
        code = bide_redis_reply_fail(store->settings, reply->str, "applying letters", error);
    } else {
        code = bide_store_redis_read(&batch->letters[batch->done], n, reply, store->settings->shown, error);
    }
    freeReplyObject(reply);
    if (code != BIDE_OK && *action == BIDE_REDIS_FAIL) {
        fail_letters(batch, n, code, error);
        *action = BIDE_REDIS_RECONNECT;
        code = BIDE_OK;
    }
    if (code == BIDE_OK)
        batch->done += n;
    return code;
}

/* Sends some chunks, then takes their answers. */
static bide_code apply_some(
    struct bide_redis_store *store, struct batch *batch, enum bide_redis_action *action, bide_error *error)
{
    size_t sizes[CHUNKS], n = 0, bytes = 0, at = batch->done;
    bide_code code = BIDE_OK;
    for (; code == BIDE_OK && n < CHUNKS && at < batch->n && bytes < BYTES; n++) {
        sizes[n] = bide_store_redis_chunk(&batch->letters[at], batch->n - at);
        bide_store_redis_write(store, &batch->letters[at], sizes[n]);
        code = bide_redis_link_append(store->link, &store->args, error);
        bytes += store->args.bytes.size;
        at += sizes[n];
    }
    BIDE_KILL_POINT("store/redis-built");
    for (size_t i = 0; code == BIDE_OK && i < n; i++)
        code = take_reply(store, batch, sizes[i], action, error);
    BIDE_KILL_POINT("store/redis-answered");
    return code;
}

static bide_code apply_batch(
    struct bide_redis_store *store, void *user, enum bide_redis_action *ret_action, bide_error *error)
{
    struct batch *batch = user;
    bide_code code = BIDE_OK;
    while (code == BIDE_OK && batch->done < batch->n)
        code = apply_some(store, batch, ret_action, error);
    return code;
}

static bide_code store_apply(
    struct bide_store *base, struct bide_store_letter *letters, size_t n, bide_error *error)
{
    struct bide_redis_store *store = (struct bide_redis_store *)base;
    struct batch batch = {.letters = letters, .n = n};
    if (n == 0)
        return BIDE_OK;
    bide_error why;
    bide_code code = perform(store, apply_batch, &batch, &why);
    if (code != BIDE_OK)
        fail_letters(&batch, n - batch.done, code, &why);
    return batch.code == BIDE_OK ? BIDE_OK : bide_fail(error, batch.code, "%s", batch.error.text);
}

/* ---- scan ---- */

struct scan {
    const char *scope, *prefix;
    size_t max;
    struct bide_store_cursor *cursor;
    bide_store_visit *visit;
    void *user;
};

static bool show_fact(const struct scan *scan, redisReply *const *values)
{
    if (values[0]->type != REDIS_REPLY_STRING || values[1]->type != REDIS_REPLY_INTEGER ||
        values[2]->type != REDIS_REPLY_INTEGER || values[3]->type != REDIS_REPLY_STRING)
        return false;
    scan->visit(scan->user, &(struct bide_store_fact){.key = values[0]->str,
                                .state = (unsigned)values[1]->integer % BIDE_STORE_STATES,
                                .data = {values[3]->str, (size_t)values[3]->len},
                                .lasts_ms = values[2]->integer});
    return true;
}

static bide_code show_page(
    const struct scan *scan, const redisReply *reply, const char *shown, bide_error *error)
{
    bool fine = reply->type == REDIS_REPLY_ARRAY && reply->elements % 4 == 1 &&
                reply->element[0]->type == REDIS_REPLY_STRING && reply->element[0]->len < BIDE_STORE_KEY_MAX;
    for (size_t i = 1; fine && i < reply->elements; i += 4)
        fine = show_fact(scan, &reply->element[i]);
    if (!fine)
        return bide_fail(error, BIDE_E_BROKER, "%s: unexpected answer to a scan", shown);
    memcpy(scan->cursor->at, reply->element[0]->str, (size_t)reply->element[0]->len + 1);
    scan->cursor->done = strcmp(scan->cursor->at, "0") == 0;
    return BIDE_OK;
}

static bide_code scan_page(
    struct bide_redis_store *store, void *user, enum bide_redis_action *ret_action, bide_error *error)
{
    const struct scan *scan = user;
    struct bide_redis_args *args = &store->args;
    struct bide_buffer key;
    redisReply *reply = NULL;
    bide_buffer_init(&key);
    bide_buffer_format(&key, "{%s}:facts:", store->settings->name_space);
    bide_buffer_text(&key, scan->scope);
    bide_redis_link_script(store->link, args, BIDE_STORE_SCRIPT_SCAN, 1);
    bide_redis_args_add(args, key.bytes, key.size);
    args->bytes.failed = args->bytes.failed || key.failed;
    bide_buffer_release(&key);
    bide_redis_args_text(args, *scan->cursor->at ? scan->cursor->at : "0");
    bide_redis_args_text(args, scan->prefix);
    bide_redis_args_int(args, (int64_t)scan->max);
    bide_code code = bide_redis_link_call(store->link, args, "scanning", &reply, ret_action, error);
    if (code != BIDE_OK)
        return code;
    code = show_page(scan, reply, store->settings->shown, error);
    *ret_action = BIDE_REDIS_FAIL; /* some may have been shown */
    freeReplyObject(reply);
    return code;
}

static bide_code store_scan(struct bide_store *base, const char *scope, const char *prefix, size_t max,
    struct bide_store_cursor *cursor, bide_store_visit *visit, void *user, bide_error *error)
{
    struct scan scan = {scope, prefix, max, cursor, visit, user};
    return perform((struct bide_redis_store *)base, scan_page, &scan, error);
}

/* ---- upkeep ---- */

/* user: how long the session lives from now on, in ms; 0: no longer. */
static bide_code beat(
    struct bide_redis_store *store, void *user, enum bide_redis_action *ret_action, bide_error *error)
{
    redisReply *reply = NULL;
    bide_redis_link_script(store->link, &store->args, BIDE_STORE_SCRIPT_BEAT, BIDE_STORE_SESSION_KEYS);
    bide_store_redis_session_keys(&store->args, store);
    bide_redis_args_int(&store->args, *(int *)user);
    bide_code code =
        bide_redis_link_call(store->link, &store->args, "keeping a session", &reply, ret_action, error);
    if (code == BIDE_OK)
        freeReplyObject(reply);
    return code;
}

/* What lapses is deleted by the server. */
static bide_code store_tend(struct bide_store *base, int64_t *ret_wait_ms, bide_error *error)
{
    struct bide_redis_store *store = (struct bide_redis_store *)base;
    int lease_ms = BIDE_STORE_REDIS_LEASE_MS;
    bide_code code = store->has_session ? perform(store, beat, &lease_ms, error) : BIDE_OK;
    if (code == BIDE_OK)
        *ret_wait_ms = BIDE_STORE_REDIS_BEAT_MS;
    return code;
}

struct verification {
    bide_finding_sink *sink;
    void *user;
};

/* The server has to be as a broker needs it. */
static bide_code verify_server(
    struct bide_redis_store *store, void *user, enum bide_redis_action *ret_action, bide_error *error)
{
    const struct verification *verification = user;
    struct bide_redis_admin admin = {.settings = store->settings, .link = store->link, .host = store->host};
    bide_redis_args_init(&admin.args);
    store->link = NULL; /* lent: it may be given up */
    bide_code code = bide_redis_admin_verify(&admin.base, verification->sink, verification->user, error);
    bide_redis_args_release(&admin.args);
    store->link = admin.link;
    *ret_action = BIDE_REDIS_FAIL;
    return code;
}

static bide_code store_verify(struct bide_store *base, bide_finding_sink *sink, void *user, bide_error *error)
{
    struct verification verification = {sink, user};
    bide_error why = {0};
    bide_code code = perform((struct bide_redis_store *)base, verify_server, &verification, &why);
    if (code == BIDE_E_NOMEM)
        return bide_fail(error, code, "%s", why.text);
    if (code != BIDE_OK)
        sink(user, &(struct bide_finding){BIDE_FINDING_ERROR, "store", why.text, NULL});
    return BIDE_OK;
}

/* ---- opening ---- */

static void store_destroy(struct bide_store *base)
{
    struct bide_redis_store *store = (struct bide_redis_store *)base;
    int ended = 0;
    enum bide_redis_action action;
    if (store->link && store->has_session)
        (void)beat(store, &ended, &action, NULL);
    bide_redis_link_destroy(store->link);
    bide_redis_args_release(&store->args);
    bide_redis_args_release(&store->keys);
    bide_redis_args_release(&store->operations);
    bide_redis_settings_destroy(store->settings);
    bide_free(store);
}

static const struct bide_store_ops store_ops = {
    store_apply, store_scan, store_tend, store_verify, store_destroy};

static bide_code draw_session(char session[BIDE_STORE_SESSION_TEXT + 1], bide_error *error)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[BIDE_STORE_SESSION_TEXT / 2];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return bide_fail(error, BIDE_E_INTERNAL, "no random numbers");
    for (size_t i = 0; i < BIDE_STORE_SESSION_TEXT; i++)
        session[i] = digits[bytes[i / 2] >> 4 * (i % 2) & 15];
    return BIDE_OK;
}

static bide_code open_store(
    const struct bide_store_options *options, struct bide_store **ret_store, bide_error *error)
{
    struct bide_broker_options link_options = {.url = options->url,
        .name_space = options->name_space,
        .client_name = options->client_name,
        .timeout_ms = options->timeout_ms,
        .clock = options->clock};
    struct bide_redis_store *store = bide_calloc(1, sizeof *store);
    if (!store)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    store->base.ops = &store_ops;
    store->base.timeout_us = options->timeout_ms * 1000;
    bide_redis_args_init(&store->args);
    bide_redis_args_init(&store->keys);
    bide_redis_args_init(&store->operations);
    bide_code code = draw_session(store->session, error);
    if (code == BIDE_OK)
        code = bide_redis_settings_create(&link_options, &store->settings, error);
    if (code != BIDE_OK) {
        store_destroy(&store->base);
        return code;
    }
    store->settings->scripts = &bide_store_scripts;
    *ret_store = &store->base;
    return BIDE_OK;
}

const struct bide_store_type bide_redis_store = {
    .name = "redis", .schemes = {"redis", "rediss", "redis+unix"}, .open = open_store};
