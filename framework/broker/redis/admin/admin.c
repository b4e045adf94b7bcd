#include "broker/redis/admin/admin.h"

#include "base/alloc.h"

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
        .dead_trim = bide_redis_admin_dead_trim,
        .find = bide_redis_admin_find,
        .change = bide_redis_admin_change,
        .export_each = bide_redis_admin_export_each,
        .dead_add = bide_redis_admin_dead_add,
        .same_place = bide_redis_admin_same_place,
        .verify = bide_redis_admin_verify,
        .join = bide_redis_admin_join,
        .leave = bide_redis_admin_leave,
        .subscriptions = bide_redis_admin_subscriptions,
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
