#include "dispatch/sandbox/frame.h"

#include <string.h>

#include "base/alloc.h"
#include "config/config.h"
#include "dispatch/context.h"

enum { LOG_FIELDS_MAX = 64 };
#define LATEST_MS (INT64_MAX / 1000) /* the latest time that fits into microseconds */

/* ---- writing ---- */

static void add_int(struct bide_buffer *to, int64_t value)
{
    bide_buffer_add(to, &value, sizeof value);
}

/* Adds a NUL too, so that the reader can use the bytes as a string in place. */
static void add_bytes(struct bide_buffer *to, const void *bytes, size_t size)
{
    add_int(to, (int64_t)size);
    bide_buffer_add(to, bytes, size);
    bide_buffer_char(to, '\0');
}

static void add_text(struct bide_buffer *to, const char *text)
{
    add_bytes(to, text, strlen(text));
}

static void add_message(struct bide_buffer *to, const struct bide_message *message)
{
    const int64_t numbers[] = {message->delay_ms, message->expires_after_ms, (int64_t)message->n_headers};
    for (size_t i = 0; i < BIDE_N_FIELDS; i++)
        if (bide_fields[i].kind == BIDE_KIND_TEXT)
            add_text(to, bide_field_text(message, &bide_fields[i]));
        else
            add_int(to, bide_field_number(message, &bide_fields[i]));
    add_bytes(to, message->body, message->body_size);
    bide_buffer_add(to, numbers, sizeof numbers);
    for (size_t i = 0; i < message->n_headers; i++) {
        add_text(to, message->headers[i].name);
        add_text(to, message->headers[i].value);
    }
}

static size_t begin_frame(struct bide_buffer *to, enum bide_frame_kind kind)
{
    const struct bide_frame_head head = {.kind = (uint32_t)kind};
    size_t at = to->size;
    bide_buffer_add(to, &head, sizeof head);
    return at;
}

static void end_frame(struct bide_buffer *to, size_t at)
{
    size_t size = to->size - at - sizeof(struct bide_frame_head);
    if (size > BIDE_FRAME_MAX)
        to->failed = true;
    if (to->failed)
        return;
    const uint32_t short_size = (uint32_t)size;
    memcpy(to->bytes + at + offsetof(struct bide_frame_head, size), &short_size, sizeof short_size);
}

void bide_frame_add_run(
    struct bide_buffer *to, const struct bide_message *message, const struct bide_frame_times *times)
{
    size_t at = begin_frame(to, BIDE_FRAME_RUN);
    bide_buffer_add(to, times, sizeof *times);
    add_message(to, message);
    end_frame(to, at);
}

void bide_frame_add_ready(struct bide_buffer *to, bide_code code, const char *text)
{
    size_t at = begin_frame(to, BIDE_FRAME_READY);
    add_int(to, code);
    add_text(to, text);
    end_frame(to, at);
}

static void add_log_field(struct bide_buffer *to, const bide_log_field *field)
{
    add_int(to, field->kind);
    add_text(to, field->name);
    if (field->kind == BIDE_LOG_STR) {
        add_int(to, field->str != NULL);
        add_text(to, field->str ? field->str : "");
    } else {
        bide_buffer_add(to, field->kind == BIDE_LOG_INT ? (const void *)&field->integer : &field->number,
            sizeof(int64_t));
    }
}

void bide_frame_add_log(
    struct bide_buffer *to, bide_log_level level, const char *text, const bide_log_field *fields)
{
    size_t at = begin_frame(to, BIDE_FRAME_LOG), n = 0;
    while (fields && fields[n].kind != BIDE_LOG_END && n < LOG_FIELDS_MAX)
        n++;
    add_int(to, level);
    add_text(to, text);
    add_int(to, (int64_t)n);
    for (size_t i = 0; i < n; i++)
        add_log_field(to, &fields[i]);
    end_frame(to, at);
}

void bide_frame_add_answer(struct bide_buffer *to, bide_outcome outcome, const struct bide_run *run)
{
    size_t at = begin_frame(to, BIDE_FRAME_ANSWER);
    add_int(to, outcome);
    add_int(to, run->delay_ms);
    add_int(to, run->error != NULL);
    add_text(to, run->error ? run->error : "");
    add_int(to, run->throttled != NULL);
    add_text(to, run->throttled ? run->throttled : "");
    add_int(to, run->answer);
    add_int(to, (int64_t)run->n_sends);
    for (size_t i = 0; i < run->n_sends; i++)
        add_message(to, run->sends[i]);
    end_frame(to, at);
}

