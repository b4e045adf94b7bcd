/* A traceparent and a tracestate of a stranger (a line each): the trace's id is one, or there is none, and
 * what is passed on belongs to the same trace. */
#include "fuzz/fuzz.h"

#include "message/trace.h"

static bide_message *create(const char *parent, const char *state)
{
    bide_message *message;
    HOLDS(bide_message_create("t", &message, NULL) == BIDE_OK);
    bide_message_set_header(message, BIDE_TRACEPARENT, parent, NULL); /* refused: there is none */
    bide_message_set_header(message, BIDE_TRACESTATE, state, NULL);
    return message;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = text_of_input(bytes, size), *state = strchr(text, '\n'), id[BIDE_TRACE_ID_TEXT],
         after[BIDE_TRACE_ID_TEXT];
    if (state)
        *state++ = '\0';
    bide_message *from = create(text, state ? state : ""), *to;
    bool traced = bide_trace_id(from, id);
    HOLDS(strspn(id, "0123456789abcdef") == (traced ? 32 : 0) && strlen(id) == (traced ? 32 : 0));
    HOLDS(bide_message_create("t", &to, NULL) == BIDE_OK);
    bide_trace_pass_on(from, to);
    HOLDS(bide_trace_id(to, after) == traced && strcmp(id, after) == 0);
    HOLDS(traced || bide_message_header_count(to) == 0);
    bide_message_destroy(from);
    bide_message_destroy(to);
    free(text);
    return 0;
}
