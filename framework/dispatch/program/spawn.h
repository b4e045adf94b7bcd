/* dispatch/program/spawn.h: starts the process of a program. Called by the host's thread. */
#ifndef BIDE_DISPATCH_PROGRAM_SPAWN_H
#define BIDE_DISPATCH_PROGRAM_SPAWN_H

#include <sys/types.h>

#include "config/config.h"

/* Our ends; all close on exec, and do not block. */
struct bide_spawned {
    pid_t pid;
    int pid_fd;
    int channel;  /* descriptor 3 of the program */
    int out, err; /* what it writes to standard output and error */
};

/* Starts it in its `dir`, as seen from the configuration's folder, as leader of a process group, with
 * descriptors 0 to 3 alone; it dies when the calling thread ends. BIDE_E_CONFIG where the program cannot be
 * run. */
bide_code bide_program_spawn(const struct bide_program_config *program, const char *dir,
    struct bide_spawned *ret_spawned, bide_error *error);

#endif
