#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/names.h"
#include "broker/redis/admin/admin.h"
#include "broker/redis/keys.h"

/* What one command answers, as a number; a stream or group that is not there is 0. */
static bide_code ask_number(struct bide_redis_admin *admin, int64_t *ret_number, bide_error *error)
{
    redisReply *reply = NULL;
    bide_code code = bide_redis_admin_call(admin, "counting", &reply, error);
    if (code != BIDE_OK)
        return code;
    int64_t number = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    if (reply->type == REDIS_REPLY_STRING)
        number = strtoll(reply->str, NULL, 10);
    freeReplyObject(reply);
    *ret_number = number;
    return BIDE_OK;
}

static void begin_queue(
    struct bide_redis_admin *admin, enum bide_redis_command_name command, const char *queue, const char *part)
{
    bide_redis_args_begin(&admin->args, command);
    bide_redis_args_format(&admin->args, "{%s}:q:%s:%s", admin->settings->name_space, queue, part);
}

static bide_code ask_members(struct bide_redis_admin *admin, enum bide_redis_command_name command,
    const char *key, redisReply **ret_reply, bide_error *error)
{
    bide_redis_args_begin(&admin->args, command);
    bide_redis_keys_one(&admin->args, admin->settings->name_space, key);
    return bide_redis_admin_call(admin, "listing", ret_reply, error);
}

/* ---- queues ---- */

static struct bide_queue_stats *find_queue(struct bide_broker_stats *stats, const char *name)
{
    for (size_t i = 0; i < stats->n_queues; i++)
        if (strcmp(stats->queues[i].name, name) == 0)
            return &stats->queues[i];
    struct bide_queue_stats *queue = &stats->queues[stats->n_queues++];
    *queue = (struct bide_queue_stats){.landing = BIDE_UNKNOWN_COUNT};
    snprintf(queue->name, sizeof queue->name, "%s", name);
    return queue;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct bide_queue_stats *)a)->name, ((const struct bide_queue_stats *)b)->name);
}

/* Those configured, then every other that was ever used. */
static bide_code list_queues(
    struct bide_redis_admin *admin, struct bide_broker_stats *stats, bide_error *error)
{
    redisReply *reply = NULL;
    bide_code code = ask_members(admin, BIDE_REDIS_SMEMBERS, "queues", &reply, error);
    if (code != BIDE_OK)
        return code;
    stats->queues = bide_calloc(admin->settings->n_queues + reply->elements + 1, sizeof *stats->queues);
    for (size_t i = 0; stats->queues && i < admin->settings->n_queues; i++)
        find_queue(stats, admin->settings->queues[i]);
    for (size_t i = 0; stats->queues && i < reply->elements; i++)
        find_queue(stats, reply->element[i]->str);
    freeReplyObject(reply);
    if (!stats->queues)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    qsort(stats->queues + admin->settings->n_queues, stats->n_queues - admin->settings->n_queues,
        sizeof *stats->queues, by_name);
    return BIDE_OK;
}

/* ---- workers ---- */

static bide_code list_workers(
    struct bide_redis_admin *admin, struct bide_broker_stats *stats, bide_error *error)
{
    redisReply *reply = NULL;
    bide_code code = ask_members(admin, BIDE_REDIS_HKEYS, "workers", &reply, error);
    if (code != BIDE_OK)
        return code;
    stats->workers = bide_calloc(reply->elements + 1, sizeof *stats->workers);
    for (size_t i = 0; stats->workers && i < reply->elements; i++)
        snprintf(stats->workers[stats->n_workers++].name, sizeof stats->workers->name, "%s",
            reply->element[i]->str);
    freeReplyObject(reply);
    if (!stats->workers)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; code == BIDE_OK && i < stats->n_workers; i++) {
        bide_redis_args_begin(&admin->args, BIDE_REDIS_GET);
        bide_redis_args_format(
            &admin->args, "{%s}:alive:%s", admin->settings->name_space, stats->workers[i].name);
        code = ask_number(admin, &stats->workers[i].seen_ms, error);
    }
    return code;
}

