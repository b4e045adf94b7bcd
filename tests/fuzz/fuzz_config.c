/* Configuration files: what loads is complete and in range; what does not says where and why. */
#include "fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/names.h"
#include "config/config.h"

/* libconfig 1.5 leaks the string it has just read when the next token is a syntax error. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig_yylex\nleak:strbuf_append\n";
}

static int has_queue(const struct bide_config *config, const char *name)
{
    for (size_t i = 0; i < config->n_queues; i++)
        if (strcmp(config->queues[i].name, name) == 0)
            return 1;
    return 0;
}

static void check_handler(const struct bide_config *config, const struct bide_handler_config *handler)
{
    HOLDS(bide_name_valid(handler->type) && handler->plugin && *handler->plugin);
    HOLDS(has_queue(config, handler->queue));
    HOLDS(bide_config_handler(config, handler->type) == handler); /* none twice */
    HOLDS(handler->concurrency >= 0 && handler->timeout_ms >= 0 && handler->kill_after_ms >= 0);
    HOLDS(handler->retry.attempts >= 1 && handler->retry.crash_attempts >= 1);
    HOLDS(handler->retry.jitter >= 0 && handler->retry.jitter <= 1);
    HOLDS((handler->retry.backoff == BIDE_BACKOFF_LIST) == (handler->retry.n_list > 0));
}

static void check_config(const struct bide_config *config)
{
    HOLDS(
        config->path && config->dir && *config->dir == '/' && config->plugin_dirs && config->plugin_dirs[0]);
    HOLDS(config->broker && bide_namespace_valid(config->name_space));
    HOLDS(config->worker.threads >= 1 && config->worker.processes >= 1 && config->worker.prefetch >= 0);
    HOLDS(config->worker.max_body > 0 && config->worker.drain_ms >= 0);
    HOLDS(config->n_queues >= 1);
    for (size_t i = 0; i < config->n_queues; i++)
        HOLDS(bide_queue_name_valid(config->queues[i].name) && config->queues[i].weight >= 1);
    for (size_t i = 0; i < config->n_handlers; i++)
        check_handler(config, &config->handlers[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct bide_config *config = NULL;
    bide_error error = {.text = ""};
    char path[64];
    int fd = memfd_create("bide.conf", 0); /* a regular file, by its name in /proc */
    HOLDS(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    bide_code code = bide_config_load(path, &config, &error);
    HOLDS(code == BIDE_OK ? config != NULL : code == BIDE_E_CONFIG && !config && error.text[0]);
    if (code == BIDE_OK)
        check_config(config);
    else
        HOLDS(strstr(error.text, path) || strstr(error.text, ".conf") || strstr(error.text, "cannot"));
    bide_config_destroy(config);
    close(fd);
    return 0;
}