/* ---- reading ---- */

struct reader {
    const char *at;
    const char *end;
    bool broken;
};

static struct reader reader_of(const struct bide_frame *frame)
{
    return (struct reader){frame->bytes, frame->bytes + frame->size, false};
}

static const char *take(struct reader *reader, size_t size)
{
    if (reader->broken || (size_t)(reader->end - reader->at) < size) {
        reader->broken = true;
        return NULL;
    }
    const char *bytes = reader->at;
    reader->at += size;
    return bytes;
}

static int64_t take_int(struct reader *reader)
{
    int64_t value = 0;
    const char *bytes = take(reader, sizeof value);
    if (bytes)
        memcpy(&value, bytes, sizeof value);
    return value;
}

static int64_t take_int_within(struct reader *reader, int64_t min, int64_t max)
{
    int64_t value = take_int(reader);
    if (value >= min && value <= max)
        return value;
    reader->broken = true;
    return min;
}

static struct bide_slice take_bytes(struct reader *reader)
{
    size_t size = (size_t)take_int_within(reader, 0, BIDE_FRAME_MAX);
    const char *bytes = take(reader, size + 1);
    if (!bytes || bytes[size] != '\0') {
        reader->broken = true;
        return (struct bide_slice){"", 0};
    }
    return (struct bide_slice){bytes, size};
}

static const char *take_text(struct reader *reader)
{
    return take_bytes(reader).bytes;
}

static int64_t take_number(struct reader *reader, enum bide_field_kind kind)
{
    return kind == BIDE_KIND_COUNT ? take_int_within(reader, 1, INT32_MAX) : take_int(reader);
}

static struct bide_message *take_message(struct reader *reader)
{
    struct bide_header headers[BIDE_HEADERS_MAX];
    struct bide_message_parts parts = {.headers = headers};
    for (size_t i = 0; i < BIDE_N_FIELDS; i++) {
        void *part = bide_field_part(&parts, &bide_fields[i]);
        if (bide_fields[i].kind == BIDE_KIND_TEXT)
            *(struct bide_slice *)part = take_bytes(reader);
        else
            *(int64_t *)part = take_number(reader, bide_fields[i].kind);
    }
    parts.body = take_bytes(reader);
    int64_t delay_ms = take_int(reader), expires_after_ms = take_int(reader);
    parts.n_headers = (size_t)take_int_within(reader, 0, BIDE_HEADERS_MAX);
    for (size_t i = 0; i < parts.n_headers; i++) {
        headers[i].name = take_text(reader);
        headers[i].value = take_text(reader);
    }
    reader->broken |= bide_headers_bytes(headers, parts.n_headers) > BIDE_HEADERS_BYTES;
    struct bide_message *message = reader->broken ? NULL : bide_message_from_parts(&parts);
    if (message) {
        message->delay_ms = delay_ms;
        message->expires_after_ms = expires_after_ms;
    }
    return message;
}

static bool whole(const struct reader *reader)
{
    return !reader->broken && reader->at == reader->end;
}

enum bide_frame_found bide_frame_next(
    const char *bytes, size_t size, size_t *offset, struct bide_frame *ret_frame)
{
    struct bide_frame_head head;
    size_t left = size - *offset;
    if (left < sizeof head)
        return BIDE_FRAME_NONE;
    memcpy(&head, bytes + *offset, sizeof head);
    if (head.kind < BIDE_FRAME_RUN || head.kind > BIDE_FRAME_ANSWER || head.size > BIDE_FRAME_MAX)
        return BIDE_FRAME_BROKEN;
    if (left - sizeof head < head.size)
        return BIDE_FRAME_NONE;
    *ret_frame =
        (struct bide_frame){(enum bide_frame_kind)head.kind, bytes + *offset + sizeof head, head.size};
    *offset += sizeof head + head.size;
    return BIDE_FRAME_WHOLE;
}

size_t bide_frame_lacks(const char *bytes, size_t size)
{
    struct bide_frame_head head;
    if (size < sizeof head)
        return sizeof head - size;
    memcpy(&head, bytes, sizeof head);
    size_t wanted = sizeof head + head.size;
    return head.size <= BIDE_FRAME_MAX && wanted > size ? wanted - size : 0;
}

