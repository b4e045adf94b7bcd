/* bide/error.h: how a call says that it failed.
 *
 * A function that can fail returns a bide_code and takes, last, a `bide_error *` that may be NULL. On failure
 * the text says what happened, where, and what to do; it never contains a password. On success the error is
 * left alone. Out-parameters named ret_x are written only on success.
 *
 * Thread-safety: a bide_error belongs to the caller; the functions here touch nothing else. */
#ifndef BIDE_ERROR_H
#define BIDE_ERROR_H

#include <stdarg.h>

#include <bide/export.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One row a code: name, exit status of the command line, what it means. */
#define BIDE_CODES(ROW)                                                                                      \
    ROW(BIDE_OK, 0, "done")                                                                                  \
    ROW(BIDE_E_USAGE, 64, "wrong usage or a bad option value")                                               \
    ROW(BIDE_E_DATA, 65, "bad input data")                                                                   \
    ROW(BIDE_E_NOT_FOUND, 65, "no such id")                                                                  \
    ROW(BIDE_E_BROKER, 69, "the broker refused, is out of reach or has no room")                             \
    ROW(BIDE_E_TIMEOUT, 69, "the broker did not answer in time")                                             \
    ROW(BIDE_E_NOMEM, 70, "out of memory")                                                                   \
    ROW(BIDE_E_INTERNAL, 70, "internal error")                                                               \
    ROW(BIDE_E_CONFIG, 78, "configuration, password, permission, queue arguments or schema")                 \
    ROW(BIDE_E_CONFLICT, 65, "it has been decided otherwise")

typedef enum bide_code {
#define BIDE_CODE_ENUM(name, exit_status, meaning) name,
    BIDE_CODES(BIDE_CODE_ENUM)
#undef BIDE_CODE_ENUM
} bide_code;

enum { BIDE_ERROR_SIZE = 512 };

typedef struct bide_error {
    bide_code code;
    char text[BIDE_ERROR_SIZE]; /* one line, NUL-terminated, cut where too long */
} bide_error;

/* Fills *error (where not NULL) and returns code, so that a failing function ends in one statement:
 *     return bide_fail(error, BIDE_E_CONFIG, "%s:%d: unknown key '%s'", file, line, key);  */
BIDE_API bide_code bide_fail(bide_error *error, bide_code code, const char *format, ...) BIDE_PRINTF(3, 4);
BIDE_API bide_code bide_fail_v(bide_error *error, bide_code code, const char *format, va_list args);

/* Puts "text: " in front of what the error says; returns the error's code (BIDE_E_INTERNAL if NULL). */
BIDE_API bide_code bide_fail_within(bide_error *error, const char *format, ...) BIDE_PRINTF(2, 3);

/* The exit status (sysexits) of a code; its name ("BIDE_E_DATA"); its meaning in a few words. Never NULL. */
BIDE_API int bide_code_exit(bide_code code);
BIDE_API const char *bide_code_name(bide_code code);
BIDE_API const char *bide_code_meaning(bide_code code);

#ifdef __cplusplus
}
#endif

#endif
