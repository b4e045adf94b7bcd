/* bide/handler.h: the plugin interface. This header is the manual; handlers/README.md has a whole handler.
 *
 * A plugin is a shared object NAME.so in plugin_dir that exports one symbol, `bide_plugin`. It uses the
 * functions of the public headers, which the host process provides (link with -lbide or leave them
 * undefined).
 *
 * Life of a configured handler:
 *
 *  - open: once, by the thread that starts the worker, before any message (with
 *    BIDE_PLUGIN_STATE_PER_THREAD: once for each pool thread).
 *  - handle: for each message, on any pool thread; several at once unless `concurrency = 1` is configured or
 *    the state is per thread. With `batch` configured: handle_batch, for many messages in one call.
 *  - close: when no thread is inside handle any more; once for each open that succeeded.
 *
 * With isolation = "process" this is the life of each child process, which has one thread and one state.
 *
 * Two configured handlers may share one plugin: each has its own state.
 *
 * Delivery is at least once: the same id may come again after a crash. The pair (id, attempt) tells runs
 * apart. A handler must not call exit(), change the signal mask or the locale of the process, or fork without
 * exec. */
#ifndef BIDE_HANDLER_H
#define BIDE_HANDLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bide/error.h>
#include <bide/log.h>
#include <bide/message.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The host accepts a plugin of its own major and of a minor not newer than its own. */
#define BIDE_ABI_MAJOR 1
#define BIDE_ABI_MINOR 1

/* ---- settings: the `settings: { … }` group of the configured handler ---------------------------------- */

typedef struct bide_settings bide_settings;

typedef enum bide_setting_kind {
    BIDE_SETTING_STRING,
    BIDE_SETTING_INT,
    BIDE_SETTING_BOOL,
    BIDE_SETTING_DURATION, /* "1.5s": milliseconds */
    BIDE_SETTING_SIZE,     /* "1MiB": bytes */
    BIDE_SETTING_LIST,     /* ["a", "b"] or ("a", "b"): strings */
} bide_setting_kind;

/* One row a setting. The host refuses unknown names and values of another kind before open is called. */
typedef struct bide_setting_spec {
    const char *name; /* NULL ends the table */
    bide_setting_kind kind;
    const char *fallback; /* as in the file, e.g. "30s"; NULL: the setting is required; "": unset */
    const char *help;     /* one line */
} bide_setting_spec;

/* The value, or the row's fallback. Asking for a name that is not in the table, or by another kind, gives
 * NULL, 0 or false. Strings belong to the settings and live until close has returned. */
BIDE_API const char *bide_settings_string(const bide_settings *settings, const char *name);
BIDE_API int64_t bide_settings_int(const bide_settings *settings, const char *name); /* also duration, size */
BIDE_API bool bide_settings_bool(const bide_settings *settings, const char *name);
BIDE_API size_t bide_settings_list_size(const bide_settings *settings, const char *name);
BIDE_API const char *bide_settings_list_at(const bide_settings *settings, const char *name, size_t index);
/* The folder of the configuration file: where relative paths in settings start. Never NULL. */
BIDE_API const char *bide_settings_dir(const bide_settings *settings);
/* Opens the file that a string names, for reading: a secret, a rule. Refused (BIDE_E_CONFIG) where the file,
 * or a folder above it, belongs to others than root and this user or can be written by others. The descriptor
 * is the caller's. Since ABI 1.1. */
BIDE_API bide_code bide_settings_open(
    const bide_settings *settings, const char *name, int *ret_fd, bide_error *error);

/* ---- the run of one message ---------------------------------------------------------------------------- */

/* Valid during handle or handle_batch, on its thread (bide_cancelled: any thread). */
typedef struct bide_context bide_context;

typedef enum bide_outcome {
    BIDE_DONE,  /* finished: acknowledged */
    BIDE_RETRY, /* failed for now: run again by the retry policy, until attempts are used up */
    BIDE_DEAD,  /* hopeless: parked as a dead letter with reason "rejected" */
} bide_outcome;

/* How many bytes of an error's text are kept: the last ones. It may have several lines; lists show the last.
 */
enum { BIDE_ERROR_KEPT = 4096 };

/* For `return bide_retry(context, …)`: keeps the text as the message's last error and returns BIDE_RETRY.
 * delay_ms: the handler's own delay ("Retry-After"), or BIDE_BY_POLICY for the configured backoff. */
#define BIDE_BY_POLICY INT64_C(-1)
BIDE_API bide_outcome bide_retry(bide_context *context, int64_t delay_ms, const char *format, ...)
    BIDE_PRINTF(3, 4);
