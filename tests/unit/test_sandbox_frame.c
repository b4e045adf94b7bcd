/* dispatch/sandbox_frame: what a damaged child may say must not be believed, nor bring its worker down. */
#include "unit.h"

#include <stdlib.h>

#include "dispatch/context.h"
#include "dispatch/sandbox/frame.h"

static char error_text[] = "why";

static struct bide_message *new_message(void)
{
    struct bide_message *message;
    assert_int_equal(bide_message_create("test", &message, NULL), BIDE_OK);
    assert_int_equal(bide_message_set_header(message, "name", "value", NULL), BIDE_OK);
    assert_int_equal(bide_message_set_body(message, "body", 4, NULL), BIDE_OK);
    assert_int_equal(bide_message_stamp(message, "default", bide_clock_system(), NULL), BIDE_OK);
    return message;
}

static void add_answer(struct bide_buffer *to, struct bide_message *message)
{
    struct bide_message *sends[] = {message, message};
    const struct bide_run run = {.delay_ms = 5, .error = error_text, .sends = sends, .n_sends = 2};
    bide_frame_add_answer(to, BIDE_RETRY, &run);
}

/* One frame of each kind. */
static void add_frame(struct bide_buffer *to, enum bide_frame_kind kind, struct bide_message *message)
{
    static const struct bide_frame_times times = {1, 2, 3};
    const bide_log_field fields[] = {
        BIDE_STR("s", "text"), BIDE_STR("none", NULL), BIDE_INT("i", -1), BIDE_NUM("n", 0.5), {0}};
    if (kind == BIDE_FRAME_RUN)
        bide_frame_add_run(to, message, &times);
    else if (kind == BIDE_FRAME_READY)
        bide_frame_add_ready(to, BIDE_E_DATA, "no");
    else if (kind == BIDE_FRAME_LOG)
        bide_frame_add_log(to, BIDE_LOG_WARN, "line", fields);
    else
        add_answer(to, message);
}

static bool read_frame(const struct bide_frame *frame)
{
    struct bide_frame_times times;
    struct bide_run run = {0};
    bide_outcome outcome;
    bide_code code;
    const char *text;
    if (frame->kind == BIDE_FRAME_RUN) {
        struct bide_message *message = bide_frame_read_run(frame, &times);
        bide_message_destroy(message);
        return message != NULL;
    }
    if (frame->kind == BIDE_FRAME_READY)
        return bide_frame_read_ready(frame, &code, &text);
    if (frame->kind == BIDE_FRAME_LOG)
        return bide_frame_relay_log(frame);
    bool read = bide_frame_read_answer(frame, &outcome, &run);
    bide_run_release(&run);
    return read;
}

/* A copy of its own, so that a sanitizer sees each byte read too far. */
static bool read_copy(const struct bide_frame *frame, size_t size, size_t flip)
{
    char *copy = malloc(size ? size : 1);
    assert_non_null(copy);
    memcpy(copy, frame->bytes, size);
    if (flip < size)
        copy[flip] = (char)~copy[flip];
    const bool read = read_frame(&(struct bide_frame){frame->kind, copy, size});
    free(copy);
    return read;
}

static void swallow(void *user, bide_log_level level, const char *text, const bide_log_field *fields)
{
    (void)user, (void)level, (void)text, (void)fields;
}

static void damage_is_refused(void **state)
{
    struct bide_message *message = new_message();
    (void)state;
    bide_log_set_sink(swallow, NULL);
    for (enum bide_frame_kind kind = BIDE_FRAME_RUN; kind <= BIDE_FRAME_ANSWER; kind++) {
        struct bide_buffer buffer;
        struct bide_frame frame;
        size_t offset = 0;
        bide_buffer_init(&buffer);
        add_frame(&buffer, kind, message);
        assert_int_equal(bide_frame_next(buffer.bytes, buffer.size, &offset, &frame), BIDE_FRAME_WHOLE);
        assert_int_equal(frame.kind, kind);
        assert_true(read_copy(&frame, frame.size, SIZE_MAX));
        for (size_t size = 0; size < frame.size; size++)
            assert_false(read_copy(&frame, size, SIZE_MAX));
        for (size_t i = 0; i < frame.size; i++)
            read_copy(&frame, frame.size, i); /* whatever it says: no fault */
        bide_buffer_release(&buffer);
    }
    bide_log_set_sink(NULL, NULL);
    bide_message_destroy(message);
}

