#include "config/source.h"

#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/trust.h"

enum { DEPTH_MAX = 10, FILES_MAX = 100, PARTS_MAX = 2 * FILES_MAX, BYTES_MAX = 4 * 1024 * 1024 };

/* Where the scan of a file has got to. */
struct scan {
    struct bide_source *source;
    const char *file;
    const char *at;
    int line; /* of this file */
    int depth;
    bide_error *error;
};

/* Takes over `text`. */
static bide_code add_text(
    struct bide_source *source, const char *path, char *text, int depth, bide_error *error);

bide_code bide_source_read(const char *path, char **ret_text, bide_error *error)
{
    struct stat info;
    char *text = NULL;
    const char *why = NULL;
    ssize_t got = -1;
    int fd;
    bide_code code = bide_trust_open("the configuration ", path, &fd, error);
    if (code != BIDE_OK)
        return code;
    if (fstat(fd, &info) != 0)
        why = strerror(errno);
    else if (!S_ISREG(info.st_mode))
        why = "not a regular file";
    else if (info.st_size > BYTES_MAX)
        why = "too large for a configuration";
    else if ((text = bide_malloc((size_t)info.st_size + 1)))
        got = read(fd, text, (size_t)info.st_size);
    if (!why && text && got < 0)
        why = strerror(errno);
    close(fd);
    if (why || !text) {
        bide_free(text);
        return why ? bide_fail(error, BIDE_E_CONFIG, "cannot read %s: %s", path, why)
                   : bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    text[got] = '\0';
    if (strlen(text) == (size_t)got) {
        *ret_text = text;
        return BIDE_OK;
    }
    bide_free(text);
    return bide_fail(error, BIDE_E_CONFIG, "%s: not a text: it has zero bytes", path);
}

static bide_code fail_here(const struct scan *scan, const char *what)
{
    return bide_fail(scan->error, BIDE_E_CONFIG, "%s:%d: %s", scan->file, scan->line, what);
}

static bide_code begin_part(struct scan *scan)
{
    struct bide_source *source = scan->source;
    source->parts[source->n_parts++] = (struct bide_source_part){source->line, scan->line, scan->file};
    return source->text.failed ? bide_fail(scan->error, BIDE_E_NOMEM, "out of memory") : BIDE_OK;
}

static void copy(struct scan *scan, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (scan->at[i] == '\n') {
            scan->line++;
            scan->source->line++;
        }
    bide_buffer_add(&scan->source->text, scan->at, n);
    scan->at += n;
}

/* The path of "other.conf", relative to the folder of `file`. */
static char *beside(const char *file, const char *name, size_t size)
{
    const char *slash = strrchr(file, '/');
    if (*name == '/' || !slash)
        return bide_strndup(name, size);
    return bide_asprintf("%.*s/%.*s", (int)(slash - file), file, (int)size, name);
}

static bide_code include_path(struct scan *scan, char **ret_path)
{
    const char *name = scan->at + strlen("@include");
    name += strspn(name, " \t");
    size_t size = *name == '"' ? strcspn(name + 1, "\"\n") : 0;
    if (size == 0 || name[1 + size] != '"')
        return fail_here(scan, "after @include stands a file's name in quotes");
    if (scan->depth == DEPTH_MAX || scan->source->n_files == FILES_MAX)
        return fail_here(scan, "too many files include each other (does one include itself?)");
    scan->at = name + size + 2;
    *ret_path = beside(scan->file, name + 1, size);
    return *ret_path ? BIDE_OK : bide_fail(scan->error, BIDE_E_NOMEM, "out of memory");
}

static bide_code include(struct scan *scan)
{
    char *path, *text;
    bide_code code = include_path(scan, &path);
    if (code != BIDE_OK)
        return code;
    if ((code = bide_source_read(path, &text, scan->error)) != BIDE_OK)
        bide_fail_within(scan->error, "%s:%d", scan->file, scan->line);
    else
        code = add_text(scan->source, path, text, scan->depth + 1, scan->error);
    bide_free(path);
    bide_buffer_char(&scan->source->text, '\n'); /* ends a comment in the included file's last line */
    scan->source->line++;
    return code == BIDE_OK ? begin_part(scan) : code;
}

static bide_code number(struct scan *scan)
{
    static const char word[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.";
    size_t size = strspn(scan->at, word);
    char *end;
    errno = 0;
    bool hex = scan->at[0] == '0' && (scan->at[1] == 'x' || scan->at[1] == 'X');
    long long value = strtoll(scan->at, &end, hex ? 16 : 10);
    if (errno == ERANGE && (end == scan->at + size || *end == 'L'))
        return fail_here(scan, "a number too large for 64 bits");
    bool needs_l = end == scan->at + size && value > INT32_MAX;
    copy(scan, size);
    if (needs_l)
        bide_buffer_char(&scan->source->text, 'L');
    return BIDE_OK;
}

/* The length of the string, comment or name that begins here, else 1: it is copied unchanged. */
static size_t passage(const char *at)
{
    static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_*-";
    if (*at == '#' || strncmp(at, "//", 2) == 0)
        return strcspn(at, "\n");
    if (strncmp(at, "/*", 2) == 0) {
        const char *end = strstr(at + 2, "*/");
        return end ? (size_t)(end + 2 - at) : strlen(at);
    }
    if (*at != '"')
        return isalpha((unsigned char)*at) ? strspn(at, name) : 1;
    size_t size = 1;
    while (at[size] && at[size] != '"')
        size += at[size] == '\\' && at[size + 1] ? 2 : 1;
    return size + (at[size] == '"');
}

static bide_code scan_text(struct scan *scan)
{
    bide_code code = begin_part(scan);
    bool line_begins = true;
    while (*scan->at && code == BIDE_OK) {
        char c = *scan->at;
        if (line_begins && strncmp(scan->at, "@include", 8) == 0)
            code = include(scan);
        else if (c >= '0' && c <= '9')
            code = number(scan);
        else
            copy(scan, passage(scan->at));
        line_begins = c == '\n' || (line_begins && (c == ' ' || c == '\t'));
    }
    return code;
}

static bide_code add_text(
    struct bide_source *source, const char *path, char *text, int depth, bide_error *error)
{
    bide_code code = BIDE_E_NOMEM;
    char *name = bide_strdup(path);
    if (name) {
        source->files[source->n_files++] = name;
        struct scan scan = {source, name, text, 1, depth, error};
        code = scan_text(&scan);
    } else {
        bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    bide_free(text);
    return code;
}

bide_code bide_source_load(const char *path, struct bide_source *ret_source, bide_error *error)
{
    struct bide_source source = {.line = 1};
    char *text;
    bide_code code = bide_source_read(path, &text, error);
    if (code != BIDE_OK)
        return code;
    bide_buffer_init(&source.text);
    source.parts = bide_calloc(PARTS_MAX, sizeof *source.parts);
    source.files = bide_calloc(FILES_MAX, sizeof *source.files);
    if (source.parts && source.files) {
        code = add_text(&source, path, text, 0, error);
    } else {
        bide_free(text);
        code = BIDE_E_NOMEM;
    }
    if (source.text.failed || code == BIDE_E_NOMEM)
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (code != BIDE_OK)
        bide_source_release(&source);
    else
        *ret_source = source;
    return code;
}

void bide_source_release(struct bide_source *source)
{
    for (size_t i = 0; i < source->n_files; i++)
        bide_free(source->files[i]);
    bide_free(source->files);
    bide_free(source->parts);
    bide_buffer_release(&source->text);
    *source = (struct bide_source){0};
    bide_buffer_init(&source->text);
}

const char *bide_source_file(const struct bide_source *source, int line, int *ret_line)
{
    const struct bide_source_part *part = source->parts;
    for (size_t i = 1; i < source->n_parts && source->parts[i].line <= line; i++)
        part = &source->parts[i];
    *ret_line = part->file_line + line - part->line;
    return part->file;
}

bide_code bide_source_fail(
    const struct bide_source *source, int line, bide_error *error, bide_code code, const char *format, ...)
{
    int file_line;
    const char *file = bide_source_file(source, line, &file_line);
    va_list args;
    va_start(args, format);
    bide_fail_v(error, code, format, args);
    va_end(args);
    bide_fail_within(error, "%s:%d", file, file_line);
    return code;
}
