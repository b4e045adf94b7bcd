#include "dispatch/trust.h"

#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* What is wrong with who may write there; NULL: nothing. */
static const char *find_flaw(const struct stat *at)
{
    bool sticky = S_ISDIR(at->st_mode) && (at->st_mode & S_ISVTX);
    if (at->st_uid != 0 && at->st_uid != geteuid())
        return "belongs to another user";
    if (sticky)
        return NULL;
    if (at->st_mode & S_IWOTH)
        return "can be written by everybody";
    if ((at->st_mode & S_IWGRP) && !has_only_owner(at->st_gid, at->st_uid))
        return "can be written by its group";
    return NULL;
}

static bide_code check(const char *what, const char *path, bide_error *error)
{
    struct stat at;
    if (stat(path, &at) != 0)
        return bide_fail(error, BIDE_E_CONFIG, "cannot look at %s %s: %s", what, path, strerror(errno));
    const char *flaw = find_flaw(&at);
    if (!flaw)
        return BIDE_OK;
    return bide_fail(error, BIDE_E_CONFIG,
        "%s %s %s (mode %04o, owner %d:%d), and could run anything as this worker: `chown root: %s; chmod "
        "go-w %s`, or allow_unsafe_plugins = true",
        what, path, flaw, (unsigned)(at.st_mode & 07777), (int)at.st_uid, (int)at.st_gid, path, path);
}

bide_code bide_trust_plugin(const char *dir, const char *path, bide_error *error)
{
    char real[PATH_MAX];
    if (!realpath(path, real))
        return bide_fail(error, BIDE_E_CONFIG, "cannot find %s: %s", path, strerror(errno));
    bide_code code = check("the plugin's file", real, error);
    *strrchr(real, '/') = '\0'; /* absolute, so there is one */
    if (code == BIDE_OK)
        code = check("the plugin's folder", *real ? real : "/", error);
    return code == BIDE_OK ? check("plugin_dir", dir, error) : code;
}
