#include "cli/commands/worker.h"

#include <string.h>

#include "base/alloc.h"
#include "bide/log.h"
#include "config/compare.h"

static void look_at_build(const struct bide_handler_config *handler, struct stat *to)
{
    if (!handler->plugin_path || stat(handler->plugin_path, to) != 0)
        *to = (struct stat){0};
}

bide_code bide_cli_generation_read(
    const char *path, struct bide_cli_generation *ret_generation, bide_error *error)
{
    struct bide_cli_generation generation = {0};
    bide_code code = bide_config_load(path, &generation.config, error);
    if (code == BIDE_OK)
        code = bide_config_complete(generation.config, error);
    if (code != BIDE_OK) {
        bide_cli_generation_release(&generation);
        return code;
    }
    const struct bide_config *config = generation.config;
    generation.builds = bide_calloc(config->n_handlers + 1, sizeof *generation.builds);
    if (!generation.builds) {
        bide_cli_generation_release(&generation);
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    for (size_t i = 0; i < config->n_handlers; i++)
        look_at_build(&config->handlers[i], &generation.builds[i]);
    *ret_generation = generation;
    return BIDE_OK;
}

void bide_cli_generation_release(struct bide_cli_generation *generation)
{
    bide_config_destroy(generation->config);
    bide_free(generation->builds);
    *generation = (struct bide_cli_generation){0};
}

/* ---- differences ---- */

static void log_difference(
    void *user, enum bide_change change, const char *option, const char *before, const char *after)
{
    static const char *const texts[] = {
        [BIDE_CHANGED] = "configuration: changed",
        [BIDE_ADDED] = "configuration: added",
        [BIDE_REMOVED] = "configuration: removed",
    };
    (void)user;
    if (before)
        bide_log(BIDE_LOG_INFO, texts[change], BIDE_STR("option", option), BIDE_STR("before", before),
            BIDE_STR("after", after));
    else
        bide_log(BIDE_LOG_INFO, texts[change], BIDE_STR("option", option));
}

static bool same_build(const struct stat *one, const struct stat *other)
{
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino && one->st_size == other->st_size &&
           one->st_mtim.tv_sec == other->st_mtim.tv_sec && one->st_mtim.tv_nsec == other->st_mtim.tv_nsec;
}

static const struct stat *build_of(const struct bide_cli_generation *generation, const char *plugin)
{
    for (size_t i = 0; i < generation->config->n_handlers; i++)
        if (strcmp(generation->config->handlers[i].plugin, plugin) == 0)
            return &generation->builds[i];
    return NULL;
}

/* Where several handlers share a plugin, the first one speaks for them. */
static int log_builds(const struct bide_cli_generation *before, const struct bide_cli_generation *after)
{
    int n = 0;
    for (size_t i = 0; i < after->config->n_handlers; i++) {
        const char *plugin = after->config->handlers[i].plugin;
        const struct stat *now = &after->builds[i], *old = build_of(before, plugin);
        if (!old || build_of(after, plugin) != now || same_build(old, now))
            continue;
        bide_log(BIDE_LOG_INFO, "plugin: another build", BIDE_STR("plugin", plugin));
        n++;
    }
    return n;
}

void bide_cli_generation_log_changes(
    const struct bide_cli_generation *before, const struct bide_cli_generation *after)
{
    int n = bide_config_compare(before->config, after->config, log_difference, NULL);
    n += log_builds(before, after);
    bide_log(BIDE_LOG_INFO, "new configuration in use", BIDE_INT("changes", n));
    bide_cli_warn_of_left_messages(before->config, after->config);
}
