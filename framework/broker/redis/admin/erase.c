#include "broker/redis/admin/admin.h"
#include "broker/redis/keys.h"

/* What belongs to a queue: its own keys, and what any worker has claimed of it. */
static bide_code erase_queue(struct bide_redis_admin *admin, const struct bide_broker_stats *stats,
    const char *queue, bide_error *error)
{
    const char *name_space = admin->settings->name_space;
    bide_redis_args_begin(&admin->args, BIDE_REDIS_DEL);
    bide_redis_keys_queue(&admin->args, name_space, queue);
    if (bide_queue_topic(queue))
        bide_redis_keys_subscriptions(&admin->args, name_space, queue);
    for (size_t i = 0; i < stats->n_workers; i++)
        bide_redis_keys_claimed(&admin->args, name_space, queue, stats->workers[i].name);
    return bide_redis_admin_tell(admin, "deleting a queue", error);
}

/* The rest, at last: it says what there is to delete, should this be the second attempt. */
static bide_code erase_rest(
    struct bide_redis_admin *admin, const struct bide_broker_stats *stats, bide_error *error)
{
    static const char *const names[] = {"queues", "seq", "workers", "lost", "pulse", "judged", "cancelled"};
    const char *name_space = admin->settings->name_space;
    bide_redis_args_begin(&admin->args, BIDE_REDIS_DEL);
    bide_redis_keys_dead(&admin->args, name_space);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        bide_redis_keys_one(&admin->args, name_space, names[i]);
    for (size_t i = 0; i < stats->n_workers; i++)
        bide_redis_args_format(&admin->args, "{%s}:alive:%s", name_space, stats->workers[i].name);
    return bide_redis_admin_tell(admin, "deleting a namespace", error);
}

bide_code bide_redis_admin_erase(struct bide_admin *base, bide_error *error)
{
    struct bide_redis_admin *admin = (struct bide_redis_admin *)base;
    struct bide_broker_stats stats;
    bide_code code = bide_redis_admin_stats(base, &stats, error);
    if (code != BIDE_OK)
        return code;
    for (size_t i = 0; code == BIDE_OK && i < stats.n_queues; i++)
        code = erase_queue(admin, &stats, stats.queues[i].name, error);
    if (code == BIDE_OK)
        code = erase_rest(admin, &stats, error);
    bide_broker_stats_clear(&stats);
    return code;
}
