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

/* ---- opening ---- */

/* Tries again while another process sets the mode too: SQLite does not wait for that itself. */
static bide_code set_wal_mode(struct bide_sqlite_file *file, bide_error *error)
{
    for (;;) {
        int result = sqlite3_exec(file->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if (result == SQLITE_OK)
            return BIDE_OK;
        if (result != SQLITE_BUSY || !bide_sqlite_wait_for_others(file))
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
    bide_sqlite_turns_init(file);
    /* secure_delete off: Debian switches it on, and SQLite then overwrites every page that becomes empty. */
    return bide_sqlite_exec(file,
        "PRAGMA secure_delete = OFF; PRAGMA cache_size = -" CACHE_KIB "; PRAGMA synchronous = NORMAL; "
        "PRAGMA journal_size_limit = 67108864",
        error);
}

/* Reads all in one read transaction: another process may be making the tables just now. */
static bide_code check_tables(
    struct bide_sqlite_file *file, enum bide_sqlite_schema *ret_schema, bide_error *error)
{
    bide_code code = bide_sqlite_exec(file, "SAVEPOINT look", error);
    if (code != BIDE_OK)
        return code;
    code = file->tables->check(file, ret_schema, error);
    (void)sqlite3_exec(file->db, "RELEASE look", NULL, NULL, NULL);
    return code;
}

static bide_code make_tables(struct bide_sqlite_file *file, bide_error *error)
{
    /* If two processes come here, the second one finds the tables made: it checks again with the write lock
     * held. */
    int64_t wait_us = file->busy_until_us - bide_mono_us(file->clock);
    bide_code code = bide_sqlite_begin(file, true, wait_us, error);
    if (code != BIDE_OK)
        return code;
    enum bide_sqlite_schema schema;
    code = check_tables(file, &schema, error);
    if (code == BIDE_OK && schema != BIDE_SQLITE_CURRENT)
        code = file->tables->make(file, error);
    return bide_sqlite_end(file, code, error);
}

static bide_code open_to_write(struct bide_sqlite_file *file, bide_error *error)
{
    enum bide_sqlite_schema schema;
    bide_code code = connect(file, BIDE_SQLITE_WRITE, error);
    if (code == BIDE_OK)
        code = check_tables(file, &schema, error);
    if (code == BIDE_OK)
        code = bide_sqlite_lock_open(
            &file->lock, file->lock_path, file->path, schema != BIDE_SQLITE_ABSENT, error);
    if (code == BIDE_OK)
        code = set_wal_mode(file, error);
    if (code == BIDE_OK && schema != BIDE_SQLITE_CURRENT)
        code = make_tables(file, error);
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
        code = check_tables(file, &schema, error);
    if (code == BIDE_OK && schema == BIDE_SQLITE_ABSENT)
        code = bide_fail(error, BIDE_E_NOT_FOUND, "%s: nothing of bide's is in it yet", file->path);
    if (code == BIDE_OK && schema == BIDE_SQLITE_OLD && access_kind == BIDE_SQLITE_READ)
        code = make_tables(file, error);
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
    } while (code != BIDE_OK && file->collided && bide_sqlite_wait_for_others(file));
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
