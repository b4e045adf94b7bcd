/* broker/redis/keys.h: the names of all keys. One hash tag a namespace keeps them on one node of a cluster.
 *
 *   {ns}:queues              set      every queue that was ever used
 *   {ns}:seq                 integer  source of tokens
 *   {ns}:q:Q:ready           stream   messages to run now; its group `bide` knows who has which in hand
 *   {ns}:q:Q:delayed         zset     token -> due ms of messages to run later
 *   {ns}:q:Q:held            hash     token -> message, of the delayed and of those claimed out of it
 *   {ns}:q:Q:claimed:W       zset     token -> due ms in worker W's hands
 *   {ns}:q:Q:waiting         set      workers to be woken for this queue: each claims, or passes it on
 *   {ns}:q:Q:alarm           string   the waiting worker that claims when the earliest delayed one is near
 *   {ns}:q:@T:subscriptions  set      of topic T: the queues SUB@T that get a copy of what is sent to it
 *   {ns}:workers             hash     worker -> what it calls itself; who is in here owns what it claimed
 *   {ns}:alive:W             string   Unix ms of W's last heartbeat; expires when W stops beating
 *   {ns}:lost                set      workers whose messages are being taken over
 *   {ns}:pulse               string   expires when no worker beats
 *   {ns}:judged              string   while it is there nobody looks for dead workers
 *   {ns}:dead                zset     token -> died ms
 *   {ns}:dead:held           hash     token -> message
 *   {ns}:dead:count          hash     queue -> how many
 *   {ns}:cancelled           hash     queue -> how many were cancelled, ever
 *   {ns}:place               string   a mark, while `bide move` compares two places
 *   {ns}:wake:W              channel  wakes W; says the queue
 *
 * A message is stored as text lines, an empty line, and the body (wire.h); in a stream it is the field "m".
 * Any thread. */
#ifndef BIDE_REDIS_KEYS_H
#define BIDE_REDIS_KEYS_H

#include "broker/redis/args.h"

/* The keys of one queue, in the order in which every script takes them. */
enum { BIDE_REDIS_QUEUE_KEYS = 5, BIDE_REDIS_DEAD_KEYS = 3 };

/* Adds ready, delayed, held, waiting, alarm. */
void bide_redis_keys_queue(struct bide_redis_args *args, const char *name_space, const char *queue);
/* Adds dead, dead:held, dead:count. */
void bide_redis_keys_dead(struct bide_redis_args *args, const char *name_space);
void bide_redis_keys_claimed(
    struct bide_redis_args *args, const char *name_space, const char *queue, const char *worker);
/* Of the topic of "SUB@TOPIC" or "@TOPIC". */
void bide_redis_keys_subscriptions(struct bide_redis_args *args, const char *name_space, const char *queue);
/* {ns}:<name> */
void bide_redis_keys_one(struct bide_redis_args *args, const char *name_space, const char *name);
/* What a worker's name is put behind: "{ns}:wake:". */
void bide_redis_keys_wake(struct bide_redis_args *args, const char *name_space);

#endif
