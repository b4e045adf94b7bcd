#include "broker/sqlite/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "broker/sqlite/schema.h"

/* SQLite's page cache: enough for the inner pages of a long backlog. */
#define CACHE_KIB "1024"

enum { FILE_MODE = 0660 }; /* before the umask */
/* When checkpoint() tries, when it insists, and for how long. */
enum { PAGES_TO_TRY = 1000, PAGES_TO_INSIST = 8000, INSIST_US = 50 * 1000 };

static const char *const params[] = {"synchronous", NULL};

/* ---- the URL ---- */

static bide_code read_synchronous(const struct bide_url *url, bool *ret_lax, bide_error *error)
{
    const char *value = bide_url_param(url, "synchronous");
    if (value && strcmp(value, "normal") != 0 && strcmp(value, "full") != 0)
        return bide_fail(error, BIDE_E_CONFIG,
            "'%s': synchronous is full (what was confirmed survives a power cut) or normal, not '%s'",
            url->redacted, value);
    *ret_lax = value && strcmp(value, "normal") == 0;
    return BIDE_OK;
}

static bide_code check_path(const struct bide_url *url, bide_error *error)
{
    if (url->n_hosts > 0 || strncmp(url->redacted, "sqlite://", 9) == 0)
        return bide_fail(error, BIDE_E_CONFIG,
            "'%s': a database file has no host: write sqlite:FILE, or sqlite:/path/to/FILE", url->redacted);
    if (!url->path || !*url->path || url->path[strlen(url->path) - 1] == '/')
        return bide_fail(error, BIDE_E_CONFIG, "'%s': no file is named: write sqlite:FILE", url->redacted);
    if (*url->path == ':')
        return bide_fail(
            error, BIDE_E_CONFIG, "'%s': a database in memory cannot be shared: name a file", url->redacted);
    return BIDE_OK;
}

/* Tables are named NAMESPACE_message and so on; SQLite reserves the names sqlite_…. */
static bide_code check_name_space(const char *name_space, bide_error *error)
{
    static const char reserved[] = "sqlite";
    enum { SIZE = sizeof reserved - 1 };
    if (strncasecmp(name_space, reserved, SIZE) != 0 || (name_space[SIZE] && name_space[SIZE] != '_'))
        return BIDE_OK;
    return bide_fail(error, BIDE_E_CONFIG,
        "namespace '%s': SQLite keeps names that begin with 'sqlite_' for itself: choose another one",
        name_space);
}

/* Makes the path absolute, so that a later chdir does not matter; NULL without memory. */
static char *absolute(const char *path, const char *base_dir)
{
    char here[PATH_MAX];
    if (*path == '/')
        return bide_strdup(path);
    if (!base_dir || *base_dir != '/') {
        if (!getcwd(here, sizeof here))
            return bide_strdup(path);
        if (base_dir && *base_dir)
            return bide_asprintf("%s/%s/%s", here, base_dir, path);
        return bide_asprintf("%s/%s", here, path);
    }
    return bide_asprintf("%s/%s", base_dir, path);
}

