/* dispatch/program/instance.h: one process of a program: its start, its descriptors, the lines to and from
 * it, and its runs.
 *
 * Thread-safety: the host's thread alone (dispatch/program/host.h). */
#ifndef BIDE_DISPATCH_PROGRAM_INSTANCE_H
#define BIDE_DISPATCH_PROGRAM_INSTANCE_H

#include <sys/types.h>

#include "base/buffer.h"
#include "config/config.h"
#include "dispatch/context.h"
#include "dispatch/job.h"

struct bide_program;

/* ---- spawn.c ---- */

/* Starts the process of a program. Called by the host's thread. */

/* The worker's ends; all close on exec, and do not block. */
struct bide_spawned {
    pid_t pid;
    int pid_fd;
    int channel;  /* descriptor 3 of the program */
    int out, err; /* its standard output and standard error */
};

/* Starts the process in the program's `dir` (relative to the configuration's folder), as leader of a process
 * group, with only the descriptors 0 to 3. It dies when the calling thread ends. BIDE_E_CONFIG if the program
 * cannot be run. */
bide_code bide_program_spawn(const struct bide_program_config *program, const char *dir,
    struct bide_spawned *ret_spawned, bide_error *error);

/* The runs of a process that it was given at once: a batch, or a single one. */
struct bide_program_call {
    int n;    /* how many it had at the start */
    int left; /* how many are under way */
};

/* A run under way in a process. */
struct bide_program_run {
    struct bide_program_run *next;
    struct bide_program_call *call; /* owned together with the other runs of it */
    struct bide_job *job;           /* owned until bide_pool_finish */
    uint64_t number;
    bool told;        /* the cancellation has been written to the process */
    bool lost_send;   /* a message that it wanted to send is invalid */
    char *send_error; /* owned: why; NULL: no memory for the text */
    struct bide_context context;
};

enum bide_instance_state {
    BIDE_INSTANCE_STARTING, /* its first line has not come yet */
    BIDE_INSTANCE_SERVING,
    BIDE_INSTANCE_LEAVING, /* was told to leave, and gets no more runs */
};

/* The descriptors for which the host waits, in this order. */
enum { BIDE_INSTANCE_CHANNEL, BIDE_INSTANCE_OUT, BIDE_INSTANCE_ERR, BIDE_INSTANCE_END, BIDE_INSTANCE_FDS };

struct bide_instance {
    struct bide_instance *next;
    struct bide_program *program;
    enum bide_instance_state state;
    pid_t pid;
    int fds[BIDE_INSTANCE_FDS];  /* -1: closed */
    struct bide_buffer in;       /* received from the channel */
    size_t taken;                /* bytes of `in` whose lines were carried out */
    struct bide_buffer to;       /* to be written to the channel */
    size_t sent;                 /* bytes of `to` that were written */
    struct bide_buffer texts[2]; /* unfinished lines of standard output and error */
    struct bide_buffer tail;     /* the last bytes of standard error */
    struct bide_program_run *runs;
    int n_runs;
    int n_calls;       /* in which they are */
    int most;          /* how many calls it takes at once */
    bool exclusive;    /* it runs a suspect, which may crash it: no other run may begin */
    uint64_t last_run; /* number of the latest run */
    uint64_t n_ended;  /* runs that it has answered */
    int64_t ends_us;   /* STARTING, LEAVING: when it is killed (monotonic) */
    int64_t looked_us; /* when its memory was checked last */
    bool deaf;         /* it reads its channel no more */
    bool killed;       /* bide has killed it */
    char why[300];     /* why bide killed it; "": not because of a run */
};

bide_code bide_instance_start(
    struct bide_program *program, int64_t now_us, struct bide_instance **ret_process, bide_error *error);
/* Called after its end was seen, or when the worker ends. It may have no runs. */
void bide_instance_destroy(struct bide_instance *process);

/* Writes as much as the channel takes. */
void bide_instance_write(struct bide_instance *process);
/* Reads from each descriptor that `ready` (POLL… by descriptor) names, and logs what the program printed. The
 * lines of the channel stay in `in`. True if something came. */
bool bide_instance_read(struct bide_instance *process, const short ready[BIDE_INSTANCE_FDS]);
/* How many calls of read get all that the process has written by now. */
size_t bide_instance_rounds_left(const struct bide_instance *process);
/* The next whole line of the channel, valid until the next read; NULL: none. */
const char *bide_instance_next_line(struct bide_instance *process, size_t *ret_size);

static inline bool bide_instance_hears(const struct bide_instance *process)
{
    return process->fds[BIDE_INSTANCE_CHANNEL] >= 0 && !process->deaf;
}

/* Kills the whole group at once. why: the text of its messages' failures, or NULL if no run is to blame. */
void bide_instance_kill(struct bide_instance *process, const char *why);
/* Reaps the process; false if it has not ended. */
bool bide_instance_reap(const struct bide_instance *process, int *ret_status);

struct bide_program_run *bide_instance_find(const struct bide_instance *process, uint64_t number);
/* Takes the run out of the list; the caller destroys it. */
void bide_instance_remove(struct bide_instance *process, struct bide_program_run *run);

#endif
