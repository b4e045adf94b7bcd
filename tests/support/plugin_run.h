/* tests/support/plugin_run.h: runs of one message by a real plugin, loaded as a worker loads it.
 *
 * The plugins are those of the build folder the test program lies in. Thread-safety: one thread at a time,
 * but for plugin_run_cancel. */
#ifndef TESTS_SUPPORT_PLUGIN_RUN_H
#define TESTS_SUPPORT_PLUGIN_RUN_H

#include "config/config.h"
#include "dispatch/context.h"
#include "dispatch/handler.h"
#include "support/temp_dir.h"

struct plugin_run {
    struct temp_dir dir; /* where the configuration lies, and relative paths start */
    struct bide_config *config;
    struct bide_handlers handlers;
    struct bide_context context;
    struct bide_message *message;
    bide_outcome outcome;            /* of the last run, with what follows */
    char error[BIDE_ERROR_KEPT + 1]; /* "": none */
    int64_t delay_ms;
    int64_t took_ms;
    size_t n_sends;
    char sent[200]; /* type and body of the first message it sent */
};

/* Opens a handler of type "test" with `settings` ("path = \"x\";") and a message for it; `timeout` as in the
 * file. On failure nothing stays open but the folder. */
bide_code plugin_run_open(
    struct plugin_run *run, const char *plugin, const char *timeout, const char *settings, bide_error *error);
/* As plugin_run_open, for a plugin from another folder. */
bide_code plugin_run_open_from(struct plugin_run *run, const char *plugin_dir, const char *plugin,
    const char *timeout, const char *settings, bide_error *error);
void plugin_run_close(struct plugin_run *run);

/* Settings with which a plugin must not open, and what the error then says. */
struct plugin_refusal {
    const char *settings, *text;
};
void plugin_run_check_refusals(const char *plugin, const struct plugin_refusal *rows, size_t n);

void plugin_run_body(struct plugin_run *run, const void *body, size_t size);
void plugin_run_attempt(struct plugin_run *run, int attempt);
bide_outcome plugin_run_handle(struct plugin_run *run);
/* Any thread, while plugin_run_handle is under way. */
void plugin_run_cancel(struct plugin_run *run);

/* A file of the run's folder, NUL-terminated, to be freed with free; fails the test where there is none. */
char *plugin_run_file(const struct plugin_run *run, const char *name);
/* The folder of this test program. */
void test_program_dir(char to[TEMP_DIR_PATH]);

#endif
