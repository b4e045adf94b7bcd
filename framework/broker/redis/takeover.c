#include "broker/redis/takeover.h"

#include <stdio.h>
#include <string.h>

#include "bide/log.h"
#include "broker/redis/identity.h"
#include "broker/redis/keys.h"

enum { BATCH = 200, REFUSED_MS = 30 * 1000 };

/* All queues of the namespace: the lost worker may have served others than this one. */
static bide_code list_queues(const struct bide_redis_settings *settings, struct bide_redis_link *link,
    redisReply **ret_reply, bide_error *error)
{
    struct bide_redis_args args;
    bide_redis_args_init(&args);
    bide_redis_args_begin(&args, BIDE_REDIS_SMEMBERS);
    bide_redis_keys_one(&args, settings->name_space, "queues");
    bide_code code = bide_redis_link_call(link, &args, "listing the queues", ret_reply, NULL, error);
    bide_redis_args_release(&args);
    return code;
}

static bide_code between(const struct bide_redis_taker *taker, bide_error *error)
{
    return taker->between ? taker->between(taker->user, error) : BIDE_OK;
}

/* A command whose answer is a number. *ret_refused (may be NULL): the server refuses it, and is else well. */
static bide_code call_number(const struct bide_redis_taker *taker, const struct bide_redis_args *args,
    const char *doing, int64_t *ret_number, bool *ret_refused, bide_error *error)
{
    redisReply *reply = NULL;
    enum bide_redis_action action = BIDE_REDIS_RECONNECT;
    bide_code code = between(taker, error);
    if (code == BIDE_OK)
        code = bide_redis_link_call(taker->link, args, doing, &reply, &action, error);
    if (code != BIDE_OK) {
        if (ret_refused)
            *ret_refused = action == BIDE_REDIS_APART;
        return code;
    }
    *ret_number = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    freeReplyObject(reply);
    return BIDE_OK;
}

/* *ret_whole is cleared where a queue was passed over. */
static bide_code take_over_queue(const struct bide_redis_taker *taker, const char *worker, const char *queue,
    int64_t *total, bool *ret_whole, bide_error *error)
{
    const char *name_space = taker->settings->name_space;
    bool refused = false;
    struct bide_redis_args args;
    bide_redis_args_init(&args);
    bide_redis_link_script(taker->link, &args, BIDE_REDIS_TAKE_OVER, BIDE_REDIS_QUEUE_KEYS + 2);
    bide_redis_keys_queue(&args, name_space, queue);
    bide_redis_keys_one(&args, name_space, "workers");
    bide_redis_keys_claimed(&args, name_space, queue, worker);
    bide_redis_args_text(&args, worker);
    bide_redis_args_text(&args, queue);
    bide_redis_keys_wake(&args, name_space);
    bide_redis_args_int(&args, BATCH);
    bide_code code = BIDE_OK;
    for (int64_t moved = 1; code == BIDE_OK && moved > 0;) {
        code = call_number(taker, &args, "taking over", &moved, &refused, error);
        *total += code == BIDE_OK ? moved : 0;
    }
    bide_redis_args_release(&args);
    if (!refused)
        return code;
    *ret_whole = false;
    bide_log(
        BIDE_LOG_WARN, "redis: a queue is refused", BIDE_STR("queue", queue), BIDE_STR("error", error->text));
    return BIDE_OK;
}

static bide_code forget_worker(const struct bide_redis_taker *taker, const char *worker, bide_error *error)
{
    struct bide_redis_args args;
    bide_redis_args_init(&args);
    bide_redis_args_begin(&args, BIDE_REDIS_SREM);
    bide_redis_keys_one(&args, taker->settings->name_space, "lost");
    bide_redis_args_text(&args, worker);
    int64_t n = 0;
    bide_code code = call_number(taker, &args, "forgetting a worker", &n, NULL, error);
    bide_redis_args_release(&args);
    return code;
}

bool bide_redis_is_refused(const struct bide_redis_refused *refused, const char *worker, int64_t now_ms)
{
    for (size_t i = 0; i < BIDE_REDIS_REFUSED; i++)
        if (strcmp(worker, refused->rows[i].worker) == 0 && now_ms < refused->rows[i].until_ms)
            return true;
    return false;
}

