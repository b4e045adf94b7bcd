#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

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

/* Absolute, so that it still holds after a chdir and names the same file to every process. */
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

static bide_code set_plugin_dir(const struct bide_reader *reader, struct bide_config *config)
{
    const char *dir = config->plugin_dir ? config->plugin_dir : BIDE_DEFAULT_PLUGIN_DIR;
    char *absolute = *dir == '/' ? bide_strdup(dir) : bide_asprintf("%s/%s", config->dir, dir);
    if (!absolute)
        return bide_reader_nomem(reader);
    bide_free(config->plugin_dir);
    config->plugin_dir = absolute;
    return BIDE_OK;
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
    return code == BIDE_OK ? set_plugin_dir(reader, config) : code;
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
    for (size_t i = 0; i < config->n_handlers; i++)
        bide_free(config->handlers[i].file);
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

const struct bide_handler_config *bide_config_handler(const struct bide_config *config, const char *type)
{
    for (size_t i = 0; i < config->n_handlers; i++)
        if (strcmp(config->handlers[i].type, type) == 0)
            return &config->handlers[i];
    return NULL;
}
