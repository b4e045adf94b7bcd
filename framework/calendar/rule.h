/* calendar/rule.h: the rule in the last line of a zone file, "CET-1CEST,M3.5.0,M10.5.0/3" (POSIX TZ, with the
 * hours of RFC 8536). Pure; any thread. */
#ifndef BIDE_CALENDAR_RULE_H
#define BIDE_CALENDAR_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A day of each year, and a local time on it. */
struct bide_rule_day {
    enum { BIDE_RULE_JULIAN, BIDE_RULE_ZERO_BASED, BIDE_RULE_MONTH } kind;
    int month, week, day; /* JULIAN: 1 … 365, without 29 February. ZERO_BASED: 0 … 365. MONTH: a weekday,
                             and week 5 is the last */
    int time_s;
};

struct bide_rule {
    int standard_s, summer_s; /* local time less UTC */
    bool has_summer;
    struct bide_rule_day begin, end; /* of summer time */
};

bool bide_rule_read(const char *text, size_t size, struct bide_rule *ret_rule);
/* As bide_zone_offset and bide_zone_change. */
int bide_rule_offset(const struct bide_rule *rule, int64_t at_s);
int64_t bide_rule_change(const struct bide_rule *rule, int64_t at_s);

#endif
