#include "calendar/zone.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "calendar/rule.h"

enum {
    SIZE_MAX_FILE = 256 * 1024,
    HEADER_SIZE = 44,
    COUNTS = 6,
    TYPE_SIZE = 6,
    OFFSET_MIN_S = -25 * 3600 + 1, /* RFC 8536, 3.2 */
    OFFSET_MAX_S = 26 * 3600 - 1,
    NAME_MAX_SIZE = 100,
};

struct bide_zone {
    size_t n;       /* changes that the file lists */
    int64_t *at_s;  /* ascending */
    int *offsets_s; /* from each on; [n]: before the first */
    bool has_rule;  /* for what comes after the last */
    struct bide_rule rule;
};

/* ---- a file's content ---- */

/* As the header names them, in its order. */
struct counts {
    uint32_t is_ut, is_standard, leaps, times, types, letters;
};

static uint32_t read_u32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static int64_t read_i64(const unsigned char *bytes)
{
    return (int64_t)((uint64_t)read_u32(bytes) << 32 | read_u32(bytes + 4));
}

static bool read_header(const unsigned char *bytes, size_t size, struct counts *ret_counts)
{
    enum { MAGIC_SIZE = 4, COUNTS_AT = 20 };
    uint32_t numbers[COUNTS];
    if (size < HEADER_SIZE || memcmp(bytes, "TZif", MAGIC_SIZE) != 0 || bytes[MAGIC_SIZE] < '2')
        return false;
    for (size_t i = 0; i < COUNTS; i++)
        if ((numbers[i] = read_u32(bytes + COUNTS_AT + 4 * i)) > SIZE_MAX_FILE)
            return false;
    *ret_counts = (struct counts){numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]};
    return true;
}

/* Of a data block whose times have so many bytes. */
static size_t block_size(const struct counts *counts, size_t time_size)
{
    return counts->times * (time_size + 1) + (size_t)counts->types * TYPE_SIZE + counts->letters +
           counts->leaps * (time_size + 4) + counts->is_standard + counts->is_ut;
}

/* types: where the types begin. False: no such type, or its offset is none. */
static bool read_type(
    const unsigned char *types, const struct counts *counts, unsigned type, int *ret_offset_s)
{
    if (type >= counts->types)
        return false;
    *ret_offset_s = (int)(int32_t)read_u32(types + (size_t)type * TYPE_SIZE);
    return *ret_offset_s >= OFFSET_MIN_S && *ret_offset_s <= OFFSET_MAX_S;
}

static bool read_changes(struct bide_zone *zone, const unsigned char *block, const struct counts *counts)
{
    enum { TIME_SIZE = 8 };
    const unsigned char *indices = block + (size_t)counts->times * TIME_SIZE,
                        *types = indices + counts->times;
    for (size_t i = 0; i < counts->times; i++) {
        zone->at_s[i] = read_i64(block + i * TIME_SIZE);
        if ((i > 0 && zone->at_s[i] <= zone->at_s[i - 1]) ||
            !read_type(types, counts, indices[i], &zone->offsets_s[i]))
            return false;
    }
    zone->n = counts->times;
    return read_type(types, counts, 0, &zone->offsets_s[zone->n]);
}

/* "\nRULE\n"; an empty one: the last offset stays. */
static bool read_footer(struct bide_zone *zone, const char *bytes, size_t size)
{
    const char *end = size > 1 && *bytes == '\n' ? memchr(bytes + 1, '\n', size - 1) : NULL;
    zone->has_rule = end && end > bytes + 1;
    return end && (!zone->has_rule || bide_rule_read(bytes + 1, (size_t)(end - bytes) - 1, &zone->rule));
}

static bool allocate(struct bide_zone *zone, size_t n)
{
    zone->at_s = bide_calloc(n + 1, sizeof *zone->at_s);
    zone->offsets_s = bide_calloc(n + 1, sizeof *zone->offsets_s);
    return zone->at_s && zone->offsets_s;
}

