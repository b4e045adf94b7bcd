#include "bide/error.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "base/visible.h"

static const struct {
    const char *name;
    int exit_status;
    const char *meaning;
} codes[] = {
#define CODE_ROW(name, exit_status, meaning) {#name, exit_status, meaning},
    BIDE_CODES(CODE_ROW)
#undef CODE_ROW
};

/* Removes the first bytes of a UTF-8 character that did not fit as a whole. */
static void drop_cut_character(char text[BIDE_ERROR_SIZE])
{
    size_t end = strlen(text), start = end;
    while (start > 0 && end - start < 3 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start > 0 && (unsigned char)text[start - 1] >= 0xC0 &&
        bide_utf8_length(text + start - 1, end - start + 1) == 0)
        text[start - 1] = '\0';
}

bide_code bide_fail_v(bide_error *error, bide_code code, const char *format, va_list args)
{
    char text[BIDE_ERROR_SIZE]; /* a copy, because the arguments may be parts of the error's own text */
    if (!error)
        return code;
    int size = vsnprintf(text, sizeof text, format, args);
    if (size < 0)
        text[0] = '\0';
    else if ((size_t)size >= sizeof text)
        drop_cut_character(text);
    error->code = code;
    memcpy(error->text, text, strlen(text) + 1);
    bide_visible_line(error->text); /* texts of libraries and users may contain control characters */
    return code;
}

bide_code bide_fail(bide_error *error, bide_code code, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bide_fail_v(error, code, format, args);
    va_end(args);
    return code;
}

bide_code bide_fail_within(bide_error *error, const char *format, ...)
{
    if (!error)
        return BIDE_E_INTERNAL;
    char inner[BIDE_ERROR_SIZE];
    memcpy(inner, error->text, sizeof inner);
    va_list args;
    va_start(args, format);
    int used = vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof error->text)
        used += snprintf(error->text + used, sizeof error->text - (size_t)used, ": %s", inner);
    if (used < 0)
        memcpy(error->text, inner, sizeof inner);
    else if ((size_t)used >= sizeof error->text)
        drop_cut_character(error->text);
    bide_visible_line(error->text); /* texts of libraries and users may contain control characters */
    return error->code;
}

static size_t code_row(bide_code code)
{
    size_t row = (size_t)code;
    return row < sizeof codes / sizeof codes[0] ? row : (size_t)BIDE_E_INTERNAL;
}

int bide_code_exit(bide_code code)
{
    return codes[code_row(code)].exit_status;
}

const char *bide_code_name(bide_code code)
{
    return codes[code_row(code)].name;
}

const char *bide_code_meaning(bide_code code)
{
    return codes[code_row(code)].meaning;
}