/* For `return bide_throttled(context, "api", 30000, …)`: what the handler calls said that it is too much
 * (429). As bide_retry; and of a limit of this handler (`limited_by`; NULL: of all of them) the message's key
 * waits for after_ms, for all workers, and this attempt does not count. Where the handler has no such limit:
 * bide_retry. Since ABI 1.1. */
BIDE_API bide_outcome bide_throttled(
    bide_context *context, const char *limit, int64_t after_ms, const char *format, ...) BIDE_PRINTF(4, 5);
/* For `return bide_dead(context, …)`: keeps the text and returns BIDE_DEAD. */
BIDE_API bide_outcome bide_dead(bide_context *context, const char *format, ...) BIDE_PRINTF(2, 3);

/* For `return bide_commit(context)`, in the handler of a message that asks what became of a transaction
 * (bide/transaction.h): it has committed, or it has not and never will. Both return BIDE_DONE. What returns
 * otherwise does not know yet, and is asked again. Since ABI 1.1. */
BIDE_API bide_outcome bide_commit(bide_context *context);
BIDE_API bide_outcome bide_abort(bide_context *context);

/* The most runs the message gets, `retry.attempts` of the configuration: in the run in which
 * bide_message_attempt() reaches it, BIDE_RETRY makes a dead letter. Since ABI 1.1. */
BIDE_API int bide_attempts(const bide_context *context);

/* When this run began (Unix microseconds), and what is left of the handler's timeout in milliseconds (never
 * negative; INT64_MAX without one). */
BIDE_API int64_t bide_started_us(const bide_context *context);
BIDE_API int64_t bide_remaining_ms(const bide_context *context);
/* True once the timeout has passed or the worker must leave: return soon (BIDE_RETRY is a good answer). */
BIDE_API bool bide_cancelled(const bide_context *context);
/* A descriptor that becomes readable when bide_cancelled() turns true; poll it beside your own, do not read
 * or close it. -1 where none could be had. */
BIDE_API int bide_cancel_fd(bide_context *context);

/* Hands over a message to be sent if, and only if, this run ends BIDE_DONE; the broker has it before this one
 * is acknowledged, in the same transaction where the broker has them. Takes ownership, also on failure. */
BIDE_API bide_code bide_context_send(bide_context *context, bide_message *message, bide_error *error);

/* A log line that carries the message's id, type and attempt by itself. Fields as of bide_log, or NULL. */
BIDE_API void bide_context_log(
    bide_context *context, bide_log_level level, const char *text, const bide_log_field *fields);

/* ---- the descriptor ------------------------------------------------------------------------------------ */

enum {
    BIDE_PLUGIN_STATE_PER_THREAD = 1u << 0, /* open is called for each pool thread; handle gets that state */
};

typedef struct bide_plugin_descriptor {
    /* These three come first in every version: the host reads them, then copies min(size, its own size). */
    uint16_t abi_major;
    uint16_t abi_minor;
    uint32_t size;                     /* sizeof(bide_plugin_descriptor) when the plugin was built */
    const char *name;                  /* the same as the file's, without ".so" */
    const char *version;               /* of the plugin: free text */
    const char *summary;               /* one line */
    uint32_t flags;                    /* BIDE_PLUGIN_… */
    const bide_setting_spec *settings; /* NULL: takes none */
    /* *ret_state may stay unset: handle then gets NULL. A failure keeps the worker from starting. */
    bide_code (*open)(const bide_settings *settings, void **ret_state, bide_error *error); /* may be NULL */
    /* One message. May be NULL where there is a handle_batch, which then gets batches of one. */
    bide_outcome (*handle)(void *state, const bide_message *message, bide_context *context);
    void (*close)(void *state); /* may be NULL */
    /* With `batch` configured: n messages (1 or more) in one call, each with its context and its outcome:
     * outcomes[i] is of messages[i], and bide_retry, bide_dead, bide_context_send and bide_context_log with
     * contexts[i] are about that message. Timeout and cancellation are those of the call, the same by each
     * context. An outcome that is not set is a retry. NULL: the plugin takes no batches. Since ABI 1.1. */
    void (*handle_batch)(void *state, const bide_message *const messages[], bide_context *const contexts[],
        size_t n, bide_outcome outcomes[]);
} bide_plugin_descriptor;

/* The exported descriptor, at file scope:
 *     const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "hello", .handle = handle}; */
#define BIDE_PLUGIN_HEAD                                                                                     \
    .abi_major = BIDE_ABI_MAJOR, .abi_minor = BIDE_ABI_MINOR, .size = sizeof(bide_plugin_descriptor)
BIDE_API extern const bide_plugin_descriptor bide_plugin;

#ifdef __cplusplus
}
#endif

#endif
