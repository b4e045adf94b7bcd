#include "broker/redis/sender.h"

#include <string.h>
#include <time.h>

#include "base/killpoint.h"
#include "base/alloc.h"
#include "broker/reconnect.h"
#include "broker/redis/keys.h"
#include "broker/redis/link.h"
#include "broker/redis/settings.h"
#include "broker/redis/wire.h"

/* One script takes at most so much: what Redis does at a time stays well under 5 ms. So many scripts are on
 * their way at once. */
enum { CHUNK_MESSAGES = 128, CHUNK_BYTES = 512 * 1024, CHUNKS = 8, LOOK_AHEAD = 1024 };

struct redis_sender {
    struct bide_sender base;
    struct bide_redis_settings *settings;
    struct bide_redis_link *link; /* NULL: lost */
    size_t host;
    struct bide_reconnect reconnect;
    struct bide_redis_args args;
    struct bide_buffer text; /* one message being written */
};

/* Messages of one queue that go into one script. */
struct chunk {
    size_t index[CHUNK_MESSAGES];
    size_t n;
    size_t bytes;
    bool stored; /* the server has said so */
};

/* What went wrong: what trying again will not mend, else the loss of the connection, else the first thing. */
struct failure {
    bide_code code;
    enum bide_redis_action action;
    bool lost; /* the connection */
    bide_error error;
};

/* One call of send. */
struct job {
    struct bide_message *const *messages;
    size_t n;
    enum bide_sent *results;
    bool *taken;  /* in a chunk of this round, or done */
    size_t first; /* all before are taken */
    int64_t deadline_us;
    int64_t now_ms;
};

/* ---- one chunk ---- */

static bool is_ready(const struct job *job, const struct bide_message *message)
{
    return message->due_ms <= job->now_ms;
}

/* The next messages of one queue, ready ones and later ones, in the order given. */
static void fill_chunk(struct job *job, struct chunk *chunk)
{
    chunk->n = chunk->bytes = 0;
    while (job->first < job->n && job->taken[job->first])
        job->first++;
    const char *queue = NULL;
    for (size_t i = job->first; i < job->n && i < job->first + LOOK_AHEAD && chunk->n < CHUNK_MESSAGES; i++) {
        const struct bide_message *message = job->messages[i];
        if (job->taken[i] || (queue && strcmp(queue, message->queue) != 0))
            continue;
        if (chunk->n > 0 && chunk->bytes + message->body_size > CHUNK_BYTES)
            break;
        queue = message->queue;
        chunk->index[chunk->n++] = i;
        chunk->bytes += message->body_size;
        job->taken[i] = true;
    }
}

static void add_message(struct redis_sender *sender, const struct bide_message *message)
{
    bide_buffer_clear(&sender->text);
    bide_redis_wire_write(&sender->text, message, NULL);
    bide_buffer_add(&sender->text, message->body, message->body_size);
    sender->args.bytes.failed |= sender->text.failed;
    bide_redis_args_add(&sender->args, sender->text.bytes, sender->text.size);
}

static bide_code append_chunk(
    struct redis_sender *sender, const struct job *job, const struct chunk *chunk, bide_error *error)
{
    struct bide_redis_args *args = &sender->args;
    const char *name_space = sender->settings->name_space, *queue = job->messages[chunk->index[0]]->queue;
    int64_t ready = 0;
    for (size_t i = 0; i < chunk->n; i++)
        ready += is_ready(job, job->messages[chunk->index[i]]);
    bide_redis_link_script(sender->link, args, BIDE_REDIS_SEND, BIDE_REDIS_QUEUE_KEYS + 2);
    bide_redis_keys_queue(args, name_space, queue);
    bide_redis_keys_one(args, name_space, "seq");
    bide_redis_keys_one(args, name_space, "queues");
    bide_redis_args_text(args, queue);
    bide_redis_keys_wake(args, name_space);
    bide_redis_link_mark(sender->link, args);
    bide_redis_args_int(args, ready);
    for (size_t i = 0; i < chunk->n; i++)
        if (is_ready(job, job->messages[chunk->index[i]]))
            add_message(sender, job->messages[chunk->index[i]]);
    for (size_t i = 0; i < chunk->n; i++)
        if (!is_ready(job, job->messages[chunk->index[i]])) {
            bide_redis_args_int(args, job->messages[chunk->index[i]]->due_ms);
            add_message(sender, job->messages[chunk->index[i]]);
        }
    return bide_redis_link_append(sender->link, args, error);
}

static void note_failure(struct failure *worst, const struct failure *one)
{
    bool worse = one->action == BIDE_REDIS_FAIL || (one->lost && worst->action != BIDE_REDIS_FAIL);
    if (worst->code == BIDE_OK || worse)
        *worst = *one;
}

