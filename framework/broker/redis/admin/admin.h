/* broker/redis/admin/admin.h: looking at a namespace and mending it. One thread at a time; every call waits
 * for its answers and makes a lost connection anew once. */
#ifndef BIDE_REDIS_ADMIN_H
#define BIDE_REDIS_ADMIN_H

#include "broker/broker.h"
#include "broker/redis/link.h"

struct bide_redis_admin {
    struct bide_admin base;
    struct bide_redis_settings *settings;
    struct bide_redis_link *link; /* NULL: lost */
    size_t host;
    struct bide_redis_args args;
};

bide_code bide_redis_open_admin(
    const struct bide_broker_options *options, struct bide_admin **ret_admin, bide_error *error);

/* Sends the command in `args` and waits for a good answer (freeReplyObject it); gives the link up when it
 * fails. */
bide_code bide_redis_admin_call(
    struct bide_redis_admin *admin, const char *doing, redisReply **ret_reply, bide_error *error);
/* The same of a command whose answer only says that it was done. */
bide_code bide_redis_admin_tell(struct bide_redis_admin *admin, const char *doing, bide_error *error);
/* The same of a command that answers with a number; any other answer is 0. */
bide_code bide_redis_admin_number(
    struct bide_redis_admin *admin, const char *doing, int64_t *ret_n, bide_error *error);
/* The same where the server's refusal is an answer, too (REDIS_REPLY_ERROR). */
bide_code bide_redis_admin_ask(struct bide_redis_admin *admin, redisReply **ret_reply, bide_error *error);
/* Makes sure that there is a link: at the beginning of each operation. */
bide_code bide_redis_admin_connect(struct bide_redis_admin *admin, bide_error *error);

bide_code bide_redis_admin_stats(
    struct bide_admin *admin, struct bide_broker_stats *ret_stats, bide_error *error);
bide_code bide_redis_admin_dead_each(struct bide_admin *admin, const struct bide_dead_filter *filter,
    bide_dead_visit *visit, void *user, bide_error *error);
bide_code bide_redis_admin_dead_retry(struct bide_admin *admin, const struct bide_dead_filter *filter,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error);
bide_code bide_redis_admin_dead_drop(struct bide_admin *admin, const struct bide_dead_filter *filter,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error);
bide_code bide_redis_admin_export_each(
    struct bide_admin *admin, const char *queue, bide_export_visit *visit, void *user, bide_error *error);
bide_code bide_redis_admin_same_place(
    struct bide_admin *admin, struct bide_admin *other, bool *ret_same, bide_error *error);
bide_code bide_redis_admin_dead_add(
    struct bide_admin *admin, const struct bide_dead_letter *letters, size_t n, bide_error *error);
bide_code bide_redis_admin_verify(
    struct bide_admin *admin, bide_finding_sink *sink, void *user, bide_error *error);
bide_code bide_redis_admin_erase(struct bide_admin *admin, bide_error *error);
bide_code bide_redis_admin_join(struct bide_admin *base, const char *subscription, bide_error *error);
bide_code bide_redis_admin_leave(struct bide_admin *base, const char *subscription, bide_error *error);
bide_code bide_redis_admin_subscriptions(
    struct bide_admin *base, bide_subscription_visit *visit, void *user, bide_error *error);
bide_code bide_redis_admin_dead_trim(struct bide_admin *base, const struct bide_dead_bounds *bounds,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error);
bide_code bide_redis_admin_find(struct bide_admin *base, const bide_selection *selection,
    char cursor[BIDE_CURSOR_SIZE], bide_found_visit *visit, void *user, bide_error *error);
bide_code bide_redis_admin_change(struct bide_admin *base, const bide_selection *selection,
    const struct bide_change *change, bide_error *error);

#endif
