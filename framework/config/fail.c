/* How reading fails. */
#include <stdarg.h>

#include "config/read.h"

bide_code bide_reader_fail(
    const struct bide_reader *reader, const config_setting_t *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    bide_fail_v(reader->error, BIDE_E_CONFIG, format, args);
    va_end(args);
    if (at && reader->source) {
        int line;
        const char *file = bide_source_file(reader->source, (int)config_setting_source_line(at), &line);
        bide_fail_within(reader->error, "%s:%d", file, line);
    }
    return BIDE_E_CONFIG;
}

bide_code bide_reader_nomem(const struct bide_reader *reader)
{
    return bide_fail(reader->error, BIDE_E_NOMEM, "out of memory");
}
