/* What a damaged sandbox child may say: it is refused, or is what a sound one could have said. */
#include "fuzz/fuzz.h"

#include <stdbool.h>

#include "base/alloc.h"
#include "base/names.h"
#include "bide/log.h"
#include "dispatch/sandbox/frame.h"

static void read_run(const struct bide_frame *frame)
{
    struct bide_frame_times times;
    struct bide_message *message = bide_frame_read_run(frame, &times);
    if (!message)
        return;
    struct bide_buffer again;
    struct bide_frame back;
    size_t offset = 0;
    bide_buffer_init(&again);
    bide_frame_add_run(&again, message, &times);
    HOLDS(bide_frame_next(again.bytes, again.size, &offset, &back) == BIDE_FRAME_WHOLE);
    HOLDS(offset == again.size && bide_frame_lacks(again.bytes, again.size) == 0);
    struct bide_message *copy = bide_frame_read_run(&back, &times);
    HOLDS(copy && strcmp(copy->id, message->id) == 0 && copy->body_size == message->body_size);
    bide_message_destroy(copy);
    bide_message_destroy(message);
    bide_buffer_release(&again);
}

static void read_answer(const struct bide_frame *frame)
{
    struct bide_run run = {0};
    bide_outcome outcome;
    if (bide_frame_read_answer(frame, &outcome, &run)) {
        HOLDS(run.delay_ms == BIDE_BY_POLICY || run.delay_ms >= 0);
        for (size_t i = 0; i < run.n_sends; i++) {
            const struct bide_message *message = run.sends[i];
            HOLDS(*message->id && bide_name_valid(message->type) && bide_queue_name_valid(message->queue));
            HOLDS(message->due_ms >= 0 && message->due_ms <= INT64_MAX / 1000);
            HOLDS(message->sent_ms >= 0 && message->expires_ms >= 0 && message->attempt >= 1);
        }
    }
    for (size_t i = 0; i < run.n_sends; i++)
        bide_message_destroy(run.sends[i]);
    bide_free(run.sends);
    bide_free(run.error);
}

static void read_ready(const struct bide_frame *frame)
{
    bide_code code;
    const char *text;
    if (bide_frame_read_ready(frame, &code, &text))
        HOLDS(strlen(text) <= frame->size);
}

static void read_log(const struct bide_frame *frame)
{
    bide_frame_relay_log(frame);
}

static void swallow(void *user, bide_log_level level, const char *text, const bide_log_field *fields)
{
    (void)user;
    size_t size = strlen(text);
    for (; fields->kind != BIDE_LOG_END; fields++)
        size +=
            strlen(fields->name) + (fields->kind == BIDE_LOG_STR && fields->str ? strlen(fields->str) : 0);
    HOLDS(level >= BIDE_LOG_DEBUG && level <= BIDE_LOG_ERROR && size <= SIZE_MAX / 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const readers[])(const struct bide_frame *) = {
        [BIDE_FRAME_RUN] = read_run,
        [BIDE_FRAME_READY] = read_ready,
        [BIDE_FRAME_LOG] = read_log,
        [BIDE_FRAME_ANSWER] = read_answer,
    };
    struct bide_frame frame;
    size_t offset = 0;
    bide_log_set_level(BIDE_LOG_DEBUG);
    bide_log_set_sink(swallow, NULL);
    while (bide_frame_next((const char *)bytes, size, &offset, &frame) == BIDE_FRAME_WHOLE) {
        HOLDS(offset <= size && frame.bytes + frame.size == (const char *)bytes + offset);
        readers[frame.kind](&frame);
    }
    return 0;
}