static struct bide_worker_stats *find_worker(struct bide_broker_stats *stats, const char *name)
{
    for (size_t i = 0; i < stats->n_workers; i++)
        if (strcmp(stats->workers[i].name, name) == 0)
            return &stats->workers[i];
    return NULL;
}

/* ---- one queue ---- */

/* ["name", N, "pending", P, …]: entries in hand, but those handed back are ready. */
static void add_consumer(
    struct bide_broker_stats *stats, struct bide_queue_stats *queue, const redisReply *consumer)
{
    if (consumer->type != REDIS_REPLY_ARRAY || consumer->elements < 4)
        return;
    const char *name = consumer->element[1]->str;
    int64_t pending = consumer->element[3]->integer;
    if (strcmp(name, "returned") == 0)
        return;
    struct bide_worker_stats *worker = find_worker(stats, name);
    if (worker)
        worker->in_flight += pending;
    queue->workers += worker != NULL;
    queue->in_flight += pending;
    queue->ready -= pending;
}

static bide_code count_consumers(struct bide_redis_admin *admin, struct bide_broker_stats *stats,
    struct bide_queue_stats *queue, bide_error *error)
{
    redisReply *reply = NULL;
    bide_redis_args_begin(&admin->args, BIDE_REDIS_XINFO_CONSUMERS);
    bide_redis_args_format(&admin->args, "{%s}:q:%s:ready", admin->settings->name_space, queue->name);
    bide_redis_args_text(&admin->args, "bide");
    bide_code code = bide_redis_admin_ask(admin, &reply, error);
    if (code != BIDE_OK)
        return code;
    bool none_yet = reply->type == REDIS_REPLY_ERROR &&
                    (strstr(reply->str, "no such key") || strstr(reply->str, "NOGROUP"));
    if (reply->type == REDIS_REPLY_ERROR && !none_yet)
        code = bide_redis_reply_fail(admin->settings, reply->str, "counting", error);
    for (size_t i = 0; reply->type == REDIS_REPLY_ARRAY && i < reply->elements; i++)
        add_consumer(stats, queue, reply->element[i]);
    freeReplyObject(reply);
    return code;
}

/* Who waits for messages of it is no consumer before it has got one. */
static bide_code count_waiting(struct bide_redis_admin *admin, struct bide_broker_stats *stats,
    struct bide_queue_stats *queue, bide_error *error)
{
    redisReply *reply = NULL;
    if (queue->workers > 0)
        return BIDE_OK;
    begin_queue(admin, BIDE_REDIS_SMEMBERS, queue->name, "waiting");
    bide_code code = bide_redis_admin_call(admin, "listing", &reply, error);
    if (code != BIDE_OK)
        return code;
    for (size_t i = 0; i < reply->elements; i++)
        queue->workers += find_worker(stats, reply->element[i]->str) != NULL;
    freeReplyObject(reply);
    return BIDE_OK;
}

static bide_code count_claimed(struct bide_redis_admin *admin, struct bide_broker_stats *stats,
    struct bide_queue_stats *queue, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < stats->n_workers; i++) {
        int64_t n = 0;
        bide_redis_args_begin(&admin->args, BIDE_REDIS_ZCARD);
        bide_redis_keys_claimed(
            &admin->args, admin->settings->name_space, queue->name, stats->workers[i].name);
        code = ask_number(admin, &n, error);
        stats->workers[i].in_flight += n;
        queue->in_flight += n;
    }
    return code;
}

