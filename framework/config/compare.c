#include "config/compare.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/units.h"
#include "config/options.h"

enum { PATH_SIZE = 2 * 256 };

struct comparison {
    bide_config_difference *visit;
    void *user;
    int n;
};

/* A section in both configurations, and its place. */
struct pair {
    const struct bide_option_section *section;
    const void *before, *after;
    const char *path; /* "", or with its dot: "worker." */
};

static void report(struct comparison *comparison, enum bide_change change, const char *option,
    const char *before, const char *after)
{
    comparison->n++;
    comparison->visit(comparison->user, change, option, before, after);
}

static const void *member(const void *base, size_t offset)
{
    return (const char *)base + offset;
}

/* ---- single values ---- */

static void add_duration(struct bide_buffer *to, int64_t ms)
{
    char text[BIDE_DURATION_TEXT];
    bide_buffer_text(to, bide_format_duration(ms, text));
}

static void add_backoff(struct bide_buffer *to, const struct bide_option *option, const void *base)
{
    const struct bide_retry_config *retry = base;
    if (retry->backoff != BIDE_BACKOFF_LIST) {
        bide_buffer_text(to, option->choices[retry->backoff]);
        return;
    }
    for (size_t i = 0; i < retry->n_list; i++) {
        bide_buffer_text(to, i ? ", " : "");
        add_duration(to, retry->list_ms[i]);
    }
}

static void add_value(struct bide_buffer *to, const struct bide_option *option, const void *base)
{
    const void *at = member(base, option->offset);
    const char *text;
    switch (option->kind) {
    case BIDE_OPTION_STRING:
    case BIDE_OPTION_WORD:
    case BIDE_OPTION_TYPE:
    case BIDE_OPTION_QUEUE:
    case BIDE_OPTION_ADDRESS:
    case BIDE_OPTION_TOPIC:
    case BIDE_OPTION_SUBSCRIPTION:
    case BIDE_OPTION_NAMESPACE:
        text = *(const char *const *)at;
        bide_buffer_text(to, text ? text : "");
        break;
    case BIDE_OPTION_STRINGS:
        for (char *const *strings = *(char *const *const *)at; strings && *strings; strings++)
            bide_buffer_format(to, "%s\n", *strings);
        break;
    case BIDE_OPTION_INT:
        bide_buffer_format(to, "%d", *(const int *)at);
        break;
    case BIDE_OPTION_BOOL:
        bide_buffer_text(to, *(const bool *)at ? "true" : "false");
        break;
    case BIDE_OPTION_FRACTION:
        bide_json_digits(to, *(const double *)at);
        break;
    case BIDE_OPTION_DURATION:
        add_duration(to, *(const int64_t *)at);
        break;
    case BIDE_OPTION_SIZE:
        bide_option_add_size(to, *(const int64_t *)at);
        break;
    case BIDE_OPTION_CHOICE:
        bide_buffer_text(to, option->choices[*(const int *)at]);
        break;
    case BIDE_OPTION_BACKOFF:
        add_backoff(to, option, base);
        break;
    default:
        break;
    }
}

/* Without memory for the texts, two values count as different. */
static void compare_values(struct comparison *comparison, const struct pair *pair,
    const struct bide_option *option, const char *name)
{
    struct bide_buffer before, after;
    bool shown = option->kind != BIDE_OPTION_STRING && option->kind != BIDE_OPTION_STRINGS;
    bide_buffer_init(&before);
    bide_buffer_init(&after);
    add_value(&before, option, pair->before);
    add_value(&after, option, pair->after);
    if (before.failed || after.failed || strcmp(before.bytes, after.bytes) != 0)
        report(comparison, BIDE_CHANGED, name, shown ? before.bytes : NULL, shown ? after.bytes : NULL);
    bide_buffer_release(&before);
    bide_buffer_release(&after);
}

/* ---- a handler's settings ---- */

static bool same_text(const char *one, const char *other)
{
    return one && other ? strcmp(one, other) == 0 : one == other;
}

static bool same_setting(const struct bide_setting_value *one, const struct bide_setting_value *other)
{
    if (one->kind != other->kind || !same_text(one->text, other->text) || one->integer != other->integer ||
        one->number < other->number || one->number > other->number || one->n_items != other->n_items)
        return false;
    for (size_t i = 0; i < one->n_items; i++)
        if (strcmp(one->items[i], other->items[i]) != 0)
            return false;
    return true;
}

static const struct bide_setting_value *find_setting(
    const struct bide_handler_config *handler, const char *name)
{
    for (size_t i = 0; i < handler->n_settings; i++)
        if (strcmp(handler->settings[i].name, name) == 0)
            return &handler->settings[i];
    return NULL;
}

