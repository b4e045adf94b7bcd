#include "config/read.h"

#include <inttypes.h>
#include <string.h>

#include "base/alloc.h"
#include "base/names.h"
#include "base/suggest.h"
#include "base/units.h"

enum { BACKOFF_LIST_MAX = 100, STRINGS_MAX = 100 };

/* A value being read: its row, its setting (NULL: it is the fallback), its text (NULL: not a string). */
struct value {
    const struct bide_reader *reader;
    const struct bide_option *option;
    const config_setting_t *at;
    const char *text;
    void *base;
};

static void *target(const struct value *value)
{
    return (char *)value->base + value->option->offset;
}

static bide_code wrong_kind(const struct value *value, const char *wanted)
{
    return bide_reader_fail(value->reader, value->at, "%s must be %s", value->option->key, wanted);
}

/* ---- strings ---- */

static bide_code keep(const struct value *value, const char *text)
{
    char *copy = bide_strdup(text);
    if (!copy)
        return bide_reader_nomem(value->reader);
    *(char **)target(value) = copy;
    return BIDE_OK;
}

static bide_code read_string(const struct value *value)
{
    if (!value->text)
        return wrong_kind(value, "a string in quotes");
    if (!*value->text && value->at)
        return wrong_kind(value, "a string that is not empty");
    return *value->text ? keep(value, value->text) : BIDE_OK;
}

static bide_code keep_one_of(const struct value *value, char **to, const char *text)
{
    if (!text || !*text)
        return wrong_kind(value, "a string that is not empty, or a list of such");
    *to = bide_strdup(text);
    return *to ? BIDE_OK : bide_reader_nomem(value->reader);
}

static bide_code read_strings(const struct value *value)
{
    bool list = value->at && !value->text && config_setting_is_aggregate(value->at);
    int n = list ? config_setting_length(value->at) : 1;
    if (!list && value->text && !*value->text && !value->at)
        return BIDE_OK; /* the fallback: unset */
    if (n < 1 || n > STRINGS_MAX)
        return bide_reader_fail(
            value->reader, value->at, "%s: a list holds 1 to %d strings", value->option->key, STRINGS_MAX);
    char **strings = bide_calloc((size_t)n + 1, sizeof *strings);
    bide_code code = strings ? BIDE_OK : bide_reader_nomem(value->reader);
    *(char ***)target(value) = strings;
    for (int i = 0; i < n && code == BIDE_OK; i++)
        code = keep_one_of(
            value, &strings[i], list ? config_setting_get_string_elem(value->at, i) : value->text);
    return code;
}

static bide_code read_name(const struct value *value, bool (*valid)(const char *), const char *rule)
{
    if (!value->text)
        return wrong_kind(value, "a name in quotes");
    if (!*value->text && !value->at)
        return BIDE_OK; /* the fallback: unset */
    if (!valid(value->text))
        return bide_reader_fail(value->reader, value->at, "'%.120s' is not valid as %s: %s", value->text,
            value->option->key, rule);
    return keep(value, value->text);
}

static bide_code read_type(const struct value *value)
{
    return read_name(value, bide_name_valid, BIDE_NAME_RULE);
}

static bide_code read_queue(const struct value *value)
{
    return read_name(value, bide_queue_name_valid,
        BIDE_NAME_RULE ", and not unrouted, hold.*, *.landing, *.later or *.dead (bide's own)");
}

static bide_code read_address(const struct value *value)
{
    return read_name(value, bide_address_valid, "a queue's name, or @ and a topic's");
}

static bide_code read_topic(const struct value *value)
{
    return read_name(value, bide_topic_name_valid, BIDE_TOPIC_NAME_RULE);
}

static bide_code read_subscription(const struct value *value)
{
    return read_name(value, bide_subscription_valid, "SUB@TOPIC: " BIDE_TOPIC_RULE);
}

static bide_code read_namespace(const struct value *value)
{
    return read_name(value, bide_namespace_valid,
        "letters, digits, '-' and '_', not beginning with a digit, at most 100 bytes");
}

/* ---- numbers ---- */

static bool whole_number(const struct value *value, int64_t *ret_number)
{
    if (!value->at)
        return bide_parse_int(value->text, INT64_MIN, INT64_MAX, ret_number, NULL) == BIDE_OK;
    int kind = config_setting_type(value->at);
    if (kind != CONFIG_TYPE_INT && kind != CONFIG_TYPE_INT64)
        return false;
    *ret_number = config_setting_get_int64(value->at);
    return true;
}

