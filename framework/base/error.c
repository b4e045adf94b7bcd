#include "bide/error.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    int exit_status;
    const char *meaning;
} codes[] = {
#define CODE_ROW(name, exit_status, meaning) {#name, exit_status, meaning},
    BIDE_CODES(CODE_ROW)
#undef CODE_ROW
};

bide_code bide_fail_v(bide_error *error, bide_code code, const char *format, va_list args)
{
    if (!error)
        return code;
    error->code = code;
    vsnprintf(error->text, sizeof error->text, format, args);
    for (char *at = error->text; *at; at++) /* one line, whatever a library's text held */
        if (*at == '\n' || *at == '\r')
            *at = ' ';
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
        snprintf(error->text + used, sizeof error->text - (size_t)used, ": %s", inner);
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
