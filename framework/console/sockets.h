/* console/sockets.h: the path of a worker's Unix socket, and of the folder of a `bide dev`, and how a command
 * finds them.
 *
 * The folder is /run/bide, else $XDG_RUNTIME_DIR/bide, else /tmp/bide-UID; each only if it belongs to this
 * user or root and nobody else can write there. Root looks into /run/bide whoever owns it. The socket is
 * NAMESPACE-HASH.PID.sock in it: HASH of the configuration's real path, PID of the supervisor. Any thread. */
#ifndef BIDE_CONSOLE_SOCKETS_H
#define BIDE_CONSOLE_SOCKETS_H

#include <stdbool.h>
#include <sys/types.h>

#include "config/config.h"

enum { BIDE_SOCKET_PATH = 104 }; /* fits into sockaddr_un.sun_path */

/* The path for this process's socket. Makes the folder, and removes sockets that killed workers left
 * there. */
bide_code bide_socket_own(
    const struct bide_config *config, pid_t pid, char to[BIDE_SOCKET_PATH], bide_error *error);

/* Does a process listen at this socket? */
bool bide_socket_is_served(const char *path);

/* Called for each socket whose worker is alive. Returning false ends the walk. */
typedef bool bide_socket_visit(void *user, const char *path, pid_t pid);
/* Visits the sockets of a configuration. */
void bide_socket_each(const struct bide_config *config, bide_socket_visit *visit, void *user);

/* The path of the folder of a `bide dev`, "dev-HASH" of its working directory, beside those sockets. The
 * caller makes it. */
bide_code bide_socket_folder_for_dev(const char *dir, char to[BIDE_SOCKET_PATH], bide_error *error);
/* The same, if that folder exists. */
bool bide_socket_folder_of_dev(const char *dir, char to[BIDE_SOCKET_PATH]);

#endif
