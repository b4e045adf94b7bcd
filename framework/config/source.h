/* config/source.h: joins a configuration file and all included files into one text for libconfig.
 *
 * bide expands `@include "other.conf"` itself: so paths are relative to the including file's folder, every
 * error has its own file:line, and a folder or an endless circle is refused (libconfig's scanner ends the
 * process on a folder). Whole numbers that are too long for an int get libconfig's 'L', because version 1.5
 * truncates them silently without it. Thread-safety: one thread at a time. */
#ifndef BIDE_CONFIG_SOURCE_H
#define BIDE_CONFIG_SOURCE_H

#include "base/buffer.h"
#include "bide/error.h"

/* From `line` of the joined text on, the lines are those of `file` from `file_line` on. */
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
    int line; /* of the joined text, while it grows */
};

/* After a failure there is nothing to release. */
bide_code bide_source_load(const char *path, struct bide_source *ret_source, bide_error *error);
void bide_source_release(struct bide_source *source);
/* Reads a regular file that is text and that nobody else can change (base/trust.h). The caller frees the text
 * (bide_free). */
bide_code bide_source_read(const char *path, char **ret_text, bide_error *error);
/* The file and line of a line of the joined text. */
const char *bide_source_file(const struct bide_source *source, int line, int *ret_line);
/* Fails with "file:line: " in front of the text. */
bide_code bide_source_fail(const struct bide_source *source, int line, bide_error *error, bide_code code,
    const char *format, ...) BIDE_PRINTF(5, 6);

#endif
