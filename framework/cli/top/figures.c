#include "cli/top/top.h"

#include <inttypes.h>
#include <stdio.h>

/* Three digits that count. */
static char *three_digits(double value, const char *unit, char to[BIDE_FIGURE_TEXT])
{
    int decimals = value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
    snprintf(to, BIDE_FIGURE_TEXT, "%.*f%s", decimals, value, unit);
    return to;
}

static char *plain(double value, int decimals, char to[BIDE_FIGURE_TEXT])
{
    snprintf(to, BIDE_FIGURE_TEXT, "%.*f", decimals, value);
    return to;
}

static char *unknown(char to[BIDE_FIGURE_TEXT])
{
    snprintf(to, BIDE_FIGURE_TEXT, "-");
    return to;
}

char *bide_figure_count(double n, char to[BIDE_FIGURE_TEXT])
{
    static const char *const units[] = {"k", "M", "G", "T", "P"};
    double value = n / 1000;
    size_t unit = 0;
    if (n < 0)
        return unknown(to);
    if (n < 100000)
        return plain(n, 0, to);
    for (; value >= 999.5 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        value /= 1000;
    return three_digits(value, units[unit], to);
}

char *bide_figure_rate(double rate, char to[BIDE_FIGURE_TEXT])
{
    return rate > 0 && rate < 99.95 ? plain(rate, 1, to) : bide_figure_count(rate, to);
}

char *bide_figure_ms(double ms, char to[BIDE_FIGURE_TEXT])
{
    if (ms < 0)
        return unknown(to);
    if (ms < 999.5)
        return three_digits(ms, "ms", to);
    return ms < 59950 ? three_digits(ms / 1000, "s", to) : bide_figure_s(ms / 1000 + 0.5, to);
}

char *bide_figure_s(double s, char to[BIDE_FIGURE_TEXT])
{
    static const struct {
        int64_t size, part;
        const char *unit, *rest;
    } spans[] = {{86400, 3600, "d", "h"}, {3600, 60, "h", "m"}, {60, 1, "m", "s"}};
    int64_t whole = (int64_t)s;
    if (s < 0)
        return unknown(to);
    snprintf(to, BIDE_FIGURE_TEXT, "%" PRId64 "s", whole);
    for (size_t i = 0; i < sizeof spans / sizeof spans[0]; i++)
        if (whole >= spans[i].size) {
            snprintf(to, BIDE_FIGURE_TEXT, "%" PRId64 "%s%02" PRId64 "%s", whole / spans[i].size,
                spans[i].unit, whole % spans[i].size / spans[i].part, spans[i].rest);
            break;
        }
    return to;
}
