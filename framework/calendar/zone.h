/* calendar/zone.h: time zones, read from the system's zone files (TZif, RFC 8536), without the environment
 * variable TZ and without the C library's one zone a process.
 *
 * What a file does not list, its last line says as a rule (POSIX TZ), so that times far ahead are right. An
 * opened zone is never changed: any thread. */
#ifndef BIDE_CALENDAR_ZONE_H
#define BIDE_CALENDAR_ZONE_H

#include <stddef.h>
#include <stdint.h>

#include "bide/error.h"

struct bide_zone;

/* "Europe/Berlin"; "UTC" needs no file. BIDE_E_USAGE: there is no such zone, or its file is none; the text
 * says so. BIDE_E_NOMEM. */
bide_code bide_zone_open(const char *name, struct bide_zone **ret_zone, bide_error *error);
/* The same from the content of a zone file; `name` is for errors. */
bide_code bide_zone_read(
    const char *name, const void *bytes, size_t size, struct bide_zone **ret_zone, bide_error *error);
void bide_zone_destroy(struct bide_zone *zone); /* NULL is fine */

/* Local time less UTC at an instant (Unix seconds), in seconds. */
int bide_zone_offset(const struct bide_zone *zone, int64_t at_s);
/* The next instant after at_s at which the offset may change; INT64_MAX: never. */
int64_t bide_zone_change(const struct bide_zone *zone, int64_t at_s);
/* The instant of a local time: of one that exists twice the first, of one that does not exist the first
 * instant after the gap. */
int64_t bide_zone_instant(const struct bide_zone *zone, int64_t local_s);

#endif
