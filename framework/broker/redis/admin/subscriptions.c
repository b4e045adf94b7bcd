#include <stdlib.h>
#include <string.h>

#include "broker/redis/admin/admin.h"
#include "broker/redis/keys.h"

bide_code bide_redis_admin_join(struct bide_admin *base, const char *subscription, bide_error *error)
{
    struct bide_redis_admin *admin = (struct bide_redis_admin *)base;
    bide_code code = bide_redis_admin_connect(admin, error);
    if (code != BIDE_OK)
        return code;
    bide_redis_link_declare(admin->link, &admin->args, admin->settings->name_space, subscription, true);
    return bide_redis_admin_tell(admin, "joining a topic", error);
}

bide_code bide_redis_admin_leave(struct bide_admin *base, const char *subscription, bide_error *error)
{
    static const char *const more[] = {"queues", "cancelled", "dead:count"};
    struct bide_redis_admin *admin = (struct bide_redis_admin *)base;
    const char *name_space = admin->settings->name_space;
    bide_code code = bide_redis_admin_connect(admin, error);
    if (code != BIDE_OK)
        return code;
    bide_redis_link_script(admin->link, &admin->args, BIDE_REDIS_TOPIC_LEAVE, BIDE_REDIS_QUEUE_KEYS + 4);
    bide_redis_keys_queue(&admin->args, name_space, subscription);
    bide_redis_keys_subscriptions(&admin->args, name_space, subscription);
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++)
        bide_redis_keys_one(&admin->args, name_space, more[i]);
    bide_redis_args_text(&admin->args, subscription);
    return bide_redis_admin_tell(admin, "leaving a topic", error);
}

/* ---- listing ---- */

/* By topic, then by name. */
static int in_order(const void *a, const void *b)
{
    const char *left = (*(redisReply *const *)a)->str, *right = (*(redisReply *const *)b)->str;
    int order = strcmp(strchr(left, '@'), strchr(right, '@'));
    return order ? order : strcmp(left, right);
}

static bide_code is_joined(
    struct bide_redis_admin *admin, const char *subscription, bool *ret_joined, bide_error *error)
{
    int64_t n = 0;
    bide_redis_args_begin(&admin->args, BIDE_REDIS_SISMEMBER);
    bide_redis_keys_subscriptions(&admin->args, admin->settings->name_space, subscription);
    bide_redis_args_text(&admin->args, subscription);
    bide_code code = bide_redis_admin_number(admin, "listing subscriptions", &n, error);
    *ret_joined = n == 1;
    return code;
}

/* Leaves the names of subscriptions at the beginning of the list; returns how many. */
static size_t choose(redisReply *names)
{
    size_t n = 0;
    for (size_t i = 0; i < names->elements; i++) {
        redisReply *name = names->element[i];
        if (name->type != REDIS_REPLY_STRING || !bide_subscription_valid(name->str))
            continue;
        names->element[i] = names->element[n];
        names->element[n++] = name;
    }
    qsort(names->element, n, sizeof(redisReply *), in_order);
    return n;
}

/* Whatever was joined is among the queues, too. */
bide_code bide_redis_admin_subscriptions(
    struct bide_admin *base, bide_subscription_visit *visit, void *user, bide_error *error)
{
    struct bide_redis_admin *admin = (struct bide_redis_admin *)base;
    redisReply *names = NULL;
    bide_code code = bide_redis_admin_connect(admin, error);
    if (code == BIDE_OK) {
        bide_redis_args_begin(&admin->args, BIDE_REDIS_SMEMBERS);
        bide_redis_keys_one(&admin->args, admin->settings->name_space, "queues");
        code = bide_redis_admin_call(admin, "listing subscriptions", &names, error);
    }
    if (code != BIDE_OK)
        return code;
    bool more = true;
    for (size_t i = 0, n = choose(names); code == BIDE_OK && more && i < n; i++) {
        bool joined = false;
        code = is_joined(admin, names->element[i]->str, &joined, error);
        more = code != BIDE_OK || !joined || visit(user, names->element[i]->str);
    }
    freeReplyObject(names);
    return code;
}
