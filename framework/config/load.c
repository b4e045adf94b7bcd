#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "config/read.h"

static bide_code parse(const struct bide_reader *reader, config_t *file)
{
    if (config_read_string(file, reader->source->text.bytes))
        return BIDE_OK;
    const char *text = config_error_text(file);
    bool syntax = text && strcmp(text, "syntax error") == 0;
    return bide_source_fail(reader->source, config_error_line(file), reader->error, BIDE_E_CONFIG, "%s%s",
        text ? text : "cannot be read",
        syntax ? " here or just before: a missing quote, ',' or bracket?" : "");
}

/* Makes the folder absolute, so that it stays valid after a chdir and is the same in every process. */
static bide_code set_dir(const struct bide_reader *reader, struct bide_config *config, const char *path)
{
    char absolute[PATH_MAX];
    const char *slash = path ? strrchr(path, '/') : NULL;
    char *dir = slash ? bide_strndup(path, (size_t)(slash - path) + 1) : bide_strdup(".");
    if (!dir)
        return bide_reader_nomem(reader);
    const char *real = realpath(dir, absolute);
    int why = errno;
    bide_free(dir);
    if (!real)
        return bide_fail(reader->error, BIDE_E_CONFIG, "cannot find the folder of %s: %s",
            path ? path : "the program", strerror(why));
    config->dir = bide_strdup(real);
    return config->dir ? BIDE_OK : bide_reader_nomem(reader);
}

/* ---- where plugins are ---- */

static bide_code make_absolute(
    const struct bide_reader *reader, const struct bide_config *config, char **path)
{
    if (**path == '/')
        return BIDE_OK;
    char *absolute = bide_asprintf("%s/%s", config->dir, *path);
    if (!absolute)
        return bide_reader_nomem(reader);
    bide_free(*path);
    *path = absolute;
    return BIDE_OK;
}

static bide_code set_plugin_dirs(const struct bide_reader *reader, struct bide_config *config)
{
    if (!config->plugin_dirs) {
        config->plugin_dirs = bide_calloc(2, sizeof *config->plugin_dirs);
        if (!config->plugin_dirs || !(config->plugin_dirs[0] = bide_strdup(BIDE_DEFAULT_PLUGIN_DIR)))
            return bide_reader_nomem(reader);
    }
    bide_code code = BIDE_OK;
    for (char **dir = config->plugin_dirs; *dir && code == BIDE_OK; dir++)
        code = make_absolute(reader, config, dir);
    return code;
}

/* The file in the first folder that has it, else in the first folder. */
static bide_code find_plugin(
    const struct bide_reader *reader, const struct bide_config *config, struct bide_handler_config *handler)
{
    if (handler->program)
        return BIDE_OK;
    if (strchr(handler->plugin, '/')) {
        handler->plugin_path = bide_strdup(handler->plugin);
        return handler->plugin_path ? make_absolute(reader, config, &handler->plugin_path)
                                    : bide_reader_nomem(reader);
    }
    for (char **dir = config->plugin_dirs; *dir; dir++) {
        char *path = bide_asprintf("%s/%s.so", *dir, handler->plugin);
        if (!path)
            return bide_reader_nomem(reader);
        bool there = access(path, F_OK) == 0;
        if (!handler->plugin_path || there) {
            bide_free(handler->plugin_path);
            handler->plugin_path = path;
        } else {
            bide_free(path);
        }
        if (there)
            break;
    }
    return BIDE_OK;
}

static bide_code find_plugins(const struct bide_reader *reader, struct bide_config *config)
{
    bide_code code = set_plugin_dirs(reader, config);
    for (size_t i = 0; i < config->n_handlers && code == BIDE_OK; i++)
        code = find_plugin(reader, config, &config->handlers[i]);
    return code;
}

static bide_code fill(
    const struct bide_reader *reader, config_t *file, const char *path, struct bide_config *config)
{
    config_setting_t *root = config_root_setting(file);
    bide_code code = set_dir(reader, config, path);
    if (code == BIDE_OK && path && !(config->path = bide_strdup(path)))
        code = bide_reader_nomem(reader);
    if (code == BIDE_OK)
        code = bide_config_expand(reader, root, config);
    if (code == BIDE_OK)
        code = bide_section_read(reader, bide_option_root(), root, config);
    if (code == BIDE_OK)
        code = bide_config_check(reader, file, config);
    return code == BIDE_OK ? find_plugins(reader, config) : code;
}

static bide_code build(
    const struct bide_reader *reader, config_t *file, const char *path, struct bide_config **ret_config)
{
    struct bide_config *config = bide_calloc(1, sizeof *config);
    if (!config)
        return bide_reader_nomem(reader);
    bide_code code = fill(reader, file, path, config);
    if (code == BIDE_OK)
        *ret_config = config;
    else
        bide_config_destroy(config);
    return code;
}

bide_code bide_config_load(const char *path, struct bide_config **ret_config, bide_error *error)
{
    struct bide_source source;
    struct bide_environment environment = {0};
    bide_error unwanted;
    struct bide_reader reader = {&source, &environment, error ? error : &unwanted};
    config_t file;
    bide_code code = bide_source_load(path, &source, error);
    if (code != BIDE_OK)
        return code;
    config_init(&file);
    code = parse(&reader, &file);
    if (code == BIDE_OK)
        code = bide_environment_load(path, &environment, error);
    if (code == BIDE_OK)
        code = build(&reader, &file, path, ret_config);
    config_destroy(&file);
    bide_environment_release(&environment);
    bide_source_release(&source);
    return code;
}

bide_code bide_config_default(struct bide_config **ret_config, bide_error *error)
{
    bide_error unwanted;
    struct bide_reader reader = {NULL, NULL, error ? error : &unwanted};
    config_t empty;
    config_init(&empty);
    bide_code code = build(&reader, &empty, NULL, ret_config);
    config_destroy(&empty);
    return code;
}

void bide_config_destroy(struct bide_config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->n_handlers; i++) {
        bide_free(config->handlers[i].file);
        bide_free(config->handlers[i].plugin_path);
        bide_free(config->handlers[i].name);
    }
    for (size_t i = 0; i < config->n_subscriptions; i++)
        bide_free(config->subscriptions[i]);
    bide_free(config->subscriptions);
    for (size_t i = 0; i < config->n_secrets; i++)
        bide_free(config->secrets[i]);
    bide_free(config->secrets);
    bide_section_release(bide_option_root(), config);
    bide_free(config->unset);
    bide_free(config->path);
    bide_free(config->dir);
    bide_free(config);
}

bide_code bide_config_complete(const struct bide_config *config, bide_error *error)
{
    return config->unset ? bide_fail(error, BIDE_E_CONFIG, "%s", config->unset) : BIDE_OK;
}
