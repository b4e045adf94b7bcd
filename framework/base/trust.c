#include "base/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ENTRY_BYTES = 16 * 1024 };

/* A user's own group, as many systems give each user: writable by it is writable by the owner. */
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

/* A mount that is read-only for everybody, such as the configuration of a container. */
static bool is_read_only(int fd)
{
    struct statvfs mount;
    return fstatvfs(fd, &mount) == 0 && (mount.f_flag & ST_RDONLY);
}

/* What is wrong with who may write there; NULL: nothing. */
static const char *find_flaw(int fd, const struct stat *at)
{
    bool sticky = S_ISDIR(at->st_mode) && (at->st_mode & S_ISVTX);
    if (at->st_uid != 0 && at->st_uid != geteuid())
        return "belongs to another user";
    if (sticky || !(at->st_mode & (S_IWGRP | S_IWOTH)) || is_read_only(fd))
        return NULL;
    if (at->st_mode & S_IWOTH)
        return "can be written by everybody";
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

/* Goes down from / to `real`, a path without links, and judges each folder and the file at its end. */
static bide_code descend(const char *what, char *real, int last_flags, int *ret_fd, bide_error *error)
{
    int at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    bide_code code = at < 0 ? BIDE_OK : check(at, "the folder ", "/", error);
    for (char *name = real + 1, *next; at >= 0 && code == BIDE_OK && *name; name = next) {
        char *slash = strchr(name, '/'), saved = slash ? '/' : '\0';
        next = slash ? slash + 1 : name + strlen(name);
        next[slash ? -1 : 0] = '\0';
        int fd = openat(at, name, (slash ? O_PATH | O_DIRECTORY : last_flags) | O_NOFOLLOW | O_CLOEXEC);
        close(at);
        at = fd;
        if (at >= 0)
            code = check(at, slash ? "the folder " : what, real, error);
        next[slash ? -1 : 0] = saved;
    }
    if (at < 0)
        return bide_fail(error, BIDE_E_CONFIG, "cannot read %s: %s", real, strerror(errno));
    if (code == BIDE_OK)
        *ret_fd = at;
    else
        close(at);
    return code;
}

/* The folder in which `path` stands: where a link could be put in its place. */
static bide_code check_folder(const char *path, bide_error *error)
{
    char folder[PATH_MAX], real[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int fd, size = slash ? (int)(slash - path) + 1 : 1;
    if (snprintf(folder, sizeof folder, "%.*s", size, slash ? path : ".") >= PATH_MAX ||
        !realpath(folder, real))
        return bide_fail(error, BIDE_E_CONFIG, "cannot read %s: %s", path, strerror(errno));
    bide_code code = descend("the folder ", real, O_PATH | O_DIRECTORY, &fd, error);
    if (code == BIDE_OK)
        close(fd);
    return code;
}

bide_code bide_trust_open(const char *what, const char *path, int *ret_fd, bide_error *error)
{
    char real[PATH_MAX];
    if (!realpath(path, real))
        return bide_fail(error, BIDE_E_CONFIG, "cannot read %s: %s", path, strerror(errno));
    bide_code code = check_folder(path, error);
    return code == BIDE_OK ? descend(what, real, O_RDONLY | O_NONBLOCK | O_NOCTTY, ret_fd, error) : code;
}
