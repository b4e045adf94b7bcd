/* message/trace.h: W3C trace context (the headers `traceparent` and `tracestate`) on its way through bide.
 *
 * What a sender gave is a header like any other: carried to the handler, through retries, dead letters and
 * replays. Here it is read, for the log, and passed on to what a handler sends. A traceparent that is none is
 * left as it is and otherwise ignored. Any thread. */
#ifndef BIDE_MESSAGE_TRACE_H
#define BIDE_MESSAGE_TRACE_H

#include "bide/log.h"
#include "message/message.h"

#define BIDE_TRACEPARENT "traceparent"
#define BIDE_TRACESTATE "tracestate"

enum { BIDE_TRACE_ID_TEXT = 33 };

/* The trace id (32 hexadecimal digits, in lower case); false, and `to` is "", without one. Never NULL:
 * `message`. */
bool bide_trace_id(const struct bide_message *message, char to[BIDE_TRACE_ID_TEXT]);

/* The field "trace" of a log line, or, without a trace, the end of the fields: so it stands last. */
bide_log_field bide_trace_field(const struct bide_message *message, char id[BIDE_TRACE_ID_TEXT]);
#define BIDE_TRACE(message) bide_trace_field((message), (char[BIDE_TRACE_ID_TEXT]){0})

/* A message sent by the handler of `from` belongs to the same trace, with a span id of its own, unless it has
 * a traceparent already. Left out where there is no room for it: no reason not to send. */
void bide_trace_pass_on(const struct bide_message *from, struct bide_message *to);

#endif
