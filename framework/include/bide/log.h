/* bide/log.h: one structured line an event.
 *
 *     bide_log(BIDE_LOG_WARN, "message parked", BIDE_STR("id", id), BIDE_INT("attempt", 3));
 *
 * On a terminal a line is text, otherwise one JSON object:
 * {"time":…,"level":…,"message":…,"id":…,"attempt":3}. The message is a fixed text (docs/operations.md
 * explains each of level warning and above); what varies is in the fields. A secret never goes into a field:
 * log an URL through its redacted form.
 *
 * Thread-safety: any thread; a line is written by one write(2). Does not fail: what cannot be written is
 * lost. */
#ifndef BIDE_LOG_H
#define BIDE_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include <bide/export.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bide_log_level {
    BIDE_LOG_DEBUG,
    BIDE_LOG_INFO,
    BIDE_LOG_WARN,
    BIDE_LOG_ERROR,
    BIDE_LOG_OFF,
} bide_log_level;

typedef enum bide_log_kind { BIDE_LOG_END, BIDE_LOG_STR, BIDE_LOG_INT, BIDE_LOG_NUM } bide_log_kind;

/* A named value; borrowed for the length of the call. NULL strings are written as null. */
typedef struct bide_log_field {
    const char *name;
    bide_log_kind kind;
    const char *str;
    int64_t integer;
    double number;
} bide_log_field;

#define BIDE_STR(field_name, value)                                                                          \
    {                                                                                                        \
        .name = (field_name), .kind = BIDE_LOG_STR, .str = (value)                                           \
    }
#define BIDE_INT(field_name, value)                                                                          \
    {                                                                                                        \
        .name = (field_name), .kind = BIDE_LOG_INT, .integer = (int64_t)(value)                              \
    }
#define BIDE_NUM(field_name, value)                                                                          \
    {                                                                                                        \
        .name = (field_name), .kind = BIDE_LOG_NUM, .number = (value)                                        \
    }

/* Fields are not evaluated when the level is off. */
#define bide_log(level, text, ...)                                                                           \
    do {                                                                                                     \
        if (bide_log_enabled(level))                                                                         \
            bide_log_write((level), (text), (const bide_log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}});        \
    } while (0)

/* Where lines go. The default sink writes to standard error, as text on a terminal and as JSON elsewhere.
 * `fields` ends with a row of kind BIDE_LOG_END. The sink may be called by several threads at once. */
typedef void bide_log_sink(void *user, bide_log_level level, const char *text, const bide_log_field *fields);

BIDE_API bool bide_log_enabled(bide_log_level level);
BIDE_API void bide_log_write(bide_log_level level, const char *text, const bide_log_field *fields);

/* Process-wide; call before threads start. A NULL sink means the default one. */
BIDE_API void bide_log_set_level(bide_log_level level);
BIDE_API void bide_log_set_sink(bide_log_sink *sink, void *user);

/* The default sink, for one that passes on what it does not write itself. */
BIDE_API bide_log_sink bide_log_to_standard_error;

/* "debug", "info", "warn", "error", "off"; false for another name, and *ret_level is left alone. */
BIDE_API bool bide_log_level_parse(const char *name, bide_log_level *ret_level);
BIDE_API const char *bide_log_level_name(bide_log_level level);

#ifdef __cplusplus
}
#endif

#endif
