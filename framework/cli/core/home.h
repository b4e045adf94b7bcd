/* cli/core/home.h: where a `bide dev` keeps its database and its configuration while it runs, so that every
 * other command of the same user in the same working directory finds them.
 *
 * A folder beside the workers' sockets (console/sockets.h), named after the working directory. An open file
 * description holds a lock in it, which all processes of that `bide dev` share: the folder is in use as long
 * as one of them lives. Whatever an earlier one left there is removed. Thread-safety: one thread. */
#ifndef BIDE_CLI_CORE_HOME_H
#define BIDE_CLI_CORE_HOME_H

#include <limits.h>

#include "console/sockets.h"

enum { BIDE_HOME_PATH = BIDE_SOCKET_PATH + 16 };

struct bide_home {
    char dir[PATH_MAX]; /* the working directory */
    char path[BIDE_SOCKET_PATH];
    char config[BIDE_HOME_PATH];
    int lock;
};

/* Makes it, empty. BIDE_E_USAGE where another one runs in this working directory. */
bide_code bide_home_open(struct bide_home *ret_home, bide_error *error);
/* With all that is in it. */
void bide_home_remove(struct bide_home *home);

/* The configuration of the one that runs in this working directory; false: there is none. */
bool bide_home_find(char to[BIDE_HOME_PATH]);

#endif