static bide_code read_int(const struct value *value)
{
    int64_t number;
    if (!whole_number(value, &number))
        return wrong_kind(value, "a whole number, without quotes");
    if (number < value->option->min || number > value->option->max)
        return bide_reader_fail(value->reader, value->at,
            "%s is %" PRId64 ": it must lie from %" PRId64 " to %" PRId64, value->option->key, number,
            value->option->min, value->option->max);
    *(int *)target(value) = (int)number;
    return BIDE_OK;
}

static bide_code read_bool(const struct value *value)
{
    if (value->at && config_setting_type(value->at) != CONFIG_TYPE_BOOL)
        return wrong_kind(value, "true or false, without quotes");
    *(bool *)target(value) =
        value->at ? config_setting_get_bool(value->at) != 0 : strcmp(value->text, "true") == 0;
    return BIDE_OK;
}

/* Reads a fallback such as "0.2". strtod would depend on the locale. */
static double fraction_of(const char *text)
{
    double number = 0, scale = 1;
    for (; *text && *text != '.'; text++)
        number = number * 10 + (*text - '0');
    for (text += *text == '.'; *text; text++)
        number += (*text - '0') * (scale /= 10);
    return number;
}

static bide_code read_fraction(const struct value *value)
{
    int64_t whole;
    double number;
    if (!value->at)
        number = fraction_of(value->text);
    else if (config_setting_type(value->at) == CONFIG_TYPE_FLOAT)
        number = config_setting_get_float(value->at);
    else if (whole_number(value, &whole))
        number = (double)whole;
    else
        return wrong_kind(value, "a number from 0 to 1, without quotes");
    if (!(number >= 0 && number <= 1))
        return bide_reader_fail(
            value->reader, value->at, "%s is %g: it must lie from 0 to 1", value->option->key, number);
    *(double *)target(value) = number;
    return BIDE_OK;
}

/* ---- durations and sizes ---- */

static bide_code out_of_range(const struct value *value)
{
    char min[BIDE_DURATION_TEXT], max[BIDE_DURATION_TEXT];
    const struct bide_option *option = value->option;
    if (option->kind == BIDE_OPTION_DURATION)
        return bide_reader_fail(value->reader, value->at, "%s must lie from %s to %s", option->key,
            bide_format_duration(option->min, min), bide_format_duration(option->max, max));
    return bide_reader_fail(value->reader, value->at, "%s must lie from %" PRId64 " to %" PRId64 " bytes",
        option->key, option->min, option->max);
}

static bide_code read_duration(const struct value *value)
{
    int64_t ms, number;
    bide_error why;
    if (value->text) {
        if (bide_parse_duration(value->text, &ms, &why) != BIDE_OK)
            return bide_reader_fail(value->reader, value->at, "%s: %s", value->option->key, why.text);
    } else if (whole_number(value, &number) && number == 0) {
        ms = 0;
    } else {
        return wrong_kind(
            value, "a duration in quotes with its unit, such as \"250ms\", \"1.5s\" or \"10m\"");
    }
    if (ms < value->option->min || ms > value->option->max)
        return out_of_range(value);
    *(int64_t *)target(value) = ms;
    return BIDE_OK;
}

static bide_code read_rate(const struct value *value)
{
    struct bide_rate *rate = target(value);
    bide_error why;
    if (!value->text)
        return wrong_kind(value, "a rate in quotes, such as \"50/1s\" or \"100/1m\"");
    if (!*value->text && !value->at)
        return BIDE_OK; /* the fallback: none */
    if (bide_parse_rate(value->text, &rate->n, &rate->window_ms, &why) != BIDE_OK)
        return bide_reader_fail(value->reader, value->at, "%s: %s", value->option->key, why.text);
    return BIDE_OK;
}

static bide_code read_size(const struct value *value)
{
    int64_t bytes;
    bide_error why;
    if (value->text) {
        if (bide_parse_size(value->text, &bytes, &why) != BIDE_OK)
            return bide_reader_fail(value->reader, value->at, "%s: %s", value->option->key, why.text);
    } else if (!whole_number(value, &bytes)) {
        return wrong_kind(value, "a size, such as 4096 or \"1MiB\"");
    }
    if (bytes < value->option->min || bytes > value->option->max)
        return out_of_range(value);
    *(int64_t *)target(value) = bytes;
    return BIDE_OK;
}

/* ---- choices ---- */

