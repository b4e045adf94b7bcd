/* broker/redis/link.h: one connection, ready to be used: connected, authenticated, database chosen, scripts
 * loaded.
 *
 * Two ways of use. Waiting (senders, admins, the keeper): append commands, then bide_redis_link_reply for
 * each. Not waiting (a worker's intake): after bide_redis_link_unblock, bide_redis_link_flush and
 * bide_redis_link_read move bytes, and bide_redis_link_next takes what has arrived. Any failure but an error
 * reply ends the link: destroy it. Thread-safety: one thread at a time; may be handed to another. */
#ifndef BIDE_REDIS_LINK_H
#define BIDE_REDIS_LINK_H

#include <stdbool.h>

#include <hiredis/hiredis.h>

#include "bide/error.h"
#include "broker/redis/args.h"
#include "broker/redis/scripts/scripts.h"
#include "broker/redis/settings.h"

struct bide_redis_link;

/* Fills the error from an error reply, with what to do about it; returns its code. */
bide_code bide_redis_reply_fail(
    const struct bide_redis_settings *settings, const char *text, const char *doing, bide_error *error);

/* Tries each host once, beginning with the *host-th; a replica is passed over when `master` is set. On
 * success *host is the one connected to. *ret_action (may be NULL) is written on failure only. */
bide_code bide_redis_link_create(const struct bide_redis_settings *settings, bool master, size_t *host,
    struct bide_redis_link **ret_link, enum bide_redis_action *ret_action, bide_error *error);
void bide_redis_link_destroy(struct bide_redis_link *link); /* NULL is fine */

/* Begins a command: EVALSHA of a script of the settings' set, with n_keys keys. */
void bide_redis_link_script(
    const struct bide_redis_link *link, struct bide_redis_args *args, unsigned script, int n_keys);
/* Adds to a script that stores messages the mark of its tokens: eight characters that no other command has.
 */
void bide_redis_link_mark(struct bide_redis_link *link, struct bide_redis_args *args);
/* Queues a command to be sent; it was begun with a row of a table (commands.h, scripts.h). */
bide_code bide_redis_link_append(
    struct bide_redis_link *link, const struct bide_redis_args *args, bide_error *error);
/* Sends what is queued and waits for the next reply (freeReplyObject it). An error reply is BIDE_OK here. */
bide_code bide_redis_link_reply(struct bide_redis_link *link, redisReply **ret_reply, bide_error *error);
/* append and reply in one; an error reply is a failure: *ret_action (may be NULL) says what is to
 * be done. */
bide_code bide_redis_link_call(struct bide_redis_link *link, const struct bide_redis_args *args,
    const char *doing, redisReply **ret_reply, enum bide_redis_action *ret_action, bide_error *error);

/* The script that declares a queue, as a subscription that joins its topic, too, in `args`. */
void bide_redis_link_declare(struct bide_redis_link *link, struct bide_redis_args *args,
    const char *name_space, const char *queue, bool joins);

/* From now on the link does not wait. */
bide_code bide_redis_link_unblock(struct bide_redis_link *link, bide_error *error);
int bide_redis_link_fd(const struct bide_redis_link *link);
/* Sends and reads what goes without waiting. *ret_unsent: something is left to be sent. */
bide_code bide_redis_link_flush(struct bide_redis_link *link, bool *ret_unsent, bide_error *error);
bide_code bide_redis_link_read(struct bide_redis_link *link, bide_error *error);
/* The next reply that has arrived whole, or NULL. */
bide_code bide_redis_link_next(struct bide_redis_link *link, redisReply **ret_reply, bide_error *error);

#endif
