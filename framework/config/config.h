/* config/config.h: a configuration as plain structs, read from a libconfig file.
 *
 * config/ uses base/ only; every layer above may read these structs. A loaded configuration is never changed:
 * any thread may read it until bide_config_destroy. Each key, with its kind, default and help, is a row of
 * one table (config/options.c), which serves to parse, to refuse unknown keys, and to write
 * docs/configuration.md. */
#ifndef BIDE_CONFIG_CONFIG_H
#define BIDE_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "bide/error.h"

enum bide_backoff {
    BIDE_BACKOFF_FIXED,
    BIDE_BACKOFF_LINEAR,
    BIDE_BACKOFF_EXPONENTIAL,
    BIDE_BACKOFF_FIBONACCI,
    BIDE_BACKOFF_LIST,
};

struct bide_retry_config {
    int attempts;
    int crash_attempts;
    enum bide_backoff backoff;
    int64_t base_ms;
    int64_t cap_ms;
    double jitter;    /* fraction: 0.2 moves a delay by up to ±20 % */
    int64_t *list_ms; /* BIDE_BACKOFF_LIST */
    size_t n_list;
};

/* A value in a handler's `settings` group, as in the file. */
struct bide_setting_value {
    char *name;
    int line; /* of the handler's file */
    enum { BIDE_VALUE_STRING, BIDE_VALUE_INT, BIDE_VALUE_FLOAT, BIDE_VALUE_BOOL, BIDE_VALUE_LIST } kind;
    char *text;      /* STRING */
    int64_t integer; /* INT, BOOL */
    double number;   /* FLOAT */
    char **items;    /* LIST: of strings */
    size_t n_items;
};

/* Limits of a handler's sandbox; 0: no limit. */
struct bide_limits_config {
    int64_t memory; /* bytes of address space */
    int64_t cpu_ms; /* for one message */
    int files;      /* open descriptors */
    bool no_new_privs;
};

/* When a handler's circuit opens: see outcome/breaker.h. failure_rate 0: never. */
struct bide_breaker_config {
    double failure_rate; /* of the runs in the window, 0 … 1 */
    int64_t window_ms;
    int min_runs;
    int64_t pause_ms;
    int64_t max_pause_ms;
};

enum bide_isolation { BIDE_ISOLATION_THREAD, BIDE_ISOLATION_PROCESS };

/* A handler in another language: docs/program-protocol.md. */
struct bide_program_config {
    char *name;
    char **run; /* the command and its arguments, ended by NULL */
    char *dir;  /* where it is started; NULL: in the configuration's folder */
    char **env; /* "NAME=value", ended by NULL; NULL: no variables of its own */
    int processes;
    int concurrency; /* runs at once in one process */
    int64_t start_timeout_ms;
    int max_runs;       /* runs after which a process is replaced; 0: no limit */
    int64_t max_memory; /* resident bytes above which it is replaced */
    struct bide_limits_config limits;
};

/* What handlers may do together, across all workers: `limits` of the file. */
struct bide_rate {
    int64_t n; /* 0: none */
    int64_t window_ms;
};
struct bide_shared_limit_config {
    char *name;
    struct bide_rate rate;
    int concurrency; /* 0: none */
    char *key;       /* NULL: one for all; "type", "queue", "header:NAME", "json:/POINTER" */
};

enum { BIDE_LIMITED_BY_MAX = 4, BIDE_BATCH_MAX = 10000 };

