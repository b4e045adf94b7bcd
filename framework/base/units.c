#include "base/units.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/bug.h"
#include "bide/message.h"

#define SIZE_MAX_BYTES 1e15

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit duration_units[] = {
    {"ms", 1},
    {"s", 1000},
    {"m", 60 * 1000},
    {"h", 3600 * 1000},
    {"d", 86400 * 1000},
    {NULL, 0},
};

static const struct unit size_units[] = {
    {"", 1},
    {"B", 1},
    {"kB", 1000},
    {"MB", 1000 * 1000},
    {"GB", 1000 * 1000 * 1000},
    {"KiB", 1024},
    {"MiB", 1024 * 1024},
    {"GiB", 1024 * 1024 * 1024},
    {NULL, 0},
};

/* Reads digits with at most one point: no sign, no exponent, no "inf", in any locale. */
static const char *scan_number(const char *text, double *ret_value)
{
    double value = 0, scale = 1;
    int digits = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++, digits++)
        value = value * 10 + (*at - '0');
    if (*at == '.')
        for (at++; *at >= '0' && *at <= '9'; at++, digits++)
            value += (*at - '0') * (scale /= 10);
    *ret_value = value;
    return digits ? at : NULL;
}

/* The unit with which `text` begins, or NULL. */
static const struct unit *leading_unit(const char *text)
{
    for (const struct unit *unit = duration_units; unit->name; unit++)
        if (strncmp(text, unit->name, strlen(unit->name)) == 0)
            return unit;
    return NULL;
}

/* Reads "1h30m": numbers with units, the larger units first. */
static int scan_duration(const char *text, int64_t *ret_ms)
{
    double total = 0, value;
    int64_t factor_before = INT64_MAX;
    do {
        const char *rest = scan_number(text, &value);
        const struct unit *unit = rest ? leading_unit(rest) : NULL;
        if (!unit || unit->factor >= factor_before)
            return 0;
        total += value * (double)unit->factor;
        factor_before = unit->factor;
        text = rest + strlen(unit->name);
    } while (*text);
    if (total > (double)BIDE_DELAY_MAX_MS)
        return 0;
    *ret_ms = llround(total);
    return 1;
}

bide_code bide_parse_duration(const char *text, int64_t *ret_ms, bide_error *error)
{
    if (strcmp(text, "0") == 0) {
        *ret_ms = 0;
        return BIDE_OK;
    }
    if (scan_duration(text, ret_ms))
        return BIDE_OK;
    return bide_fail(error, BIDE_E_USAGE,
        "'%.100s' is not a duration: write for example 250ms, 1.5s, 10m, 1h30m or 7d, at most 3650d", text);
}

bide_code bide_parse_rate(const char *text, int64_t *ret_n, int64_t *ret_window_ms, bide_error *error)
{
    const int64_t longest_ms = INT64_C(366) * 86400 * 1000;
    const int most = 1000000;
    const char *slash = strchr(text, '/');
    char number[16] = "";
    int64_t n = 0, window_ms = 0;
    if (slash && slash > text && (size_t)(slash - text) < sizeof number) {
        memcpy(number, text, (size_t)(slash - text));
        if (bide_parse_int(number, 1, most, &n, NULL) == BIDE_OK && scan_duration(slash + 1, &window_ms) &&
            window_ms > 0 && window_ms <= longest_ms) {
            *ret_n = n;
            *ret_window_ms = window_ms;
            return BIDE_OK;
        }
    }
    return bide_fail(error, BIDE_E_USAGE,
        "'%.100s' is not a rate: write for example 50/1s, 100/1m or 1000/1h, at most %d, in at most 366d",
        text, most);
}

bide_code bide_parse_size(const char *text, int64_t *ret_bytes, bide_error *error)
{
    double value;
    const char *rest = scan_number(text, &value);
    for (const struct unit *unit = size_units; rest && unit->name; unit++)
        if (strcmp(rest, unit->name) == 0 && value * (double)unit->factor <= SIZE_MAX_BYTES) {
            *ret_bytes = llround(value * (double)unit->factor);
            return BIDE_OK;
        }
    return bide_fail(
        error, BIDE_E_USAGE, "'%.100s' is not a size: write for example 4096, 64KiB, 1MiB or 2GiB", text);
}

/* Days since 1970-01-01 of a Gregorian date (H. Hinnant, "chrono-compatible low-level date algorithms"). */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Reads a text of fixed form: in the picture, 'd' stands for a digit of the next number, 'T' for that letter
 * or a blank, any other character for itself. (sscanf would accept signs, blanks and short numbers.) Returns
 * the rest of the text, or NULL. */
