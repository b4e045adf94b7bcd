#include "console/sockets.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { FOLDERS = 3 };

static const char SYSTEM_FOLDER[] = "/run/bide";

/* The folders to try, best first; "" for one that does not exist. */
static void list_folders(char folders[FOLDERS][BIDE_SOCKET_PATH])
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    snprintf(folders[0], BIDE_SOCKET_PATH, SYSTEM_FOLDER);
    snprintf(folders[1], BIDE_SOCKET_PATH, "%s%s", runtime && *runtime == '/' ? runtime : "",
        runtime && *runtime == '/' ? "/bide" : "");
    snprintf(folders[2], BIDE_SOCKET_PATH, "/tmp/bide-%u", (unsigned)geteuid());
}

/* Can nobody but this user and root put or replace files there? */
static bool is_ours(const char *folder)
{
    struct stat found;
    return lstat(folder, &found) == 0 && S_ISDIR(found.st_mode) && (found.st_mode & 022) == 0 &&
           (found.st_uid == geteuid() || found.st_uid == 0);
}

/* Root may see every user's workers. It trusts /run/bide, whoever owns it, because only root can make a
 * folder in /run. */
static bool is_believed(const char *folder)
{
    struct stat found;
    return is_ours(folder) || (geteuid() == 0 && strcmp(folder, SYSTEM_FOLDER) == 0 &&
                                  lstat(folder, &found) == 0 && S_ISDIR(found.st_mode));
}

static uint32_t hash_of(const char *path)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (; *path; path++)
        hash = (hash ^ (uint8_t)*path) * UINT64_C(1099511628211);
    return (uint32_t)(hash ^ hash >> 32);
}

static void write_stem(const struct bide_config *config, char to[BIDE_SOCKET_PATH])
{
    char real[PATH_MAX];
    const char *path = config->path && realpath(config->path, real) ? real : config->dir;
    snprintf(to, BIDE_SOCKET_PATH, "%.40s-%08" PRIx32, config->name_space, hash_of(path));
}

/* The supervisor's pid in "STEM.PID.sock", or 0; stem NULL: any. */
static pid_t pid_in(const char *name, const char *stem)
{
    size_t size = stem ? strlen(stem) : strcspn(name, ".");
    char *end;
    if ((stem && strncmp(name, stem, size) != 0) || name[size] != '.')
        return 0;
    long pid = strtol(name + size + 1, &end, 10);
    return pid > 0 && pid <= INT_MAX && strcmp(end, ".sock") == 0 ? (pid_t)pid : 0;
}

/* Does a process listen there? The pid is not enough: it may be of another PID namespace (a container that
 * shares the folder). */
bool bide_socket_is_served(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || strlen(path) >= sizeof address.sun_path) {
        if (fd >= 0)
            close(fd);
        return true; /* not known: then nothing is removed */
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    bool served = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0 ||
                  (errno != ECONNREFUSED && errno != ENOENT);
    close(fd);
    return served;
}

/* Removes sockets that killed workers left behind, and calls `visit` for the others. */
static bool visit_folder(const char *folder, const char *stem, bide_socket_visit *visit, void *user)
{
    bool goes_on = true;
    DIR *entries = is_believed(folder) ? opendir(folder) : NULL;
    for (struct dirent *entry; entries && goes_on && (entry = readdir(entries));) {
        char path[BIDE_SOCKET_PATH];
        pid_t pid = pid_in(entry->d_name, stem);
        if (pid == 0 || snprintf(path, sizeof path, "%s/%s", folder, entry->d_name) >= BIDE_SOCKET_PATH)
            continue;
        if (kill(pid, 0) != 0 && errno == ESRCH && !bide_socket_is_served(path))
            unlink(path);
        else
            goes_on = visit(user, path, pid);
    }
    if (entries)
        closedir(entries);
    return goes_on;
}

static bool go_on(void *user, const char *path, pid_t pid)
{
    (void)user;
    (void)path;
    (void)pid;
    return true;
}

/* Composes "NAME" in the first folder that this user can write to. Makes the folder if it is missing. */
static bide_code place(const char *name, char to[BIDE_SOCKET_PATH], bide_error *error)
{
    char folders[FOLDERS][BIDE_SOCKET_PATH];
    list_folders(folders);
    for (size_t i = 0; i < FOLDERS; i++) {
        if (!*folders[i] || (mkdir(folders[i], 0700) != 0 && errno != EEXIST))
            continue;
        int size = snprintf(to, BIDE_SOCKET_PATH, "%s/%s", folders[i], name);
        if (is_ours(folders[i]) && access(folders[i], W_OK | X_OK) == 0 && size < BIDE_SOCKET_PATH) {
            visit_folder(folders[i], NULL, go_on, NULL);
            return BIDE_OK;
        }
    }
    *to = '\0';
    return bide_fail(error, BIDE_E_INTERNAL,
        "none of /run/bide, $XDG_RUNTIME_DIR/bide and %s is a folder only this user can write to",
        folders[FOLDERS - 1]);
}

bide_code bide_socket_own(
    const struct bide_config *config, pid_t pid, char to[BIDE_SOCKET_PATH], bide_error *error)
{
    char stem[BIDE_SOCKET_PATH], name[BIDE_SOCKET_PATH + 24];
    write_stem(config, stem);
    snprintf(name, sizeof name, "%s.%d.sock", stem, (int)pid);
    return place(name, to, error);
}

void bide_socket_each(const struct bide_config *config, bide_socket_visit *visit, void *user)
{
    char folders[FOLDERS][BIDE_SOCKET_PATH], stem[BIDE_SOCKET_PATH];
    list_folders(folders);
    write_stem(config, stem);
    for (size_t i = 0; i < FOLDERS; i++)
        if (*folders[i] && !visit_folder(folders[i], stem, visit, user))
            return;
}

static void name_dev(const char *dir, char name[BIDE_SOCKET_PATH])
{
    snprintf(name, BIDE_SOCKET_PATH, "dev-%08" PRIx32, hash_of(dir));
}

bide_code bide_socket_folder_for_dev(const char *dir, char to[BIDE_SOCKET_PATH], bide_error *error)
{
    char name[BIDE_SOCKET_PATH];
    name_dev(dir, name);
    return place(name, to, error);
}

bool bide_socket_folder_of_dev(const char *dir, char to[BIDE_SOCKET_PATH])
{
    char folders[FOLDERS][BIDE_SOCKET_PATH], name[BIDE_SOCKET_PATH];
    list_folders(folders);
    name_dev(dir, name);
    for (size_t i = 0; i < FOLDERS; i++)
        if (*folders[i] && is_ours(folders[i]) &&
            snprintf(to, BIDE_SOCKET_PATH, "%s/%s", folders[i], name) < BIDE_SOCKET_PATH && is_ours(to))
            return true;
    return false;
}
