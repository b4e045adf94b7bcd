/* handlers/command/command.h: the parts of the plugin command.
 *
 * One `struct command` a configured handler, read-only after open, shared by the pool's threads. A `struct
 * child` belongs to the thread that runs it. */
#ifndef COMMAND_H
#define COMMAND_H

#include <sys/types.h>

#include <bide/handler.h>

struct command {
    char *program;      /* absolute path */
    char *directory;    /* where it runs; absolute or from the worker's own */
    char **argv;        /* [0] as configured; NULL-terminated */
    char **environment; /* of the worker's, what is passed on; the strings are not owned */
    size_t n_environment;
    int64_t grace_ms; /* between SIGTERM and SIGKILL */
    size_t keep_output;
    bool dead_codes[256];
};

/* The last bytes of what a program wrote. */
struct tail {
    char *bytes; /* room for 2 * limit + 1 */
    size_t size;
    size_t limit;
};

struct child {
    pid_t pid;
    int pidfd;    /* -1 where the kernel offers none */
    int output;   /* read end, not blocking; -1 after its end */
    int status;   /* of waitpid, once it has ended */
    bool stopped; /* was told to end, because the run was cancelled */
    bool lost;    /* somebody else fetched the status */
    struct tail tail;
};

/* ---- settings.c ---- */
bide_code command_open(const bide_settings *settings, struct command **ret_command, bide_error *error);
void command_close(struct command *command); /* NULL is fine */

/* ---- environment.c: the worker's environment and the message's fields ---- */
struct environment {
    char **list; /* for execve */
    char *block; /* the message's own strings */
};
bool environment_make(struct environment *environment, const struct command *command,
    const bide_message *message, const bide_context *context);
void environment_clear(struct environment *environment);
/* Does a message set this one ("NAME=value")? */
bool environment_is_ours(const char *entry);

/* ---- spawn.c: starts the program, in a process group of its own, that dies with the worker's thread ---- */
bide_code child_start(struct child *child, const struct command *command, char *const *environment,
    const bide_message *message, bide_error *error);

/* ---- wait.c: until the program has ended; stopped with its children when the run is cancelled ---- */
void child_wait(struct child *child, const struct command *command, bide_context *context);
void child_clear(struct child *child);

/* ---- tail.c ---- */
bool tail_init(struct tail *tail, size_t limit);
void tail_add(struct tail *tail, const char *bytes, size_t size);
/* The last `limit` bytes as one line: no control characters, no blanks at the ends. Lives as long as the
 * tail. */
const char *tail_text(struct tail *tail);

#endif
