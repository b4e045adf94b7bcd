#include "broker/sqlite/sqlite.h"

#include <inttypes.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/alloc.h"
#include "base/killpoint.h"
#include "broker/sqlite/spool.h"
#include "broker/sqlite/topic.h"

struct sender {
    struct bide_sender base;
    struct bide_sqlite_file file;
    struct bide_buffer scratch;
    int64_t spool_bytes; /* the file is a spool, and holds so many at most; 0: it is none */
    int64_t looked_us;   /* spool: when it was last seen that the file is still the one of that name */
};

/* ---- what a spool may hold ---- */

enum { ROW_BYTES = 200, LOOK_US = 100 * 1000, RELAY_BYTES = 6 * 1024 * 1024 };

/* About what a batch will take of the file. */
static int64_t size_of(struct bide_message *const *messages, size_t n)
{
    int64_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += ROW_BYTES + (int64_t)messages[i]->body_size +
                 (int64_t)bide_headers_bytes(messages[i]->headers, messages[i]->n_headers);
    return bytes;
}

/* The number that a statement of the table finds; 0: none. */
static bide_code read_number(
    struct bide_sqlite_file *file, enum bide_sql which, int64_t *ret_number, bide_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    bide_code code = bide_sqlite_use(file, which, &statement, error);
    if (code == BIDE_OK)
        code = bide_sqlite_step(file, statement, &row, error);
    if (code != BIDE_OK)
        return code;
    *ret_number = row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_reset(statement);
    return BIDE_OK;
}

/* A relay writes, too, to take messages and to delete them, and what is in the log has yet to go to the file:
 * on a disk that messages had filled up nothing could be carried any more. */
static bool look_at_disk(const struct bide_sqlite_file *file, int64_t *ret_room, int64_t *ret_kept)
{
    struct statvfs disk;
    struct stat log;
    const char *path = sqlite3_db_filename(file->db, "main");
    if (!path || statvfs(path, &disk) != 0 || disk.f_blocks == 0) /* a file system may not tell */
        return false;
    *ret_room = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    *ret_kept = RELAY_BYTES + (stat(sqlite3_filename_wal(path), &log) == 0 ? (int64_t)log.st_size : 0);
    return true;
}

/* A message is written twice, to the log and to the file. */
static bide_code check_disk(struct sender *sender, int64_t more, bide_error *error)
{
    int64_t room, kept, wanted;
    if (!look_at_disk(&sender->file, &room, &kept) || room >= (wanted = kept + 2 * more))
        return BIDE_OK;
    return bide_fail(error, BIDE_E_BROKER,
        "%s: no room left on the disk: %" PRId64 " bytes are free, of the %" PRId64
        " that are needed for this and to carry it later: free some; nothing was stored",
        sender->file.path, room, wanted);
}

/* Within the transaction: nobody else stores meanwhile. */
static bide_code check_room(
    struct sender *sender, struct bide_message *const *messages, size_t n, bide_error *error)
{
    int64_t used = 0, more = size_of(messages, n);
    bide_code code = read_number(&sender->file, BIDE_SQL_USED_BYTES, &used, error);
    if (code == BIDE_OK && used + more <= sender->spool_bytes)
        return check_disk(sender, more, error);
    if (code != BIDE_OK)
        return code;
    return bide_fail(error, BIDE_E_BROKER,
        "the spool %s is full: of %" PRId64 " bytes %" PRId64 " are in use, and %" PRId64
        " more do not fit: nothing was stored; find out why nothing is carried from it (bide status), or "
        "raise spool.max",
        sender->file.path, sender->spool_bytes, used, more);
}

/* ---- sending ---- */

static bide_code insert(struct sender *sender, const struct bide_message *message, bide_error *error)
{
    return sender->spool_bytes ? bide_sqlite_insert(&sender->file, message, &sender->scratch, error)
                               : bide_sqlite_send(&sender->file, message, &sender->scratch, error);
}

static bide_code send_once(struct sender *sender, struct bide_message *const *messages, size_t n,
    enum bide_sent *results, int64_t wait_us, bide_error *error)
{
    bide_code code = bide_sqlite_begin(&sender->file, true, wait_us, error);
    if (code != BIDE_OK)
        return code;
    if (sender->spool_bytes)
        code = check_room(sender, messages, n, error);
    for (size_t i = 0; code == BIDE_OK && i < n; i++)
        code = insert(sender, messages[i], error);
    BIDE_KILL_POINT("send/sqlite-inserted");
    if (code == BIDE_OK)
        code = bide_sqlite_commit(&sender->file, error);
    else
        bide_sqlite_rollback(&sender->file);
    BIDE_KILL_POINT("send/sqlite-committed");
    if (code != BIDE_OK || bide_sqlite_file_is_gone(&sender->file))
        return code;
    if (bide_sqlite_file_lost_lock(&sender->file)) /* receivers watch the new one */
        (void)bide_sqlite_file_renew_lock(&sender->file, error);
    bide_sqlite_lock_ring(&sender->file.lock);
    for (size_t i = 0; i < n; i++)
        results[i] = BIDE_SENT_OK;
    return BIDE_OK;
}

/* If the file was removed or replaced while it was open, the last transaction is lost: open the new file and
 * send again. */
static bool must_reopen(struct sender *sender)
{
    if (sender->file.db && bide_sqlite_file_is_gone(&sender->file))
        bide_sqlite_file_close(&sender->file);
    return sender->file.db == NULL;
}

