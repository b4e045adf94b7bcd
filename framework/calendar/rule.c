#include "calendar/rule.h"

#include "calendar/civil.h"

/* ---- reading ---- */

struct text {
    const char *at, *end;
};

static bool take(struct text *text, char c)
{
    bool there = text->at < text->end && *text->at == c;
    text->at += there;
    return there;
}

static bool read_number(struct text *text, int min, int max, int *ret_number)
{
    const char *from = text->at;
    int number = 0;
    for (; text->at < text->end && *text->at >= '0' && *text->at <= '9' && number < 1000; text->at++)
        number = number * 10 + (*text->at - '0');
    *ret_number = number;
    return text->at > from && number >= min && number <= max;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_in_quotes(char c)
{
    return is_letter(c) || (c >= '0' && c <= '9') || c == '+' || c == '-';
}

static bool skip_name(struct text *text)
{
    bool quoted = take(text, '<');
    const char *from = text->at;
    while (text->at < text->end && (quoted ? is_in_quotes(*text->at) : is_letter(*text->at)))
        text->at++;
    return text->at - from >= 3 && (!quoted || take(text, '>'));
}

/* "[+-]hh[:mm[:ss]]". */
static bool read_time(struct text *text, int max_hours, int *ret_s)
{
    int sign = take(text, '-') ? -1 : 1, hours, minutes = 0, seconds = 0;
    if (sign > 0)
        take(text, '+');
    if (!read_number(text, 0, max_hours, &hours))
        return false;
    if (take(text, ':') && !read_number(text, 0, 59, &minutes))
        return false;
    if (take(text, ':') && !read_number(text, 0, 59, &seconds))
        return false;
    *ret_s = sign * (hours * 3600 + minutes * 60 + seconds);
    return true;
}

static bool read_month(struct text *text, struct bide_rule_day *day)
{
    day->kind = BIDE_RULE_MONTH;
    return read_number(text, 1, 12, &day->month) && take(text, '.') && read_number(text, 1, 5, &day->week) &&
           take(text, '.') && read_number(text, 0, 6, &day->day);
}

static bool read_day(struct text *text, struct bide_rule_day *day)
{
    enum { NOTHING_SAID_S = 2 * 3600, MAX_HOURS = 167 };
    bool good;
    if (!take(text, ','))
        return false;
    if (take(text, 'M')) {
        good = read_month(text, day);
    } else {
        bool julian = take(text, 'J');
        day->kind = julian ? BIDE_RULE_JULIAN : BIDE_RULE_ZERO_BASED;
        good = read_number(text, julian, 365, &day->day);
    }
    day->time_s = NOTHING_SAID_S;
    return good && (!take(text, '/') || read_time(text, MAX_HOURS, &day->time_s));
}

bool bide_rule_read(const char *bytes, size_t size, struct bide_rule *ret_rule)
{
    enum { MAX_HOURS = 24, HOUR_S = 3600 };
    struct text text = {bytes, bytes + size};
    struct bide_rule rule = {0};
    if (!skip_name(&text) || !read_time(&text, MAX_HOURS, &rule.standard_s))
        return false;
    rule.standard_s = -rule.standard_s; /* POSIX counts to the west */
    rule.has_summer = text.at < text.end;
    if (rule.has_summer) {
        if (!skip_name(&text))
            return false;
        rule.summer_s = rule.standard_s + HOUR_S;
        if (text.at < text.end && *text.at != ',') {
            if (!read_time(&text, MAX_HOURS, &rule.summer_s))
                return false;
            rule.summer_s = -rule.summer_s;
        }
        if (!read_day(&text, &rule.begin) || !read_day(&text, &rule.end))
            return false;
    }
    if (text.at != text.end)
        return false;
    *ret_rule = rule;
    return true;
}

/* ---- using ---- */

static int64_t days_of(const struct bide_rule_day *day, int64_t year)
{
    enum { FEBRUARY_ENDS = 59 };
    int64_t first = bide_days_of(year, 1, 1);
    if (day->kind == BIDE_RULE_ZERO_BASED)
        return first + day->day;
    if (day->kind == BIDE_RULE_JULIAN) {
        bool leap = bide_days_of(year + 1, 1, 1) - first == 366;
        return first + day->day - 1 + (leap && day->day > FEBRUARY_ENDS);
    }
    int64_t month = bide_days_of(year, day->month, 1), next = bide_days_of(year, day->month + 1, 1);
    int64_t found = month + (day->day - bide_weekday_of(month) + 7) % 7 + 7 * (day->week - 1);
    return found < next ? found : found - 7;
}

struct change {
    int64_t at_s;
    int offset_s; /* from then on */
};

enum { AROUND = 3, CHANGES = 2 * AROUND }; /* the year before, this one and the next */

/* The changes of the years around an instant, in order. Where summer ends and begins at once, it goes on. */
static void list_changes(const struct bide_rule *rule, int64_t at_s, struct change changes[CHANGES])
{
    int64_t year = bide_date_of(bide_floor_div(at_s, BIDE_DAY_S)).year - 1;
    for (int i = 0; i < CHANGES; i++) {
        bool begins = i % 2;
        const struct bide_rule_day *day = begins ? &rule->begin : &rule->end;
        struct change change = {days_of(day, year + i / 2) * BIDE_DAY_S + day->time_s -
                                    (begins ? rule->standard_s : rule->summer_s),
            begins ? rule->summer_s : rule->standard_s};
        int place = i;
        for (; place > 0 && changes[place - 1].at_s > change.at_s; place--)
            changes[place] = changes[place - 1];
        changes[place] = change;
    }
}

int bide_rule_offset(const struct bide_rule *rule, int64_t at_s)
{
    struct change changes[CHANGES];
    if (!rule->has_summer)
        return rule->standard_s;
    list_changes(rule, at_s, changes);
    int last = 0;
    while (last + 1 < CHANGES && changes[last + 1].at_s <= at_s)
        last++;
    return changes[last].offset_s;
}

int64_t bide_rule_change(const struct bide_rule *rule, int64_t at_s)
{
    struct change changes[CHANGES];
    if (!rule->has_summer)
        return INT64_MAX;
    list_changes(rule, at_s, changes);
    for (int i = 0; i < CHANGES; i++)
        if (changes[i].at_s > at_s)
            return changes[i].at_s;
    return INT64_MAX; /* never: the next year's changes come later */
}