static bide_code unknown_choice(const struct value *value)
{
    char hint[BIDE_SUGGEST_TEXT], known[160] = "";
    size_t used = 0;
    const char *const *choices = value->option->choices;
    for (size_t i = 0; choices[i] && used < sizeof known - 32; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s\"%s\"",
            i ? (choices[i + 1] ? ", " : " or ") : "", choices[i]);
    if (!value->text)
        return bide_reader_fail(value->reader, value->at, "%s must be %s%s", value->option->key, known,
            value->option->kind == BIDE_OPTION_BACKOFF ? ", or a list of durations such as [\"1s\", \"5s\"]"
                                                       : "");
    return bide_reader_fail(value->reader, value->at, "%s is '%.60s'%s: it must be %s", value->option->key,
        value->text, bide_suggest(value->text, choices, hint), known);
}

static bide_code read_choice(const struct value *value)
{
    const char *const *choices = value->option->choices;
    for (size_t i = 0; value->text && choices[i]; i++)
        if (strcmp(choices[i], value->text) == 0) {
            *(int *)target(value) = (int)i;
            return BIDE_OK;
        }
    return unknown_choice(value);
}

static bide_code read_word(const struct value *value)
{
    const char *const *choices = value->option->choices;
    if (!value->at)
        return BIDE_OK; /* the fallback: unset */
    for (size_t i = 0; value->text && choices[i]; i++)
        if (strcmp(choices[i], value->text) == 0)
            return keep(value, value->text);
    return unknown_choice(value);
}

static bide_code backoff_step(const struct value *value, int index, int64_t *ret_ms)
{
    const config_setting_t *at = config_setting_get_elem(value->at, (unsigned)index);
    const char *text =
        at && config_setting_type(at) == CONFIG_TYPE_STRING ? config_setting_get_string(at) : NULL;
    bide_error why;
    if (!text)
        return bide_reader_fail(
            value->reader, at ? at : value->at, "backoff: a list holds durations, such as \"5s\"");
    if (bide_parse_duration(text, ret_ms, &why) != BIDE_OK)
        return bide_reader_fail(value->reader, at, "backoff: %s", why.text);
    return BIDE_OK;
}

static bide_code read_backoff_list(const struct value *value)
{
    struct bide_retry_config *retry = value->base;
    int n = config_setting_length(value->at);
    if (n < 1 || n > BACKOFF_LIST_MAX)
        return bide_reader_fail(
            value->reader, value->at, "backoff: a list holds 1 to %d durations", BACKOFF_LIST_MAX);
    if (!(retry->list_ms = bide_calloc((size_t)n, sizeof *retry->list_ms)))
        return bide_reader_nomem(value->reader);
    for (int i = 0; i < n; i++) {
        bide_code code = backoff_step(value, i, &retry->list_ms[i]);
        if (code != BIDE_OK)
            return code;
    }
    retry->n_list = (size_t)n;
    retry->backoff = BIDE_BACKOFF_LIST;
    return BIDE_OK;
}

static bide_code read_backoff(const struct value *value)
{
    bool list = value->at && (config_setting_is_array(value->at) || config_setting_is_list(value->at));
    return list ? read_backoff_list(value) : read_choice(value);
}

static bide_code (*const kinds[])(const struct value *) = {
    [BIDE_OPTION_STRING] = read_string,
    [BIDE_OPTION_STRINGS] = read_strings,
    [BIDE_OPTION_TYPE] = read_type,
    [BIDE_OPTION_QUEUE] = read_queue,
    [BIDE_OPTION_ADDRESS] = read_address,
    [BIDE_OPTION_TOPIC] = read_topic,
    [BIDE_OPTION_SUBSCRIPTION] = read_subscription,
    [BIDE_OPTION_NAMESPACE] = read_namespace,
    [BIDE_OPTION_INT] = read_int,
    [BIDE_OPTION_BOOL] = read_bool,
    [BIDE_OPTION_FRACTION] = read_fraction,
    [BIDE_OPTION_DURATION] = read_duration,
    [BIDE_OPTION_RATE] = read_rate,
    [BIDE_OPTION_SIZE] = read_size,
    [BIDE_OPTION_CHOICE] = read_choice,
    [BIDE_OPTION_WORD] = read_word,
    [BIDE_OPTION_BACKOFF] = read_backoff,
};

bide_code bide_value_read(const struct bide_reader *reader, const struct bide_option *option,
    const config_setting_t *at, void *base)
{
    struct value value = {reader, option, at, option->fallback, base};
    if (at)
        value.text = config_setting_type(at) == CONFIG_TYPE_STRING ? config_setting_get_string(at) : NULL;
    return kinds[option->kind](&value);
}
