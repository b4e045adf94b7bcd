/* cli/dev/dev.h: between dev.c and children.c. One thread. */
#ifndef BIDE_CLI_DEV_DEV_H
#define BIDE_CLI_DEV_DEV_H

#include <stdint.h>
#include <sys/types.h>

#include "cli/core/command.h"
#include "cli/dev/draft.h"
#include "cli/dev/watch.h"

struct bide_dev {
    struct bide_cli *cli;
    struct bide_home home;
    struct bide_draft draft;
    struct bide_dev_watch watch;
    int signals;              /* a signalfd */
    int64_t ask_ms;           /* monotonic: a file has changed, ask the program then; 0: none has */
    pid_t asked;              /* the process that starts the program once; 0: none */
    int answer;               /* … and its pipe, which ends with it; -1: none */
    struct bide_buffer types; /* what has come by the pipe: a JSON array */
    pid_t worker;             /* the supervisor; 0: none */
    bool introduced, stops;
};

/* Starts a process that starts the program once and writes its types to a pipe. */
bide_code bide_dev_ask(struct bide_dev *dev, bide_error *error);
/* Ends that process, if there is one, and its program. */
void bide_dev_stop_asking(struct bide_dev *dev);
/* `bide worker` with the configuration that has been written. */
bide_code bide_dev_start_worker(struct bide_dev *dev, bide_error *error);

#endif
