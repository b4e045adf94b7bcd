/* Transactions, and how the connections of all processes take turns with them. */
#include <errno.h>
#include <unistd.h>

#include "broker/sqlite/file.h"

/* When checkpoint() tries, when it insists, and for how long. */
enum { PAGES_TO_TRY = 1000, PAGES_TO_INSIST = 8000, INSIST_US = 50 * 1000 };

static void nap(void)
{
    /* A writer holds the file for about a millisecond: so short a nap wastes little of that. */
    usleep(50);
}

bool bide_sqlite_wait_for_others(struct bide_sqlite_file *file)
{
    if (bide_mono_us(file->clock) >= file->busy_until_us)
        return false;
    nap();
    return true;
}

static int on_busy(void *user, int times)
{
    (void)times;
    return bide_sqlite_wait_for_others(user);
}

enum { LINE_US = 50 * 1000, NO_LINE_US = 1000 * 1000 };

/* Waits for the front place, but not for ever: the process that holds it may have been stopped (SIGSTOP). */
static void take_front(struct bide_sqlite_file *file)
{
    int64_t now_us = bide_mono_us(file->clock), until_us = now_us + LINE_US;
    if (now_us < file->no_line_until_us)
        return;
    while (!bide_sqlite_lock_try(&file->lock, BIDE_SQLITE_FRONT)) {
        now_us = bide_mono_us(file->clock);
        if (now_us >= file->busy_until_us)
            return;
        if (now_us >= until_us) {
            file->no_line_until_us = now_us + NO_LINE_US;
            return;
        }
        nap();
    }
}

static int note_pages(void *user, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    ((struct bide_sqlite_file *)user)->wal_pages = pages;
    return SQLITE_OK;
}

void bide_sqlite_turns_init(struct bide_sqlite_file *file)
{
    sqlite3_busy_handler(file->db, on_busy, file);
    sqlite3_wal_hook(file->db, note_pages, file);
    file->wal_pages = file->checked_pages = 0;
    file->insist_pages = PAGES_TO_INSIST;
    file->synced = false;
}

static bide_code set_synced(struct bide_sqlite_file *file, bool synced, bide_error *error)
{
    synced = synced && !file->lax;
    if (file->synced == synced)
        return BIDE_OK;
    bide_code code =
        bide_sqlite_exec(file, synced ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL", error);
    if (code == BIDE_OK)
        file->synced = synced;
    return code;
}

bide_code bide_sqlite_begin(struct bide_sqlite_file *file, bool synced, int64_t wait_us, bide_error *error)
{
    file->busy_until_us = bide_mono_us(file->clock) + wait_us;
    errno = 0;                             /* see bide_sqlite_fail */
    if (!sqlite3_get_autocommit(file->db)) /* the rollback of the last transaction failed */
        bide_sqlite_rollback(file);
    bide_code code = set_synced(file, synced, error);
    if (code != BIDE_OK)
        return code;
    take_front(file);
    code = bide_sqlite_run_one(file, BIDE_SQL_BEGIN_WRITE, error);
    bide_sqlite_lock_release(&file->lock, BIDE_SQLITE_FRONT);
    return code;
}

/* Copies the log (FILE-wal) into the database. While other processes keep writing, a passive checkpoint never
 * copies the whole log, and the log never starts again at its beginning: so when the log has grown long, the
 * checkpoint makes the writers wait. But while a process reads an old state (a long SELECT, a backup) this
 * waiting cannot succeed and stops all writers: it ends after INSIST_US, and the next try waits until the log
 * is half as long again. */
static void checkpoint(struct bide_sqlite_file *file)
{
    if (file->wal_pages < file->checked_pages) {
        file->checked_pages = 0;
        file->insist_pages = PAGES_TO_INSIST;
    }
    if (file->wal_pages - file->checked_pages < PAGES_TO_TRY)
        return;
    file->checked_pages = file->wal_pages;
    bool insist = file->wal_pages >= file->insist_pages;
    file->busy_until_us = bide_mono_us(file->clock) + INSIST_US;
    int result = sqlite3_wal_checkpoint_v2(
        file->db, NULL, insist ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
    if (insist && result != SQLITE_OK)
        file->insist_pages = file->wal_pages + file->wal_pages / 2;
}

bide_code bide_sqlite_commit(struct bide_sqlite_file *file, bide_error *error)
{
    bide_code code = bide_sqlite_counts_store(file, error);
    if (code == BIDE_OK)
        code = bide_sqlite_run_one(file, BIDE_SQL_COMMIT, error);
    if (code != BIDE_OK) {
        bide_sqlite_rollback(file);
        return code;
    }
    bide_sqlite_counts_forget(file);
    checkpoint(file);
    return BIDE_OK;
}

enum { ROLLBACK_TRIES = 10 };

void bide_sqlite_rollback(struct bide_sqlite_file *file)
{
    bide_sqlite_counts_forget(file);
    for (size_t i = 0; i < BIDE_SQL_COUNT; i++)
        if (file->statements[i])
            sqlite3_reset(file->statements[i]);
    /* Without memory even ROLLBACK can fail, and then all other processes would wait for the file. */
    for (int tries = 0; tries < ROLLBACK_TRIES && !sqlite3_get_autocommit(file->db); tries++)
        sqlite3_exec(file->db, "ROLLBACK", NULL, NULL, NULL);
}

bide_code bide_sqlite_end(struct bide_sqlite_file *file, bide_code code, bide_error *error)
{
    if (code == BIDE_OK)
        return bide_sqlite_commit(file, error);
    bide_sqlite_rollback(file);
    return code;
}