void bide_redis_refuse(struct bide_redis_refused *refused, const char *worker, int64_t now_ms)
{
    size_t at = refused->next++ % BIDE_REDIS_REFUSED;
    snprintf(refused->rows[at].worker, sizeof refused->rows[at].worker, "%s", worker);
    refused->rows[at].until_ms = now_ms + REFUSED_MS;
}

bide_code bide_redis_take_over(
    const struct bide_redis_taker *taker, const char *worker, bool *ret_whole, bide_error *error)
{
    redisReply *queues = NULL;
    int64_t total = 0;
    bool whole = true;
    bide_code code = list_queues(taker->settings, taker->link, &queues, error);
    if (code != BIDE_OK)
        return code;
    for (size_t i = 0; code == BIDE_OK && i < queues->elements; i++)
        code = take_over_queue(taker, worker, queues->element[i]->str, &total, &whole, error);
    freeReplyObject(queues);
    if (code == BIDE_OK && whole)
        code = forget_worker(taker, worker, error);
    if (code == BIDE_OK && total > 0)
        bide_log(BIDE_LOG_INFO, "redis: gave back what a worker had in hand", BIDE_STR("worker", worker),
            BIDE_INT("messages", total));
    *ret_whole = whole;
    return code;
}

bide_code bide_redis_list_lost(const struct bide_redis_taker *taker, const char *worker, bide_error *error)
{
    const char *name_space = taker->settings->name_space;
    struct bide_redis_args args;
    bide_redis_args_init(&args);
    bide_redis_link_script(taker->link, &args, BIDE_REDIS_LEAVE, 3);
    bide_redis_keys_one(&args, name_space, "workers");
    bide_redis_args_format(&args, "{%s}:alive:%s", name_space, worker);
    bide_redis_keys_one(&args, name_space, "lost");
    bide_redis_args_text(&args, worker);
    int64_t n = 0;
    bide_code code = call_number(taker, &args, "leaving", &n, NULL, error);
    bide_redis_args_release(&args);
    return code;
}

bide_code bide_redis_leave(const struct bide_redis_taker *taker, const char *worker, bide_error *error)
{
    bool whole;
    bide_code code = bide_redis_list_lost(taker, worker, error);
    return code == BIDE_OK ? bide_redis_take_over(taker, worker, &whole, error) : code;
}

bide_code bide_redis_bury_neighbours(const struct bide_redis_taker *taker, bide_error *error)
{
    redisReply *workers = NULL;
    struct bide_redis_args args;
    bide_redis_args_init(&args);
    bide_redis_args_begin(&args, BIDE_REDIS_HKEYS);
    bide_redis_keys_one(&args, taker->settings->name_space, "workers");
    bide_code code = bide_redis_link_call(taker->link, &args, "listing the workers", &workers, NULL, error);
    bide_redis_args_release(&args);
    if (code != BIDE_OK)
        return code;
    for (size_t i = 0; code == BIDE_OK && i < workers->elements; i++)
        if (bide_redis_identity_is_gone(workers->element[i]->str))
            code = bide_redis_leave(taker, workers->element[i]->str, error);
    freeReplyObject(workers);
    return code;
}

static bide_code find_orphans_of(
    const struct bide_redis_taker *taker, struct bide_redis_args *args, const char *queue, bide_error *error)
{
    const char *name_space = taker->settings->name_space;
    bool refused = false;
    int64_t found = 0;
    bide_redis_link_script(taker->link, args, BIDE_REDIS_ORPHANS, BIDE_REDIS_QUEUE_KEYS + 2);
    bide_redis_keys_queue(args, name_space, queue);
    bide_redis_keys_one(args, name_space, "workers");
    bide_redis_keys_one(args, name_space, "lost");
    bide_redis_args_text(args, queue);
    bide_redis_keys_wake(args, name_space);
    bide_code code = call_number(taker, args, "looking for orphans", &found, &refused, error);
    if (!refused)
        return code;
    bide_log(
        BIDE_LOG_WARN, "redis: a queue is refused", BIDE_STR("queue", queue), BIDE_STR("error", error->text));
    return BIDE_OK;
}

bide_code bide_redis_find_orphans(const struct bide_redis_taker *taker, bide_error *error)
{
    struct bide_redis_args args;
    bide_code code = BIDE_OK;
    bide_redis_args_init(&args);
    for (size_t i = 0; code == BIDE_OK && i < taker->settings->n_queues; i++)
        code = find_orphans_of(taker, &args, taker->settings->queues[i], error);
    bide_redis_args_release(&args);
    return code;
}
