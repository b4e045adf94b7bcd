/* dispatch/sandbox/frame.h: the bytes that a worker and its sandbox children send to each other.
 *
 *     worker -> child   RUN     a message to be handled, or one of a batch
 *     child  -> worker  READY   the handler is open (once, first), or why not
 *                       LOG     a log line
 *                       ANSWER  the result of the run; of a batch one for each message, in order
 *
 * A frame is a head and `size` bytes. Both ends are the same program on the same machine, so numbers are sent
 * as they are in memory. But a child whose memory a handler has damaged may send anything, so the reader
 * checks everything.
 *
 * Thread-safety: one thread at a time for each buffer and frame. Failures: adding marks the buffer as failed;
 * reading returns false and leaves its ret_ arguments alone. */
#ifndef BIDE_DISPATCH_SANDBOX_FRAME_H
#define BIDE_DISPATCH_SANDBOX_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "bide/log.h"
#include "dispatch/job.h"
#include "message/message.h"

enum bide_frame_kind { BIDE_FRAME_RUN = 1, BIDE_FRAME_READY, BIDE_FRAME_LOG, BIDE_FRAME_ANSWER };

enum { BIDE_FRAME_MAX = 1 << 30 }; /* bytes behind the head; a larger size means damage */

struct bide_frame_head {
    uint32_t kind;
    uint32_t size;
};

/* A frame, in a buffer that it does not own. */
struct bide_frame {
    enum bide_frame_kind kind;
    const char *bytes;
    size_t size;
};

/* The times of a run, and its place in a batch. The monotonic clock is the same in all processes. */
struct bide_frame_times {
    int64_t started_us;  /* wall */
    int64_t deadline_us; /* monotonic */
    int64_t more;        /* so many RUN frames of the same batch follow */
};

/* Each appends a whole frame. */
void bide_frame_add_run(
    struct bide_buffer *to, const struct bide_message *message, const struct bide_frame_times *times);
void bide_frame_add_ready(struct bide_buffer *to, bide_code code, const char *text);
void bide_frame_add_log(
    struct bide_buffer *to, bide_log_level level, const char *text, const bide_log_field *fields);
void bide_frame_add_answer(struct bide_buffer *to, bide_outcome outcome, const struct bide_run *run);

enum bide_frame_found { BIDE_FRAME_NONE, BIDE_FRAME_WHOLE, BIDE_FRAME_BROKEN };

/* Finds the frame that begins at bytes + *offset, and moves *offset behind it; NONE if it is not complete
 * yet. */
enum bide_frame_found bide_frame_next(
    const char *bytes, size_t size, size_t *offset, struct bide_frame *ret_frame);
/* How many bytes are missing from the frame at `bytes`, of which `size` are there; 0: none, or it is
 * broken. */
size_t bide_frame_lacks(const char *bytes, size_t size);

/* Returns a message that the caller owns; NULL if the frame is broken or without memory. */
struct bide_message *bide_frame_read_run(const struct bide_frame *frame, struct bide_frame_times *ret_times);
bool bide_frame_read_ready(const struct bide_frame *frame, bide_code *ret_code, const char **ret_text);
/* Writes the line to this process's log. */
bool bide_frame_relay_log(const struct bide_frame *frame);
/* Fills delay, error and sends of *run, which has none yet. After a failure, bide_run_release frees them. */
bool bide_frame_read_answer(const struct bide_frame *frame, bide_outcome *ret_outcome, struct bide_run *run);

#endif
