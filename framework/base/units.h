/* base/units.h: durations, sizes, instants and numbers as people write them. Any thread.
 *
 * Durations: "250ms", "1.5s", "10m", "36h", "7d", "1h30m" (a unit is required, except for "0"; the larger
 * units first). Sizes: "100", "64KiB", "1MiB", "2GiB" (powers of 1024) or "10kB", "1MB" (of 1000). Instants:
 * RFC 3339, "2026-12-24T18:00:00Z" or with an offset. The text must hold nothing else. An error names the
 * given text and what would be valid. */
#ifndef BIDE_BASE_UNITS_H
#define BIDE_BASE_UNITS_H

#include <stddef.h>
#include <stdint.h>

#include "bide/error.h"

/* 0 … 3650 days, in ms, rounded to the nearest. */
bide_code bide_parse_duration(const char *text, int64_t *ret_ms, bide_error *error);
bide_code bide_parse_size(const char *text, int64_t *ret_bytes, bide_error *error);
bide_code bide_parse_instant(const char *text, int64_t *ret_ms, bide_error *error);
/* "100/1m": so many (1 … 1000000) in a time (1ms … 366d). */
bide_code bide_parse_rate(const char *text, int64_t *ret_n, int64_t *ret_window_ms, bide_error *error);
bide_code bide_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret_value, bide_error *error);

enum { BIDE_DURATION_TEXT = 32, BIDE_INSTANT_TEXT = 40 };

/* The shortest exact form: 1500 -> "1.5s", 90000 -> "90s", 7200000 -> "2h". Returns `to`. */
char *bide_format_duration(int64_t ms, char to[BIDE_DURATION_TEXT]);
/* "2026-12-24T18:00:00.250Z". Returns `to`. */
char *bide_format_instant(int64_t unix_ms, char to[BIDE_INSTANT_TEXT]);

#endif