struct bide_message *bide_frame_read_run(const struct bide_frame *frame, struct bide_frame_times *ret_times)
{
    struct reader reader = reader_of(frame);
    struct bide_frame_times times;
    const char *bytes = take(&reader, sizeof times);
    struct bide_message *message = bytes ? take_message(&reader) : NULL;
    if (!message || !whole(&reader)) {
        bide_message_destroy(message);
        return NULL;
    }
    memcpy(&times, bytes, sizeof times);
    if (times.more < 0 || times.more >= BIDE_BATCH_MAX) {
        bide_message_destroy(message);
        return NULL;
    }
    *ret_times = times;
    return message;
}

bool bide_frame_read_ready(const struct bide_frame *frame, bide_code *ret_code, const char **ret_text)
{
    struct reader reader = reader_of(frame);
    int64_t code = take_int_within(&reader, BIDE_OK, BIDE_E_CONFLICT);
    const char *text = take_text(&reader);
    if (!whole(&reader))
        return false;
    *ret_code = (bide_code)code;
    *ret_text = text;
    return true;
}

static void take_log_field(struct reader *reader, bide_log_field *to)
{
    to->kind = (bide_log_kind)take_int_within(reader, BIDE_LOG_STR, BIDE_LOG_NUM);
    to->name = take_text(reader);
    if (to->kind == BIDE_LOG_STR) {
        bool there = take_int_within(reader, 0, 1) != 0;
        const char *text = take_text(reader);
        to->str = there ? text : NULL;
        return;
    }
    int64_t bits = take_int(reader);
    if (to->kind == BIDE_LOG_INT)
        to->integer = bits;
    else
        memcpy(&to->number, &bits, sizeof to->number);
}

bool bide_frame_relay_log(const struct bide_frame *frame)
{
    struct reader reader = reader_of(frame);
    bide_log_field fields[LOG_FIELDS_MAX + 1] = {0};
    bide_log_level level = (bide_log_level)take_int_within(&reader, BIDE_LOG_DEBUG, BIDE_LOG_ERROR);
    const char *text = take_text(&reader);
    size_t n = (size_t)take_int_within(&reader, 0, LOG_FIELDS_MAX);
    for (size_t i = 0; i < n; i++)
        take_log_field(&reader, &fields[i]);
    if (!whole(&reader))
        return false;
    if (bide_log_enabled(level))
        bide_log_write(level, text, fields);
    return true;
}

/* A handler's stray pointer may have changed a name or a time: the broker must not get such a message. */
static bool is_sendable(const struct bide_message *message)
{
    for (size_t i = 0; i < BIDE_N_FIELDS; i++) {
        int64_t ms = bide_fields[i].kind == BIDE_KIND_TIME ? bide_field_number(message, &bide_fields[i]) : 0;
        if (ms < 0 || ms > LATEST_MS)
            return false;
    }
    return *message->id && bide_name_valid(message->type) && bide_address_valid(message->queue);
}

static bool take_sends(struct reader *reader, struct bide_run *run)
{
    size_t n = (size_t)take_int_within(reader, 0, BIDE_CONTEXT_SENDS_MAX);
    if (reader->broken || n == 0)
        return !reader->broken;
    if (!(run->sends = bide_calloc(n, sizeof *run->sends)))
        return false;
    while (run->n_sends < n) {
        struct bide_message *message = take_message(reader);
        if (!message)
            return false;
        run->sends[run->n_sends++] = message;
        if (!is_sendable(message))
            return false;
    }
    return true;
}

bool bide_frame_read_answer(const struct bide_frame *frame, bide_outcome *ret_outcome, struct bide_run *run)
{
    struct reader reader = reader_of(frame);
    int64_t outcome = take_int_within(&reader, INT32_MIN, INT32_MAX), delay_ms = take_int(&reader);
    bool has_error = take_int_within(&reader, 0, 1) != 0;
    const char *error = take_text(&reader);
    bool is_throttled = take_int_within(&reader, 0, 1) != 0;
    const char *throttled = take_text(&reader);
    run->answer = (enum bide_answer)take_int_within(&reader, BIDE_ANSWER_NONE, BIDE_ANSWER_ABORT);
    if (!take_sends(&reader, run) || !whole(&reader))
        return false;
    if (has_error)
        run->error = bide_strdup(error); /* without memory the text is lost; the outcome stays */
    if (is_throttled)
        run->throttled = bide_strdup(throttled);
    run->delay_ms = delay_ms < 0 ? BIDE_BY_POLICY : delay_ms;
    *ret_outcome = (bide_outcome)outcome;
    return true;
}
