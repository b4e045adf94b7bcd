#include "broker/redis/wire.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/units.h"

/* ---- writing ---- */

static void write_escaped(struct bide_buffer *to, const char *text)
{
    for (;;) {
        size_t plain = strcspn(text, "\\\n\t");
        bide_buffer_add(to, text, plain);
        text += plain;
        if (!*text)
            return;
        bide_buffer_text(to, *text == '\\' ? "\\\\" : *text == '\n' ? "\\n" : "\\t");
        text++;
    }
}

static void write_key(struct bide_buffer *to, const char *key, size_t size)
{
    bide_buffer_add(to, key, size);
    bide_buffer_char(to, ' ');
}

static void write_number(struct bide_buffer *to, int64_t value)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do
        digits[--at] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (value < 0)
        digits[--at] = '-';
    bide_buffer_add(to, digits + at, sizeof digits - at);
}

static void write_headers(struct bide_buffer *to, const struct bide_message *message)
{
    for (size_t i = 0; i < message->n_headers; i++) {
        bide_buffer_text(to, "h ");
        write_escaped(to, message->headers[i].name);
        bide_buffer_char(to, '\t');
        write_escaped(to, message->headers[i].value);
        bide_buffer_char(to, '\n');
    }
}

/* The order of the lines in version 1; what has come since stands behind these. */
#define FIRST(ROW)                                                                                           \
    ROW(id)                                                                                                  \
    ROW(type)                                                                                                \
    ROW(due_ms)                                                                                              \
    ROW(sent_ms)                                                                                             \
    ROW(attempt)                                                                                             \
    ROW(content_type)                                                                                        \
    ROW(expires_ms)                                                                                          \
    ROW(error)                                                                                               \
    ROW(failures)                                                                                            \
    ROW(queue)
#define PLACE(member) BIDE_FIELD_##member,
#define BIT(member) | 1u << BIDE_FIELD_##member
static const unsigned char first[] = {FIRST(PLACE)};
static const unsigned behind = ((1u << BIDE_N_FIELDS) - 1) & ~(0 FIRST(BIT));

static void write_field(
    struct bide_buffer *to, const struct bide_message *message, const struct bide_field *field)
{
    const char *text = NULL;
    int64_t number = 0;
    if (field->kind == BIDE_KIND_TEXT ? !*(text = bide_field_text(message, field))
                                      : (number = bide_field_number(message, field)) == field->absent)
        return;
    write_key(to, field->line, field->line_size);
    if (text)
        write_escaped(to, text);
    else
        write_number(to, number);
    bide_buffer_char(to, '\n');
}

static void write_death(struct bide_buffer *to, const struct bide_dead_letter *letter)
{
    const char *reason = bide_reason_name(letter->reason);
    if (*reason)
        bide_buffer_format(to, "reason %s\n", reason);
    if (letter->died_ms)
        bide_buffer_format(to, "died %" PRId64 "\n", letter->died_ms);
}

void bide_redis_wire_write(
    struct bide_buffer *to, const struct bide_message *message, const struct bide_dead_letter *letter)
{
    for (size_t i = 0; i < sizeof first; i++)
        if (first[i] != BIDE_FIELD_queue || letter) /* elsewhere the key says it */
            write_field(to, message, &bide_fields[first[i]]);
    for (unsigned left = behind; left; left &= left - 1)
        write_field(to, message, &bide_fields[__builtin_ctz(left)]);
    if (letter)
        write_death(to, letter);
    write_headers(to, message);
    bide_buffer_char(to, '\n');
}

/* ---- reading ---- */

void bide_redis_wire_init(struct bide_redis_wire *wire)
{
    wire->parts = (struct bide_message_parts){.headers = wire->headers, .attempt = 1};
    wire->headers_bytes = 0;
    wire->reason = BIDE_REASON_NONE;
    wire->died_ms = 0;
    wire->defect = NULL;
}

static void complain(struct bide_redis_wire *wire, const char *defect)
{
    if (!wire->defect)
        wire->defect = defect;
}

/* In place; returns the new size. */
static size_t unescape(char *text, size_t size)
{
    char *from = memchr(text, '\\', size), *to = from;
    if (!from)
        return size;
    for (const char *end = text + size; from < end; from++, to++) {
        if (*from == '\\' && from + 1 < end) {
            from++;
            *to = *from == 'n' ? '\n' : *from == 't' ? '\t' : *from;
        } else {
            *to = *from;
        }
    }
    return (size_t)(to - text);
}

