#include "broker/redis/link.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/alloc.h"
#include "broker/redis/keys.h"
#include "broker/redis/tls.h"

struct bide_redis_link {
    const struct bide_redis_settings *settings;
    redisContext *context;
    int64_t patience_ms; /* how long a read or write waits */
    uint32_t mark;       /* of the last command that stored messages */
    char sha[BIDE_REDIS_N_SCRIPTS][41];
};

static const struct bide_redis_script_row rows[] = {
#define SCRIPT_ROW(constant, name, lua, kind) {name, lua, BIDE_REDIS_KIND_##kind},
    BIDE_REDIS_SCRIPTS(SCRIPT_ROW)
#undef SCRIPT_ROW
};
const struct bide_redis_script_set bide_redis_broker_scripts = {rows, BIDE_REDIS_N_SCRIPTS};

/* ---- bytes ---- */

static bide_code lost(struct bide_redis_link *link, bide_error *error)
{
    bool late = link->context->err == REDIS_ERR_IO && (errno == EAGAIN || errno == EWOULDBLOCK);
    if (late)
        return bide_fail(error, BIDE_E_TIMEOUT, "%s: no answer within %lld ms", link->settings->shown,
            (long long)link->patience_ms);
    return bide_fail(
        error, BIDE_E_BROKER, "%s: connection lost: %s", link->settings->shown, link->context->errstr);
}

/* hiredis writes without MSG_NOSIGNAL, and a library must not change the program's SIGPIPE: it is held back
 * for the length of the write and taken away if it came from it. */
static int write_quietly(redisContext *context, int *ret_done)
{
    sigset_t pipe_only, before, pending;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    sigpending(&pending);
    bool was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_only, &before);
    int result = redisBufferWrite(context, ret_done);
    int saved = errno;
    if (result != REDIS_OK && !was_pending)
        while (sigtimedwait(&pipe_only, NULL, &(struct timespec){0}) == -1 && errno == EINTR)
            continue;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = saved;
    return result;
}

bide_code bide_redis_link_flush(struct bide_redis_link *link, bool *ret_unsent, bide_error *error)
{
    int done = 0;
    if (write_quietly(link->context, &done) != REDIS_OK)
        return lost(link, error);
    *ret_unsent = !done;
    return BIDE_OK;
}

static bide_code flush_all(struct bide_redis_link *link, bide_error *error)
{
    for (bool unsent = true; unsent;) {
        bide_code code = bide_redis_link_flush(link, &unsent, error);
        if (code != BIDE_OK)
            return code;
    }
    return BIDE_OK;
}

bide_code bide_redis_link_append(
    struct bide_redis_link *link, const struct bide_redis_args *args, bide_error *error)
{
    char count[32];
    if (!args->begun)
        return bide_fail(error, BIDE_E_INTERNAL, "a command that stands in no table");
    int size = snprintf(count, sizeof count, "*%zu\r\n", args->n);
    if (args->bytes.failed || redisAppendFormattedCommand(link->context, count, (size_t)size) != REDIS_OK ||
        redisAppendFormattedCommand(link->context, args->bytes.bytes, args->bytes.size) != REDIS_OK)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    return BIDE_OK;
}

bide_code bide_redis_link_next(struct bide_redis_link *link, redisReply **ret_reply, bide_error *error)
{
    void *reply = NULL;
    if (redisGetReplyFromReader(link->context, &reply) != REDIS_OK)
        return lost(link, error);
    *ret_reply = reply;
    return BIDE_OK;
}

static struct timeval timeval_of(int64_t ms)
{
    return (struct timeval){.tv_sec = (time_t)(ms / 1000), .tv_usec = (suseconds_t)(ms % 1000 * 1000)};
}

/* That long, but not beyond the end of the call. */
static int64_t within_ms(const struct bide_redis_settings *settings, int64_t ms)
{
    if (!settings->until_us)
        return ms;
    int64_t left_ms = (settings->until_us - bide_mono_us(settings->clock)) / 1000;
    return left_ms >= ms ? ms : left_ms > 0 ? left_ms : 1; /* 0 would be for ever */
}

static void be_patient(struct bide_redis_link *link)
{
    int64_t ms = within_ms(link->settings, link->settings->timeout_ms);
    if (ms != link->patience_ms)
        redisSetTimeout(link->context, timeval_of(ms));
    link->patience_ms = ms;
}