static void frames_come_in_pieces(void **state)
{
    struct bide_message *message = new_message();
    struct bide_buffer buffer;
    struct bide_frame frame;
    size_t offset = 0;
    (void)state;
    bide_buffer_init(&buffer);
    add_frame(&buffer, BIDE_FRAME_RUN, message);
    size_t first = buffer.size;
    add_frame(&buffer, BIDE_FRAME_READY, message);
    for (size_t size = 0; size < first; size++) {
        assert_int_equal(bide_frame_next(buffer.bytes, size, &offset, &frame), BIDE_FRAME_NONE);
        assert_true(bide_frame_lacks(buffer.bytes, size) > 0);
        assert_true(size + bide_frame_lacks(buffer.bytes, size) <= first);
    }
    assert_int_equal(bide_frame_lacks(buffer.bytes, first), 0);
    assert_int_equal(bide_frame_next(buffer.bytes, buffer.size, &offset, &frame), BIDE_FRAME_WHOLE);
    assert_int_equal(offset, first);
    assert_int_equal(bide_frame_next(buffer.bytes, buffer.size, &offset, &frame), BIDE_FRAME_WHOLE);
    assert_int_equal(frame.kind, BIDE_FRAME_READY);
    assert_int_equal(offset, buffer.size);
    bide_buffer_release(&buffer);
    bide_message_destroy(message);
}

static void heads_that_are_none(void **state)
{
    static const struct bide_frame_head heads[] = {{0, 0}, {99, 0}, {BIDE_FRAME_LOG, UINT32_MAX}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        struct bide_frame frame;
        size_t offset = 0;
        assert_int_equal(
            bide_frame_next((const char *)&heads[i], sizeof heads[i], &offset, &frame), BIDE_FRAME_BROKEN);
        assert_int_equal(bide_frame_lacks((const char *)&heads[i], sizeof heads[i]), 0);
    }
}

/* The i-th way to be what no broker should get: names, and times that overflow. */
static struct bide_message spoilt(const struct bide_message *message, int i)
{
    struct bide_message bad = *message;
    const char **const names[] = {&bad.id, &bad.type, &bad.queue};
    int64_t *const times[] = {&bad.due_ms, &bad.sent_ms, &bad.expires_ms};
    if (i < 3)
        *names[i] = i == 0 ? "" : "no name";
    else
        *times[i % 3] = i < 6 ? -1 : INT64_MAX / 1000 + 1;
    return bad;
}

static void sends_must_be_sendable(void **state)
{
    struct bide_message *message = new_message();
    (void)state;
    for (int i = 0; i < 9; i++) {
        struct bide_message bad = spoilt(message, i);
        struct bide_buffer buffer;
        struct bide_frame frame;
        size_t offset = 0;
        bide_buffer_init(&buffer);
        add_answer(&buffer, &bad);
        assert_int_equal(bide_frame_next(buffer.bytes, buffer.size, &offset, &frame), BIDE_FRAME_WHOLE);
        assert_false(read_frame(&frame));
        bide_buffer_release(&buffer);
    }
    bide_message_destroy(message);
}

/* To a queue, to a topic, to a subscription alone. */
static void what_a_handler_may_send_passes(void **state)
{
    static const char *const queues[] = {"default", "@logs", "geo@logs"};
    struct bide_message *message = new_message();
    (void)state;
    for (size_t i = 0; i < COUNT_OF(queues); i++) {
        struct bide_buffer buffer;
        struct bide_frame frame;
        size_t offset = 0;
        assert_int_equal(bide_message_set_queue(message, queues[i], NULL), BIDE_OK);
        bide_buffer_init(&buffer);
        add_answer(&buffer, message);
        assert_int_equal(bide_frame_next(buffer.bytes, buffer.size, &offset, &frame), BIDE_FRAME_WHOLE);
        assert_true(read_frame(&frame));
        bide_buffer_release(&buffer);
    }
    bide_message_destroy(message);
}

static bool read_with_little_memory(void *user)
{
    const struct bide_frame *frame = user;
    struct bide_run run = {0};
    bide_outcome outcome;
    bool read = bide_frame_read_answer(frame, &outcome, &run);
    bool whole = read && run.error;
    bide_run_release(&run);
    return whole;
}

static void no_memory_for_an_answer(void **state)
{
    struct bide_message *message = new_message();
    struct bide_buffer buffer;
    struct bide_frame frame;
    size_t offset = 0;
    (void)state;
    bide_buffer_init(&buffer);
    add_answer(&buffer, message);
    assert_int_equal(bide_frame_next(buffer.bytes, buffer.size, &offset, &frame), BIDE_FRAME_WHOLE);
    assert_true(fail_each_allocation(read_with_little_memory, &frame) >= 4);
    bide_buffer_release(&buffer);
    bide_message_destroy(message);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(damage_is_refused),
    cmocka_unit_test(frames_come_in_pieces),
    cmocka_unit_test(heads_that_are_none),
    cmocka_unit_test(sends_must_be_sendable),
    cmocka_unit_test(what_a_handler_may_send_passes),
    cmocka_unit_test(no_memory_for_an_answer),
};

UNIT_MAIN(tests)
