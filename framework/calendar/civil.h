/* calendar/civil.h: days and their dates in the Gregorian calendar. Days count from 1970-01-01. Pure. */
#ifndef BIDE_CALENDAR_CIVIL_H
#define BIDE_CALENDAR_CIVIL_H

#include <stdint.h>

enum { BIDE_DAY_S = 86400 };

struct bide_date {
    int64_t year;
    int month, day; /* 1 … */
};

static inline int64_t bide_floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* The year begins in March here, so that the leap day comes last (H. Hinnant's "chrono-compatible
 * algorithms"). A month may lie outside 1 … 12. */
static inline int64_t bide_days_of(int64_t year, int month, int day)
{
    year += bide_floor_div(month - 1, 12);
    month = (int)((month - 1) - 12 * bide_floor_div(month - 1, 12)) + 1;
    year -= month <= 2;
    int64_t era = bide_floor_div(year, 400), of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + day_of_year - 719468;
}

static inline struct bide_date bide_date_of(int64_t days)
{
    days += 719468;
    int64_t era = bide_floor_div(days, 146097), of_era = days - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t day_of_year = of_era - (365 * year + year / 4 - year / 100);
    int month = (int)((5 * day_of_year + 2) / 153);
    struct bide_date date = {.day = (int)(day_of_year - (153 * month + 2) / 5 + 1)};
    date.month = month + (month < 10 ? 3 : -9);
    date.year = year + era * 400 + (date.month <= 2);
    return date;
}

/* 0: Sunday. */
static inline int bide_weekday_of(int64_t days)
{
    return (int)(days + 4 - 7 * bide_floor_div(days + 4, 7));
}

#endif
