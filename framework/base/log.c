#include "bide/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/units.h"
#include "base/visible.h"

/* The only mutable global variable besides the allocation hook (see architecture.md). */
static struct {
    _Atomic int level;
    bide_log_sink *sink;
    void *user;
    _Atomic int lost; /* lines dropped because nobody read standard error */
} log_state = {.level = BIDE_LOG_INFO};

enum { READER_MS = 1000 }; /* how long to wait for the reader of standard error */

static const char *const level_names[] = {"debug", "info", "warn", "error", "off"};

static void add_json_field(struct bide_buffer *line, const bide_log_field *field)
{
    bide_buffer_char(line, ',');
    bide_json_quote(line, field->name, strlen(field->name));
    bide_buffer_char(line, ':');
    if (field->kind == BIDE_LOG_STR)
        bide_json_quote(line, field->str, field->str ? strlen(field->str) : 0);
    else if (field->kind == BIDE_LOG_INT)
        bide_buffer_format(line, "%" PRId64, field->integer);
    else
        bide_json_digits(line, field->number);
}

static void add_json_line(struct bide_buffer *line, bide_log_level level, const char *time, const char *text,
    const bide_log_field *fields)
{
    bide_buffer_format(
        line, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":", time, bide_log_level_name(level));
    bide_json_quote(line, text, strlen(text));
    for (; fields && fields->kind != BIDE_LOG_END; fields++)
        add_json_field(line, fields);
    bide_buffer_text(line, "}\n");
}

/* Removes control characters, so that a field can neither forge a line nor move the cursor. */
static void add_plain(struct bide_buffer *line, const char *text, size_t size)
{
    bide_visible_add(line, text, size, false);
}

static bool has_lines(const bide_log_field *field)
{
    return field->kind == BIDE_LOG_STR && field->str && strchr(field->str, '\n');
}

/* Writes "  name=", and the lines of the text below it, each with a margin. */
static void add_lines(struct bide_buffer *line, const bide_log_field *field)
{
    bide_buffer_text(line, "\n    ");
    add_plain(line, field->name, strlen(field->name));
    bide_buffer_char(line, '=');
    for (const char *at = field->str; *at;) {
        size_t size = strcspn(at, "\n");
        bide_buffer_text(line, "\n    | ");
        add_plain(line, at, size);
        at += size + (at[size] == '\n');
    }
}

static void add_field(struct bide_buffer *line, const bide_log_field *field)
{
    const char *text = field->str ? field->str : "-";
    bide_buffer_text(line, "  ");
    add_plain(line, field->name, strlen(field->name));
    bide_buffer_char(line, '=');
    if (field->kind == BIDE_LOG_STR)
        add_plain(line, text, strlen(text));
    else if (field->kind == BIDE_LOG_INT)
        bide_buffer_format(line, "%" PRId64, field->integer);
    else
        bide_buffer_format(line, "%.6g", field->number);
}

/* Fields with several lines (a traceback) come after the others, below the line. */
static void add_text_line(struct bide_buffer *line, bide_log_level level, const char *time, const char *text,
    const bide_log_field *fields)
{
    bide_buffer_format(line, "%.12s %-5s ", time + 11, bide_log_level_name(level));
    add_plain(line, text, strlen(text));
    for (const bide_log_field *field = fields; field && field->kind != BIDE_LOG_END; field++)
        if (!has_lines(field))
            add_field(line, field);
    for (const bide_log_field *field = fields; field && field->kind != BIDE_LOG_END; field++)
        if (has_lines(field))
            add_lines(line, field);
    bide_buffer_char(line, '\n');
}

static void write_line(bide_log_level level, const char *text, const bide_log_field *fields)
{
    struct bide_buffer line;
    char time[BIDE_INSTANT_TEXT];
    bide_format_instant(bide_wall_ms(bide_clock_system()), time);
    bide_buffer_init(&line);
    if (isatty(STDERR_FILENO))
        add_text_line(&line, level, time, text, fields);
    else
        add_json_line(&line, level, time, text, fields);
    if (!line.failed) {
        ssize_t written = write(STDERR_FILENO, line.bytes, line.size);
        (void)written;
    }
    bide_buffer_release(&line);
}

/* Can standard error be written? If its reader hangs (a pipe, a terminal stopped by Ctrl-S), handling
 * messages and stopping must not wait for it. Once a line has waited in vain, later lines do not wait until
 * there is room again. */
static bool is_read(void)
{
    struct pollfd fd = {.fd = STDERR_FILENO, .events = POLLOUT};
    int ready;
    do
        ready = poll(&fd, 1, atomic_load(&log_state.lost) > 0 ? 0 : READER_MS);
    while (ready < 0 && errno == EINTR);
    return ready != 0;
}

void bide_log_to_standard_error(
    void *user, bide_log_level level, const char *text, const bide_log_field *fields)
{
    (void)user;
    int kept_errno = errno; /* the caller may still need errno to report its failure */
    if (is_read()) {
        int lost = atomic_exchange(&log_state.lost, 0);
        if (lost > 0)
            bide_log(
                BIDE_LOG_WARN, "log lines were lost: nobody read standard error", BIDE_INT("lines", lost));
        write_line(level, text, fields);
    } else {
        atomic_fetch_add(&log_state.lost, 1);
    }
    errno = kept_errno;
}

bool bide_log_enabled(bide_log_level level)
{
    return (int)level >= atomic_load_explicit(&log_state.level, memory_order_relaxed) && level < BIDE_LOG_OFF;
}

void bide_log_write(bide_log_level level, const char *text, const bide_log_field *fields)
{
    bide_log_sink *sink = log_state.sink ? log_state.sink : bide_log_to_standard_error;
    sink(log_state.user, level, text, fields);
}

void bide_log_set_level(bide_log_level level)
{
    atomic_store(&log_state.level, (int)level);
}

void bide_log_set_sink(bide_log_sink *sink, void *user)
{
    log_state.sink = sink;
    log_state.user = user;
}

bool bide_log_level_parse(const char *name, bide_log_level *ret_level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++)
        if (strcmp(name, level_names[i]) == 0) {
            *ret_level = (bide_log_level)i;
            return true;
        }
    return false;
}

const char *bide_log_level_name(bide_log_level level)
{
    return level_names[level <= BIDE_LOG_OFF ? level : BIDE_LOG_OFF];
}
