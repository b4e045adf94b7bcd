/* dispatch/program/protocol.h: the lines between bide and a program (docs/program-protocol.md), written and
 * read. No state, no descriptor. Any thread. */
#ifndef BIDE_DISPATCH_PROGRAM_PROTOCOL_H
#define BIDE_DISPATCH_PROGRAM_PROTOCOL_H

#include <stdint.h>

#include <jansson.h>

#include "base/buffer.h"
#include "bide/handler.h"
#include "bide/log.h"
#include "dispatch/job.h"

/* ---- what bide writes; each function appends one line with its end ---- */

void bide_program_say_greeting(struct bide_buffer *to, const char *program, int concurrency, size_t max_line);
/* batch: so many runs, of which this is the first one, are one batch; 0: it is in none, or not the first.
 * timeout_ms: 0 means none. */
void bide_program_say_run(struct bide_buffer *to, uint64_t run, size_t batch,
    const struct bide_message *message, int attempts, int64_t timeout_ms);
void bide_program_say_cancel(struct bide_buffer *to, uint64_t run);
void bide_program_say_leave(struct bide_buffer *to);

/* ---- what a program writes ---- */

enum bide_program_kind {
    BIDE_SAID_NONSENSE, /* `text` says what is wrong */
    BIDE_SAID_HELLO,
    BIDE_SAID_DONE,
    BIDE_SAID_RETRY,
    BIDE_SAID_DEAD,
    BIDE_SAID_SEND,
    BIDE_SAID_LOG,
    BIDE_SAID_PROGRESS,
    BIDE_SAID_OTHER, /* an object whose keys we do not know: ignored */
};

/* The texts belong to `root` and live until the release. */
struct bide_program_said {
    enum bide_program_kind kind;
    uint64_t run;            /* 0: none given */
    const char *text;        /* RETRY, DEAD: why; LOG: the line; HELLO: the SDK, or ""; NONSENSE */
    const char *trace;       /* RETRY, DEAD: or NULL */
    int64_t after_ms;        /* RETRY: or BIDE_BY_POLICY */
    enum bide_answer answer; /* DONE */
    const char *limit;       /* RETRY: it was too much for this limit ("": for all); NULL: it was not that */
    bide_log_level level;    /* LOG */
    int concurrency;         /* HELLO */
    json_t *types;           /* HELLO: an array of strings; borrowed from root */
    json_t *batch_types;     /* HELLO: likewise, or NULL */
    json_t *send;            /* SEND: an object; borrowed */
    json_t *fields;          /* LOG: an object, or NULL; borrowed */
    json_t *root;
};

void bide_program_read(struct bide_program_said *ret_said, const char *line, size_t size);
void bide_program_said_release(struct bide_program_said *said);

#endif
