#include "relay/turn.h"

#include <sys/inotify.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/hash.h"

enum { SOON = 8, FIRST_US = 1000, FALLBACK_US = 1000 * 1000, KEEP_US = 1000 * 1000 };

/* Each queue has the byte of its hash. Two with the same one only take turns. */
#define BYTES (INT64_C(1) << 32)

bide_code bide_turn_init(struct bide_turn *turn, const char *file, const char *queue, bide_error *error)
{
    *turn = (struct bide_turn){.lock = {-1}, .watch = -1, .file = bide_strdup(file)};
    turn->path = bide_asprintf("%s-relay", file);
    turn->first = queue ? bide_hash_text(queue) : 0;
    turn->n = queue ? 1 : BYTES;
    if (turn->file && turn->path)
        return BIDE_OK;
    bide_turn_release(turn);
    return bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

static void close_watch(struct bide_turn *turn)
{
    if (turn->watch >= 0)
        close(turn->watch);
    turn->watch = -1;
}

static void drop(struct bide_turn *turn)
{
    close_watch(turn);
    bide_sqlite_lock_close(&turn->lock);
    turn->is_mine = false;
}

void bide_turn_release(struct bide_turn *turn)
{
    drop(turn);
    bide_free(turn->file);
    bide_free(turn->path);
    turn->file = turn->path = NULL;
}

/* Without a watch the lock is tried once a second. */
static void watch(struct bide_turn *turn)
{
    if (turn->watch >= 0)
        return;
    turn->watch = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (turn->watch >= 0 && inotify_add_watch(turn->watch, turn->path, IN_CLOSE_WRITE | IN_ATTRIB) < 0)
        close_watch(turn);
    if (turn->watch >= 0)
        turn->tries = SOON; /* it may have been dropped before the watch was there */
}

static void note_events(struct bide_turn *turn)
{
    char events[4096];
    bool any = false;
    while (turn->watch >= 0 && read(turn->watch, events, sizeof events) > 0)
        any = true;
    if (any)
        turn->tries = SOON;
    else if (turn->tries > 0)
        turn->tries--;
}

bide_code bide_turn_take(struct bide_turn *turn, int64_t now_us, bool *ret_mine, bide_error *error)
{
    if (turn->lock.fd >= 0 && now_us - turn->kept_us >= KEEP_US) {
        turn->kept_us = now_us;
        if (bide_sqlite_lock_is_gone(&turn->lock, turn->path))
            drop(turn);
    }
    if (turn->is_mine) {
        *ret_mine = true;
        return BIDE_OK;
    }
    if (turn->lock.fd < 0) {
        bide_code code = bide_sqlite_lock_open(&turn->lock, turn->path, turn->file, false, error);
        if (code != BIDE_OK)
            return code;
        turn->kept_us = now_us;
    }
    note_events(turn);
    turn->is_mine = bide_sqlite_lock_try_all(&turn->lock, turn->first, turn->n);
    if (turn->is_mine)
        close_watch(turn);
    else
        watch(turn);
    *ret_mine = turn->is_mine;
    return BIDE_OK;
}

void bide_turn_wait(const struct bide_turn *turn, struct bide_wait *ret_wait)
{
    ret_wait->n_fds = turn->watch >= 0;
    ret_wait->fds[0] = (struct pollfd){.fd = turn->watch, .events = POLLIN};
    ret_wait->timeout_us = turn->tries > 0 ? (int64_t)FIRST_US << (SOON - turn->tries) : FALLBACK_US;
}
