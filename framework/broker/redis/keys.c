#include "broker/redis/keys.h"

#include "base/names.h"

void bide_redis_keys_queue(struct bide_redis_args *args, const char *name_space, const char *queue)
{
    static const char *const parts[BIDE_REDIS_QUEUE_KEYS] = {"ready", "delayed", "held", "waiting", "alarm"};
    for (size_t i = 0; i < BIDE_REDIS_QUEUE_KEYS; i++)
        bide_redis_args_format(args, "{%s}:q:%s:%s", name_space, queue, parts[i]);
}

void bide_redis_keys_dead(struct bide_redis_args *args, const char *name_space)
{
    static const char *const parts[BIDE_REDIS_DEAD_KEYS] = {"dead", "dead:held", "dead:count"};
    for (size_t i = 0; i < BIDE_REDIS_DEAD_KEYS; i++)
        bide_redis_keys_one(args, name_space, parts[i]);
}

void bide_redis_keys_claimed(
    struct bide_redis_args *args, const char *name_space, const char *queue, const char *worker)
{
    bide_redis_args_format(args, "{%s}:q:%s:claimed:%s", name_space, queue, worker);
}

void bide_redis_keys_subscriptions(struct bide_redis_args *args, const char *name_space, const char *queue)
{
    bide_redis_args_format(args, "{%s}:q:@%s:subscriptions", name_space, bide_queue_topic(queue));
}

void bide_redis_keys_one(struct bide_redis_args *args, const char *name_space, const char *name)
{
    bide_redis_args_format(args, "{%s}:%s", name_space, name);
}

void bide_redis_keys_wake(struct bide_redis_args *args, const char *name_space)
{
    bide_redis_args_format(args, "{%s}:wake:", name_space);
}
