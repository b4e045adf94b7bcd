/* bare_redis HOST PORT [MESSAGES] [BODY_BYTES] [BATCH]: what Redis and hiredis do without bide, in plain
 * loops.
 *
 * Sending: XADD, BATCH commands a round trip. Draining: XREADGROUP COUNT BATCH, then XACK and XDEL of those,
 * two round trips a batch. Works on a key of its own, which it removes. Compare only with runs on the same
 * machine at the same time. Exit: 0 done, 64 usage, 69 server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <hiredis/hiredis.h>

enum { BATCH_MAX = 1000, BODY_MAX = 1 << 20 };

static const char key[] = "bide-bench:bare";

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

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

static long number(int argc, char **argv, int at, long standard, long max)
{
    if (argc <= at)
        return standard;
    char *end = NULL;
    long value = strtol(argv[at], &end, 10);
    if (*end || value < 1 || value > max) {
        fprintf(stderr, "bare_redis: '%s' is not a number from 1 to %ld\n", argv[at], max);
        exit(64);
    }
    return value;
}

int main(int argc, char **argv)
{
    if (argc < 3 || argc > 6) {
        fputs("usage: bare_redis HOST PORT [MESSAGES] [BODY_BYTES] [BATCH]\n", stderr);
        return 64;
    }
    long n = number(argc, argv, 3, 200000, 100000000), size = number(argc, argv, 4, 256, BODY_MAX);
    long batch = number(argc, argv, 5, 100, BATCH_MAX);
    char *body = malloc((size_t)size);
    redisContext *redis = redisConnect(argv[1], (int)number(argc, argv, 2, 6379, 65535));
    if (!body || !redis || redis->err) {
        fprintf(stderr, "bare_redis: %s\n", redis ? redis->errstr : "out of memory");
        return 69;
    }
    memset(body, 'x', (size_t)size);
    n -= n % batch;
    redisAppendCommand(redis, "DEL %s", key);
    redisAppendCommand(redis, "XGROUP CREATE %s bench 0 MKSTREAM", key);
    skip_replies(redis, 2);
    double begin = now();
    send_all(redis, n, batch, body, (size_t)size);
    double sent = now();
    drain_all(redis, n, batch);
    double drained = now();
    redisAppendCommand(redis, "DEL %s", key);
    skip_replies(redis, 1);
    printf("{\"bench\":\"bare_redis\",\"messages\":%ld,\"body_bytes\":%ld,\"batch\":%ld,\"send_per_s\":%.0f,"
           "\"drain_per_s\":%.0f}\n",
        n, size, batch, (double)n / (sent - begin), (double)n / (drained - sent));
    redisFree(redis);
    free(body);
    return 0;
}
