#include "broker/redis/admin/admin.h"

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
