#include "broker/redis/admin/admin.h"

#include <string.h>

#include "base/alloc.h"
#include "broker/redis/keys.h"

bide_code bide_redis_admin_connect(struct bide_redis_admin *admin, bide_error *error)
{
    if (admin->link) { /* may have been idle for hours */
        redisReply *reply = NULL;
        bide_redis_args_begin(&admin->args, BIDE_REDIS_PING);
        if (bide_redis_admin_call(admin, "looking", &reply, NULL) == BIDE_OK)
            freeReplyObject(reply);
    }
    if (admin->link)
        return BIDE_OK;
    return bide_redis_link_create(admin->settings, true, &admin->host, &admin->link, NULL, error);
}

bide_code bide_redis_admin_call(
    struct bide_redis_admin *admin, const char *doing, redisReply **ret_reply, bide_error *error)
{
    if (!admin->link)
        return bide_fail(error, BIDE_E_BROKER, "%s: connection lost", admin->settings->shown);
    enum bide_redis_action action = BIDE_REDIS_RECONNECT;
    bide_code code = bide_redis_link_call(admin->link, &admin->args, doing, ret_reply, &action, error);
    if (code != BIDE_OK && action == BIDE_REDIS_RECONNECT) {
        bide_redis_link_destroy(admin->link);
        admin->link = NULL;
    }
    return code;
}

static void admin_destroy(struct bide_admin *base)
{
    struct bide_redis_admin *admin = (struct bide_redis_admin *)base;
    bide_redis_link_destroy(admin->link);
    bide_redis_args_release(&admin->args);
    bide_redis_settings_destroy(admin->settings);
    bide_free(admin);
}

bide_code bide_redis_open_admin(
    const struct bide_broker_options *options, struct bide_admin **ret_admin, bide_error *error)
{
    static const struct bide_admin_ops ops = {
        .stats = bide_redis_admin_stats,
        .dead_each = bide_redis_admin_dead_each,
        .dead_retry = bide_redis_admin_dead_retry,
        .dead_drop = bide_redis_admin_dead_drop,
        .export_each = bide_redis_admin_export_each,
        .dead_add = bide_redis_admin_dead_add,
        .same_place = bide_redis_admin_same_place,
        .verify = bide_redis_admin_verify,
        .erase = bide_redis_admin_erase,
        .destroy = admin_destroy,
    };
    struct bide_redis_admin *admin = bide_calloc(1, sizeof *admin);
    if (!admin)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    admin->base.ops = &ops;
    bide_redis_args_init(&admin->args);
    bide_code code = bide_redis_settings_create(options, &admin->settings, error);
    if (code == BIDE_OK)
        code = bide_redis_admin_connect(admin, error);
    if (code == BIDE_OK)
        *ret_admin = &admin->base;
    else
        admin_destroy(&admin->base);
    return code;
}
