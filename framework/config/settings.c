#include "config/read.h"

#include "base/alloc.h"

enum { SETTINGS_MAX = 200, ITEMS_MAX = 1000 };

static bide_code read_items(
    const struct bide_reader *reader, const config_setting_t *at, struct bide_setting_value *to)
{
    int n = config_setting_length(at);
    if (n > ITEMS_MAX)
        return bide_reader_fail(reader, at, "%s: at most %d strings in a list", to->name, ITEMS_MAX);
    if (!(to->items = bide_calloc((size_t)n + 1, sizeof *to->items)))
        return bide_reader_nomem(reader);
    for (int i = 0; i < n; i++) {
        const char *text = config_setting_get_string_elem(at, i);
        if (!text)
            return bide_reader_fail(reader, at, "%s: a list in settings holds strings", to->name);
        if (!(to->items[i] = bide_strdup(text)))
            return bide_reader_nomem(reader);
        to->n_items++;
    }
    return BIDE_OK;
}

static bide_code read_value(
    const struct bide_reader *reader, const config_setting_t *at, struct bide_setting_value *to)
{
    switch (config_setting_type(at)) {
    case CONFIG_TYPE_STRING:
        to->kind = BIDE_VALUE_STRING;
        to->text = bide_strdup(config_setting_get_string(at));
        return to->text ? BIDE_OK : bide_reader_nomem(reader);
    case CONFIG_TYPE_INT:
    case CONFIG_TYPE_INT64:
        to->kind = BIDE_VALUE_INT;
        to->integer = config_setting_get_int64(at);
        return BIDE_OK;
    case CONFIG_TYPE_FLOAT:
        to->kind = BIDE_VALUE_FLOAT;
        to->number = config_setting_get_float(at);
        return BIDE_OK;
    case CONFIG_TYPE_BOOL:
        to->kind = BIDE_VALUE_BOOL;
        to->integer = config_setting_get_bool(at);
        return BIDE_OK;
    case CONFIG_TYPE_ARRAY:
    case CONFIG_TYPE_LIST:
        to->kind = BIDE_VALUE_LIST;
        return read_items(reader, at, to);
    default:
        return bide_reader_fail(
            reader, at, "%s: settings are strings, numbers, true, false, or lists of strings", to->name);
    }
}

static bide_code read_row(
    const struct bide_reader *reader, const config_setting_t *at, struct bide_setting_value *to)
{
    bide_source_file(reader->source, (int)config_setting_source_line(at), &to->line);
    if (!(to->name = bide_strdup(config_setting_name(at))))
        return bide_reader_nomem(reader);
    return read_value(reader, at, to);
}

bide_code bide_settings_read(
    const struct bide_reader *reader, const config_setting_t *group, struct bide_handler_config *to)
{
    if (!config_setting_is_group(group))
        return bide_reader_fail(reader, group, "settings must be a group: settings: { … };");
    int n = config_setting_length(group);
    if (n > SETTINGS_MAX)
        return bide_reader_fail(reader, group, "settings: at most %d", SETTINGS_MAX);
    if (!(to->settings = bide_calloc((size_t)n + 1, sizeof *to->settings)))
        return bide_reader_nomem(reader);
    for (int i = 0; i < n; i++) {
        to->n_settings++;
        bide_code code = read_row(reader, config_setting_get_elem(group, (unsigned)i), &to->settings[i]);
        if (code != BIDE_OK)
            return code;
    }
    return BIDE_OK;
}

void bide_settings_release(struct bide_handler_config *from)
{
    for (size_t i = 0; i < from->n_settings; i++) {
        struct bide_setting_value *value = &from->settings[i];
        for (size_t j = 0; j < value->n_items; j++)
            bide_free(value->items[j]);
        bide_free(value->items);
        bide_free(value->text);
        bide_free(value->name);
    }
    bide_free(from->settings);
}
