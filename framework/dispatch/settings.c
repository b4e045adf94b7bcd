#include "dispatch/settings.h"

#include <string.h>

#include "base/alloc.h"
#include "base/trust.h"
#include "base/suggest.h"
#include "base/units.h"

enum { NAMES_MAX = 128 };

/* One row of the spec with its value. */
struct setting {
    const bide_setting_spec *spec;
    const char *text; /* STRING: the file's, or the fallback */
    int64_t integer;  /* INT, BOOL, DURATION (ms), SIZE (bytes) */
    char *const *items;
    size_t n_items;
};

struct bide_settings {
    const char *dir;
    size_t n;
    struct setting rows[];
};

static const char *const kind_names[] = {
    [BIDE_SETTING_STRING] = "string",
    [BIDE_SETTING_INT] = "whole number",
    [BIDE_SETTING_BOOL] = "true or false",
    [BIDE_SETTING_DURATION] = "duration such as \"1.5s\"",
    [BIDE_SETTING_SIZE] = "size such as \"1MiB\"",
    [BIDE_SETTING_LIST] = "list of strings",
};

const char *bide_setting_kind_name(bide_setting_kind kind)
{
    return (size_t)kind < sizeof kind_names / sizeof kind_names[0] ? kind_names[kind] : "?";
}

/* Reads a text: fallbacks in the table, and durations and sizes in the file, are texts. */
static bide_code take_text(struct setting *row, const char *text, bide_error *error)
{
    switch (row->spec->kind) {
    case BIDE_SETTING_STRING:
        row->text = text;
        return BIDE_OK;
    case BIDE_SETTING_DURATION:
        return *text ? bide_parse_duration(text, &row->integer, error) : BIDE_OK;
    case BIDE_SETTING_SIZE:
        return *text ? bide_parse_size(text, &row->integer, error) : BIDE_OK;
    case BIDE_SETTING_INT:
        return *text ? bide_parse_int(text, INT64_MIN, INT64_MAX, &row->integer, error) : BIDE_OK;
    case BIDE_SETTING_BOOL:
        row->integer = strcmp(text, "true") == 0;
        return BIDE_OK;
    case BIDE_SETTING_LIST:
        return BIDE_OK; /* an absent list is empty */
    }
    return bide_fail(error, BIDE_E_CONFIG, "the plugin's table has an unknown kind of setting");
}

static bool takes_text(bide_setting_kind kind)
{
    return kind == BIDE_SETTING_STRING || kind == BIDE_SETTING_DURATION || kind == BIDE_SETTING_SIZE;
}

static bide_code take_value(struct setting *row, const struct bide_setting_value *value, bide_error *error)
{
    bide_setting_kind kind = row->spec->kind;
    if (value->kind == BIDE_VALUE_STRING && takes_text(kind))
        return take_text(row, value->text, error);
    if (value->kind == BIDE_VALUE_LIST && kind == BIDE_SETTING_LIST) {
        row->items = value->items;
        row->n_items = value->n_items;
        return BIDE_OK;
    }
    bool whole = value->kind == BIDE_VALUE_INT && (kind == BIDE_SETTING_INT || kind == BIDE_SETTING_SIZE);
    if (!whole && !(value->kind == BIDE_VALUE_BOOL && kind == BIDE_SETTING_BOOL))
        return bide_fail(error, BIDE_E_CONFIG, "a %s is wanted", bide_setting_kind_name(kind));
    row->integer = value->integer;
    return BIDE_OK;
}

static const struct bide_setting_value *find_value(const struct bide_handler_config *config, const char *name)
{
    for (size_t i = 0; i < config->n_settings; i++)
        if (strcmp(config->settings[i].name, name) == 0)
            return &config->settings[i];
    return NULL;
}