bide_code bide_redis_link_reply(struct bide_redis_link *link, redisReply **ret_reply, bide_error *error)
{
    redisReply *reply = NULL;
    bide_code code = bide_redis_link_next(link, &reply, error);
    if (code == BIDE_OK && !reply)
        be_patient(link);
    if (code == BIDE_OK && !reply)
        code = flush_all(link, error);
    while (code == BIDE_OK && !reply) {
        errno = 0;
        code = redisBufferRead(link->context) == REDIS_OK ? bide_redis_link_next(link, &reply, error)
                                                          : lost(link, error);
        if (code == BIDE_OK && !reply)
            be_patient(link);
    }
    if (code == BIDE_OK)
        *ret_reply = reply;
    return code;
}

bide_code bide_redis_link_read(struct bide_redis_link *link, bide_error *error)
{
    for (;;) {
        size_t before = link->context->reader->len;
        errno = 0;
        if (redisBufferRead(link->context) != REDIS_OK)
            return lost(link, error);
        if (link->context->reader->len == before)
            return BIDE_OK;
    }
}

bide_code bide_redis_link_unblock(struct bide_redis_link *link, bide_error *error)
{
    int flags = fcntl(link->context->fd, F_GETFL);
    if (flags == -1 || fcntl(link->context->fd, F_SETFL, flags | O_NONBLOCK) == -1)
        return bide_fail(error, BIDE_E_INTERNAL, "cannot make a socket non-blocking: %s", strerror(errno));
    link->context->flags &= ~REDIS_BLOCK;
    return BIDE_OK;
}

int bide_redis_link_fd(const struct bide_redis_link *link)
{
    return (int)link->context->fd;
}

/* ---- commands ---- */

void bide_redis_link_script(
    const struct bide_redis_link *link, struct bide_redis_args *args, unsigned script, int n_keys)
{
    bide_redis_args_begin_kind(args, link->settings->scripts->rows[script].kind);
    bide_redis_args_add(args, "EVALSHA", 7);
    bide_redis_args_add(args, link->sha[script], 40);
    bide_redis_args_int(args, n_keys);
}

/* Begun at random for each connection, so that it does not go back with the server's own numbers. */
void bide_redis_link_mark(struct bide_redis_link *link, struct bide_redis_args *args)
{
    static const char digits[] = "0123456789abcdef";
    char text[8];
    link->mark += 0x9E3779B9u; /* odd: each value once */
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = digits[link->mark >> 4 * i & 15];
    bide_redis_args_add(args, text, sizeof text);
}

/* The next reply, to a command of this kind; one that is an error is a failure. */
static bide_code answer(struct bide_redis_link *link, enum bide_redis_kind kind, const char *doing,
    redisReply **ret_reply, enum bide_redis_action *ret_action, bide_error *error)
{
    redisReply *reply = NULL;
    bide_code code = bide_redis_link_reply(link, &reply, error);
    enum bide_redis_action action = BIDE_REDIS_RECONNECT;
    if (code == BIDE_OK && reply->type == REDIS_REPLY_ERROR) {
        action = bide_redis_action_on(bide_redis_trouble_of(reply->str), kind);
        code = bide_redis_reply_fail(link->settings, reply->str, doing, error);
        freeReplyObject(reply);
    }
    if (code == BIDE_OK)
        *ret_reply = reply;
    else if (ret_action)
        *ret_action = action;
    return code;
}

bide_code bide_redis_link_call(struct bide_redis_link *link, const struct bide_redis_args *args,
    const char *doing, redisReply **ret_reply, enum bide_redis_action *ret_action, bide_error *error)
{
    bide_code code = bide_redis_link_append(link, args, error);
    if (code == BIDE_OK)
        return answer(link, args->kind, doing, ret_reply, ret_action, error);
    if (ret_action)
        *ret_action = BIDE_REDIS_RECONNECT;
    return code;
}

/* ---- connecting ---- */