/* An error answer. */
static struct failure refusal(
    const struct redis_sender *sender, const redisReply *reply, enum bide_redis_kind kind, const char *doing)
{
    struct failure failure = {.action = bide_redis_action_on(bide_redis_trouble_of(reply->str), kind)};
    failure.code = bide_redis_reply_fail(sender->settings, reply->str, doing, &failure.error);
    return failure;
}

/* False: the connection is lost. */
static bool read_chunk(struct redis_sender *sender, struct chunk *chunk, struct failure *worst)
{
    redisReply *reply = NULL;
    struct failure lost = {.lost = true, .code = bide_redis_link_reply(sender->link, &reply, &lost.error)};
    if (lost.code != BIDE_OK) {
        note_failure(worst, &lost);
        return false;
    }
    chunk->stored = reply->type != REDIS_REPLY_ERROR;
    if (!chunk->stored) {
        struct failure refused = refusal(sender, reply, BIDE_REDIS_KIND_SEND, "sending");
        note_failure(worst, &refused);
    }
    freeReplyObject(reply);
    return true;
}

/* ---- replicas ---- */

static bide_code append_wait(struct redis_sender *sender, bide_error *error)
{
    bide_redis_args_begin(&sender->args, BIDE_REDIS_WAIT);
    bide_redis_args_int(&sender->args, sender->settings->wait_replicas);
    bide_redis_args_int(&sender->args, sender->settings->timeout_ms / 2 + 1);
    return bide_redis_link_append(sender->link, &sender->args, error);
}

/* Too few in time: stored, but not as safely as asked for. Sending again would double it. */
static struct failure too_few(const struct redis_sender *sender, long long n)
{
    struct failure failure = {.action = BIDE_REDIS_FAIL};
    failure.code = bide_fail(&failure.error, BIDE_E_TIMEOUT,
        "%s: stored, but only %lld of the %d replicas asked for have it", sender->settings->shown, n,
        sender->settings->wait_replicas);
    return failure;
}

/* The answer to WAIT, which is about the chunks that were stored: where there is none, it says nothing.
 * False: what was stored is not confirmed. */
static bool read_wait(struct redis_sender *sender, bool any_stored, struct failure *worst)
{
    redisReply *reply = NULL;
    struct failure one = {.code = bide_redis_link_reply(sender->link, &reply, &one.error)};
    one.lost = one.code != BIDE_OK;
    if (one.code == BIDE_OK && any_stored) {
        if (reply->type == REDIS_REPLY_ERROR)
            one = refusal(sender, reply, BIDE_REDIS_KIND_WAIT, "waiting for replicas");
        else if (reply->integer < sender->settings->wait_replicas) /* 0 where it is no number */
            one = too_few(sender, reply->integer);
    }
    if (reply)
        freeReplyObject(reply);
    if (one.code != BIDE_OK)
        note_failure(worst, &one);
    return one.code == BIDE_OK;
}

/* ---- a round: up to CHUNKS chunks, one round trip ---- */

static void mark_sent(struct job *job, const struct chunk *chunk)
{
    for (size_t i = 0; chunk->stored && i < chunk->n; i++)
        job->results[chunk->index[i]] = BIDE_SENT_OK;
}

/* Each answer belongs to its chunk, in order, and the last one to WAIT. */
static void read_round(
    struct redis_sender *sender, struct job *job, struct chunk *chunks, size_t n, struct failure *worst)
{
    bool alive = true, any_stored = false, waits = sender->settings->wait_replicas > 0;
    for (size_t i = 0; alive && i < n; i++) {
        chunks[i].stored = false;
        alive = read_chunk(sender, &chunks[i], worst);
        any_stored |= chunks[i].stored;
        if (!waits)
            mark_sent(job, &chunks[i]);
    }
    if (alive && waits && read_wait(sender, any_stored, worst))
        for (size_t i = 0; i < n; i++)
            mark_sent(job, &chunks[i]);
}