bide_code bide_sqlite_file_init(
    struct bide_sqlite_file *file, const struct bide_broker_options *options, bide_error *error)
{
    bool lax = false;
    bide_code code = bide_url_check_params(options->url, params, error);
    if (code == BIDE_OK)
        code = check_path(options->url, error);
    if (code == BIDE_OK)
        code = check_name_space(options->name_space, error);
    if (code == BIDE_OK)
        code = read_synchronous(options->url, &lax, error);
    if (code != BIDE_OK)
        return code;
    *file = (struct bide_sqlite_file){
        .tables = &bide_sqlite_broker_tables, .clock = options->clock, .lax = lax, .lock = {-1}};
    file->path = absolute(options->url->path, options->base_dir);
    file->name_space = bide_strdup(options->name_space);
    if (file->path && file->name_space)
        return BIDE_OK;
    bide_sqlite_file_clear(file);
    return bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

void bide_sqlite_file_clear(struct bide_sqlite_file *file)
{
    bide_sqlite_file_close(file);
    bide_sqlite_counts_release(file);
    bide_free(file->path);
    bide_free(file->lock_path);
    bide_free(file->name_space);
    file->path = file->lock_path = file->name_space = NULL;
}

/* ---- waiting for other writers ---- */

static void nap(void)
{
    /* A writer holds the file for about a millisecond: so short a nap wastes little of that. */
    usleep(50);
}

static int wait_for_others(void *user, int times)
{
    struct bide_sqlite_file *file = user;
    (void)times;
    if (bide_mono_us(file->clock) >= file->busy_until_us)
        return 0;
    nap();
    return 1;
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

/* ---- opening ---- */

static int note_pages(void *user, sqlite3 *db, const char *name, int pages)
{
    (void)db;
    (void)name;
    ((struct bide_sqlite_file *)user)->wal_pages = pages;
    return SQLITE_OK;
}

/* Tries again while another process sets the mode too: SQLite does not wait for that itself. */
static bide_code set_wal_mode(struct bide_sqlite_file *file, bide_error *error)
{
    for (;;) {
        int result = sqlite3_exec(file->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if (result == SQLITE_OK)
            return BIDE_OK;
        if (result != SQLITE_BUSY || !wait_for_others(file, 0))
            return bide_sqlite_fail(file, result, error);
    }
}

/* Notes the device and inode of the file, and the path of its side file. */
static bide_code identify(struct bide_sqlite_file *file, bide_error *error)
{
    const char *resolved = sqlite3_db_filename(file->db, "main");
    struct stat status;
    if (stat(resolved, &status) != 0) {
        bide_code code = bide_sqlite_fail(file, SQLITE_CANTOPEN, error);
        file->collided = true; /* another process has removed the file just now */
        return code;
    }
    if (status.st_nlink > 1)
        return bide_fail(error, BIDE_E_CONFIG,
            "%s: the file has %u names (hard links): a program that opens it by one name does not see what "
            "others store by another; stop all users, then remove every name but one (find -samefile)",
            file->path, (unsigned)status.st_nlink);
    file->device = status.st_dev;
    file->inode = status.st_ino;
    bide_free(file->lock_path);
    file->lock_path = bide_asprintf("%s-lock", resolved);
    return file->lock_path ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

/* Creates the file, because SQLite would make it readable for everybody. SQLite gives the files beside it the
 * same mode. With a umask of 022 the mode is 0640; with 007, as the service has it, a group of senders can
 * write. */
static void create(const struct bide_sqlite_file *file)
{
    int fd = open(file->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, FILE_MODE);
    if (fd >= 0)
        close(fd);
}

static bide_code connect(struct bide_sqlite_file *file, enum bide_sqlite_access access, bide_error *error)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (access == BIDE_SQLITE_WRITE) {
        flags |= SQLITE_OPEN_CREATE;
        create(file); /* SQLite meets the same errors and reports them */
    }
    int result = sqlite3_open_v2(file->path, &file->db, flags, NULL);
    if (result != SQLITE_OK)
        return bide_sqlite_fail(file, result, error);
    bide_code code = identify(file, error); /* before the first read, which would create files beside it */
    if (code != BIDE_OK)
        return code;
    sqlite3_busy_handler(file->db, wait_for_others, file);
    sqlite3_wal_hook(file->db, note_pages, file);
    file->wal_pages = file->checked_pages = 0;
    file->insist_pages = PAGES_TO_INSIST;
    file->synced = false;
    /* secure_delete off: Debian switches it on, and SQLite then overwrites every page that becomes empty. */
    return bide_sqlite_exec(file,
        "PRAGMA secure_delete = OFF; PRAGMA cache_size = -" CACHE_KIB "; PRAGMA synchronous = NORMAL; "
        "PRAGMA journal_size_limit = 67108864",
        error);
}

static bide_code open_to_write(struct bide_sqlite_file *file, bide_error *error)
{
    enum bide_sqlite_schema schema;
    bide_code code = connect(file, BIDE_SQLITE_WRITE, error);
    if (code == BIDE_OK)
        code = bide_sqlite_schema_check(file, &schema, error);
    if (code == BIDE_OK)
        code = bide_sqlite_lock_open(
            &file->lock, file->lock_path, file->path, schema != BIDE_SQLITE_ABSENT, error);
    if (code == BIDE_OK)
        code = set_wal_mode(file, error);
    if (code == BIDE_OK && schema != BIDE_SQLITE_CURRENT)
        code = bide_sqlite_schema_apply(file, error);
    return code;
}

static bide_code open_to_read(
    struct bide_sqlite_file *file, enum bide_sqlite_access access_kind, bide_error *error)
{
    enum bide_sqlite_schema schema;
    if (access(file->path, F_OK) != 0 && errno == ENOENT)
        return bide_fail(error, BIDE_E_NOT_FOUND, "%s: does not exist yet", file->path);
    bide_code code = connect(file, access_kind, error);
    if (code == BIDE_OK)
        code = bide_sqlite_schema_check(file, &schema, error);
    if (code == BIDE_OK && schema == BIDE_SQLITE_ABSENT)
        code = bide_fail(error, BIDE_E_NOT_FOUND, "%s: nothing of bide's is in it yet", file->path);
    if (code == BIDE_OK && schema == BIDE_SQLITE_OLD && access_kind == BIDE_SQLITE_READ)
        code = bide_sqlite_schema_apply(file, error);
    if (code == BIDE_OK)
        code = bide_sqlite_lock_open_to_look(&file->lock, file->lock_path, error);
    return code;
}

bide_code bide_sqlite_file_open(
    struct bide_sqlite_file *file, enum bide_sqlite_access access, int64_t wait_us, bide_error *error)
{
    bide_code code;
    file->busy_until_us = bide_mono_us(file->clock) + wait_us;
    do {
        file->hopeless = file->collided = false;
        code = access == BIDE_SQLITE_WRITE ? open_to_write(file, error) : open_to_read(file, access, error);
        if (code != BIDE_OK)
            bide_sqlite_file_close(file);
    } while (code != BIDE_OK && file->collided && wait_for_others(file, 0));
    return code;
}

void bide_sqlite_file_close(struct bide_sqlite_file *file)
{
    for (size_t i = 0; i < BIDE_SQL_COUNT; i++) {
        sqlite3_finalize(file->statements[i]);
        file->statements[i] = NULL;
    }
    if (file->db)
        sqlite3_close(file->db);
    file->db = NULL;
    if (file->path)
        bide_sqlite_lock_close(&file->lock);
}

bool bide_sqlite_file_is_gone(const struct bide_sqlite_file *file)
{
    int moved = 0;
    struct stat status;
    if (sqlite3_file_control(file->db, "main", SQLITE_FCNTL_HAS_MOVED, &moved) == SQLITE_OK && moved)
        return true;
    if (stat(file->path, &status) != 0)
        return errno == ENOENT;
    return status.st_dev != file->device || status.st_ino != file->inode;
}

bool bide_sqlite_file_lost_lock(const struct bide_sqlite_file *file)
{
    return bide_sqlite_lock_is_gone(&file->lock, file->lock_path);
}

bide_code bide_sqlite_file_renew_lock(struct bide_sqlite_file *file, bide_error *error)
{
    struct bide_sqlite_lock renewed;
    bide_code code = bide_sqlite_lock_open(&renewed, file->lock_path, file->path, true, error);
    if (code != BIDE_OK)
        return code;
    bide_sqlite_lock_close(&file->lock);
    file->lock = renewed;
    return BIDE_OK;
}

/* ---- transactions ---- */

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
