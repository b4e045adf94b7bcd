#include "config/read.h"

#include <string.h>

#include "base/alloc.h"
#include "base/suggest.h"

enum { KEYS_MAX = 24 };

/* ---- unknown and missing keys ---- */

static bide_code unknown_key(
    const struct bide_reader *reader, const struct bide_option_section *section, const config_setting_t *at)
{
    const char *known[KEYS_MAX + 1] = {0}, *key = config_setting_name(at);
    char hint[BIDE_SUGGEST_TEXT], all[BIDE_SUGGEST_TEXT];
    size_t used = 0;
    for (size_t i = 0; i < KEYS_MAX && section->options[i].key; i++) {
        known[i] = section->options[i].key;
        if (used < sizeof all)
            used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "", known[i]);
    }
    if (*bide_suggest(key, known, hint))
        return bide_reader_fail(reader, at, "unknown key '%s'%s", key, hint);
    return bide_reader_fail(reader, at, "unknown key '%s': %s%s takes %s", key,
        *section->name ? "" : "the top level", section->name, all);
}

static bide_code refuse_unknown(const struct bide_reader *reader, const struct bide_option_section *section,
    const config_setting_t *group)
{
    for (int i = 0; i < config_setting_length(group); i++) {
        const config_setting_t *at = config_setting_get_elem(group, (unsigned)i);
        const struct bide_option *option = section->options;
        while (option->key && strcmp(option->key, config_setting_name(at)) != 0)
            option++;
        if (!option->key)
            return unknown_key(reader, section, at);
    }
    return BIDE_OK;
}

/* ---- lists and groups ---- */

static bide_code read_group(
    const struct bide_reader *reader, const struct bide_option *option, const config_setting_t *at, void *to)
{
    if (at && !config_setting_is_group(at))
        return bide_reader_fail(reader, at, "%s must be a group: %s: { … };", option->key, option->key);
    return bide_section_read(reader, option->section, at, to);
}

static bide_code read_list(const struct bide_reader *reader, const struct bide_option *option,
    const config_setting_t *at, void *base)
{
    if (!at)
        return BIDE_OK;
    if (!config_setting_is_list(at))
        return bide_reader_fail(
            reader, at, "%s must be a list of groups: %s = ( { … }, { … } );", option->key, option->key);
    int n = config_setting_length(at);
    if (n > option->max)
        return bide_reader_fail(
            reader, at, "%s: %d are too many, at most %d", option->key, n, (int)option->max);
    char *elements = bide_calloc((size_t)n + 1, option->section->size);
    if (!elements)
        return bide_reader_nomem(reader);
    *(char **)((char *)base + option->offset) = elements;
    size_t *count = (size_t *)(void *)((char *)base + option->count_offset);
    for (int i = 0; i < n; i++) {
        const config_setting_t *element = config_setting_get_elem(at, (unsigned)i);
        ++*count;
        bide_code code = read_group(reader, option, element, elements + (size_t)i * option->section->size);
        if (code != BIDE_OK)
            return code;
    }
    return BIDE_OK;
}

static bide_code read_option(const struct bide_reader *reader, const struct bide_option *option,
    const config_setting_t *group, void *base)
{
    const config_setting_t *at = group ? config_setting_get_member(group, option->key) : NULL;
    switch (option->kind) {
    case BIDE_OPTION_GROUP:
        return read_group(reader, option, at, (char *)base + option->offset);
    case BIDE_OPTION_LIST:
        return read_list(reader, option, at, base);
    case BIDE_OPTION_SETTINGS:
        return at ? bide_settings_read(reader, at, base) : BIDE_OK;
    default:
        break;
    }
    if (!at && !option->fallback)
        return bide_reader_fail(reader, group, "this needs a `%s`", option->key);
    return bide_value_read(reader, option, at, base);
}

bide_code bide_section_read(const struct bide_reader *reader, const struct bide_option_section *section,
    const config_setting_t *group, void *to)
{
    bide_code code = group ? refuse_unknown(reader, section, group) : BIDE_OK;
    for (const struct bide_option *option = section->options; option->key && code == BIDE_OK; option++)
        code = read_option(reader, option, group, to);
    return code;
}

/* ---- the end ---- */

void bide_strings_release(char **strings)
{
    for (size_t i = 0; strings && strings[i]; i++)
        bide_free(strings[i]);
    bide_free(strings);
}

static void release_list(const struct bide_option *option, void *base)
{
    char *elements = *(char **)((char *)base + option->offset);
    size_t n = *(size_t *)(void *)((char *)base + option->count_offset);
    for (size_t i = 0; i < n; i++)
        bide_section_release(option->section, elements + i * option->section->size);
    bide_free(elements);
}

void bide_section_release(const struct bide_option_section *section, void *from)
{
    for (const struct bide_option *option = section->options; option->key; option++) {
        void *value = (char *)from + option->offset;
        switch (option->kind) {
        case BIDE_OPTION_STRING:
        case BIDE_OPTION_WORD:
        case BIDE_OPTION_TYPE:
        case BIDE_OPTION_QUEUE:
        case BIDE_OPTION_ADDRESS:
        case BIDE_OPTION_TOPIC:
        case BIDE_OPTION_SUBSCRIPTION:
        case BIDE_OPTION_NAMESPACE:
            bide_free(*(char **)value);
            break;
        case BIDE_OPTION_STRINGS:
            bide_strings_release(*(char ***)value);
            break;
        case BIDE_OPTION_GROUP:
            bide_section_release(option->section, value);
            break;
        case BIDE_OPTION_LIST:
            release_list(option, from);
            break;
        case BIDE_OPTION_BACKOFF:
            bide_free(((struct bide_retry_config *)from)->list_ms);
            break;
        case BIDE_OPTION_SETTINGS:
            bide_settings_release(from);
            break;
        default:
            break;
        }
    }
}