static bide_code dial(struct bide_redis_link *link, const struct bide_url_host *host, bide_error *error)
{
    const struct bide_redis_settings *settings = link->settings;
    struct timeval within = timeval_of(within_ms(settings, settings->connect_timeout_ms));
    link->context = host ? redisConnectWithTimeout(host->name, host->port, within)
                         : redisConnectUnixWithTimeout(settings->unix_path, within);
    if (!link->context)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (link->context->err)
        return bide_fail(error, BIDE_E_BROKER, "%s: cannot connect to %s: %s; is the server running there?",
            settings->shown, host ? host->name : settings->unix_path, link->context->errstr);
    fcntl(link->context->fd, F_SETFD, FD_CLOEXEC);
    be_patient(link);
    if (host)
        redisEnableKeepAlive(link->context);
    return settings->tls ? bide_redis_tls_start(link->context, settings, host->name, error) : BIDE_OK;
}

/* One command of the greeting, with up to two words, its reply only looked at for errors. */
static bide_code greet(struct bide_redis_link *link, enum bide_redis_command_name command, const char *first,
    const char *second, const char *doing, enum bide_redis_action *action, bide_error *error)
{
    struct bide_redis_args args;
    bide_redis_args_init(&args);
    bide_redis_args_begin(&args, command);
    bide_redis_args_text(&args, first);
    if (second)
        bide_redis_args_text(&args, second);
    redisReply *reply = NULL;
    bide_code code = bide_redis_link_call(link, &args, doing, &reply, action, error);
    bide_redis_args_release(&args);
    if (code == BIDE_OK)
        freeReplyObject(reply);
    return code;
}

static bide_code log_in(struct bide_redis_link *link, enum bide_redis_action *action, bide_error *error)
{
    const struct bide_redis_settings *settings = link->settings;
    bide_code code = BIDE_OK;
    const char *user = settings->user && *settings->user ? settings->user : NULL;
    if (settings->password)
        code = greet(link, BIDE_REDIS_AUTH, user ? user : settings->password,
            user ? settings->password : NULL, "logging in", action, error);
    char db[16];
    snprintf(db, sizeof db, "%d", settings->db);
    if (code == BIDE_OK && settings->db)
        code = greet(link, BIDE_REDIS_SELECT, db, NULL, "choosing the database", action, error);
    return code;
}

/* The name is for people who look at CLIENT LIST: being refused it is no failure. But this is the first
 * command for most, and too many clients are told so here. */
static bide_code say_name(struct bide_redis_link *link, bide_error *error)
{
    char name[128];
    struct bide_redis_args args;
    redisReply *reply = NULL;
    snprintf(name, sizeof name, "%s", link->settings->client_name);
    for (char *c = name; *c; c++)
        if (*c <= ' ' || *c > '~')
            *c = '-';
    bide_redis_args_init(&args);
    bide_redis_args_begin(&args, BIDE_REDIS_CLIENT_SETNAME);
    bide_redis_args_text(&args, name);
    bide_code code = bide_redis_link_append(link, &args, error);
    bide_redis_args_release(&args);
    if (code == BIDE_OK)
        code = bide_redis_link_reply(link, &reply, error);
    if (code != BIDE_OK)
        return code;
    if (reply->type == REDIS_REPLY_ERROR && bide_redis_trouble_of(reply->str) == BIDE_REDIS_AGAIN)
        code = bide_redis_reply_fail(link->settings, reply->str, "connecting", error);
    freeReplyObject(reply);
    return code;
}

static bide_code ask_for_script(struct bide_redis_link *link, const char *lua, bide_error *error)
{
    struct bide_redis_args args;
    bide_redis_args_init(&args);
    bide_redis_args_begin(&args, BIDE_REDIS_SCRIPT_LOAD);
    bide_redis_args_text(&args, lua);
    bide_code code = bide_redis_link_append(link, &args, error);
    bide_redis_args_release(&args);
    return code;
}

static bide_code take_script(
    struct bide_redis_link *link, size_t index, enum bide_redis_action *action, bide_error *error)
{
    char doing[64];
    snprintf(doing, sizeof doing, "loading the script '%s'", link->settings->scripts->rows[index].name);
    redisReply *reply = NULL;
    bide_code code = answer(link, BIDE_REDIS_KIND_CONNECT, doing, &reply, action, error);
    if (code != BIDE_OK)
        return code;
    if (reply->type == REDIS_REPLY_STRING && reply->len == 40)
        memcpy(link->sha[index], reply->str, 41);
    else
        code = bide_fail(error, BIDE_E_BROKER, "%s: %s: unexpected answer", link->settings->shown, doing);
    freeReplyObject(reply);
    return code;
}

