#include "cli/send/send.h"

#include <pthread.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/wakeup.h"

enum {
    CAPACITY = 2 * BIDE_CLI_BATCH,
    BYTES_MAX = 8 * 1024 * 1024, /* of bodies waiting; one message is always let in */
    CHUNK = 64,                  /* handed over at once, so that the lock is not taken for each line */
    LINGER_US = 4000,            /* for a batch to fill while the input flows */
};

struct bide_cli_lines {
    pthread_mutex_t lock;
    pthread_cond_t more; /* to the taker: a first message, a full batch, idle, or the end */
    pthread_cond_t room; /* to the reader */
    struct bide_cli_line ring[CAPACITY];
    size_t first, n, bytes;
    bool idle, ended, closing;
    bide_code code; /* of reading, once ended */
    bide_error error;
    struct bide_cli_line_counts counts; /* a copy of the parser's */

    struct bide_cli_parser parser; /* from here on: the reader's */
    struct bide_cli_line chunk[CHUNK];
    size_t n_chunk;
    int fd;
    struct bide_wakeup wakeup;
    pthread_t thread;
};

/* ---- the reader thread ---- */

static size_t size_of(const bide_message *message)
{
    size_t size;
    bide_message_body(message, &size);
    return size + 512;
}

static void push(struct bide_cli_lines *lines, struct bide_cli_line line)
{
    size_t size = size_of(line.message);
    while (!lines->closing && lines->n && (lines->n == CAPACITY || lines->bytes + size > BYTES_MAX)) {
        pthread_cond_signal(&lines->more);
        pthread_cond_wait(&lines->room, &lines->lock);
    }
    if (lines->closing) {
        bide_message_destroy(line.message);
        return;
    }
    lines->ring[(lines->first + lines->n++) % CAPACITY] = line;
    lines->bytes += size;
    if (lines->n == 1 || lines->n == BIDE_CLI_BATCH)
        pthread_cond_signal(&lines->more);
}

static void hand_over(struct bide_cli_lines *lines, bool idle)
{
    pthread_mutex_lock(&lines->lock);
    for (size_t i = 0; i < lines->n_chunk; i++)
        push(lines, lines->chunk[i]);
    lines->n_chunk = 0;
    lines->counts = lines->parser.counts;
    lines->idle = idle;
    if (idle)
        pthread_cond_signal(&lines->more);
    pthread_mutex_unlock(&lines->lock);
}

static bool on_line(void *user, const char *text, size_t size)
{
    struct bide_cli_lines *lines = user;
    bide_message *message = bide_cli_parser_next(&lines->parser, text, size);
    if (message)
        lines->chunk[lines->n_chunk++] = (struct bide_cli_line){lines->parser.counts.read, message};
    if (lines->n_chunk == CHUNK)
        hand_over(lines, false);
    return true;
}

static void on_idle(void *user)
{
    hand_over(user, true);
}

static void *read_lines(void *user)
{
    struct bide_cli_lines *lines = user;
    const struct bide_cli_splitter splitter = {
        lines->fd, lines->wakeup.fd, bide_cli_parser_longest(lines->parser.config), on_line, on_idle, lines};
    bide_error error;
    bide_code code = bide_cli_split(&splitter, &error);
    hand_over(lines, true);
    pthread_mutex_lock(&lines->lock);
    lines->ended = true;
    lines->code = code;
    if (code != BIDE_OK)
        lines->error = error;
    pthread_cond_signal(&lines->more);
    pthread_mutex_unlock(&lines->lock);
    return NULL;
}

/* ---- the taker ---- */

static void linger(struct bide_cli_lines *lines)
{
    int64_t until_us = bide_mono_us(bide_clock_system()) + LINGER_US;
    const struct timespec until = {until_us / 1000000, until_us % 1000000 * 1000};
    while (lines->n < BIDE_CLI_BATCH && !lines->idle && !lines->ended)
        if (pthread_cond_timedwait(&lines->more, &lines->lock, &until) != 0)
            return;
}

bide_code bide_cli_lines_take(
    struct bide_cli_lines *lines, struct bide_cli_line to[BIDE_CLI_BATCH], size_t *ret_n, bide_error *error)
{
    size_t n = 0;
    pthread_mutex_lock(&lines->lock);
    while (lines->n == 0 && !lines->ended)
        pthread_cond_wait(&lines->more, &lines->lock);
    linger(lines);
    for (; n < BIDE_CLI_BATCH && lines->n; n++, lines->n--) {
        to[n] = lines->ring[lines->first];
        lines->first = (lines->first + 1) % CAPACITY;
        lines->bytes -= size_of(to[n].message);
    }
    bide_code code = n == 0 ? lines->code : BIDE_OK;
    if (code != BIDE_OK)
        bide_fail(error, code, "%s", lines->error.text);
    pthread_cond_signal(&lines->room);
    pthread_mutex_unlock(&lines->lock);
    *ret_n = n;
    return code;
}

struct bide_cli_line_counts bide_cli_lines_counts(struct bide_cli_lines *lines)
{
    pthread_mutex_lock(&lines->lock);
    struct bide_cli_line_counts counts = lines->counts;
    pthread_mutex_unlock(&lines->lock);
    return counts;
}

/* ---- beginning and end ---- */

static bide_code start(struct bide_cli_lines *lines, bide_error *error)
{
    pthread_condattr_t monotonic;
    pthread_mutex_init(&lines->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&lines->more, &monotonic);
    pthread_cond_init(&lines->room, NULL);
    pthread_condattr_destroy(&monotonic);
    if (pthread_create(&lines->thread, NULL, read_lines, lines) == 0)
        return BIDE_OK;
    return bide_fail(error, BIDE_E_INTERNAL, "cannot start a thread");
}

bide_code bide_cli_lines_open(
    int fd, const struct bide_config *config, struct bide_cli_lines **ret_lines, bide_error *error)
{
    struct bide_cli_lines *lines = bide_calloc(1, sizeof *lines);
    if (!lines)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    lines->fd = fd;
    lines->parser.config = config;
    bide_code code = bide_wakeup_init(&lines->wakeup, error);
    if (code == BIDE_OK)
        code = start(lines, error);
    if (code != BIDE_OK) {
        bide_wakeup_close(&lines->wakeup);
        bide_free(lines);
        return code;
    }
    *ret_lines = lines;
    return BIDE_OK;
}

void bide_cli_lines_close(struct bide_cli_lines *lines)
{
    if (!lines)
        return;
    pthread_mutex_lock(&lines->lock);
    lines->closing = true;
    pthread_cond_signal(&lines->room);
    pthread_mutex_unlock(&lines->lock);
    bide_wakeup_signal(&lines->wakeup);
    pthread_join(lines->thread, NULL);
    for (; lines->n; lines->n--, lines->first = (lines->first + 1) % CAPACITY)
        bide_message_destroy(lines->ring[lines->first].message);
    pthread_cond_destroy(&lines->more);
    pthread_cond_destroy(&lines->room);
    pthread_mutex_destroy(&lines->lock);
    bide_wakeup_close(&lines->wakeup);
    bide_free(lines);
}