/* The first block has times of 32 bits and is skipped. */
static bide_code read_file(struct bide_zone *zone, const unsigned char *bytes, size_t size)
{
    enum { OLD_TIME_SIZE = 4, TIME_SIZE = 8 };
    struct counts counts;
    if (!read_header(bytes, size, &counts) || block_size(&counts, OLD_TIME_SIZE) > size - HEADER_SIZE)
        return BIDE_E_USAGE;
    size_t skipped = HEADER_SIZE + block_size(&counts, OLD_TIME_SIZE);
    bytes += skipped;
    size -= skipped;
    if (!read_header(bytes, size, &counts) || block_size(&counts, TIME_SIZE) > size - HEADER_SIZE ||
        counts.leaps > 0)
        return BIDE_E_USAGE;
    if (!allocate(zone, counts.times))
        return BIDE_E_NOMEM;
    size_t block = block_size(&counts, TIME_SIZE);
    bool good = read_changes(zone, bytes + HEADER_SIZE, &counts) &&
                read_footer(zone, (const char *)bytes + HEADER_SIZE + block, size - HEADER_SIZE - block);
    return good ? BIDE_OK : BIDE_E_USAGE;
}

bide_code bide_zone_read(
    const char *name, const void *bytes, size_t size, struct bide_zone **ret_zone, bide_error *error)
{
    struct bide_zone *zone = bide_calloc(1, sizeof *zone);
    bide_code code = zone ? read_file(zone, bytes, size) : BIDE_E_NOMEM;
    if (code == BIDE_OK) {
        *ret_zone = zone;
        return BIDE_OK;
    }
    bide_zone_destroy(zone);
    if (code == BIDE_E_NOMEM)
        return bide_fail(error, code, "out of memory");
    return bide_fail(error, code, "the file of time zone '%.80s' is none of version 2 or newer (TZif)", name);
}

void bide_zone_destroy(struct bide_zone *zone)
{
    if (!zone)
        return;
    bide_free(zone->at_s);
    bide_free(zone->offsets_s);
    bide_free(zone);
}

/* ---- finding the file ---- */

static bool is_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/";
    size_t size = strlen(name);
    return size > 0 && size < NAME_MAX_SIZE && strspn(name, letters) == size && *name != '/';
}

static FILE *open_file(const char *name)
{
    static const char *const folders[] = {
        "/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"};
    char path[NAME_MAX_SIZE + 32];
    FILE *file = NULL;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0] && !file; i++) {
        snprintf(path, sizeof path, "%s/%s", folders[i], name);
        file = fopen(path, "re");
    }
    return file;
}

static bide_code make_utc(struct bide_zone **ret_zone, bide_error *error)
{
    struct bide_zone *zone = bide_calloc(1, sizeof *zone);
    if (!zone || !allocate(zone, 0)) {
        bide_zone_destroy(zone);
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    *ret_zone = zone;
    return BIDE_OK;
}

bide_code bide_zone_open(const char *name, struct bide_zone **ret_zone, bide_error *error)
{
    if (strcmp(name, "UTC") == 0)
        return make_utc(ret_zone, error);
    FILE *file = is_name(name) ? open_file(name) : NULL;
    if (!file)
        return bide_fail(error, BIDE_E_USAGE,
            "there is no time zone '%.80s' on this machine: write a name such as \"Europe/Berlin\" "
            "(`timedatectl list-timezones`; the files come with the package tzdata)",
            name);
    char *bytes = bide_malloc(SIZE_MAX_FILE);
    size_t size = bytes ? fread(bytes, 1, SIZE_MAX_FILE, file) : 0;
    fclose(file);
    bide_code code = bytes ? bide_zone_read(name, bytes, size, ret_zone, error)
                           : bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_free(bytes);
    return code;
}

/* ---- using ---- */

/* How many of the listed changes are not after an instant. */
static size_t count_until(const struct bide_zone *zone, int64_t at_s)
{
    size_t low = 0, high = zone->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->at_s[middle] <= at_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int bide_zone_offset(const struct bide_zone *zone, int64_t at_s)
{
    size_t n = count_until(zone, at_s);
    if (n == zone->n && zone->has_rule)
        return bide_rule_offset(&zone->rule, at_s);
    return zone->offsets_s[n > 0 ? n - 1 : zone->n];
}

int64_t bide_zone_change(const struct bide_zone *zone, int64_t at_s)
{
    size_t n = count_until(zone, at_s);
    if (n < zone->n)
        return zone->at_s[n];
    return zone->has_rule ? bide_rule_change(&zone->rule, at_s) : INT64_MAX;
}

int64_t bide_zone_instant(const struct bide_zone *zone, int64_t local_s)
{
    int64_t begin_s = local_s - OFFSET_MAX_S - 1; /* before each instant that it may be */
    for (;;) {
        int64_t at_s = local_s - bide_zone_offset(zone, begin_s), end_s = bide_zone_change(zone, begin_s);
        if (at_s < end_s)
            return at_s > begin_s ? at_s : begin_s;
        begin_s = end_s;
    }
}
