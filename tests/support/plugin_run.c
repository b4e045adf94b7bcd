#include "support/plugin_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/test.h"

void test_program_dir(char to[TEMP_DIR_PATH])
{
    ssize_t size = readlink("/proc/self/exe", to, TEMP_DIR_PATH - 1);
    assert_true(size > 0 && size < TEMP_DIR_PATH - 1);
    to[size] = '\0';
    *strrchr(to, '/') = '\0';
}

static bide_code open_handlers(struct plugin_run *run, const char *text, bide_error *error)
{
    char path[TEMP_DIR_PATH];
    assert_int_equal(temp_dir_write(&run->dir, "bide.conf", text, path), 0);
    bide_code code = bide_config_load(path, &run->config, error);
    if (code == BIDE_OK)
        code = bide_handlers_open(run->config, 1, &run->handlers, error);
    return code;
}

bide_code plugin_run_open_from(struct plugin_run *run, const char *plugin_dir, const char *plugin,
    const char *timeout, const char *settings, bide_error *error)
{
    char text[4096];
    *run = (struct plugin_run){0};
    assert_int_equal(temp_dir_create(&run->dir), 0);
    snprintf(text, sizeof text,
        "broker = \"sqlite:x.db\"; plugin_dir = \"%s\"; "
        "allow_unsafe_plugins = true;\n"
        "handlers = ( { type = \"test\"; plugin = \"%s\"; timeout = \"%s\"; settings: { %s }; } );\n",
        plugin_dir, plugin, timeout, settings);
    bide_context_init(&run->context, bide_clock_system());
    bide_code code = open_handlers(run, text, error);
    if (code != BIDE_OK)
        return code;
    assert_ok(bide_message_create("test", &run->message, error), error);
    assert_ok(bide_message_set_id(run->message, "id-1", error), error);
    return bide_message_stamp(run->message, "default", bide_clock_system(), error);
}

bide_code plugin_run_open(
    struct plugin_run *run, const char *plugin, const char *timeout, const char *settings, bide_error *error)
{
    char programs[TEMP_DIR_PATH], folder[TEMP_DIR_PATH + 16];
    test_program_dir(programs);
    snprintf(folder, sizeof folder, "%s/../handlers", programs);
    return plugin_run_open_from(run, folder, plugin, timeout, settings, error);
}

void plugin_run_close(struct plugin_run *run)
{
    bide_message_destroy(run->message);
    bide_handlers_close(&run->handlers);
    bide_config_destroy(run->config);
    bide_context_close(&run->context);
    temp_dir_remove(&run->dir);
}

void plugin_run_check_refusals(const char *plugin, const struct plugin_refusal *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct plugin_run run;
        bide_error error;
        assert_int_equal(plugin_run_open(&run, plugin, "1s", rows[i].settings, &error), BIDE_E_CONFIG);
        assert_non_null(strstr(error.text, rows[i].text));
        plugin_run_close(&run);
    }
}

void plugin_run_body(struct plugin_run *run, const void *body, size_t size)
{
    assert_int_equal(bide_message_set_body(run->message, body, size, NULL), BIDE_OK);
}

void plugin_run_attempt(struct plugin_run *run, int attempt)
{
    run->message->attempt = attempt;
}

bide_outcome plugin_run_handle(struct plugin_run *run)
{
    struct bide_handler *handler = bide_handlers_find(&run->handlers, "test", "default");
    struct bide_delivery delivery = {.message = run->message};
    struct bide_job job = {.delivery = &delivery, .handler = handler};
    const struct bide_clock *clock = bide_clock_system();
    job.ready_us = bide_mono_us(clock);
    bide_context_begin(&run->context, &job, bide_wall_us(clock), bide_mono_us(clock));
    bide_outcome outcome = handler->runner->run(handler, 0, run->message, &run->context, NULL);
    bide_context_end(&run->context, &job, outcome);
    run->outcome = job.run.outcome;
    snprintf(run->error, sizeof run->error, "%s", job.run.error ? job.run.error : "");
    run->delay_ms = job.run.delay_ms;
    run->n_sends = job.run.n_sends;
    if (run->n_sends)
        snprintf(run->sent, sizeof run->sent, "%s %s", bide_message_type(job.run.sends[0]),
            (const char *)bide_message_body(job.run.sends[0], NULL));
    run->took_ms = job.run.took_us / 1000;
    bide_run_release(&job.run);
    return run->outcome;
}

void plugin_run_cancel(struct plugin_run *run)
{
    bide_context_cancel(&run->context);
}

char *plugin_run_file(const struct plugin_run *run, const char *name)
{
    enum { SIZE = 1 << 20 };
    char path[2 * TEMP_DIR_PATH];
    char *text = malloc(SIZE);
    snprintf(path, sizeof path, "%s/%s", run->dir.path, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_non_null(text);
    text[fread(text, 1, SIZE - 1, file)] = '\0';
    fclose(file);
    return text;
}
