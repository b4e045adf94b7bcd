#include "cli/core/home.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char LOCK[] = "lock";

static void name_in(const char *folder, const char *name, char to[BIDE_HOME_PATH])
{
    snprintf(to, BIDE_HOME_PATH, "%s/%s", folder, name);
}

/* All but the lock: as long as that is there and held, no other one begins. */
static void empty(const char *folder)
{
    DIR *entries = opendir(folder);
    for (struct dirent *entry; entries && (entry = readdir(entries));)
        if (strcmp(entry->d_name, LOCK) != 0)
            unlinkat(dirfd(entries), entry->d_name, 0);
    if (entries)
        closedir(entries);
}

static bide_code take(struct bide_home *home, bide_error *error)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char path[BIDE_HOME_PATH];
    name_in(home->path, LOCK, path);
    if (mkdir(home->path, 0700) != 0 && errno != EEXIST)
        return bide_fail(error, BIDE_E_INTERNAL, "cannot make %s: %s", home->path, strerror(errno));
    home->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (home->lock >= 0 && fcntl(home->lock, F_OFD_SETLK, &whole) == 0)
        return BIDE_OK;
    int why = errno;
    if (home->lock >= 0)
        close(home->lock);
    return why == EAGAIN || why == EACCES
               ? bide_fail(error, BIDE_E_USAGE, "another `bide dev` runs in %s: end it first", home->dir)
               : bide_fail(error, BIDE_E_INTERNAL, "cannot lock %s: %s", path, strerror(why));
}

bide_code bide_home_open(struct bide_home *ret_home, bide_error *error)
{
    if (!getcwd(ret_home->dir, sizeof ret_home->dir))
        return bide_fail(error, BIDE_E_CONFIG, "cannot find the working directory: %s", strerror(errno));
    bide_code code = bide_socket_folder_for_dev(ret_home->dir, ret_home->path, error);
    if (code == BIDE_OK)
        code = take(ret_home, error);
    if (code != BIDE_OK)
        return code;
    empty(ret_home->path);
    name_in(ret_home->path, "bide.conf", ret_home->config);
    return BIDE_OK;
}

void bide_home_remove(struct bide_home *home)
{
    char path[BIDE_HOME_PATH];
    empty(home->path);
    name_in(home->path, LOCK, path);
    unlink(path);
    rmdir(home->path);
    close(home->lock);
}

bool bide_home_find(char to[BIDE_HOME_PATH])
{
    char dir[PATH_MAX], path[BIDE_SOCKET_PATH];
    struct flock held = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (!getcwd(dir, sizeof dir) || !bide_socket_folder_of_dev(dir, path))
        return false;
    name_in(path, LOCK, to);
    int fd = open(to, O_RDWR | O_CLOEXEC);
    bool found = fd >= 0 && fcntl(fd, F_OFD_GETLK, &held) == 0 && held.l_type != F_UNLCK;
    if (fd >= 0)
        close(fd);
    name_in(path, "bide.conf", to);
    return found && access(to, F_OK) == 0;
}
