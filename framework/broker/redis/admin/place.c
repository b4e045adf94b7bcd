/* Are two connections to one place? A mark that one leaves is seen by the other. */
#include <string.h>

#include "broker/redis/admin/admin.h"
#include "broker/redis/keys.h"

enum { MARK_MS = 60 * 1000 }; /* it goes by itself, should we be killed */

static const char comparing[] = "comparing two places";

static void begin(struct bide_redis_admin *admin, enum bide_redis_command_name command)
{
    bide_redis_args_begin(&admin->args, command);
    bide_redis_keys_one(&admin->args, admin->settings->name_space, "place");
}

static bide_code put_mark(struct bide_redis_admin *admin, const char *mark, bide_error *error)
{
    begin(admin, BIDE_REDIS_SET);
    bide_redis_args_text(&admin->args, mark);
    bide_redis_args_text(&admin->args, "PX");
    bide_redis_args_int(&admin->args, MARK_MS);
    return bide_redis_admin_tell(admin, comparing, error);
}

static bide_code sees_mark(
    struct bide_redis_admin *admin, const char *mark, bool *ret_sees, bide_error *error)
{
    redisReply *reply = NULL;
    begin(admin, BIDE_REDIS_GET);
    bide_code code = bide_redis_admin_call(admin, comparing, &reply, error);
    if (code != BIDE_OK)
        return code;
    *ret_sees = reply->type == REDIS_REPLY_STRING && strcmp(reply->str, mark) == 0;
    freeReplyObject(reply);
    return BIDE_OK;
}

bide_code bide_redis_admin_same_place(
    struct bide_admin *base, struct bide_admin *other_base, bool *ret_same, bide_error *error)
{
    struct bide_redis_admin *admin = (struct bide_redis_admin *)base;
    struct bide_redis_admin *other = (struct bide_redis_admin *)other_base;
    char mark[BIDE_ID_TEXT];
    bide_id_generate(mark, bide_clock_system());
    bide_code code = bide_redis_admin_connect(admin, error);
    if (code == BIDE_OK)
        code = bide_redis_admin_connect(other, error);
    if (code == BIDE_OK)
        code = put_mark(admin, mark, error);
    if (code == BIDE_OK)
        code = sees_mark(other, mark, ret_same, error);
    if (code != BIDE_OK)
        return code;
    begin(admin, BIDE_REDIS_DEL);
    return bide_redis_admin_tell(admin, comparing, error);
}
