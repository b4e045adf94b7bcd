#include "calendar/cron.h"

#include <string.h>
#include <strings.h>

#include "calendar/civil.h"

enum { FIELDS = 6, YEARS = 40, NAME_SIZE = 3 };

/* ---- reading ---- */

struct field {
    const char *name;
    int min, max;
    const char *names; /* of three letters, without blanks; the first stands for `min` */
};

static const struct field fields[FIELDS] = {
    {"second", 0, 59, NULL},
    {"minute", 0, 59, NULL},
    {"hour", 0, 23, NULL},
    {"day of month", 1, 31, NULL},
    {"month", 1, 12, "janfebmaraprmayjunjulaugsepoctnovdec"},
    {"day of week", 0, 7, "sunmontuewedthufrisat"},
};

static const struct {
    const char *name, *text;
} shorthands[] = {
    {"@hourly", "0 * * * *"},
    {"@daily", "0 0 * * *"},
    {"@midnight", "0 0 * * *"},
    {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"},
    {"@yearly", "0 0 1 1 *"},
    {"@annually", "0 0 1 1 *"},
};

struct reader {
    const char *text, *at;
    const struct field *field;
    bide_error *error;
};

static bide_code fail_at(const struct reader *reader, const char *at, const char *what)
{
    return bide_fail(reader->error, BIDE_E_USAGE, "cron \"%.80s\": %s, column %d: %s", reader->text,
        reader->field->name, (int)(at - reader->text) + 1, what);
}

/* What other crons know, and this one does not. */
static bool is_foreign(char c)
{
    return c && strchr("?LWH#~", c);
}

static bide_code foreign(const struct reader *reader, const char *at)
{
    return fail_at(reader, at, "'?', L, W, #, H and ~ are not known here; for '?' write '*'");
}

static bide_code out_of_range(const struct reader *reader, const char *at)
{
    return bide_fail(reader->error, BIDE_E_USAGE,
        "cron \"%.80s\": %s, column %d: a number must lie from %d to %d", reader->text, reader->field->name,
        (int)(at - reader->text) + 1, reader->field->min, reader->field->max);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool read_name(struct reader *reader, int *ret_number)
{
    const char *names = reader->field->names;
    for (int i = 0; names && names[(size_t)i * NAME_SIZE]; i++)
        if (strncasecmp(reader->at, names + (size_t)i * NAME_SIZE, NAME_SIZE) == 0) {
            reader->at += NAME_SIZE;
            *ret_number = reader->field->min + i;
            return true;
        }
    return false;
}

static bide_code read_value(struct reader *reader, int *ret_number)
{
    const char *from = reader->at;
    if (read_name(reader, ret_number))
        return BIDE_OK;
    if (is_foreign(*from))
        return foreign(reader, from);
    if (!is_digit(*from))
        return fail_at(reader, from,
            reader->field->names ? "a number, a name of three letters or '*' is missing"
                                 : "a number or '*' is missing");
    int number = 0;
    for (; is_digit(*reader->at) && number < 1000; reader->at++)
        number = number * 10 + (*reader->at - '0');
    if (number < reader->field->min || number > reader->field->max)
        return out_of_range(reader, from);
    *ret_number = number;
    return BIDE_OK;
}

static bide_code read_range(struct reader *reader, int *ret_from, int *ret_to, bool *ret_many)
{
    const char *at = reader->at;
    if (*at == '*') {
        reader->at++;
        *ret_from = reader->field->min;
        *ret_to = reader->field->max;
        *ret_many = true;
        return BIDE_OK;
    }
    bide_code code = read_value(reader, ret_from);
    *ret_to = *ret_from;
    *ret_many = code == BIDE_OK && *reader->at == '-';
    if (!*ret_many)
        return code;
    reader->at++;
    code = read_value(reader, ret_to);
    if (code == BIDE_OK && *ret_to < *ret_from)
        return fail_at(reader, at, "the range ends before it begins: write it as two, with ',' between them");
    return code;
}

static bide_code read_step(struct reader *reader, bool many, int *ret_step)
{
    const char *slash = reader->at;
    *ret_step = 1;
    if (*slash != '/')
        return BIDE_OK;
    if (!many)
        return fail_at(reader, slash, "a step needs '*' or a range in front, as in */15 or 0-30/10");
    reader->at++;
    *ret_step = 0;
    for (; is_digit(*reader->at) && *ret_step < 1000; reader->at++)
        *ret_step = *ret_step * 10 + (*reader->at - '0');
    if (*ret_step < 1 || *ret_step > reader->field->max)
        return fail_at(reader, slash + 1, "a step is a number from 1 to the largest of the field");
    return BIDE_OK;
}

static bool is_end(char c)
{
    return c == '\0' || c == ' ' || c == '\t';
}

static bide_code read_field(struct reader *reader, uint64_t *ret_bits)
{
    bide_code code = BIDE_OK;
    *ret_bits = 0;
    do {
        int from = 0, to = 0, step = 1;
        bool many = false;
        code = read_range(reader, &from, &to, &many);
        if (code == BIDE_OK)
            code = read_step(reader, many, &step);
        for (int i = from; code == BIDE_OK && i <= to; i += step)
            *ret_bits |= UINT64_C(1) << i;
    } while (code == BIDE_OK && *reader->at == ',' && reader->at++);
    if (code == BIDE_OK && is_foreign(*reader->at))
        return foreign(reader, reader->at);
    if (code == BIDE_OK && !is_end(*reader->at))
        return fail_at(reader, reader->at, "',', '-', '/' or a blank is wanted here");
    return code;
}

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

static int count_fields(const char *text)
{
    int n = 0;
    for (const char *at = skip_blanks(text); *at; at = skip_blanks(at + strcspn(at, " \t")))
        n++;
    return n;
}

static const char *long_form(const char *text)
{
    for (size_t i = 0; i < sizeof shorthands / sizeof shorthands[0]; i++)
        if (strcasecmp(text, shorthands[i].name) == 0)
            return shorthands[i].text;
    return text;
}

static bide_code read_fields(const char *text, int first, struct bide_cron *cron, bide_error *error)
{
    struct reader reader = {.text = text, .at = text, .error = error};
    uint64_t *const bits[FIELDS] = {
        &cron->seconds, &cron->minutes, &cron->hours, &cron->days, &cron->months, &cron->weekdays};
    bool *const any[FIELDS] = {NULL, NULL, &cron->any_hour, &cron->any_day, NULL, &cron->any_weekday};
    for (int i = first; i < FIELDS; i++) {
        reader.field = &fields[i];
        reader.at = skip_blanks(reader.at);
        if (any[i])
            *any[i] = *reader.at == '*';
        bide_code code = read_field(&reader, bits[i]);
        if (code != BIDE_OK)
            return code;
    }
    cron->weekdays |= cron->weekdays >> 7 & 1; /* 7 is Sunday, too */
    return BIDE_OK;
}

bide_code bide_cron_parse(const char *text, struct bide_cron *ret_cron, bide_error *error)
{
    struct bide_cron cron = {.seconds = 1};
    const char *whole = long_form(text);
    int n = count_fields(whole);
    int64_t unwanted;
    if (*whole == '@')
        return bide_fail(error, BIDE_E_USAGE,
            "cron \"%.80s\": there are @hourly, @daily, @midnight, @weekly, @monthly, @yearly and @annually",
            text);
    if (n < FIELDS - 1 || n > FIELDS)
        return bide_fail(error, BIDE_E_USAGE,
            "cron \"%.80s\" has %d fields: 5 are wanted (minute, hour, day of month, month, day of week), or "
            "6 with seconds in front",
            text, n);
    bide_code code = read_fields(whole, FIELDS - n, &cron, error);
    if (code != BIDE_OK)
        return code;
    if (!bide_cron_next(&cron, 0, &unwanted))
        return bide_fail(error, BIDE_E_USAGE, "cron \"%.80s\" never fires: there is no such day", text);
    *ret_cron = cron;
    return BIDE_OK;
}

/* ---- matching ---- */

static bool has(uint64_t bits, int i)
{
    return bits >> i & 1;
}

/* The lowest bit that is not below `from`; -1: none. */
static int next_bit(uint64_t bits, int from)
{
    bits = from < 64 ? bits >> from << from : 0;
    return bits ? __builtin_ctzll(bits) : -1;
}

static bool fits_day(const struct bide_cron *cron, int64_t day)
{
    bool of_month = has(cron->days, bide_date_of(day).day);
    bool of_week = has(cron->weekdays, bide_weekday_of(day));
    return cron->any_day || cron->any_weekday ? of_month && of_week : of_month || of_week;
}

/* The first day that fits, not before `day`. */
static bool next_day(const struct bide_cron *cron, int64_t day, int64_t *ret_day)
{
    struct bide_date first = bide_date_of(day);
    int64_t year = first.year;
    for (int month = first.month; year <= first.year + YEARS; month = 1, year++)
        while ((month = next_bit(cron->months, month)) >= 0) {
            int64_t from = bide_days_of(year, month, 1), end = bide_days_of(year, month + 1, 1);
            for (from = from > day ? from : day; from < end; from++)
                if (fits_day(cron, from)) {
                    *ret_day = from;
                    return true;
                }
            month++;
        }
    return false;
}

/* The first time of day that fits, not before second_of_day; -1: none on this day. */
static int next_time(const struct bide_cron *cron, int second_of_day)
{
    int hour = second_of_day / 3600, minute = second_of_day / 60 % 60, second = second_of_day % 60;
    if (has(cron->hours, hour)) {
        if (has(cron->minutes, minute) && (second = next_bit(cron->seconds, second)) >= 0)
            return hour * 3600 + minute * 60 + second;
        if ((minute = next_bit(cron->minutes, minute + 1)) >= 0)
            return hour * 3600 + minute * 60 + next_bit(cron->seconds, 0);
    }
    if ((hour = next_bit(cron->hours, hour + 1)) < 0)
        return -1;
    return hour * 3600 + next_bit(cron->minutes, 0) * 60 + next_bit(cron->seconds, 0);
}

bool bide_cron_next(const struct bide_cron *cron, int64_t local_s, int64_t *ret_local_s)
{
    int64_t today = bide_floor_div(local_s, BIDE_DAY_S), day;
    if (!next_day(cron, today, &day))
        return false;
    int time = next_time(cron, day == today ? (int)(local_s - today * BIDE_DAY_S) : 0);
    if (time < 0) { /* not any more on this day: the first of the next one */
        if (!next_day(cron, day + 1, &day))
            return false;
        time = next_time(cron, 0);
    }
    *ret_local_s = day * BIDE_DAY_S + time;
    return true;
}
