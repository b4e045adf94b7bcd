#include "broker/redis/wire.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/units.h"

/* ---- the keys ---- */

enum kind { TEXT, NUMBER, ATTEMPT, REASON, DIED };

static const struct key {
    const char *name;
    enum kind kind;
    size_t offset; /* in struct bide_message_parts */
} keys[] = {
    {"id", TEXT, offsetof(struct bide_message_parts, id)},
    {"type", TEXT, offsetof(struct bide_message_parts, type)},
    {"due", NUMBER, offsetof(struct bide_message_parts, due_ms)},
    {"sent", NUMBER, offsetof(struct bide_message_parts, sent_ms)},
    {"attempt", ATTEMPT, 0},
    {"content-type", TEXT, offsetof(struct bide_message_parts, content_type)},
    {"expires", NUMBER, offsetof(struct bide_message_parts, expires_ms)},
    {"error", TEXT, offsetof(struct bide_message_parts, error)},
    {"failures", TEXT, offsetof(struct bide_message_parts, failures)},
    {"queue", TEXT, offsetof(struct bide_message_parts, queue)},
    {"reason", REASON, 0},
    {"died", DIED, 0},
};

static const struct key *find_key(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strlen(keys[i].name) == size && memcmp(keys[i].name, name, size) == 0)
            return &keys[i];
    return NULL;
}

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

static void write_text(struct bide_buffer *to, const char *key, const char *text)
{
    if (!text || !*text)
        return;
    bide_buffer_text(to, key);
    write_escaped(to, text);
    bide_buffer_char(to, '\n');
}

static void write_number(struct bide_buffer *to, const char *key, int64_t value)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do
        digits[--at] = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    if (value < 0)
        digits[--at] = '-';
    bide_buffer_text(to, key);
    bide_buffer_add(to, digits + at, sizeof digits - at);
    bide_buffer_char(to, '\n');
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

struct bide_redis_lines bide_redis_lines_of(const struct bide_message *message)
{
    return (struct bide_redis_lines){.error = message->error,
        .failures = message->failures,
        .due_ms = message->due_ms,
        .attempt = message->attempt};
}

void bide_redis_wire_write(
    struct bide_buffer *to, const struct bide_message *message, const struct bide_redis_lines *lines)
{
    write_text(to, "id ", message->id);
    write_text(to, "type ", message->type);
    write_number(to, "due ", lines->due_ms);
    if (message->sent_ms)
        write_number(to, "sent ", message->sent_ms);
    if (lines->attempt > 1 || (lines->attempt == 0 && lines->reason != BIDE_REASON_NONE))
        write_number(to, "attempt ", lines->attempt);
    write_text(to, "content-type ", message->content_type);
    if (message->expires_ms)
        write_number(to, "expires ", message->expires_ms);
    write_text(to, "error ", lines->error);
    write_text(to, "failures ", lines->failures);
    write_text(to, "queue ", lines->queue);
    write_text(to, "reason ", bide_reason_name(lines->reason));
    if (lines->died_ms)
        write_number(to, "died ", lines->died_ms);
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

/* A value whose text is unescaped and followed by a NUL. */
static void take_value(struct bide_redis_wire *wire, const struct key *key, char *text, size_t size)
{
    char *part = (char *)&wire->parts + key->offset;
    if (key->kind == TEXT)
        *(struct bide_slice *)(void *)part = (struct bide_slice){text, size};
    else if (key->kind == NUMBER)
        *(int64_t *)(void *)part = read_number(wire, text, 0, BIDE_REDIS_LATEST_MS);
    else if (key->kind == ATTEMPT)
        wire->parts.attempt = (int)read_number(wire, text, 0, INT32_MAX);
    else if (key->kind == DIED)
        wire->died_ms = read_number(wire, text, 0, BIDE_REDIS_LATEST_MS);
    else if (!bide_reason_parse(text, &wire->reason))
        complain(wire, "unknown reason of a dead letter");
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
    const struct key *key = find_key(line, key_size);
    if (!key)
        return;
    value_size = unescape(space + 1, value_size);
    space[1 + value_size] = '\0';
    take_value(wire, key, space + 1, value_size);
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
    const struct key *key = find_key(name, strlen(name));
    if (key)
        take_value(wire, key, value, size);
    else if (strlen(name) + strlen(value) <= BIDE_HEADER_MAX)
        add_header(wire, name, value);
    else
        complain(wire, "a field is too large for a header");
}
