#include "broker/redis/admin/admin.h"

bide_code bide_redis_admin_connect(struct bide_redis_admin *admin, bide_error *error)
{
    if (admin->link) { /* may have been idle for hours */
        bide_redis_args_begin(&admin->args, BIDE_REDIS_PING);
        bide_redis_admin_tell(admin, "looking", NULL);
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

bide_code bide_redis_admin_tell(struct bide_redis_admin *admin, const char *doing, bide_error *error)
{
    redisReply *reply = NULL;
    bide_code code = bide_redis_admin_call(admin, doing, &reply, error);
    if (code == BIDE_OK)
        freeReplyObject(reply);
    return code;
}

bide_code bide_redis_admin_number(
    struct bide_redis_admin *admin, const char *doing, int64_t *ret_n, bide_error *error)
{
    redisReply *reply = NULL;
    bide_code code = bide_redis_admin_call(admin, doing, &reply, error);
    if (code != BIDE_OK)
        return code;
    *ret_n = reply->type == REDIS_REPLY_INTEGER ? reply->integer : 0;
    freeReplyObject(reply);
    return BIDE_OK;
}

bide_code bide_redis_admin_ask(struct bide_redis_admin *admin, redisReply **ret_reply, bide_error *error)
{
    bide_code code = bide_redis_link_append(admin->link, &admin->args, error);
    return code == BIDE_OK ? bide_redis_link_reply(admin->link, ret_reply, error) : code;
}
