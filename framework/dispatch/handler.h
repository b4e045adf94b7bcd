/* dispatch/handler.h: the configured handlers, their plugins and states, and how a message finds its handler.
 *
 * Thread-safety: created and destroyed by the thread that owns the worker; finding is for any thread in
 * between. The fields marked (pool) are guarded by the pool's lock. */
#ifndef BIDE_DISPATCH_HANDLER_H
#define BIDE_DISPATCH_HANDLER_H

#include "bide/handler.h"
#include "config/config.h"
#include "dispatch/job.h"
#include "dispatch/loader.h"
#include "shared/metrics.h"

struct bide_call;
struct bide_context;
struct bide_handler;
struct bide_handlers;
struct bide_programs;
struct bide_slot;
struct bide_zygote;

/* A way to run a handler's messages. load, open and close are called by the thread that owns the worker. */
struct bide_runner {
    /* Finds the handler's code and checks its settings. */
    bide_code (*load)(struct bide_handler *handler, const struct bide_config *config, bide_error *error);
    /* Prepares it to run on n_threads pool threads. */
    bide_code (*open)(
        struct bide_handlers *handlers, struct bide_handler *handler, size_t n_threads, bide_error *error);
    /* Called when no run is under way. Also after an open that failed, or without one. */
    void (*close)(struct bide_handler *handler);
    /* Pool thread: runs a message, between bide_context_begin and bide_context_end. In the slot (or NULL) it
     * notes the message if the run can end this process. NULL: use `begin`. */
    bide_outcome (*run)(const struct bide_handler *handler, size_t thread, const struct bide_message *message,
        struct bide_context *context, struct bide_slot *slot);
    /* The same for the messages of a call, whose outcomes it sets. Used with `batch`, also for one message.
     */
    void (*run_batch)(
        const struct bide_handler *handler, size_t thread, struct bide_call *call, struct bide_slot *slot);
    /* Pool thread: takes the job over; bide_pool_finish hands it back. NULL: use `run`. */
    void (*begin)(struct bide_handler *handler, struct bide_job *job);
    /* Any thread: can the handler run nothing now, so that its messages should wait in the broker? NULL: it
     * always can. */
    bool (*is_down)(const struct bide_handler *handler);
    bool kills; /* it kills a run that ignores its cancellation; otherwise this process is replaced */
};

/* On a pool thread of this process; isolation = "process" (dispatch/sandbox/); in another language
 * (dispatch/program/). */
extern const struct bide_runner bide_thread_runner, bide_sandbox_runner, bide_program_runner;

/* The messages that wait for the next call of a handler with `batch`: see dispatch/filling.h. */
struct bide_filling {
    struct bide_job_list jobs; /* without the lead */
    struct bide_job *lead;     /* the one that waits for a thread, for all of them; NULL: none does yet */
    int64_t ripe_us;           /* monotonic: it waits for others until then */
    int64_t landed_us;         /* wall: the earliest due time of those that landed; INT64_MAX: none */
    struct bide_handler *next; /* of the board's list */
    bool listed;               /* it is in there */
};

struct bide_handler {
    const struct bide_runner *runner;
    const struct bide_handler_config *config;
    struct bide_plugin *plugin;
    bide_settings *settings;
    void *where;     /* its sandbox or program; NULL: this process */
    void **states;   /* in this process: one, or one for each pool thread */
    size_t n_states; /* the open ones */
    bool per_thread;
    bool batches; /* its messages run by run_batch (a program's: by lines with "batch") */
    struct bide_type_metrics *metrics; /* counters of its type; NULL: not counted */

    struct bide_share *share;           /* (pool) shared with the other handlers of its program; NULL: none */
    struct bide_handler *next_in_share; /* (pool) */
    int running;                        /* (pool) */
    struct bide_job_list blocked;       /* (pool) jobs that wait until `running` is below the concurrency */
    struct bide_filling filling;        /* (pool) with `batch`: what waits for the next call */
    int64_t last_us;                    /* (pool) run time of the latest run */
    int64_t mean_us; /* (pool) mean of recent run times; starts high: an unknown handler counts as slow */
};

struct bide_handlers {
    struct bide_handler *rows; /* sorted by type and subscription */
    size_t n;
    struct bide_zygote *zygote;     /* NULL where no handler is isolated */
    struct bide_programs *programs; /* NULL where there are none */
};

/* Loads every plugin, checks every setting, opens every state (one for each of n_threads where configured).
 * The configuration must outlive the handlers. If a handler has a process of its own, this forks: this
 * process must have only one thread then. */
bide_code bide_handlers_open(
    const struct bide_config *config, int n_threads, struct bide_handlers *ret_handlers, bide_error *error);
/* One handler whose code the calling program brings itself, for a configuration with one handler. `state` is
 * passed to its handle(). */
bide_code bide_handlers_builtin(const struct bide_config *config, const bide_plugin_descriptor *plugin,
    void *state, struct bide_handlers *ret_handlers, bide_error *error);
/* Closes and unloads all; no thread may be inside a handler. Also after a failed open. */
void bide_handlers_close(struct bide_handlers *handlers);
/* What handles a message of this type that arrived on this queue: the type's handler on that subscription,
 * else the type's handler that is on none; NULL: nothing does. */
struct bide_handler *bide_handlers_find(
    const struct bide_handlers *handlers, const char *type, const char *queue);

/* Lets the plugin open one more state of the handler. The error says which handler. */
bide_code bide_handler_open_state(const struct bide_handler *handler, void **ret_state, bide_error *error);

/* Fails, and says where, if it has `batch` and its code takes no batches. */
bide_code bide_handler_check_batch(
    const struct bide_handler_config *config, bool takes_batches, bide_error *error);

/* For handlers whose code is a plugin: loads it and checks the settings. */
bide_code bide_handler_load_plugin(
    struct bide_handler *handler, const struct bide_config *config, bide_error *error);

static inline bool bide_handler_is_down(const struct bide_handler *handler)
{
    return handler->runner->is_down && handler->runner->is_down(handler);
}

/* True when no more sandboxes can be made: this process must be replaced. */
bool bide_handlers_lost(const struct bide_handlers *handlers);

#endif