static bide_code send_round(struct redis_sender *sender, struct job *job, bool *ret_done,
    enum bide_redis_action *action, bide_error *error)
{
    struct chunk chunks[CHUNKS];
    size_t n = 0;
    bide_code code = BIDE_OK;
    job->now_ms = bide_wall_ms(sender->settings->clock);
    while (code == BIDE_OK && n < CHUNKS) {
        fill_chunk(job, &chunks[n]);
        if (chunks[n].n == 0)
            break;
        code = append_chunk(sender, job, &chunks[n], error);
        n++;
    }
    if (code == BIDE_OK && n > 0 && sender->settings->wait_replicas)
        code = append_wait(sender, error);
    if (code == BIDE_E_NOMEM) {
        *action = BIDE_REDIS_FAIL;
        bide_redis_link_destroy(sender->link); /* half a round may be in its buffer */
        sender->link = NULL;
        return code;
    }
    *ret_done = n == 0;
    if (code != BIDE_OK || n == 0)
        return code;
    BIDE_KILL_POINT("send/redis-written");
    struct failure worst = {.code = BIDE_OK};
    read_round(sender, job, chunks, n, &worst);
    BIDE_KILL_POINT("send/redis-answered");
    if (worst.code == BIDE_OK)
        return BIDE_OK;
    *action = worst.action;
    return bide_fail(error, worst.code, "%s", worst.error.text);
}

/* ---- a whole call ---- */

static void mark_unconfirmed(struct job *job)
{
    for (size_t i = 0; i < job->n; i++)
        job->taken[i] = job->results[i] != BIDE_SENT_UNKNOWN;
    job->first = 0;
}

/* Sleeps until the next try; false when that would be past the deadline. */
static bool pause_before_retry(struct redis_sender *sender, const struct job *job)
{
    int64_t now_us = bide_mono_us(sender->settings->clock);
    bide_reconnect_failed(&sender->reconnect, now_us);
    int64_t wait_us = bide_reconnect_wait_us(&sender->reconnect, now_us);
    if (now_us + wait_us >= job->deadline_us)
        return false;
    nanosleep(&(struct timespec){.tv_sec = wait_us / 1000000, .tv_nsec = wait_us % 1000000 * 1000}, NULL);
    return true;
}

static bide_code try_once(
    struct redis_sender *sender, struct job *job, enum bide_redis_action *action, bide_error *error)
{
    bide_code code = BIDE_OK;
    if (!sender->link)
        code = bide_redis_link_create(sender->settings, true, &sender->host, &sender->link, action, error);
    for (bool done = false; code == BIDE_OK && !done;)
        code = send_round(sender, job, &done, action, error);
    return code;
}

static bide_code send_job(struct redis_sender *sender, struct job *job, bide_error *error)
{
    for (;;) {
        enum bide_redis_action action = BIDE_REDIS_RECONNECT;
        mark_unconfirmed(job);
        bide_code code = try_once(sender, job, &action, error);
        if (code == BIDE_OK) {
            bide_reconnect_succeeded(&sender->reconnect);
            return code;
        }
        if (action == BIDE_REDIS_RECONNECT) {
            bide_redis_link_destroy(sender->link);
            sender->link = NULL;
        }
        if (action == BIDE_REDIS_FAIL || !pause_before_retry(sender, job))
            return code;
    }
}

static bide_code sender_send(struct bide_sender *base, struct bide_message *const *messages, size_t n,
    enum bide_sent *results, bide_error *error)
{
    struct redis_sender *sender = (struct redis_sender *)base;
    struct job job = {.messages = messages, .n = n, .results = results};
    job.deadline_us = bide_mono_us(sender->settings->clock) + base->timeout_us;
    job.taken = bide_calloc(n + 1, sizeof *job.taken);
    if (!job.taken)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    sender->settings->until_us = job.deadline_us;
    bide_code code = send_job(sender, &job, error);
    sender->settings->until_us = 0;
    bide_free(job.taken);
    return code;
}

static void sender_destroy(struct bide_sender *base)
{
    struct redis_sender *sender = (struct redis_sender *)base;
    bide_redis_link_destroy(sender->link);
    bide_redis_settings_destroy(sender->settings);
    bide_redis_args_release(&sender->args);
    bide_buffer_release(&sender->text);
    bide_free(sender);
}

bide_code bide_redis_open_sender(
    const struct bide_broker_options *options, struct bide_sender **ret_sender, bide_error *error)
{
    static const struct bide_sender_ops ops = {.send = sender_send, .destroy = sender_destroy};
    struct redis_sender *sender = bide_calloc(1, sizeof *sender);
    if (!sender)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    sender->base.ops = &ops;
    bide_redis_args_init(&sender->args);
    bide_buffer_init(&sender->text);
    bide_code code = bide_redis_settings_create(options, &sender->settings, error);
    if (code == BIDE_OK) {
        sender->base.timeout_us = sender->settings->call_timeout_ms * 1000;
        code = bide_redis_link_create(sender->settings, true, &sender->host, &sender->link, NULL, error);
    }
    if (code == BIDE_OK)
        *ret_sender = &sender->base;
    else
        sender_destroy(&sender->base);
    return code;
}