static const char *scan_picture(const char *text, const char *picture, int numbers[])
{
    int *number = numbers;
    *number = 0;
    for (; *picture; picture++, text++)
        if (*picture == 'd') {
            if (*text < '0' || *text > '9')
                return NULL;
            *number = *number * 10 + (*text - '0');
            if (picture[1] != 'd' && picture[1])
                *++number = 0;
        } else if (*picture == 'T' ? !*text || !strchr("Tt ", *text) : *text != *picture) {
            return NULL;
        }
    return text;
}

/* Reads "Z" or "+02:00", as minutes east of Greenwich. */
static int scan_offset(const char *text, int *ret_minutes)
{
    int parts[2] = {0, 0}; /* hours, minutes */
    if (strcmp(text, "Z") != 0 && strcmp(text, "z") != 0) {
        if (*text != '+' && *text != '-')
            return 0;
        const char *end = scan_picture(text + 1, "dd:dd", parts);
        if (!end || *end || parts[0] > 23 || parts[1] > 59)
            return 0;
    }
    *ret_minutes = (*text == '-' ? -1 : 1) * (parts[0] * 60 + parts[1]);
    return 1;
}

static int scan_instant(const char *text, int64_t *ret_ms)
{
    enum { YEAR, MONTH, DAY, HOUR, MINUTE, SECOND, PARTS };
    int at[PARTS], offset;
    double fraction = 0;
    const char *rest = scan_picture(text, "dddd-dd-ddTdd:dd:dd", at);
    if (!rest || at[MONTH] < 1 || at[MONTH] > 12 || at[DAY] < 1 ||
        at[DAY] > days_of_month(at[YEAR], at[MONTH]) || at[HOUR] > 23 || at[MINUTE] > 59 || at[SECOND] > 60)
        return 0;
    if (*rest == '.' && !(rest = scan_number(rest, &fraction)))
        return 0;
    if (!scan_offset(rest, &offset))
        return 0;
    int64_t seconds = days_from_civil(at[YEAR], at[MONTH], at[DAY]) * 86400 + at[HOUR] * 3600 +
                      at[MINUTE] * 60 + at[SECOND] - offset * 60;
    *ret_ms = seconds * 1000 + llround(fraction * 1000);
    return 1;
}

bide_code bide_parse_instant(const char *text, int64_t *ret_ms, bide_error *error)
{
    if (scan_instant(text, ret_ms))
        return BIDE_OK;
    return bide_fail(error, BIDE_E_USAGE,
        "'%.100s' is not an instant: write for example 2026-12-24T18:00:00Z or 2026-12-24T19:00:00+01:00",
        text);
}

bide_code bide_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret_value, bide_error *error)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    int clean = (*text == '-' || (*text >= '0' && *text <= '9')) && end != text && !*end && errno == 0;
    if (!clean || value < min || value > max)
        return bide_fail(error, BIDE_E_USAGE, "'%.100s' is not a whole number from %" PRId64 " to %" PRId64,
            text, min, max);
    *ret_value = value;
    return BIDE_OK;
}

char *bide_format_duration(int64_t ms, char to[BIDE_DURATION_TEXT])
{
    for (size_t i = sizeof duration_units / sizeof duration_units[0] - 1; i-- > 1;)
        if (ms % duration_units[i].factor == 0 && (ms || i == 1)) { /* zero is "0s", not "0d" */
            snprintf(to, BIDE_DURATION_TEXT, "%" PRId64 "%s", ms / duration_units[i].factor,
                duration_units[i].name);
            return to;
        }
    if (ms < 1000) {
        snprintf(to, BIDE_DURATION_TEXT, "%" PRId64 "ms", ms);
        return to;
    }
    int digits = 3, fraction = (int)(ms % 1000); /* not 0: whole seconds were written above */
    for (; fraction % 10 == 0; fraction /= 10)
        digits--;
    snprintf(to, BIDE_DURATION_TEXT, "%" PRId64 ".%0*ds", ms / 1000, digits, fraction);
    return to;
}

char *bide_format_instant(int64_t unix_ms, char to[BIDE_INSTANT_TEXT])
{
    int ms = (int)(unix_ms % 1000);
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm parts;
    if (ms < 0) {
        ms += 1000;
        seconds--;
    }
    BIDE_BUG(!gmtime_r(&seconds, &parts)); /* the years of 64 bits of ms fit in an int */
    snprintf(to, BIDE_INSTANT_TEXT, "%04lld-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900LL,
        parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, ms);
    return to;
}
