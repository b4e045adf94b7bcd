/* streams/stream.h: streams with an end: what their messages are called, and what the store knows of them
 * (docs/streams.md).
 *
 * A stream S is a run of messages, its members, with the ids S:1 … S:N, which go to one queue or to each
 * subscription of a topic. What the store has:
 *
 *   scope "streams"    key S: a fact in a bide_stream_state, with bide_stream_info as its data. It lasts
 *                      BIDE_STREAM_KEEP_MS longer than the stream's deadline is away
 *   scope "stream/S"   for each queue: the set QUEUE of members that have ended there; of those the sets
 *                      dead/QUEUE (dead letters) and dropped/QUEUE (ended without a run); the fact end/QUEUE
 *                      in a bide_stream_end, whose data say when
 *
 * The total of a set is known once all but the last members are sent. So a worker, and never the sender,
 * makes a set complete. With `on_end`, two more messages go to each queue SUB@TOPIC:
 *
 *   S:end@SUB        an ordinary message: the set is complete, or the deadline has passed
 *   S:deadline@SUB   due at the deadline; never runs: the gate that meets it sends the first, if nobody has
 *
 * Pure. Thread-safety: any thread. */
#ifndef BIDE_STREAMS_STREAM_H
#define BIDE_STREAMS_STREAM_H

#include <jansson.h>
#include <string.h>

#include "base/buffer.h"
#include "message/message.h"
#include "store/store.h"

#define BIDE_STREAMS "streams" /* the scope */
#define BIDE_STREAM_PREFIX "stream-"
#define BIDE_STREAM_KEEP_MS (INT64_C(7) * 24 * 3600 * 1000)

enum {
    BIDE_STREAM_ID_SIZE = sizeof BIDE_STREAM_PREFIX - 1 + BIDE_ID_TEXT - 1,
    BIDE_STREAM_ID_TEXT = BIDE_STREAM_ID_SIZE + 1,
    BIDE_STREAM_QUEUES_MAX = 32,
};

enum bide_stream_state { /* of the fact S */
    BIDE_STREAM_UNKNOWN,
    BIDE_STREAM_SENDING,
    BIDE_STREAM_SENT,      /* the totals are known */
    BIDE_STREAM_CANCELLED, /* members that have not begun do not run */
};

enum bide_stream_ending { BIDE_STREAM_OPEN, BIDE_STREAM_COMPLETE, BIDE_STREAM_FAILED }; /* of end/QUEUE */

enum bide_stream_role { BIDE_STREAM_NONE, BIDE_STREAM_MEMBER, BIDE_STREAM_DEADLINE };

/* ---- ids ---- */

/* Cheap, and true of few messages that are no stream's. */
static inline bool bide_stream_may_be(const char *id)
{
    return id[0] == BIDE_STREAM_PREFIX[0] &&
           strncmp(id, BIDE_STREAM_PREFIX, sizeof BIDE_STREAM_PREFIX - 1) == 0;
}

void bide_stream_id_generate(char to[BIDE_STREAM_ID_TEXT], const struct bide_clock *clock);
bool bide_stream_id_valid(const char *id);

/* What a message with this id is to its stream. stream, ret_member (from 0): written unless it is NONE. */
enum bide_stream_role bide_stream_role(const char *id, char stream[BIDE_STREAM_ID_TEXT], int64_t *ret_member);

enum { BIDE_STREAM_MESSAGE_ID = BIDE_STREAM_ID_TEXT + BIDE_NAME_MAX + 16 };
/* "S:end@SUB", "S:deadline@SUB": what is "end" or "deadline". */
void bide_stream_message_id(
    const char *stream, const char *what, const char *queue, char to[BIDE_STREAM_MESSAGE_ID]);
/* SUB of SUB@TOPIC: so many bytes of the queue; of another queue all. */
int bide_stream_sub_size(const char *queue);

/* ---- what is known of a stream ---- */

