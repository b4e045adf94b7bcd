#include <errno.h>
#include <string.h>

#include "broker/sqlite/file.h"

/* The meaning of one of SQLite's result codes for the person who must repair it. `%s` is the file. */
struct meaning {
    int result; /* a primary result code */
    bide_code code;
    const char *text;
};

static const struct meaning meanings[] = {
    {SQLITE_FULL, BIDE_E_BROKER, "%s: no room left on the disk: free some; nothing was stored"},
    {SQLITE_BUSY, BIDE_E_TIMEOUT, "%s: another program keeps the database locked"},
    {SQLITE_LOCKED, BIDE_E_TIMEOUT, "%s: another program keeps the database locked"},
    {SQLITE_PROTOCOL, BIDE_E_TIMEOUT, "%s: too many programs at once want the database"},
    {SQLITE_READONLY, BIDE_E_CONFIG,
        "%s: cannot be written: the file, its folder and the files beside it (-wal, -shm, -lock) must be "
        "writable for this user"},
    {SQLITE_PERM, BIDE_E_CONFIG, "%s: permission denied: this user must be able to read and write it"},
    {SQLITE_AUTH, BIDE_E_CONFIG, "%s: permission denied: this user must be able to read and write it"},
    {SQLITE_NOTADB, BIDE_E_CONFIG, "%s: is not a SQLite database: name another file"},
    {SQLITE_CORRUPT, BIDE_E_CONFIG,
        "%s: the database is damaged: stop its users, then `sqlite3 FILE .recover` into a new one, or "
        "restore a copy"},
    {SQLITE_NOMEM, BIDE_E_NOMEM, "%s: out of memory"},
};

static const struct meaning *meaning_of(int primary)
{
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (meanings[i].result == primary)
            return &meanings[i];
    return NULL;
}

static bool is_no_room(int system_error)
{
    return system_error == ENOSPC || system_error == EDQUOT || system_error == EFBIG;
}

/* SQLite reports a failed read as damage (SQLITE_IOERR_CORRUPTFS becomes SQLITE_CORRUPT), but the disk may
 * work again in a moment. errno tells the two apart: step and begin have set it to 0. */
static bool is_failed_read(int primary, int system_error)
{
    return primary == SQLITE_CORRUPT &&
           (system_error == EIO || system_error == ENXIO || system_error == ENODEV);
}

bide_code bide_sqlite_fail(struct bide_sqlite_file *file, int result, bide_error *error)
{
    int primary = result & 0xFF;
    int last_errno = errno;
    int system_error = file->db ? sqlite3_system_errno(file->db) : 0;
    if (is_failed_read(primary, last_errno))
        primary = SQLITE_IOERR;
    /* After a failed COMMIT, sqlite3_system_errno says 0, but errno holds the reason: begin has set it to
     * 0. */
    if (system_error == 0 && primary == SQLITE_IOERR)
        system_error = last_errno;
    if (primary == SQLITE_IOERR && is_no_room(system_error))
        primary = SQLITE_FULL;
    if (primary == SQLITE_NOTADB || primary == SQLITE_CORRUPT)
        file->hopeless = true;
    /* The last process to close the database deletes the files beside it, while another one opens them. */
    file->collided = result == SQLITE_IOERR_DELETE_NOENT || result == SQLITE_IOERR_FSTAT;
    const struct meaning *meaning = meaning_of(primary);
    if (meaning)
        return bide_fail(error, meaning->code, meaning->text, file->path);
    const char *detail = file->db ? sqlite3_errmsg(file->db) : sqlite3_errstr(result);
    const char *why = system_error ? strerror(system_error) : detail;
    if (primary == SQLITE_CANTOPEN)
        return bide_fail(error, BIDE_E_CONFIG,
            "%s: cannot be opened (%s): its folder must exist, and this user must be able to write there",
            file->path, why);
    if (primary == SQLITE_IOERR)
        return bide_fail(error, BIDE_E_BROKER, "%s: reading or writing failed (%s)", file->path, why);
    return bide_fail(error, BIDE_E_INTERNAL, "%s: %s (SQLite %d)", file->path, detail, result);
}
