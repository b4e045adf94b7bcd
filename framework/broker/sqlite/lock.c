#include "broker/sqlite/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"

/* Copies the mode and, as root, the owner of the database to the side file, as SQLite does for its own: who
 * may write the one may write the other. */
static void adopt(int fd, const char *like)
{
    struct stat model, mine;
    if (stat(like, &model) != 0 || fstat(fd, &mine) != 0)
        return;
    if ((mine.st_mode & 0777) != (model.st_mode & 0777) && fchmod(fd, model.st_mode & 0777) != 0)
        return; /* another user owns the side file, and has set its mode */
    if (geteuid() == 0 && (mine.st_uid != model.st_uid || mine.st_gid != model.st_gid) &&
        fchown(fd, model.st_uid, model.st_gid) != 0)
        return;
}

/* The content of the file: the byte that ringing writes, then when the file was made in place of a removed
 * one (Unix ms; 0: it was not). */
struct content {
    char bell;
    int64_t made_ms;
};

enum { NEW_MS = 2000 }; /* within it all workers notice the new file: they look at least once a second */

static bool has_content(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 && status.st_size > 0;
}

bide_code bide_sqlite_lock_open(
    struct bide_sqlite_lock *lock, const char *path, const char *like, bool again, bide_error *error)
{
    struct content content = {.made_ms = again ? bide_wall_ms(bide_clock_system()) : 0};
    lock->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0660);
    if (lock->fd < 0)
        return bide_fail(error, BIDE_E_CONFIG,
            "%s: cannot be opened for writing (%s): the database's folder and the files beside it must be "
            "writable for this user",
            path, strerror(errno));
    if (has_content(lock->fd))
        return BIDE_OK;
    adopt(lock->fd, like);
    /* The bell's byte is allocated now, so that ringing needs no room on a full disk. */
    if (pwrite(lock->fd, &content, sizeof content, 0) == sizeof content)
        return BIDE_OK;
    bide_code code = bide_fail(error, BIDE_E_BROKER, "%s: cannot be written: %s", path, strerror(errno));
    bide_sqlite_lock_close(lock);
    return code;
}

bide_code bide_sqlite_lock_open_to_look(struct bide_sqlite_lock *lock, const char *path, bide_error *error)
{
    lock->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (lock->fd >= 0 || errno == ENOENT)
        return BIDE_OK;
    return bide_fail(error, BIDE_E_CONFIG, "%s: cannot be read: %s", path, strerror(errno));
}

void bide_sqlite_lock_close(struct bide_sqlite_lock *lock)
{
    if (lock->fd >= 0)
        close(lock->fd);
    lock->fd = -1;
}

static int change(
    const struct bide_sqlite_lock *lock, int64_t first, int64_t n, int command, short type, short *ret_type)
{
    struct flock range = {.l_type = type, .l_whence = SEEK_SET, .l_start = first, .l_len = n};
    int result = fcntl(lock->fd, command, &range);
    if (ret_type)
        *ret_type = range.l_type;
    return result;
}

bool bide_sqlite_lock_try(const struct bide_sqlite_lock *lock, int64_t byte)
{
    return bide_sqlite_lock_try_all(lock, byte, 1);
}

bool bide_sqlite_lock_try_all(const struct bide_sqlite_lock *lock, int64_t first, int64_t n)
{
    return change(lock, first, n, F_OFD_SETLK, F_WRLCK, NULL) == 0;
}

void bide_sqlite_lock_release(const struct bide_sqlite_lock *lock, int64_t byte)
{
    (void)change(lock, byte, 1, F_OFD_SETLK, F_UNLCK, NULL);
}

bool bide_sqlite_lock_is_held(const struct bide_sqlite_lock *lock, int64_t byte)
{
    short type = F_UNLCK;
    return lock->fd >= 0 && change(lock, byte, 1, F_OFD_GETLK, F_WRLCK, &type) == 0 && type != F_UNLCK;
}

bool bide_sqlite_lock_is_gone(const struct bide_sqlite_lock *lock, const char *path)
{
    struct stat open_one, named;
    if (fstat(lock->fd, &open_one) != 0)
        return true;
    if (lstat(path, &named) != 0)
        return errno == ENOENT;
    return named.st_dev != open_one.st_dev || named.st_ino != open_one.st_ino;
}

bool bide_sqlite_lock_is_new(const struct bide_sqlite_lock *lock)
{
    struct content content;
    if (lock->fd < 0 || pread(lock->fd, &content, sizeof content, 0) != sizeof content)
        return false;
    int64_t age_ms = bide_wall_ms(bide_clock_system()) - content.made_ms;
    return age_ms >= 0 && age_ms < NEW_MS;
}

void bide_sqlite_lock_ring(const struct bide_sqlite_lock *lock)
{
    /* A failed ring delays the receivers, but they do not miss the message: they look once a second
     * anyway. */
    ssize_t written = pwrite(lock->fd, "", 1, 0);
    (void)written;
}