static int64_t read_number(struct bide_redis_wire *wire, const char *text, int64_t min, int64_t max)
{
    int64_t value = 0;
    if (bide_parse_int(text, min, max, &value, NULL) != BIDE_OK)
        complain(wire, "a number of the envelope is not one, or out of range");
    return value;
}

/* Is it a dead letter's own? `value` is followed by a NUL. */
static bool take_death(struct bide_redis_wire *wire, const char *name, size_t size, const char *value)
{
    if (size == 4 && memcmp(name, "died", size) == 0)
        wire->died_ms = read_number(wire, value, 0, BIDE_REDIS_LATEST_MS);
    else if (size != 6 || memcmp(name, "reason", size) != 0)
        return false;
    else if (!bide_reason_parse(value, &wire->reason))
        complain(wire, "unknown reason of a dead letter");
    return true;
}

/* False where no field has that name. The value is unescaped and followed by a NUL. */
static bool take_value(
    struct bide_redis_wire *wire, const char *name, size_t name_size, const char *value, size_t size)
{
    for (size_t i = 0; i < BIDE_N_FIELDS; i++) {
        const struct bide_field *field = &bide_fields[i];
        if (field->line_size != name_size || memcmp(field->line, name, name_size) != 0)
            continue;
        void *part = bide_field_part(&wire->parts, field);
        if (field->kind == BIDE_KIND_TEXT)
            *(struct bide_slice *)part = (struct bide_slice){value, size};
        else
            *(int64_t *)part = read_number(
                wire, value, 0, field->kind == BIDE_KIND_COUNT ? INT32_MAX : BIDE_REDIS_LATEST_MS);
        return true;
    }
    return take_death(wire, name, name_size, value);
}

static void add_header(struct bide_redis_wire *wire, const char *name, const char *value)
{
    if (wire->parts.n_headers == BIDE_HEADERS_MAX) {
        complain(wire, "too many headers");
        return;
    }
    wire->headers_bytes += strlen(name) + strlen(value);
    if (wire->headers_bytes > BIDE_HEADERS_BYTES) {
        complain(wire, "its headers are too large together");
        return;
    }
    wire->headers[wire->parts.n_headers++] = (struct bide_header){name, value};
}

static void read_header(struct bide_redis_wire *wire, char *text, size_t size)
{
    char *tab = memchr(text, '\t', size);
    if (!tab) {
        complain(wire, "a header line without a tab between name and value");
        return;
    }
    size_t value_size = unescape(tab + 1, size - (size_t)(tab + 1 - text));
    tab[1 + value_size] = '\0';
    text[unescape(text, (size_t)(tab - text))] = '\0';
    add_header(wire, text, tab + 1);
}

/* The line's end is already a NUL. A key that is unknown is a later version's: passed over. */
static void read_line(struct bide_redis_wire *wire, char *line, size_t size)
{
    char *space = memchr(line, ' ', size);
    if (!space) {
        complain(wire, "a line of the envelope is not \"key value\"");
        return;
    }
    size_t key_size = (size_t)(space - line), value_size = size - key_size - 1;
    if (key_size == 1 && *line == 'h') {
        read_header(wire, space + 1, value_size);
        return;
    }
    value_size = unescape(space + 1, value_size);
    space[1 + value_size] = '\0';
    (void)take_value(wire, line, key_size, space + 1, value_size);
}

void bide_redis_wire_read(struct bide_redis_wire *wire, char *bytes, size_t size)
{
    char *end = bytes + size;
    for (char *line = bytes; line < end;) {
        char *line_end = memchr(line, '\n', (size_t)(end - line));
        if (!line_end)
            break;
        if (line_end == line) {
            wire->parts.body = (struct bide_slice){line + 1, (size_t)(end - line - 1)};
            if (wire->parts.attempt == 0 && wire->reason == BIDE_REASON_NONE)
                complain(wire, "attempt 0: only a dead letter may not have run");
            return;
        }
        *line_end = '\0';
        read_line(wire, line, (size_t)(line_end - line));
        line = line_end + 1;
    }
    complain(wire, "no empty line between envelope and body");
}

void bide_redis_wire_field(struct bide_redis_wire *wire, const char *name, char *value, size_t size)
{
    if (strcmp(name, "body") == 0) {
        wire->parts.body = (struct bide_slice){value, size};
        return;
    }
    if (take_value(wire, name, strlen(name), value, size))
        return;
    if (strlen(name) + strlen(value) <= BIDE_HEADER_MAX)
        add_header(wire, name, value);
    else
        complain(wire, "a field is too large for a header");
}
