/* dispatch/program/instance.h: one process of a program: its start, its descriptors, the lines to and from
 * it, and what runs in it.
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

/* A run under way in a process. */
struct bide_program_run {
    struct bide_program_run *next;
    struct bide_job *job; /* owned until bide_pool_finish */
    uint64_t number;
    bool told;        /* its cancellation has been written */
    bool lost_send;   /* a message it wanted to send is none */
    char *send_error; /* owned: why; NULL: no memory to say */
    struct bide_context context;
};

enum bide_instance_state {
    BIDE_INSTANCE_STARTING, /* its first line has not come */
    BIDE_INSTANCE_SERVING,
    BIDE_INSTANCE_LEAVING, /* told to leave: gets no more runs */
};

/* What the host waits for, in this order. */
enum { BIDE_INSTANCE_CHANNEL, BIDE_INSTANCE_OUT, BIDE_INSTANCE_ERR, BIDE_INSTANCE_END, BIDE_INSTANCE_FDS };

struct bide_instance {
    struct bide_instance *next;
    struct bide_program *program;
    enum bide_instance_state state;
    pid_t pid;
    int fds[BIDE_INSTANCE_FDS];  /* -1: closed */
    struct bide_buffer in;       /* what has come by the channel */
    size_t taken;                /* of `in`: lines that were obeyed */
    struct bide_buffer to;       /* what is to be written */
    size_t sent;                 /* of `to` */
    struct bide_buffer texts[2]; /* unfinished lines of standard output and error */
    struct bide_buffer tail;     /* the end of standard error */
    struct bide_program_run *runs;
    int n_runs;
    int most;          /* runs at once */
    bool exclusive;    /* what runs may crash it: nothing else is to begin */
    uint64_t last_run; /* the number given last */
    uint64_t n_ended;  /* runs that ended well enough to be answered */
    int64_t ends_us;   /* STARTING, LEAVING: killed then (monotonic) */
    int64_t looked_us; /* when its memory was looked at */
    bool deaf;         /* it takes no more from its channel */
    bool killed;       /* by us */
    char why[300];     /* killed for this; "": for nothing that a run did */
};

bide_code bide_instance_start(
    struct bide_program *program, int64_t now_us, struct bide_instance **ret_process, bide_error *error);
/* After its end was seen, or on the way out; no runs may be left. */
void bide_instance_destroy(struct bide_instance *process);

/* Writes what can be written. */
void bide_instance_write(struct bide_instance *process);
/* Reads what there is from each descriptor that `ready` (POLL… by descriptor) names; logs what the program
 * printed. The lines of the channel stay in `in`. True where something came. */
bool bide_instance_read(struct bide_instance *process, const short ready[BIDE_INSTANCE_FDS]);
/* Calls of the above that read all that has been written by now. */
size_t bide_instance_rounds_left(const struct bide_instance *process);
/* The next whole line of the channel, which lives until the next read; NULL: none. */
const char *bide_instance_next_line(struct bide_instance *process, size_t *ret_size);

static inline bool bide_instance_hears(const struct bide_instance *process)
{
    return process->fds[BIDE_INSTANCE_CHANNEL] >= 0 && !process->deaf;
}

/* The whole group, at once. why: what its message's failure will say, or NULL where no run is to blame. */
void bide_instance_kill(struct bide_instance *process, const char *why);
/* Reaps it; false where it has not ended. */
bool bide_instance_reap(const struct bide_instance *process, int *ret_status);

struct bide_program_run *bide_instance_find(const struct bide_instance *process, uint64_t number);
/* Takes the run out of the list; the caller destroys it. */
void bide_instance_remove(struct bide_instance *process, struct bide_program_run *run);

#endif