struct bide_handler_config {
    char *type;
    char *on;          /* "SUB@TOPIC": for messages of this subscription alone; NULL: of any queue */
    char *name;        /* "TYPE@SUB@TOPIC", with `on` where another handler has the type, too; else NULL */
    char *plugin;      /* as in the file: a name or a path; with `program`, the program's name */
    char *plugin_path; /* its file, absolute; need not exist; NULL with `program` */
    char *program;     /* NULL: a plugin */
    char *queue;       /* that it serves: with `on`, the subscription */
    int concurrency;   /* 0: no own limit */
    int batch;         /* the most messages in one call; 1: each has its own */
    int64_t batch_wait_ms;
    int64_t timeout_ms; /* of a call; 0: none */
    int64_t kill_after_ms;
    enum bide_isolation isolation;
    struct bide_limits_config limits; /* all 0 but for BIDE_ISOLATION_PROCESS */
    struct bide_retry_config retry;
    struct bide_breaker_config breaker;
    int64_t once_ms;   /* what ended done so long ago at most does not run again; 0: it may */
    char **limited_by; /* names of `limits`, ended by NULL; NULL: none */
    char *on_dead;     /* type of the message that reports a dead letter; NULL: no message */
    struct bide_setting_value *settings;
    size_t n_settings;
    char *file; /* the file that defines it, for messages: bide_config.path or an included one */
    int line;
};

enum bide_catch_up { BIDE_CATCH_UP_NONE, BIDE_CATCH_UP_LAST, BIDE_CATCH_UP_ALL };
enum bide_overlap { BIDE_OVERLAP_ALLOW, BIDE_OVERLAP_SKIP };

enum { BIDE_SCHEDULE_BODY_MAX = 65536 }; /* with its escapes it has room in a fact of the store */

/* A message that recurs: docs/schedules.md. */
struct bide_schedule_config {
    char *name;
    char *cron;       /* checked; NULL: `every_ms` */
    int64_t every_ms; /* whole seconds; 0: `cron` */
    char *timezone;
    char *type;
    char *queue; /* never NULL once the configuration is checked */
    char *body;  /* UTF-8, BIDE_SCHEDULE_BODY_MAX bytes; NULL: empty */
    int64_t jitter_ms;
    enum bide_catch_up catch_up;
    enum bide_overlap overlap;
};

/* docs/topics.md */
struct bide_topic_config {
    char *name;
    char **subscriptions; /* "SUB", ended by NULL; NULL: none */
};

/* Messages that are carried from elsewhere to a broker: docs/outbox.md. */
struct bide_relay_config {
    char *name;
    char *from, *to; /* URLs */
    char *queue;     /* of this one only; NULL: of all */
};

/* Where messages wait on this host while the broker is away: docs/spool.md. */
struct bide_spool_config {
    char *url; /* NULL: there is none */
    int mode;  /* a bide_spool_mode */
    int64_t max_bytes;
};

struct bide_queue_config {
    char *name;
    int weight;
};

enum { BIDE_RELAYS_MAX = 17 }; /* one of them the spool's */
#define BIDE_SPOOL_RELAY "spool"
enum { BIDE_THREADS_MAX = 256, BIDE_PROCESSES_MAX = 64 };

enum bide_order { BIDE_ORDER_WEIGHTED, BIDE_ORDER_STRICT };

struct bide_worker_config {
    int threads;
    int processes;
    enum bide_order order;
    int64_t drain_ms;
    int64_t max_body;      /* bytes */
    int64_t max_in_flight; /* bytes */
    int prefetch;          /* 0: automatic */
    int log_level;         /* a bide_log_level */
};

/* Where the console listens, apart from its Unix socket. */
struct bide_http_config {
    char *listen; /* NULL: no TCP; otherwise checked by bide_listen_parse */
    char *token;  /* NULL: none; of role operate */
    char *read_token, *send_token;
    char *send_socket; /* NULL: none; an absolute path */
    bool open_metrics;
};

/* How long dead letters are kept. */
struct bide_dead_config {
    int64_t max_age_ms; /* 0: no limit */
    int max_count;      /* of each queue; 0: no limit */
};

