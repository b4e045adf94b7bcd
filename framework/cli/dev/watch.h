/* cli/dev/watch.h: tells when a source file in the working directory changes (inotify).
 *
 * Source files are those whose names end like a programming language's, `.env`, and the executables among the
 * words of the command. What a program writes, prints into or keeps beside them (data, logs, databases) is
 * not looked at, or each run would start it again. Hidden folders, installed packages (node_modules, vendor,
 * virtual environments) and what symbolic links lead to are not watched. Thread-safety: one thread. */
#ifndef BIDE_CLI_DEV_WATCH_H
#define BIDE_CLI_DEV_WATCH_H

#include <limits.h>
#include <stdbool.h>

enum { BIDE_DEV_FOLDERS_MAX = 4096 };

struct bide_dev_watch {
    int fd;                     /* readable when something happened; -1: changes are not seen */
    const char *const *words;   /* of the command, ended by NULL; borrowed */
    char changed[NAME_MAX + 1]; /* the source file that changed last */
    int n_folders;
    int newest;  /* watch */
    int failure; /* errno: why something is not watched */
    bool warned;
};

/* Logs a warning where changes, or some of them, will not be seen. The process's end closes it. */
void bide_dev_watch_open(struct bide_dev_watch *watch, const char *const *words);
/* Reads what has happened; true: a source file has changed, appeared or gone. */
bool bide_dev_watch_read(struct bide_dev_watch *watch);

#endif
