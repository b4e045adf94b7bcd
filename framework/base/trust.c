#include "base/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { ENTRY_BYTES = 16 * 1024, LINKS_MAX = 20 };

/* Is it a user's own group, without other members? Being writable by it is being writable by the owner. */
static bool has_only_owner(gid_t gid, uid_t owner)
{
    char user_text[ENTRY_BYTES], group_text[ENTRY_BYTES];
    struct passwd user, *found_user = NULL;
    struct group group, *found_group = NULL;
    if (getpwuid_r(owner, &user, user_text, sizeof user_text, &found_user) != 0 || !found_user ||
        getgrgid_r(gid, &group, group_text, sizeof group_text, &found_group) != 0 || !found_group)
        return false;
    if (user.pw_gid != gid || strcmp(group.gr_name, user.pw_name) != 0)
        return false;
    for (char **member = group.gr_mem; *member; member++)
        if (strcmp(*member, user.pw_name) != 0)
            return false;
    return true;
}

/* Does the file have an access list? Then the group's mode bits show the list's mask, and other users may
 * write what seems to be writable only by the owner's own group. Asks through /proc, because a descriptor
 * opened with O_PATH has no attributes. */
static bool names_others(int fd)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return getxattr(link, "system.posix_acl_access", NULL, 0) >= 0 || (errno != ENODATA && errno != ENOTSUP);
}

static bool is_read_only(int fd)
{
    struct statvfs mount;
    return fstatvfs(fd, &mount) == 0 && (mount.f_flag & ST_RDONLY);
}

/* Is it a file that is a read-only mount by itself, as containers get a configuration from outside? Root
 * mounted it, so root chose it; its owner's number means nothing in the container. Not for a folder: the
 * files in it may belong to others. */
static bool is_given(int fd, const struct stat *at)
{
    struct statx about;
    return S_ISREG(at->st_mode) && is_read_only(fd) &&
           statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &about) == 0 &&
           (about.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* Returns what is wrong with the owner or the permissions; NULL: nothing. */
static const char *find_flaw(int fd, const struct stat *at)
{
    bool sticky = S_ISDIR(at->st_mode) && (at->st_mode & S_ISVTX);
    if (at->st_uid != 0 && at->st_uid != geteuid() && !is_given(fd, at))
        return "belongs to another user";
    if (sticky || !(at->st_mode & (S_IWGRP | S_IWOTH)) || is_read_only(fd))
        return NULL;
    if (at->st_mode & S_IWOTH)
        return "can be written by everybody";
    if (names_others(fd))
        return "can be written by those whom its access list names";
    return has_only_owner(at->st_gid, at->st_uid) ? NULL : "can be written by its group";
}

static bide_code check(int fd, const char *what, const char *path, bide_error *error)
{
    struct stat at;
    if (fstat(fd, &at) != 0)
        return bide_fail(error, BIDE_E_CONFIG, "cannot look at %s: %s", path, strerror(errno));
    const char *flaw = find_flaw(fd, &at);
    if (!flaw)
        return BIDE_OK;
    return bide_fail(error, BIDE_E_CONFIG,
        "%s%s %s (mode %04o, owner %d:%d): others could run anything as this user; `chown root: %s; chmod "
        "go-w %s`",
        what, path, flaw, (unsigned)(at.st_mode & 07777), (int)at.st_uid, (int)at.st_gid, path, path);
}

/* The folder's name for messages: `fallback` if the kernel does not tell it. */
static void name_folder(int fd, const char *fallback, char name[PATH_MAX])
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, name, PATH_MAX - 1);
    if (size < 0)
        snprintf(name, PATH_MAX, "%s", fallback);
    else
        name[size] = '\0';
}

static bool is_same(int one, int other)
{
    struct stat a, b;
    return fstat(one, &a) == 0 && fstat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Checks a folder and each one above it. If this user may not search a parent folder (after sudo -u in
 * /root), checking ends there. */
static bide_code climb(int folder, const char *path, bide_error *error)
{
    char name[PATH_MAX];
    int at = folder;
    bide_code code;
    for (;;) {
        name_folder(at, path, name);
        code = check(at, "the folder ", name, error);
        int above = code == BIDE_OK ? openat(at, "..", O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
        if (above < 0 && code == BIDE_OK && errno != EACCES)
            code =
                bide_fail(error, BIDE_E_CONFIG, "cannot look at what is above %s: %s", name, strerror(errno));
        bool top = above < 0 || is_same(at, above);
        if (at != folder)
            close(at);
        at = above;
        if (top)
            break;
    }
    if (at >= 0)
        close(at);
    return code;
}

/* Splits "folder/file". Returns the file's name, which points into `path`. */
static const char *split(const char *path, char folder[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    snprintf(folder, PATH_MAX, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    return slash ? slash + 1 : path;
}

/* Replaces `path`, a link, by the path to which it points. */
static bool follow(int folder_fd, const char *folder, const char *file, char path[PATH_MAX])
{
    char target[PATH_MAX];
    ssize_t size = readlinkat(folder_fd, file, target, sizeof target - 1);
    if (size < 0)
        return false;
    target[size] = '\0';
    errno = ENAMETOOLONG;
    return snprintf(path, PATH_MAX, "%s%s%s", *target == '/' ? "" : folder, *target == '/' ? "" : "/",
               target) < PATH_MAX;
}

/* Opens `path`, or follows one link: then *ret_fd is -1, and `path` is the link's target. */
static bide_code step(const char *what, char path[PATH_MAX], int *ret_fd, bide_error *error)
{
    char folder[PATH_MAX];
    const char *file = split(path, folder);
    int folder_fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
    bide_code code = BIDE_OK;
    if (folder_fd >= 0)
        fd = openat(folder_fd, *file ? file : ".", O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (folder_fd < 0 || (fd < 0 && errno != ELOOP))
        code = bide_fail(error, BIDE_E_CONFIG, "cannot read %s: %s", path, strerror(errno));
    if (code == BIDE_OK)
        code = climb(folder_fd, folder, error);
    if (code == BIDE_OK && fd >= 0)
        code = check(fd, what, path, error);
    else if (code == BIDE_OK && !follow(folder_fd, folder, file, path))
        code = bide_fail(error, BIDE_E_CONFIG, "cannot read %s: %s", path, strerror(errno));
    if (folder_fd >= 0)
        close(folder_fd);
    if (code == BIDE_OK)
        *ret_fd = fd;
    else if (fd >= 0)
        close(fd);
    return code;
}

bide_code bide_trust_open(const char *what, const char *path, int *ret_fd, bide_error *error)
{
    char at[PATH_MAX];
    int fd = -1;
    bide_code code = BIDE_OK;
    if (strlen(path) >= sizeof at)
        return bide_fail(error, BIDE_E_CONFIG, "cannot read %.100s…: %s", path, strerror(ENAMETOOLONG));
    snprintf(at, sizeof at, "%s", path);
    for (int links = 0; code == BIDE_OK && fd < 0; links++)
        code = links <= LINKS_MAX
                   ? step(what, at, &fd, error)
                   : bide_fail(error, BIDE_E_CONFIG, "cannot read %s: %s", path, strerror(ELOOP));
    if (code == BIDE_OK)
        *ret_fd = fd;
    return code;
}
