/* bare_redis HOST PORT MESSAGES SEND_BATCH DRAIN_BATCH: what Redis and hiredis do without bide, in plain
 * loops.
 *
 * Sending: XADD, SEND_BATCH commands a round trip. Draining: XREADGROUP COUNT DRAIN_BATCH, then XACK and XDEL
 * of those, two round trips a batch. Works on a key of its own, which it removes. Compare only with runs on
 * the same machine at the same time. Exit: 0 done, 64 usage, 69 server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <hiredis/hiredis.h>

#include "bare.h"

enum { BATCH_MAX = 1000, BODY_BYTES = 256 };

static const char key[] = "bide-bench:bare";

static redisReply *reply_of(redisContext *redis)
{
    void *reply = NULL;
    if (redisGetReply(redis, &reply) != REDIS_OK || ((redisReply *)reply)->type == REDIS_REPLY_ERROR) {
        fprintf(stderr, "bare_redis: %s\n", reply ? ((redisReply *)reply)->str : redis->errstr);
        exit(69);
    }
    return reply;
}

static void skip_replies(redisContext *redis, long n)
{
    while (n-- > 0)
        freeReplyObject(reply_of(redis));
}

static void send_all(redisContext *redis, long n, long batch, const char *body, size_t size)
{
    for (long sent = 0; sent < n; sent += batch) {
        for (long i = 0; i < batch; i++)
            redisAppendCommand(redis, "XADD %s * m %b", key, body, size);
        skip_replies(redis, batch);
    }
}

/* XACK key group id… and XDEL key id… */
static void settle(redisContext *redis, const redisReply *entries)
{
    static const char *argv[BATCH_MAX + 3];
    static size_t sizes[BATCH_MAX + 3];
    size_t n = entries->elements;
    argv[0] = "XACK", argv[1] = key, argv[2] = "bench";
    for (size_t i = 0; i < n; i++) {
        argv[3 + i] = entries->element[i]->element[0]->str;
        sizes[3 + i] = entries->element[i]->element[0]->len;
    }
    sizes[0] = 4, sizes[1] = sizeof key - 1, sizes[2] = 5;
    redisAppendCommandArgv(redis, (int)n + 3, argv, sizes);
    argv[1] = "XDEL", argv[2] = key;
    sizes[1] = 4, sizes[2] = sizeof key - 1;
    redisAppendCommandArgv(redis, (int)n + 2, argv + 1, sizes + 1);
    skip_replies(redis, 2);
}

static void drain_all(redisContext *redis, long n, long batch)
{
    while (n > 0) {
        redisAppendCommand(redis, "XREADGROUP GROUP bench one COUNT %ld STREAMS %s >", batch, key);
        redisReply *reply = reply_of(redis);
        if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 1) {
            fprintf(stderr, "bare_redis: %ld messages are missing\n", n);
            exit(69);
        }
        const redisReply *entries = reply->element[0]->element[1];
        settle(redis, entries);
        n -= (long)entries->elements;
        freeReplyObject(reply);
    }
}

static long number(const char *text, long max)
{
    char *end = NULL;
    long value = strtol(text, &end, 10);
    if (*end || value < 1 || value > max) {
        fprintf(stderr, "bare_redis: '%s' is not a number from 1 to %ld\n", text, max);
        exit(64);
    }
    return value;
}

static redisContext *connect_to(const char *host, int port)
{
    redisContext *redis = redisConnect(host, port);
    if (!redis || redis->err) {
        fprintf(stderr, "bare_redis: %s\n", redis ? redis->errstr : "out of memory");
        exit(69);
    }
    redisAppendCommand(redis, "DEL %s", key);
    redisAppendCommand(redis, "XGROUP CREATE %s bench 0 MKSTREAM", key);
    skip_replies(redis, 2);
    return redis;
}

int main(int argc, char **argv)
{
    char body[BODY_BYTES];
    if (argc != 6) {
        fputs("usage: bare_redis HOST PORT MESSAGES SEND_BATCH DRAIN_BATCH\n", stderr);
        return 64;
    }
    long send_batch = number(argv[4], BATCH_MAX), drain_batch = number(argv[5], BATCH_MAX);
    long n = number(argv[3], 100000000) / send_batch * send_batch;
    redisContext *redis = connect_to(argv[1], (int)number(argv[2], 65535));
    memset(body, 'x', sizeof body);
    double wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    send_all(redis, n, send_batch, body, sizeof body);
    report("send", n, wall, cpu);
    wall = seconds(CLOCK_MONOTONIC), cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    drain_all(redis, n, drain_batch);
    report("drain", n, wall, cpu);
    redisAppendCommand(redis, "DEL %s", key);
    skip_replies(redis, 1);
    redisFree(redis);
    return 0;
}
