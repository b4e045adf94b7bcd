/* Opening the file for one call, and what to say where there is none. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bide/log.h"
#include "broker/sqlite/admin/admin.h"

/* Fails where the folder is missing or this user may not look into it: then there can be no database file
 * that a sender or worker could have made. */
static bide_code check_folder(const char *path, int why, bide_error *error)
{
    char folder[PATH_MAX];
    struct stat status;
    snprintf(folder, sizeof folder, "%s", path);
    if (why == ENOENT && stat(dirname(folder), &status) == 0 && S_ISDIR(status.st_mode))
        return BIDE_OK;
    return bide_fail(error, BIDE_E_BROKER,
        "%s: there can be no database (%s): its folder must exist, and this user must be able to look into "
        "it",
        path, strerror(why));
}

/* Logs the missing file once: the commands that only look go on as with an empty database. */
static void say_missing(struct bide_sqlite_admin *admin)
{
    if (!admin->said_missing)
        bide_log(BIDE_LOG_WARN, "the database does not exist yet: the first message makes it",
            BIDE_STR("file", admin->file.path));
    admin->said_missing = true;
}

bide_code bide_sqlite_admin_open(
    struct bide_sqlite_admin *admin, enum bide_sqlite_access access_kind, bool *ret_empty, bide_error *error)
{
    bide_error failure;
    if (access(admin->file.path, F_OK) != 0) {
        *ret_empty = true;
        if (access_kind == BIDE_SQLITE_LOOK) /* verify reports on the folder itself */
            return BIDE_OK;
        bide_code code = check_folder(admin->file.path, errno, error);
        if (code == BIDE_OK)
            say_missing(admin);
        return code;
    }
    bide_code code = bide_sqlite_file_open(&admin->file, access_kind, admin->timeout_us, &failure);
    *ret_empty = code == BIDE_E_NOT_FOUND;
    if (code == BIDE_OK || code == BIDE_E_NOT_FOUND)
        return BIDE_OK;
    return bide_fail(error, code, "%s", failure.text);
}
