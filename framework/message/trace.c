#include "message/trace.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

/* 00-TRACE-SPAN-FLAGS; a later version may have more behind it. */
enum { VERSION = 0, TRACE = 3, SPAN = 36, FLAGS = 53, SIZE = 55, TRACE_SIZE = 32, SPAN_SIZE = 16 };

/* So many hexadecimal digits, in lower case; where `some`, not all of them 0. Upper case is let in. */
static bool read_hex(const char *from, size_t n, bool some, char *to)
{
    for (size_t i = 0; i < n; i++) {
        char c = from[i];
        c = (char)(c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c);
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        to[i] = c;
    }
    to[n] = '\0';
    return !some || strspn(to, "0") < n;
}

struct trace {
    char version[3], id[TRACE_SIZE + 1], span[SPAN_SIZE + 1], flags[3];
};

static bool parse(const char *text, struct trace *ret_trace)
{
    size_t size = text ? strlen(text) : 0;
    if (size < SIZE || text[TRACE - 1] != '-' || text[SPAN - 1] != '-' || text[FLAGS - 1] != '-')
        return false;
    if (!read_hex(text + VERSION, 2, false, ret_trace->version) ||
        !read_hex(text + TRACE, TRACE_SIZE, true, ret_trace->id) ||
        !read_hex(text + SPAN, SPAN_SIZE, true, ret_trace->span) ||
        !read_hex(text + FLAGS, 2, false, ret_trace->flags) || strcmp(ret_trace->version, "ff") == 0)
        return false;
    return size == SIZE || (strcmp(ret_trace->version, "00") != 0 && text[SIZE] == '-');
}

bool bide_trace_id(const struct bide_message *message, char to[BIDE_TRACE_ID_TEXT])
{
    struct trace trace;
    bool found = parse(bide_message_header(message, BIDE_TRACEPARENT), &trace);
    snprintf(to, BIDE_TRACE_ID_TEXT, "%s", found ? trace.id : "");
    return found;
}

bide_log_field bide_trace_field(const struct bide_message *message, char id[BIDE_TRACE_ID_TEXT])
{
    if (!bide_trace_id(message, id))
        return (bide_log_field){.kind = BIDE_LOG_END};
    return (bide_log_field)BIDE_STR("trace", id);
}

void bide_trace_pass_on(const struct bide_message *from, struct bide_message *to)
{
    struct trace trace;
    uint64_t span;
    char text[SIZE + 1];
    const char *state = bide_message_header(from, BIDE_TRACESTATE);
    if (bide_message_header(to, BIDE_TRACEPARENT) ||
        !parse(bide_message_header(from, BIDE_TRACEPARENT), &trace) ||
        getrandom(&span, sizeof span, 0) != (ssize_t)sizeof span)
        return;
    snprintf(text, sizeof text, "00-%s-%016" PRIx64 "-%s", trace.id, span | 1, trace.flags);
    if (bide_message_set_header(to, BIDE_TRACEPARENT, text, NULL) == BIDE_OK && state &&
        !bide_message_header(to, BIDE_TRACESTATE) &&
        bide_message_set_header(to, BIDE_TRACESTATE, state, NULL) != BIDE_OK)
        return; /* the trace itself is what counts */
}
