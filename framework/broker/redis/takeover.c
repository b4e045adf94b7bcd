#include "broker/redis/takeover.h"

#include "bide/log.h"
#include "broker/redis/identity.h"
#include "broker/redis/keys.h"

enum { BATCH = 200 };

/* All queues of the namespace: the lost worker may have served others than this one. */
static bide_code list_queues(const struct bide_redis_settings *settings, struct bide_redis_link *link,
    redisReply **ret_reply, bide_error *error)
{
    struct bide_redis_args args;
    bide_redis_args_init(&args);
    bide_redis_args_text(&args, "SMEMBERS");
    bide_redis_keys_one(&args, settings->name_space, "queues");
    bide_code code = bide_redis_link_call(link, &args, "listing the queues", ret_reply, NULL, error);
    bide_redis_args_release(&args);
    return code;
}

/* A script whose answer is a number. */
static bide_code call_number(struct bide_redis_link *link, const struct bide_redis_args *args,
    const char *doing, int64_t *ret_number, bide_error *error)
{
    redisReply *reply = NULL;
    bide_code code = bide_redis_link_call(link, args, doing, &reply, NULL, error);
    if (code != BIDE_OK)
        return code;
    *ret_number = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    freeReplyObject(reply);
    return BIDE_OK;
}

static bide_code take_over_queue(const struct bide_redis_settings *settings, struct bide_redis_link *link,
    const char *worker, const char *queue, int64_t *total, bide_error *error)
{
    struct bide_redis_args args;
    bide_redis_args_init(&args);
    bide_redis_link_script(link, &args, BIDE_REDIS_TAKE_OVER, BIDE_REDIS_QUEUE_KEYS + 2);
    bide_redis_keys_queue(&args, settings->name_space, queue);
    bide_redis_keys_one(&args, settings->name_space, "workers");
    bide_redis_keys_claimed(&args, settings->name_space, queue, worker);
    bide_redis_args_text(&args, worker);
    bide_redis_args_text(&args, queue);
    bide_redis_keys_wake(&args, settings->name_space);
    bide_redis_args_int(&args, BATCH);
    bide_code code = BIDE_OK;
    for (int64_t moved = 1; code == BIDE_OK && moved > 0;) {
        code = call_number(link, &args, "taking over", &moved, error);
        *total += code == BIDE_OK ? moved : 0;
    }
    bide_redis_args_release(&args);
    return code;
}

static bide_code forget_worker(const struct bide_redis_settings *settings, struct bide_redis_link *link,
    const char *worker, bide_error *error)
{
    struct bide_redis_args args;
    bide_redis_args_init(&args);
    bide_redis_args_text(&args, "SREM");
    bide_redis_keys_one(&args, settings->name_space, "lost");
    bide_redis_args_text(&args, worker);
    int64_t n = 0;
    bide_code code = call_number(link, &args, "forgetting a worker", &n, error);
    bide_redis_args_release(&args);
    return code;
}

bide_code bide_redis_take_over(const struct bide_redis_settings *settings, struct bide_redis_link *link,
    const char *worker, bide_error *error)
{
    redisReply *queues = NULL;
    int64_t total = 0;
    bide_code code = list_queues(settings, link, &queues, error);
    if (code != BIDE_OK)
        return code;
    for (size_t i = 0; code == BIDE_OK && i < queues->elements; i++)
        code = take_over_queue(settings, link, worker, queues->element[i]->str, &total, error);
    freeReplyObject(queues);
    if (code == BIDE_OK)
        code = forget_worker(settings, link, worker, error);
    if (code == BIDE_OK && total > 0)
        bide_log(BIDE_LOG_INFO, "redis: gave back what a worker had in hand", BIDE_STR("worker", worker),
            BIDE_INT("messages", total));
    return code;
}

bide_code bide_redis_leave(const struct bide_redis_settings *settings, struct bide_redis_link *link,
    const char *worker, bide_error *error)
{
    struct bide_redis_args args;
    bide_redis_args_init(&args);
    bide_redis_link_script(link, &args, BIDE_REDIS_LEAVE, 3);
    bide_redis_keys_one(&args, settings->name_space, "workers");
    bide_redis_args_format(&args, "{%s}:alive:%s", settings->name_space, worker);
    bide_redis_keys_one(&args, settings->name_space, "lost");
    bide_redis_args_text(&args, worker);
    int64_t n = 0;
    bide_code code = call_number(link, &args, "leaving", &n, error);
    bide_redis_args_release(&args);
    return code == BIDE_OK ? bide_redis_take_over(settings, link, worker, error) : code;
}

bide_code bide_redis_bury_neighbours(
    const struct bide_redis_settings *settings, struct bide_redis_link *link, bide_error *error)
{
    redisReply *workers = NULL;
    struct bide_redis_args args;
    bide_redis_args_init(&args);
    bide_redis_args_text(&args, "HKEYS");
    bide_redis_keys_one(&args, settings->name_space, "workers");
    bide_code code = bide_redis_link_call(link, &args, "listing the workers", &workers, NULL, error);
    bide_redis_args_release(&args);
    if (code != BIDE_OK)
        return code;
    for (size_t i = 0; code == BIDE_OK && i < workers->elements; i++)
        if (bide_redis_identity_is_gone(workers->element[i]->str))
            code = bide_redis_leave(settings, link, workers->element[i]->str, error);
    freeReplyObject(workers);
    return code;
}

bide_code bide_redis_find_orphans(
    const struct bide_redis_settings *settings, struct bide_redis_link *link, bide_error *error)
{
    redisReply *queues = NULL;
    struct bide_redis_args args;
    bide_code code = list_queues(settings, link, &queues, error);
    if (code != BIDE_OK)
        return code;
    bide_redis_args_init(&args);
    for (size_t i = 0; code == BIDE_OK && i < queues->elements; i++) {
        bide_redis_link_script(link, &args, BIDE_REDIS_ORPHANS, BIDE_REDIS_QUEUE_KEYS + 2);
        bide_redis_keys_queue(&args, settings->name_space, queues->element[i]->str);
        bide_redis_keys_one(&args, settings->name_space, "workers");
        bide_redis_keys_one(&args, settings->name_space, "lost");
        bide_redis_args_text(&args, queues->element[i]->str);
        bide_redis_keys_wake(&args, settings->name_space);
        int64_t found = 0;
        code = call_number(link, &args, "looking for orphans", &found, error);
    }
    bide_redis_args_release(&args);
    freeReplyObject(queues);
    return code;
}
