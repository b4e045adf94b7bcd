/* console/sockets.h: where a worker's Unix socket is, and the folder of a `bide dev`, and how a command finds
 * them.
 *
 * /run/bide, else $XDG_RUNTIME_DIR/bide, else /tmp/bide-UID, each only where it is this user's (or root's)
 * and nobody else can write there; root looks into /run/bide whoever owns it; in it NAMESPACE-HASH.PID.sock:
 * HASH of the configuration's real path, PID the supervisor's. Any thread. */
#ifndef BIDE_CONSOLE_SOCKETS_H
#define BIDE_CONSOLE_SOCKETS_H

#include <stdbool.h>
#include <sys/types.h>

#include "config/config.h"

enum { BIDE_SOCKET_PATH = 104 }; /* fits into sockaddr_un.sun_path */

/* The path for this process's socket; makes the folder, and removes names that killed workers left there. */
bide_code bide_socket_own(
    const struct bide_config *config, pid_t pid, char to[BIDE_SOCKET_PATH], bide_error *error);

/* Does somebody listen at this socket? */
bool bide_socket_is_served(const char *path);

/* Called for each socket whose worker is alive; false ends the walk. */
typedef bool bide_socket_visit(void *user, const char *path, pid_t pid);
/* Those of a configuration. */
void bide_socket_each(const struct bide_config *config, bide_socket_visit *visit, void *user);

/* Beside those sockets: "dev-HASH" of the working directory of a `bide dev`. The caller makes it. */
bide_code bide_socket_folder_for_dev(const char *dir, char to[BIDE_SOCKET_PATH], bide_error *error);
/* That folder, where it exists. */
bool bide_socket_folder_of_dev(const char *dir, char to[BIDE_SOCKET_PATH]);

#endif
