#include "message/message.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* Per thread: random bytes read in bulk, and the last id, so that ids of one millisecond still ascend. A fork
 * would repeat both: `forks` tells that one happened. */
static _Thread_local struct {
    uint8_t pool[256]; /* as much as getrandom gives without being interrupted */
    size_t left;
    unsigned forks;
    int64_t last_ms;
    uint16_t sequence; /* the 12 bits behind the version: counts within a ms (RFC 9562, 6.2 method 1) */
} generator;

static void refill(void)
{
    if (getrandom(generator.pool, sizeof generator.pool, 0) != (ssize_t)sizeof generator.pool) {
        /* Never seen on Linux after boot; time and address still keep ids of one host apart. */
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        uint64_t seed = (uint64_t)now.tv_nsec * 0x9E3779B97F4A7C15u ^ (uint64_t)(uintptr_t)&generator ^
                        (uint64_t)getpid() << 32;
        for (size_t i = 0; i < sizeof generator.pool; i++)
            generator.pool[i] = (uint8_t)((seed = seed * 6364136223846793005u + 1442695040888963407u) >> 56);
    }
    generator.left = sizeof generator.pool;
}

static void random_bytes(uint8_t *to, size_t size)
{
    if (generator.left < size)
        refill();
    generator.left -= size;
    memcpy(to, generator.pool + generator.left, size);
}

static unsigned fork_count; /* changed only in a forked child, which has one thread then */

static void note_fork(void)
{
    fork_count++;
}

static void watch_forks(void)
{
    pthread_atfork(NULL, NULL, note_fork);
}

static void start_afresh_after_fork(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    if (generator.forks != fork_count) {
        generator.forks = fork_count;
        generator.left = 0;
        generator.last_ms = 0;
    }
}

static uint16_t next_sequence(int64_t *ms)
{
    if (*ms > generator.last_ms) {
        uint8_t random[2];
        random_bytes(random, sizeof random);
        generator.last_ms = *ms;
        generator.sequence =
            (uint16_t)((random[0] << 8 | random[1]) & 0x07FF); /* half the room stays to count */
    } else if (++generator.sequence > 0x0FFF) {
        generator.last_ms++; /* more than the room of a millisecond: borrow from the next */
        generator.sequence = 0;
    }
    *ms = generator.last_ms;
    return generator.sequence;
}

uint64_t bide_random_number(void)
{
    uint64_t number;
    start_afresh_after_fork();
    random_bytes((uint8_t *)&number, sizeof number);
    return number;
}

void bide_id_generate(char to[BIDE_ID_TEXT], const struct bide_clock *clock)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t bytes[16];
    start_afresh_after_fork();
    int64_t ms = bide_wall_ms(clock);
    uint16_t sequence = next_sequence(&ms);
    for (int i = 0; i < 6; i++)
        bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    bytes[6] = (uint8_t)(0x70 | sequence >> 8);
    bytes[7] = (uint8_t)sequence;
    random_bytes(bytes + 8, 8);
    bytes[8] = (uint8_t)(0x80 | (bytes[8] & 0x3F));
    char *at = to;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *at++ = '-';
        *at++ = hex[bytes[i] >> 4];
        *at++ = hex[bytes[i] & 15];
    }
    *at = '\0';
}