/* All in one round trip. After a failure the connection is of no more use: answers are left in it. */
static bide_code load_scripts(struct bide_redis_link *link, enum bide_redis_action *action, bide_error *error)
{
    bide_code code = BIDE_OK;
    const struct bide_redis_script_set *scripts = link->settings->scripts;
    for (size_t i = 0; code == BIDE_OK && i < scripts->n; i++)
        code = ask_for_script(link, scripts->rows[i].lua, error);
    for (size_t i = 0; code == BIDE_OK && i < scripts->n; i++)
        code = take_script(link, i, action, error);
    return code;
}

/* ROLE tells a replica before anything is written. A user who may not ask is believed to be at the master. */
static bide_code want_master(struct bide_redis_link *link, enum bide_redis_action *action, bide_error *error)
{
    struct bide_redis_args args;
    bide_redis_args_init(&args);
    bide_redis_args_begin(&args, BIDE_REDIS_ROLE);
    redisReply *reply = NULL;
    bide_code code = bide_redis_link_append(link, &args, error);
    bide_redis_args_release(&args);
    if (code == BIDE_OK)
        code = bide_redis_link_reply(link, &reply, error);
    if (code != BIDE_OK)
        return code;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements > 0 &&
        reply->element[0]->type == REDIS_REPLY_STRING && strcmp(reply->element[0]->str, "slave") == 0) {
        *action = BIDE_REDIS_RECONNECT;
        code = bide_redis_reply_fail(link->settings, "READONLY", "connecting", error);
    }
    freeReplyObject(reply);
    return code;
}

static bide_code connect_one(const struct bide_redis_settings *settings, const struct bide_url_host *host,
    bool master, struct bide_redis_link **ret_link, enum bide_redis_action *action, bide_error *error)
{
    struct bide_redis_link *link = bide_calloc(1, sizeof *link);
    if (!link)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    link->settings = settings;
    if (getrandom(&link->mark, sizeof link->mark, GRND_NONBLOCK) != sizeof link->mark)
        link->mark = (uint32_t)bide_mono_us(bide_clock_system());
    bide_code code = dial(link, host, error);
    if (code == BIDE_E_CONFIG || code == BIDE_E_NOMEM)
        *action = BIDE_REDIS_FAIL;
    if (code == BIDE_OK)
        code = log_in(link, action, error);
    if (code == BIDE_OK)
        code = say_name(link, error);
    if (code == BIDE_OK && master)
        code = want_master(link, action, error);
    if (code == BIDE_OK)
        code = load_scripts(link, action, error);
    if (code == BIDE_OK)
        *ret_link = link;
    else
        bide_redis_link_destroy(link);
    return code;
}

bide_code bide_redis_link_create(const struct bide_redis_settings *settings, bool master, size_t *host,
    struct bide_redis_link **ret_link, enum bide_redis_action *ret_action, bide_error *error)
{
    size_t n = settings->unix_path ? 1 : settings->n_hosts;
    bide_code code = BIDE_E_INTERNAL;
    enum bide_redis_action action = BIDE_REDIS_RECONNECT;
    for (size_t i = 0; i < n; i++) {
        size_t at = (*host + i) % n;
        action = BIDE_REDIS_RECONNECT;
        code = connect_one(
            settings, settings->unix_path ? NULL : &settings->hosts[at], master, ret_link, &action, error);
        if (code == BIDE_OK) {
            *host = at;
            return BIDE_OK;
        }
    }
    if (ret_action)
        *ret_action = action;
    return code;
}

void bide_redis_link_destroy(struct bide_redis_link *link)
{
    if (!link)
        return;
    if (link->context)
        redisFree(link->context);
    bide_free(link);
}

void bide_redis_link_declare(struct bide_redis_link *link, struct bide_redis_args *args,
    const char *name_space, const char *queue, bool joins)
{
    bide_redis_link_script(link, args, BIDE_REDIS_DECLARE, joins ? 4 : 3);
    bide_redis_args_format(args, "{%s}:q:%s:ready", name_space, queue);
    bide_redis_keys_one(args, name_space, "workers");
    bide_redis_keys_one(args, name_space, "queues");
    if (joins)
        bide_redis_keys_subscriptions(args, name_space, queue);
    bide_redis_args_text(args, queue);
}
