/* config/source.h: a configuration file and all it includes, as one text, before libconfig sees it.
 *
 * bide expands `@include "other.conf"` itself: paths start at the folder of the file that includes, an error
 * anywhere has its own file:line, a folder or an endless circle is refused (libconfig's scanner ends the
 * process on a folder). Whole numbers too long for an int get libconfig's 'L', because it cuts them silently
 * without (1.5). Thread-safety: one thread at a time. */
#ifndef BIDE_CONFIG_SOURCE_H
#define BIDE_CONFIG_SOURCE_H

#include "base/buffer.h"
#include "bide/error.h"

/* From `line` of the whole text on: `file`, beginning with `file_line`. */
struct bide_source_part {
    int line;
    int file_line;
    const char *file;
};

struct bide_source {
    struct bide_buffer text;
    struct bide_source_part *parts;
    size_t n_parts;
    char **files; /* owned names */
    size_t n_files;
    int line; /* of the whole text, while it grows */
};

/* On failure nothing is to be released. */
bide_code bide_source_load(const char *path, struct bide_source *ret_source, bide_error *error);
void bide_source_release(struct bide_source *source);
/* The whole of a regular file that is a text and that nobody else can change (base/trust.h); the caller's
 * (bide_free). */
bide_code bide_source_read(const char *path, char **ret_text, bide_error *error);
/* Where a line of the whole text stands. */
const char *bide_source_file(const struct bide_source *source, int line, int *ret_line);
/* Fails with "file:line: " in front. */
bide_code bide_source_fail(const struct bide_source *source, int line, bide_error *error, bide_code code,
    const char *format, ...) BIDE_PRINTF(5, 6);

#endif