static void report_setting(
    struct comparison *comparison, enum bide_change change, const char *path, const char *name)
{
    char option[PATH_SIZE];
    snprintf(option, sizeof option, "%s.%s", path, name);
    report(comparison, change, option, NULL, NULL);
}

static void compare_settings(struct comparison *comparison, const struct bide_handler_config *before,
    const struct bide_handler_config *after, const char *path)
{
    for (size_t i = 0; i < before->n_settings; i++) {
        const struct bide_setting_value *setting = &before->settings[i];
        const struct bide_setting_value *now = find_setting(after, setting->name);
        if (!now || !same_setting(setting, now))
            report_setting(comparison, now ? BIDE_CHANGED : BIDE_REMOVED, path, setting->name);
    }
    for (size_t i = 0; i < after->n_settings; i++)
        if (!find_setting(before, after->settings[i].name))
            report_setting(comparison, BIDE_ADDED, path, after->settings[i].name);
}

/* ---- lists and groups ---- */

struct rows {
    const struct bide_option_section *section;
    const char *first;
    size_t n;
};

static struct rows rows_of(const struct bide_option *option, const void *base)
{
    return (struct rows){option->section, *(const char *const *)member(base, option->offset),
        *(const size_t *)member(base, option->count_offset)};
}

static const void *row_at(const struct rows *rows, size_t index)
{
    return rows->first + index * rows->section->size;
}

/* The name of a row is its first option. */
static const char *row_name(const struct rows *rows, const void *row)
{
    return *(const char *const *)member(row, rows->section->options->offset);
}

static const void *find_row(const struct rows *rows, const char *name)
{
    for (size_t i = 0; i < rows->n; i++)
        if (strcmp(row_name(rows, row_at(rows, i)), name) == 0)
            return row_at(rows, i);
    return NULL;
}

static void report_row(
    struct comparison *comparison, enum bide_change change, const char *list, const char *name)
{
    char option[PATH_SIZE];
    snprintf(option, sizeof option, "%s[%s]", list, name);
    report(comparison, change, option, NULL, NULL);
}

static void compare_sections(struct comparison *comparison, const struct pair *pair);

static void compare_rows(struct comparison *comparison, const struct rows *rows, const void *before,
    const void *after, const char *list)
{
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s[%s].", list, row_name(rows, after));
    compare_sections(comparison, &(struct pair){rows->section, before, after, path});
}

static void compare_lists(
    struct comparison *comparison, const struct rows *before, const struct rows *after, const char *list)
{
    const char *last = NULL; /* the `before` row that belongs to the previous `after` row */
    bool reordered = false;
    for (size_t i = 0; i < before->n; i++)
        if (!find_row(after, row_name(before, row_at(before, i))))
            report_row(comparison, BIDE_REMOVED, list, row_name(before, row_at(before, i)));
    for (size_t i = 0; i < after->n; i++) {
        const char *name = row_name(after, row_at(after, i)), *old = find_row(before, name);
        if (old) {
            compare_rows(comparison, after, old, row_at(after, i), list);
            reordered |= last && old < last;
            last = old;
        } else {
            report_row(comparison, BIDE_ADDED, list, name);
        }
    }
    if (reordered)
        report(comparison, BIDE_CHANGED, list, NULL, NULL);
}

static void compare_sections(struct comparison *comparison, const struct pair *pair)
{
    for (const struct bide_option *option = pair->section->options; option->key; option++) {
        char name[PATH_SIZE], path[PATH_SIZE + 1];
        snprintf(name, sizeof name, "%s%s", pair->path, option->key);
        snprintf(path, sizeof path, "%s.", name);
        struct pair inner = {
            option->section, member(pair->before, option->offset), member(pair->after, option->offset), path};
        struct rows before, after;
        switch (option->kind) {
        case BIDE_OPTION_GROUP:
            compare_sections(comparison, &inner);
            break;
        case BIDE_OPTION_LIST:
            before = rows_of(option, pair->before);
            after = rows_of(option, pair->after);
            compare_lists(comparison, &before, &after, name);
            break;
        case BIDE_OPTION_SETTINGS:
            compare_settings(comparison, pair->before, pair->after, name);
            break;
        default:
            compare_values(comparison, pair, option, name);
        }
    }
}

int bide_config_compare(const struct bide_config *before, const struct bide_config *after,
    bide_config_difference *visit, void *user)
{
    struct comparison comparison = {visit, user, 0};
    compare_sections(&comparison, &(struct pair){bide_option_root(), before, after, ""});
    return comparison.n;
}
