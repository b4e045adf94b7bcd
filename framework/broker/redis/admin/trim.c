/* Dropping the dead letters that the retention no longer allows: page by page from the oldest on. A page is
 * one script, so that several who do this at once never drop more than is to go. */
#include "broker/redis/admin/admin.h"
#include "broker/redis/keys.h"

enum { PAGE = 100 };

struct page {
    int64_t dropped, seen, more;
};

static int64_t number_at(const redisReply *reply, size_t i)
{
    bool is_there = reply->type == REDIS_REPLY_ARRAY && i < reply->elements;
    return is_there && reply->element[i]->type == REDIS_REPLY_INTEGER ? reply->element[i]->integer : 0;
}

static bide_code trim_page(struct bide_redis_admin *admin, const struct bide_dead_bounds *bounds,
    int64_t first, struct page *ret_page, bide_error *error)
{
    struct bide_redis_args *args = &admin->args;
    redisReply *reply = NULL;
    bide_redis_link_script(admin->link, args, BIDE_REDIS_TRIM, BIDE_REDIS_DEAD_KEYS);
    bide_redis_keys_dead(args, admin->settings->name_space);
    bide_redis_args_int(args, bounds->died_before_ms);
    bide_redis_args_int(args, bounds->max_count);
    bide_redis_args_int(args, first);
    bide_redis_args_int(args, PAGE);
    bide_code code = bide_redis_admin_call(admin, "dropping old dead letters", &reply, error);
    if (code != BIDE_OK)
        return code;
    *ret_page = (struct page){number_at(reply, 0), number_at(reply, 1), number_at(reply, 2)};
    freeReplyObject(reply);
    return BIDE_OK;
}

bide_code bide_redis_admin_dead_trim(struct bide_admin *base, const struct bide_dead_bounds *bounds,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error)
{
    struct bide_redis_admin *admin = (struct bide_redis_admin *)base;
    struct page page = {.more = 1};
    int64_t first = 0;
    *ret_n = 0;
    bide_code code = bide_redis_admin_connect(admin, error);
    while (code == BIDE_OK && page.more) {
        code = trim_page(admin, bounds, first, &page, error);
        if (code != BIDE_OK)
            return code;
        first += page.seen - page.dropped;
        *ret_n += (uint64_t)page.dropped;
        if (progress && !progress(user, *ret_n, *ret_n))
            break;
    }
    return code;
}