static bide_code sender_send(struct bide_sender *base, struct bide_message *const *messages, size_t n,
    enum bide_sent *results, bide_error *error)
{
    struct sender *sender = (struct sender *)base;
    int64_t end_us = bide_mono_us(sender->file.clock) + sender->base.timeout_us;
    for (;;) {
        int64_t wait_us = end_us - bide_mono_us(sender->file.clock);
        bide_code code = BIDE_OK;
        if (wait_us < 0)
            return bide_sqlite_fail(&sender->file, SQLITE_BUSY, error);
        if (must_reopen(sender))
            code = bide_sqlite_file_open(&sender->file, BIDE_SQLITE_WRITE, wait_us, error);
        if (code == BIDE_OK)
            code = send_once(sender, messages, n, results, wait_us, error);
        if (!sender->file.db || !must_reopen(sender))
            return code;
    }
}

static void sender_destroy(struct bide_sender *base)
{
    struct sender *sender = (struct sender *)base;
    bide_sqlite_file_clear(&sender->file);
    bide_buffer_release(&sender->scratch);
    bide_free(sender);
}

static const struct bide_sender_ops sender_ops = {sender_send, sender_destroy};

bide_code bide_sqlite_open_spool(const struct bide_broker_options *options, int64_t max_bytes,
    struct bide_sender **ret_sender, bide_error *error)
{
    struct sender *sender = bide_calloc(1, sizeof *sender);
    if (!sender)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    sender->base.ops = &sender_ops;
    sender->base.timeout_us = options->timeout_ms * 1000;
    sender->spool_bytes = max_bytes;
    bide_buffer_init(&sender->scratch);
    bide_code code = bide_sqlite_file_init(&sender->file, options, error);
    if (code == BIDE_OK)
        code = bide_sqlite_file_open(&sender->file, BIDE_SQLITE_WRITE, sender->base.timeout_us, error);
    if (code != BIDE_OK) {
        sender_destroy(&sender->base);
        return code;
    }
    *ret_sender = &sender->base;
    return BIDE_OK;
}

bide_code bide_sqlite_open_sender(
    const struct bide_broker_options *options, struct bide_sender **ret_sender, bide_error *error)
{
    return bide_sqlite_open_spool(options, 0, ret_sender, error);
}

/* ---- the rest of a spool ---- */

static bool is_time_to_look(struct sender *sender)
{
    int64_t now_us = bide_mono_us(sender->file.clock);
    bool is_time = now_us - sender->looked_us >= LOOK_US;
    if (is_time)
        sender->looked_us = now_us;
    return is_time;
}

bide_code bide_sqlite_spool_first(struct bide_sender *spool, int64_t *ret_first, bide_error *error)
{
    struct sender *sender = (struct sender *)spool;
    bide_code code = BIDE_OK;
    sender->file.busy_until_us = bide_mono_us(sender->file.clock) + sender->base.timeout_us;
    if (sender->file.db && !sqlite3_get_autocommit(sender->file.db)) /* it would show an old state */
        bide_sqlite_rollback(&sender->file);
    if ((!sender->file.db || is_time_to_look(sender)) && must_reopen(sender))
        code = bide_sqlite_file_open(&sender->file, BIDE_SQLITE_WRITE, sender->base.timeout_us, error);
    return code == BIDE_OK ? read_number(&sender->file, BIDE_SQL_FIRST_SEQ, ret_first, error) : code;
}

bide_code bide_sqlite_spool_last(struct bide_sender *spool, int64_t *ret_last, bide_error *error)
{
    struct sender *sender = (struct sender *)spool;
    return read_number(&sender->file, BIDE_SQL_LAST_SEQ, ret_last, error);
}

static bool is_carried(const struct bide_sqlite_file *file)
{
    char *path = bide_asprintf("%s-relay", sqlite3_db_filename(file->db, "main"));
    struct bide_sqlite_lock lock = {-1};
    bool held = path && bide_sqlite_lock_open_to_look(&lock, path, NULL) == BIDE_OK &&
                bide_sqlite_lock_is_held(&lock, 0);
    bide_sqlite_lock_close(&lock);
    bide_free(path);
    return held;
}

bool bide_sqlite_spool_is_carried(const struct bide_sender *spool)
{
    const struct sender *sender = (const struct sender *)spool;
    return sender->file.db && is_carried(&sender->file);
}

bide_code bide_sqlite_spool_look(
    const struct bide_broker_options *options, struct bide_sqlite_spool_state *ret_state, bide_error *error)
{
    struct bide_sqlite_spool_state state = {0};
    struct bide_sqlite_file file;
    bide_code code = bide_sqlite_file_init(&file, options, error);
    if (code != BIDE_OK)
        return code;
    code = bide_sqlite_file_open(&file, BIDE_SQLITE_LOOK, options->timeout_ms * 1000, error);
    if (code == BIDE_OK)
        code = read_number(&file, BIDE_SQL_USED_BYTES, &state.bytes, error);
    if (code == BIDE_OK) {
        int64_t room, kept;
        bool knows = look_at_disk(&file, &room, &kept);
        state.room_bytes = !knows ? -1 : room > kept ? (room - kept) / 2 : 0;
        state.is_carried = is_carried(&file);
        *ret_state = state;
    }
    bide_sqlite_file_clear(&file);
    return code;
}
