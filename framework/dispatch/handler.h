/* dispatch/handler.h: the configured handlers, their plugins and states, and how a type finds its handler.
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

struct bide_context;
struct bide_handler;
struct bide_handlers;
struct bide_programs;
struct bide_slot;
struct bide_zygote;

/* How the messages of a handler are run; load, open and close by the thread that owns the worker. */
struct bide_runner {
    /* Finds the handler's code and checks its settings. */
    bide_code (*load)(struct bide_handler *handler, const struct bide_config *config, bide_error *error);
    /* Makes it ready to run on so many pool threads. */
    bide_code (*open)(
        struct bide_handlers *handlers, struct bide_handler *handler, size_t n_threads, bide_error *error);
    /* No run is under way. Also after an open that failed, or none. */
    void (*close)(struct bide_handler *handler);
    /* Pool thread: runs a message, between bide_context_begin and bide_context_end. The slot (NULL: none)
     * tells of what can end this process. NULL: `begin` does it. */
    bide_outcome (*run)(const struct bide_handler *handler, size_t thread, const struct bide_message *message,
        struct bide_context *context, struct bide_slot *slot);
    /* Pool thread: takes the job over, which bide_pool_finish hands back. NULL: `run` does it. */
    void (*begin)(struct bide_handler *handler, struct bide_job *job);
    /* Any thread: nothing of it can run just now, and its messages had better wait in the broker. NULL: it
     * always can. */
    bool (*is_down)(const struct bide_handler *handler);
    bool kills; /* a run that ignores its cancellation; else the whole process has to be replaced */
};

/* In this process, on a pool thread; isolation = "process" (dispatch/sandbox/); in another language
 * (dispatch/program/). */
extern const struct bide_runner bide_thread_runner, bide_sandbox_runner, bide_program_runner;

struct bide_handler {
    const struct bide_runner *runner;
    const struct bide_handler_config *config;
    struct bide_plugin *plugin;
    bide_settings *settings;
    void *where;     /* its sandbox or program; NULL: this process */
    void **states;   /* this process: one, or one for each pool thread */
    size_t n_states; /* those that are open */
    bool per_thread;
    struct bide_type_metrics *metrics; /* where its messages are counted; NULL: nowhere */

    struct bide_share *share;           /* (pool) with the other handlers of its program; NULL: none */
    struct bide_handler *next_in_share; /* (pool) */
    int running;                        /* (pool) */
    struct bide_job_list blocked;       /* (pool) wait for `running` to fall below the concurrency */
    int64_t last_us;                    /* (pool) the latest run's time */
    int64_t mean_us;                    /* (pool) recent run time; starts high: unknown counts as slow */
};

struct bide_handlers {
    struct bide_handler *rows; /* sorted by type */
    size_t n;
    struct bide_zygote *zygote;     /* NULL where no handler is isolated */
    struct bide_programs *programs; /* NULL where there are none */
};

/* Loads every plugin, checks every setting, opens every state (n_threads of them where asked for). The
 * configuration must outlive the handlers. Where a handler has a process of its own, this forks: the program
 * must have no other thread then. */
bide_code bide_handlers_open(
    const struct bide_config *config, int n_threads, struct bide_handlers *ret_handlers, bide_error *error);
/* One handler that the program brings itself, for the configuration's only one; state is what handle gets. */
bide_code bide_handlers_builtin(const struct bide_config *config, const bide_plugin_descriptor *plugin,
    void *state, struct bide_handlers *ret_handlers, bide_error *error);
/* Closes and unloads all; no thread may be inside a handler. Also after a failed open. */
void bide_handlers_close(struct bide_handlers *handlers);
struct bide_handler *bide_handlers_find(const struct bide_handlers *handlers, const char *type);

/* One more state of a handler, opened by its plugin. A failure says which handler. */
bide_code bide_handler_open_state(const struct bide_handler *handler, void **ret_state, bide_error *error);

/* Loads its plugin and checks its settings, for those whose code is one. */
bide_code bide_handler_load_plugin(
    struct bide_handler *handler, const struct bide_config *config, bide_error *error);

static inline bool bide_handler_is_down(const struct bide_handler *handler)
{
    return handler->runner->is_down && handler->runner->is_down(handler);
}

/* True where sandboxes can be had no more: this process has to be replaced. */
bool bide_handlers_lost(const struct bide_handlers *handlers);

#endif