static bide_code fill_row(
    struct setting *row, const struct bide_handler_config *config, const char *file, bide_error *error)
{
    const struct bide_setting_value *value = find_value(config, row->spec->name);
    if (!value && !row->spec->fallback)
        return bide_fail(error, BIDE_E_CONFIG, "%s:%d: handler '%s': plugin '%s' needs settings.%s (%s)",
            file, config->line, config->type, config->plugin, row->spec->name, row->spec->help);
    bide_code code = value ? take_value(row, value, error) : take_text(row, row->spec->fallback, error);
    if (code == BIDE_OK)
        return BIDE_OK;
    bide_fail_within(error, "%s:%d: settings.%s of handler '%s'", file, value ? value->line : config->line,
        row->spec->name, config->type);
    return BIDE_E_CONFIG;
}

static bide_code refuse_unknown(const struct bide_handler_config *config, const bide_setting_spec *spec,
    const char *file, bide_error *error)
{
    const char *known[NAMES_MAX + 1];
    size_t n = 0;
    for (; spec && spec[n].name && n < NAMES_MAX; n++)
        known[n] = spec[n].name;
    known[n] = NULL;
    for (size_t i = 0; i < config->n_settings; i++) {
        const struct bide_setting_value *value = &config->settings[i];
        char hint[BIDE_SUGGEST_TEXT];
        size_t row = 0;
        while (known[row] && strcmp(known[row], value->name) != 0)
            row++;
        if (!known[row])
            return bide_fail(error, BIDE_E_CONFIG, "%s:%d: plugin '%s' has no setting '%s'%s", file,
                value->line, config->plugin, value->name, bide_suggest(value->name, known, hint));
    }
    return BIDE_OK;
}

bide_code bide_settings_create(const struct bide_handler_config *config, const bide_setting_spec *spec,
    const char *file, const char *dir, bide_settings **ret_settings, bide_error *error)
{
    size_t n = 0;
    while (spec && spec[n].name)
        n++;
    bide_code code = refuse_unknown(config, spec, file, error);
    if (code != BIDE_OK)
        return code;
    struct bide_settings *settings = bide_calloc(1, sizeof *settings + n * sizeof settings->rows[0]);
    if (!settings)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    settings->dir = dir;
    settings->n = n;
    for (size_t i = 0; i < n && code == BIDE_OK; i++) {
        settings->rows[i].spec = &spec[i];
        code = fill_row(&settings->rows[i], config, file, error);
    }
    if (code == BIDE_OK)
        *ret_settings = settings;
    else
        bide_settings_destroy(settings);
    return code;
}

void bide_settings_destroy(bide_settings *settings)
{
    bide_free(settings);
}

static const struct setting *find(const bide_settings *settings, const char *name)
{
    for (size_t i = 0; i < settings->n; i++)
        if (strcmp(settings->rows[i].spec->name, name) == 0)
            return &settings->rows[i];
    return NULL;
}

const char *bide_settings_string(const bide_settings *settings, const char *name)
{
    const struct setting *row = find(settings, name);
    return row ? row->text : NULL;
}

int64_t bide_settings_int(const bide_settings *settings, const char *name)
{
    const struct setting *row = find(settings, name);
    return row ? row->integer : 0;
}

bool bide_settings_bool(const bide_settings *settings, const char *name)
{
    return bide_settings_int(settings, name) != 0;
}

size_t bide_settings_list_size(const bide_settings *settings, const char *name)
{
    const struct setting *row = find(settings, name);
    return row ? row->n_items : 0;
}

const char *bide_settings_list_at(const bide_settings *settings, const char *name, size_t index)
{
    const struct setting *row = find(settings, name);
    return row && index < row->n_items ? row->items[index] : NULL;
}

bide_code bide_settings_open(const bide_settings *settings, const char *name, int *ret_fd, bide_error *error)
{
    const char *file = bide_settings_string(settings, name);
    if (!file)
        return bide_fail(error, BIDE_E_CONFIG, "setting '%s' names no file", name);
    char *path = *file == '/' ? bide_strdup(file) : bide_asprintf("%s/%s", settings->dir, file);
    if (!path)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = bide_trust_open("the file ", path, ret_fd, error);
    if (code != BIDE_OK)
        bide_fail_within(error, "setting '%s'", name);
    bide_free(path);
    return code;
}

const char *bide_settings_dir(const bide_settings *settings)
{
    return settings->dir;
}