/* Entries are dated by the server's clock, the rest by ours. */
static bide_code ask_oldest(struct bide_redis_admin *admin, struct bide_queue_stats *queue, bide_error *error)
{
    struct bide_redis_args *args = &admin->args;
    int64_t now_ms = bide_wall_ms(admin->settings->clock), since_ms = 0;
    bide_redis_link_script(admin->link, args, BIDE_REDIS_OLDEST, 2);
    bide_redis_args_format(args, "{%s}:q:%s:ready", admin->settings->name_space, queue->name);
    bide_redis_args_format(args, "{%s}:q:%s:delayed", admin->settings->name_space, queue->name);
    bide_redis_args_int(args, now_ms);
    bide_code code = ask_number(admin, &since_ms, error);
    if (since_ms == -2)
        queue->oldest_ready_ms = BIDE_UNKNOWN_COUNT;
    else
        queue->oldest_ready_ms = since_ms == -1 || since_ms > now_ms ? 0 : now_ms - since_ms;
    return code;
}

static bide_code count_queue(struct bide_redis_admin *admin, struct bide_broker_stats *stats,
    struct bide_queue_stats *queue, bide_error *error)
{
    int64_t due = 0;
    begin_queue(admin, BIDE_REDIS_XLEN, queue->name, "ready");
    bide_code code = ask_number(admin, &queue->ready, error);
    begin_queue(admin, BIDE_REDIS_ZCARD, queue->name, "delayed");
    if (code == BIDE_OK)
        code = ask_number(admin, &queue->delayed, error);
    begin_queue(admin, BIDE_REDIS_ZCOUNT, queue->name, "delayed");
    bide_redis_args_text(&admin->args, "-inf");
    bide_redis_args_int(&admin->args, bide_wall_ms(admin->settings->clock));
    if (code == BIDE_OK)
        code = ask_number(admin, &due, error);
    bide_redis_args_begin(&admin->args, BIDE_REDIS_HGET);
    bide_redis_keys_one(&admin->args, admin->settings->name_space, "dead:count");
    bide_redis_args_text(&admin->args, queue->name);
    if (code == BIDE_OK)
        code = ask_number(admin, &queue->dead, error);
    bide_redis_args_begin(&admin->args, BIDE_REDIS_HGET);
    bide_redis_keys_one(&admin->args, admin->settings->name_space, "cancelled");
    bide_redis_args_text(&admin->args, queue->name);
    if (code == BIDE_OK)
        code = ask_number(admin, &queue->cancelled, error);
    if (code == BIDE_OK)
        code = count_consumers(admin, stats, queue, error);
    if (code == BIDE_OK)
        code = count_waiting(admin, stats, queue, error);
    if (code == BIDE_OK)
        code = count_claimed(admin, stats, queue, error);
    if (code == BIDE_OK)
        code = ask_oldest(admin, queue, error);
    queue->delayed -= due;
    queue->ready += due;
    return code;
}

/* A topic is among the queues from its first unrouted letter on, and of interest while there is one. */
static void leave_out_topics(struct bide_broker_stats *stats)
{
    size_t n = 0;
    for (size_t i = 0; i < stats->n_queues; i++)
        if (!bide_is_topic(stats->queues[i].name) || stats->queues[i].dead > 0)
            stats->queues[n++] = stats->queues[i];
    stats->n_queues = n;
}

bide_code bide_redis_admin_stats(
    struct bide_admin *base, struct bide_broker_stats *ret_stats, bide_error *error)
{
    struct bide_redis_admin *admin = (struct bide_redis_admin *)base;
    struct bide_broker_stats stats = {0};
    bide_code code = bide_redis_admin_connect(admin, error);
    if (code == BIDE_OK)
        code = list_queues(admin, &stats, error);
    if (code == BIDE_OK)
        code = list_workers(admin, &stats, error);
    for (size_t i = 0; code == BIDE_OK && i < stats.n_queues; i++) {
        code = count_queue(admin, &stats, &stats.queues[i], error);
        stats.delayed_total += stats.queues[i].delayed;
    }
    leave_out_topics(&stats);
    if (code == BIDE_OK)
        *ret_stats = stats;
    else
        bide_broker_stats_clear(&stats);
    return code;
}