struct bide_config {
    char *path;  /* of the file, for messages; NULL for built-in defaults */
    char *dir;   /* where relative paths start */
    char *unset; /* NULL, or the first environment variable below `handlers`, `programs` or `http` that is not
                    set, with file and line; the value still contains "${NAME}" */
    char *broker;
    char *name_space;
    char *store;               /* an URL; NULL: the broker, where it can be one (store/configured.h) */
    char *queue_type;          /* NULL: not given; an option of the broker's URL (broker/configured.h) */
    int ladder_shards;         /* 0: not given; like queue_type */
    char **plugin_dirs;        /* absolute, ended by NULL, never empty */
    bool allow_unsafe_plugins; /* also plugins that other users could change */
    char **secrets;            /* the names of the environment variables that were used by "${}" */
    size_t n_secrets;
    struct bide_worker_config worker;
    struct bide_http_config http;
    struct bide_dead_config dead;
    struct bide_schedule_config *schedules; /* NULL: there is no such key, and no clock process */
    size_t n_schedules;
    struct bide_spool_config spool;
    struct bide_relay_config
        *relays;     /* with a spool, the last one is named BIDE_SPOOL_RELAY and carries from */
    size_t n_relays; /* there to the broker */
    struct bide_program_config *programs;
    size_t n_programs;
    struct bide_shared_limit_config *limits;
    size_t n_limits;
    struct bide_topic_config *topics;
    size_t n_topics;
    char **subscriptions; /* of `topics`: "SUB@TOPIC" */
    size_t n_subscriptions;
    struct bide_queue_config
        *queues;     /* never empty: without `queues`, those of the handlers and "default"; */
    size_t n_queues; /* always those that handlers are `on` */
    struct bide_handler_config *handlers;
    size_t n_handlers;
};

/* Reads a file. Errors carry file:line and, for an unknown key, the nearest known one. Checks all that can be
 * checked without plugins and broker: kinds, ranges, names, two handlers for the same messages, a handler's
 * queue that is not listed.
 * "${NAME}" in any string is replaced by a value from the environment or from `bide.env` beside the file
 * (config/environment.h), percent-encoded in the user part of `broker` and `store`; "$${" stands for a plain
 * "${". A variable that is not set is a failure; below `handlers`, `programs` and `http` it is one only in
 * bide_config_complete. */
bide_code bide_config_load(const char *path, struct bide_config **ret_config, bide_error *error);
/* For commands that run handlers or serve the console: fails if a variable that they need is not set. */
bide_code bide_config_complete(const struct bide_config *config, bide_error *error);
/* The configuration of a program without a file: all defaults, one queue "default", no handlers. */
bide_code bide_config_default(struct bide_config **ret_config, bide_error *error);
/* Removes the variables that "${}" used from this process's environment, so that handlers and the programs
 * that they start do not get them. Keeps PATH, HOME, LANG and TZ, which programs need. Call it while there is
 * only one thread. */
void bide_config_forget_secrets(const struct bide_config *config);
void bide_config_destroy(struct bide_config *config);

/* The schedule of a name, or NULL. */
const struct bide_schedule_config *bide_config_schedule(const struct bide_config *config, const char *name);
/* The handler of a type, or NULL; of several the one that is on no subscription, or else the first. */
const struct bide_handler_config *bide_config_handler(const struct bide_config *config, const char *type);
/* Where a message of the type is sent when nobody says where: the queue of the type's handler, or the topic
 * of the subscription that it is on; NULL: no handler has the type. */
const char *bide_config_address(const struct bide_config *config, const char *type);
/* What people call it: in metrics, for pausing, in circuits and crashes. */
static inline const char *bide_handler_name(const struct bide_handler_config *handler)
{
    return handler->name ? handler->name : handler->type;
}
/* The handler of such a name, or NULL. */
const struct bide_handler_config *bide_config_handler_named(
    const struct bide_config *config, const char *name);
/* The limit of a name, or NULL. */
const struct bide_shared_limit_config *bide_config_limit(const struct bide_config *config, const char *name);

/* Writes the reference (Markdown) or a commented configuration file of all options, from the table. */
void bide_config_write_reference(struct bide_buffer *to);
void bide_config_write_sample(struct bide_buffer *to);

#endif