struct bide_stream_info {
    char id[BIDE_STREAM_ID_TEXT];
    const char *target; /* the queue that its members are sent to: "@TOPIC", or an ordinary one */
    const char *name;   /* for people: a file; "" */
    const char *on_end; /* the type of end messages, or NULL */
    const char *queues[BIDE_STREAM_QUEUES_MAX]; /* where members end */
    size_t n_queues;
    int64_t sent_ms, deadline_ms; /* Unix ms; how long it may take */
    json_t *root;                 /* owns the texts of one that was read; NULL: they are borrowed */
};

void bide_stream_info_write(const struct bide_stream_info *info, struct bide_buffer *to);
/* BIDE_E_DATA: it is none of ours. */
bide_code bide_stream_info_read(
    const char *id, struct bide_slice text, struct bide_stream_info *ret_info, bide_error *error);
void bide_stream_info_clear(struct bide_stream_info *info); /* also a zeroed one */
bool bide_stream_has_queue(const struct bide_stream_info *info, const char *queue);

/* ---- arriving ---- */

enum bide_stream_how { BIDE_STREAM_DONE, BIDE_STREAM_DEAD, BIDE_STREAM_DROPPED, BIDE_STREAM_N_HOW };

/* What the operations on one queue of a stream are named by. */
struct bide_stream_names {
    char scope[sizeof "stream/" + BIDE_STREAM_ID_SIZE];
    char sets[BIDE_STREAM_N_HOW][sizeof "dropped/" + BIDE_NAME_MAX]; /* DONE: all that have ended */
    char end[sizeof "end/" + BIDE_NAME_MAX];
    char mark[28]; /* of end/QUEUE: whose arrival reached it, and when */
};
void bide_stream_names(const char *stream, const char *queue, struct bide_stream_names *ret_names);

enum { BIDE_STREAM_OPERATIONS = 4 }; /* of each of the next; the letter is `names`', borrowed until applied */

/* A member has ended so. If that makes its set complete, it is written that the end was reached at now_ms. */
void bide_stream_arrive(struct bide_stream_names *names, int64_t member, enum bide_stream_how how,
    int64_t now_ms, struct bide_store_operation operations[BIDE_STREAM_OPERATIONS]);
/* Only looks. */
void bide_stream_look(
    struct bide_stream_names *names, struct bide_store_operation operations[BIDE_STREAM_OPERATIONS]);

/* What the answers to one of the two say; `end` and `ended_ms`: to a look. */
struct bide_stream_counts {
    int64_t total; /* 0: not known yet */
    int64_t ended, dead, dropped;
    enum bide_stream_ending end;
    int64_t ended_ms; /* Unix ms; 0: there is no end */
};
void bide_stream_read(const struct bide_stream_names *names,
    const struct bide_store_operation operations[BIDE_STREAM_OPERATIONS],
    struct bide_stream_counts *ret_counts);
static inline bool bide_stream_is_whole(const struct bide_stream_counts *counts)
{
    return counts->total > 0 && counts->ended >= counts->total;
}

/* The queue's end is reached by this member, or by the deadline (BIDE_STORE_NO_MEMBER). */
void bide_stream_write_end(struct bide_stream_names *names, enum bide_stream_ending end, int64_t member,
    int64_t now_ms, struct bide_store_operation *ret_operation);
/* The answer to that, also as the last operation of an arrival: was it this one that reached the end, now or
 * when it was applied before? Then it is to tell of it. */
bool bide_stream_reached_end(const struct bide_store_operation *operation);

/* ---- end messages ---- */

/* The members of the JSON object that tells of a queue's counts, without braces. */
void bide_stream_report_counts(struct bide_buffer *to, const struct bide_stream_counts *counts);
/* word: "complete", "failed", "cancelled". */
bide_code bide_stream_end_message(const struct bide_stream_info *info, const char *queue, const char *word,
    const struct bide_stream_counts *counts, const struct bide_clock *clock, bide_message **ret_message,
    bide_error *error);

#endif
