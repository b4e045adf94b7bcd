/* The message: setters and their limits, stamping, copies, and no memory at each step. */
#include "unit/unit.h"

#include <stdlib.h>

#include "message/message.h"
#include "support/fake_clock.h"

#define NOW_MS INT64_C(1800000000000)

static struct bide_message *new_message(void)
{
    struct bide_message *message = NULL;
    bide_error error;
    assert_ok(bide_message_create("receipt", &message, &error), &error);
    return message;
}

static void begins_empty(void **state)
{
    (void)state;
    struct bide_message *message = new_message();
    size_t size = 77;
    assert_string_equal(bide_message_type(message), "receipt");
    assert_string_equal(bide_message_id(message), "");
    assert_string_equal(bide_message_queue(message), "");
    assert_string_equal(bide_message_content_type(message), "");
    assert_string_equal(bide_message_error(message), "");
    assert_string_equal(bide_message_body(message, &size), "");
    assert_int_equal(size, 0);
    assert_string_equal(bide_message_body(message, NULL), "");
    assert_int_equal(bide_message_header_count(message), 0);
    assert_null(bide_message_header_name(message, 0));
    assert_null(bide_message_header_value(message, 0));
    assert_null(bide_message_header(message, "x"));
    assert_int_equal(bide_message_due_ms(message), 0);
    assert_int_equal(bide_message_sent_ms(message), 0);
    assert_int_equal(bide_message_expires_ms(message), 0);
    assert_int_equal(bide_message_attempt(message), 1);
    bide_message_destroy(message);
    bide_message_destroy(NULL);
}

static void keeps_what_it_is_given(void **state)
{
    (void)state;
    struct bide_message *message = new_message();
    bide_error error;
    char text[] = "changed later";
    size_t size;
    assert_ok(bide_message_set_id(message, text, &error), &error);
    assert_ok(bide_message_set_queue(message, "mail.out", &error), &error);
    assert_ok(bide_message_set_content_type(message, "application/json", &error), &error);
    assert_ok(bide_message_set_body(message, "a\0b", 3, &error), &error);
    assert_ok(bide_message_set_header(message, "one", text, &error), &error);
    assert_ok(bide_message_set_header(message, "two", "", &error), &error);
    assert_ok(bide_message_set_header(message, "one", "again", &error), &error);
    memset(text, '!', sizeof text - 1);
    assert_string_equal(bide_message_id(message), "changed later");
    assert_string_equal(bide_message_queue(message), "mail.out");
    assert_string_equal(bide_message_content_type(message), "application/json");
    assert_memory_equal(bide_message_body(message, &size), "a\0b\0", 4);
    assert_int_equal(size, 3);
    assert_int_equal(bide_message_header_count(message), 2);
    assert_string_equal(bide_message_header_name(message, 0), "one");
    assert_string_equal(bide_message_header_value(message, 0), "again");
    assert_string_equal(bide_message_header(message, "two"), "");
    assert_null(bide_message_header(message, "ONE"));
    /* from its own memory, and back to nothing */
    assert_ok(bide_message_set_body(message, bide_message_body(message, NULL), 2, &error), &error);
    assert_memory_equal(bide_message_body(message, &size), "a\0", 3);
    assert_ok(bide_message_set_body(message, NULL, 0, &error), &error);
    assert_string_equal(bide_message_body(message, &size), "");
    assert_ok(bide_message_set_content_type(message, "", &error), &error);
    assert_string_equal(bide_message_content_type(message), "");
    bide_message_destroy(message);
}

static char *text_of(size_t size)
{
    static char text[5000];
    memset(text, 't', size);
    text[size] = '\0';
    return text;
}

static void limits_of_names(void **state)
{
    (void)state;
    struct bide_message *message = new_message(), *other = NULL;
    bide_error error;
    assert_int_equal(bide_message_create("1x", &other, &error), BIDE_E_DATA);
    assert_int_equal(bide_message_create(text_of(BIDE_NAME_MAX + 1), &other, &error), BIDE_E_DATA);
    assert_null(other);
    assert_ok(bide_message_set_id(message, text_of(BIDE_ID_MAX), &error), &error);
    assert_int_equal(bide_message_set_id(message, text_of(BIDE_ID_MAX + 1), &error), BIDE_E_DATA);
    assert_int_equal(bide_message_set_id(message, "", &error), BIDE_E_DATA);
    assert_int_equal(bide_message_set_id(message, "a\nb", &error), BIDE_E_DATA);
    assert_int_equal(strlen(bide_message_id(message)), BIDE_ID_MAX);
    assert_int_equal(bide_message_set_queue(message, "hold.5s", &error), BIDE_E_DATA);
    assert_int_equal(bide_message_set_queue(message, "", &error), BIDE_E_DATA);
    assert_string_equal(bide_message_queue(message), "");
    assert_ok(bide_message_set_content_type(message, text_of(255), &error), &error);
    assert_int_equal(bide_message_set_content_type(message, text_of(256), &error), BIDE_E_DATA);
    assert_int_equal(bide_message_set_content_type(message, "a/b\r\nX: y", &error), BIDE_E_DATA);
    bide_message_destroy(message);
}

static void limits_of_headers(void **state)
{
    (void)state;
    struct bide_message *message = new_message();
    bide_error error;
    assert_int_equal(bide_message_set_header(message, "", "v", &error), BIDE_E_DATA);
    assert_int_equal(bide_message_set_header(message, text_of(256), "v", &error), BIDE_E_DATA);
    assert_int_equal(bide_message_set_header(message, "a\nb", "v", &error), BIDE_E_DATA);
    assert_int_equal(bide_message_set_header(message, "bide-due", "1", &error), BIDE_E_DATA);
    assert_int_equal(bide_message_set_header(message, "n", text_of(BIDE_HEADER_MAX), &error), BIDE_E_DATA);
    assert_int_equal(bide_message_header_count(message), 0);
    assert_ok(bide_message_set_header(message, "n", text_of(BIDE_HEADER_MAX - 1), &error), &error);
    for (int i = 1; i < BIDE_HEADERS_MAX; i++) {
        char name[8];
        snprintf(name, sizeof name, "h%d", i);
        assert_ok(bide_message_set_header(message, name, name, &error), &error);
    }
    assert_int_equal(bide_message_set_header(message, "more", "v", &error), BIDE_E_DATA);
    assert_ok(bide_message_set_header(message, "h63", "replaced", &error), &error);
    assert_int_equal(bide_message_header_count(message), BIDE_HEADERS_MAX);
    assert_string_equal(bide_message_header(message, "h1"), "h1");
    assert_string_equal(bide_message_header(message, "h63"), "replaced");
    bide_message_destroy(message);
}

static void limit_of_all_headers_together(void **state)
{
    (void)state;
    enum { N = BIDE_HEADERS_BYTES / BIDE_HEADER_MAX };
    struct bide_message *message = new_message();
    bide_error error;
    char name[8];
    for (int i = 0; i < N; i++) {
        snprintf(name, sizeof name, "h%02d", i);
        assert_ok(bide_message_set_header(message, name, text_of(BIDE_HEADER_MAX - 3), &error), &error);
    }
    assert_int_equal(bide_headers_bytes(message->headers, message->n_headers), BIDE_HEADERS_BYTES);
    assert_int_equal(bide_message_set_header(message, "n", "", &error), BIDE_E_DATA);
    assert_non_null(strstr(error.text, "65536"));
    assert_ok(bide_message_set_header(message, "h07", text_of(BIDE_HEADER_MAX - 5), &error), &error);
    assert_ok(bide_message_set_header(message, "n", "v", &error), &error);
    assert_int_equal(
        bide_message_set_header(message, "h07", text_of(BIDE_HEADER_MAX - 4), &error), BIDE_E_DATA);
    assert_int_equal(bide_message_header_count(message), N + 1);
    bide_message_destroy(message);
}

static void limits_of_times(void **state)
{
    (void)state;
    struct bide_message *message = new_message();
    bide_error error;
    assert_int_equal(bide_message_set_delay_ms(message, -1, &error), BIDE_E_DATA);
    assert_int_equal(bide_message_set_delay_ms(message, BIDE_DELAY_MAX_MS + 1, &error), BIDE_E_DATA);
    assert_ok(bide_message_set_delay_ms(message, BIDE_DELAY_MAX_MS, &error), &error);
    assert_int_equal(bide_message_set_due_ms(message, -1, &error), BIDE_E_DATA);
    assert_int_equal(bide_message_set_expires_after_ms(message, -1, &error), BIDE_E_DATA);
    assert_int_equal(bide_message_set_expires_after_ms(message, INT64_MAX, &error), BIDE_E_DATA);
    bide_message_destroy(message);
}

static void stamp_fills_what_is_open(void **state)
{
    (void)state;
    struct bide_message *message = new_message();
    struct fake_clock fake;
    bide_error error;
    char id[BIDE_ID_TEXT];
    fake_clock_init(&fake, NOW_MS);
    assert_ok(bide_message_set_delay_ms(message, 90000, &error), &error);
    assert_ok(bide_message_set_expires_after_ms(message, 1000, &error), &error);
    assert_ok(bide_message_stamp(message, "default", &fake.clock, &error), &error);
    snprintf(id, sizeof id, "%s", bide_message_id(message));
    for (int i = 0; i < 2; i++) { /* the second time, an hour later, nothing changes */
        assert_string_equal(bide_message_id(message), id);
        assert_string_equal(bide_message_queue(message), "default");
        assert_int_equal(bide_message_sent_ms(message), NOW_MS);
        assert_int_equal(bide_message_due_ms(message), NOW_MS + 90000);
        assert_int_equal(bide_message_expires_ms(message), NOW_MS + 91000);
        fake_clock_advance_ms(&fake, 3600000);
        assert_ok(bide_message_stamp(message, "other", &fake.clock, &error), &error);
    }
    /* a later due or expiry counts the expiry again */
    assert_ok(bide_message_set_due_ms(message, NOW_MS + 5000000, &error), &error);
    assert_ok(bide_message_stamp(message, "other", &fake.clock, &error), &error);
    assert_int_equal(bide_message_expires_ms(message), NOW_MS + 5001000);
    assert_ok(bide_message_set_expires_after_ms(message, 0, &error), &error);
    assert_ok(bide_message_stamp(message, "other", &fake.clock, &error), &error);
    assert_int_equal(bide_message_expires_ms(message), 0);
    bide_message_destroy(message);
}

static void stamp_of_due_times(void **state)
{
    (void)state;
    static const struct {
        int64_t delay_ms, due_ms, wanted_ms; /* delay -1: due is set; wanted 0: refused */
    } rows[] = {
        {0, 0, NOW_MS},
        {1, 0, NOW_MS + 1},
        {BIDE_DELAY_MAX_MS, 0, NOW_MS + BIDE_DELAY_MAX_MS},
        {-1, 0, NOW_MS},
        {-1, 5, 5},
        {-1, NOW_MS + BIDE_DELAY_MAX_MS, NOW_MS + BIDE_DELAY_MAX_MS},
        {-1, NOW_MS + BIDE_DELAY_MAX_MS + 1, 0},
        {-1, INT64_MAX, 0},
    };
    struct fake_clock fake;
    fake_clock_init(&fake, NOW_MS);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bide_message *message = new_message();
        bide_error error;
        if (rows[i].delay_ms >= 0)
            assert_ok(bide_message_set_delay_ms(message, rows[i].delay_ms, &error), &error);
        else
            assert_ok(bide_message_set_due_ms(message, rows[i].due_ms, &error), &error);
        bide_code code = bide_message_stamp(message, "default", &fake.clock, &error);
        assert_int_equal(code, rows[i].wanted_ms ? BIDE_OK : BIDE_E_DATA);
        if (code == BIDE_OK)
            assert_int_equal(bide_message_due_ms(message), rows[i].wanted_ms);
        else
            assert_int_equal(bide_message_sent_ms(message), 0);
        bide_message_destroy(message);
    }
}

static void stamp_refuses_a_bad_default_queue(void **state)
{
    (void)state;
    struct bide_message *message = new_message();
    assert_int_equal(bide_message_stamp(message, "a.dead", bide_clock_system(), NULL), BIDE_E_DATA);
    assert_string_equal(bide_message_queue(message), "");
    bide_message_destroy(message);
}

static struct bide_message_parts all_parts(void)
{
    static const struct bide_header headers[] = {{"a", "1"}, {"empty", ""}, {"bide-own", "kept"}};
    return (struct bide_message_parts){.id = {"id-and-more", 2},
        .type = {"receipt", 7},
        .queue = {"q", 1},
        .content_type = {"text/plain", 10},
        .error = {"it failed", 9},
        .failures = {"[]---", 2},
        .body = {"12345678\0bytes", 14},
        .headers = headers,
        .n_headers = COUNT_OF(headers),
        .due_ms = 1,
        .sent_ms = INT64_MAX,
        .expires_ms = 3,
        .attempt = 4};
}

static void assert_all_parts(const struct bide_message *message)
{
    size_t size;
    assert_string_equal(bide_message_id(message), "id");
    assert_string_equal(bide_message_type(message), "receipt");
    assert_string_equal(bide_message_queue(message), "q");
    assert_string_equal(bide_message_content_type(message), "text/plain");
    assert_string_equal(bide_message_error(message), "it failed");
    assert_string_equal(message->failures, "[]");
    assert_memory_equal(bide_message_body(message, &size), "12345678\0bytes\0", 15);
    assert_int_equal(size, 14);
    assert_int_equal(bide_message_header_count(message), 3);
    assert_string_equal(bide_message_header(message, "a"), "1");
    assert_string_equal(bide_message_header(message, "empty"), "");
    assert_string_equal(bide_message_header(message, "bide-own"), "kept");
    assert_int_equal(bide_message_due_ms(message), 1);
    assert_int_equal(bide_message_sent_ms(message), INT64_MAX);
    assert_int_equal(bide_message_expires_ms(message), 3);
    assert_int_equal(bide_message_attempt(message), 4);
}

static void from_parts(void **state)
{
    (void)state;
    struct bide_message_parts parts = all_parts();
    struct bide_message *message = bide_message_from_parts(&parts);
    assert_all_parts(message);
    bide_message_destroy(message);
    message = bide_message_from_parts(&(struct bide_message_parts){.attempt = -3});
    assert_string_equal(bide_message_body(message, NULL), "");
    assert_int_equal(bide_message_attempt(message), 1);
    bide_message_destroy(message);
}

/* Any sizes fit in the one allocation. */
static void from_parts_takes_one_allocation(void **state)
{
    (void)state;
    static const char bytes[100] = "";
    uint64_t random = 9;
    for (int i = 0; i < 3000; i++) {
        struct bide_slice slice[BIDE_N_FIELDS + 1];
        char names[3][40];
        struct bide_header headers[3];
        for (size_t j = 0; j < COUNT_OF(slice); j++)
            slice[j] = (struct bide_slice){bytes, next_random(&random) % sizeof bytes};
        for (size_t j = 0; j < COUNT_OF(headers); j++) {
            size_t size = next_random(&random) % sizeof names[j];
            memset(names[j], 'h', size);
            names[j][size] = '\0';
            headers[j] = (struct bide_header){names[j], names[j] + size / 2};
        }
        struct bide_message_parts parts = {
            .body = slice[BIDE_N_FIELDS], .headers = headers, .n_headers = next_random(&random) % 4};
        for (size_t j = 0; j < BIDE_N_FIELDS; j++)
            if (bide_fields[j].kind == BIDE_KIND_TEXT)
                *(struct bide_slice *)bide_field_part(&parts, &bide_fields[j]) = slice[j];
        struct alloc_count count = {0};
        bide_alloc_set_hook(count_allocation, &count);
        bide_message_destroy(bide_message_from_parts(&parts));
        bide_alloc_set_hook(NULL, NULL);
        assert_int_equal(count.asked, 1);
    }
}

static void foreign_times_do_not_overflow(void **state)
{
    (void)state;
    struct bide_message_parts parts = all_parts(); /* sent at INT64_MAX */
    struct bide_message *message = bide_message_from_parts(&parts);
    bide_error error;
    assert_ok(bide_message_set_delay_ms(message, BIDE_DELAY_MAX_MS, &error), &error);
    assert_int_equal(bide_message_stamp(message, "q", bide_clock_system(), &error), BIDE_E_DATA);
    bide_message_destroy(message);
    parts.sent_ms = INT64_MIN;
    parts.due_ms = INT64_MAX;
    message = bide_message_from_parts(&parts);
    assert_int_equal(bide_message_stamp(message, "q", bide_clock_system(), &error), BIDE_E_DATA);
    bide_message_destroy(message);
}

/* ---- no memory ---- */

static bool build(void *user)
{
    struct bide_message *message = NULL;
    bide_error error;
    const char *large = user;
    bide_code code = bide_message_create("receipt", &message, &error);
    if (code != BIDE_OK) {
        assert_int_equal(code, BIDE_E_NOMEM);
        assert_null(message);
        return false;
    }
    if ((code = bide_message_set_id(message, "first", &error)) == BIDE_OK &&
        (code = bide_message_set_body(message, large, 5000, &error)) == BIDE_OK &&
        (code = bide_message_set_header(message, "a", large + 1200, &error)) == BIDE_OK &&
        (code = bide_message_set_header(message, "b", large + 1300, &error)) == BIDE_OK &&
        (code = bide_message_set_header(message, "a", large + 1400, &error)) == BIDE_OK)
        code = bide_message_stamp(message, large + 4950, bide_clock_system(), &error);
    if (code != BIDE_OK)
        assert_int_equal(error.code, BIDE_E_NOMEM);
    bide_message_destroy(message);
    return code == BIDE_OK;
}

static void each_allocation_of_building_fails(void **state)
{
    (void)state;
    assert_true(fail_each_allocation(build, text_of(4999)) >= 5);
}

/* Each setter on a message whose arena is used up, with no memory to be had: nothing changes. */
static bide_code try_setter(struct bide_message *message, int which, const char *large, bide_error *error)
{
    switch (which) {
    case 0:
        return bide_message_set_id(message, large, error);
    case 1:
        return bide_message_set_queue(message, large + 200, error);
    case 2:
        return bide_message_set_content_type(message, large, error);
    case 3:
        return bide_message_set_body(message, large, 200, error);
    case 4:
        return bide_message_set_header(message, "a", large, error);
    case 5:
        return bide_message_set_header(message, "new", large, error);
    default:
        return BIDE_OK;
    }
}

static void setters_change_nothing_without_memory(void **state)
{
    (void)state;
    struct bide_message_parts parts = all_parts(); /* exactly as much room as it needs */
    struct bide_message *message = bide_message_from_parts(&parts);
    bide_error error;
    struct alloc_count count = {.fail_at = 1};
    int which = 0;
    char large[255];
    memset(large, 'n', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    bide_message_set_id(message, text_of(30), NULL); /* what was left by rounding up */
    bide_message_set_id(message, "id", NULL);
    while (bide_arena_alloc(&message->arena, 8) && message->arena.left) {
    }
    for (; which < 6; which++) {
        count = (struct alloc_count){.fail_at = 1};
        bide_alloc_set_hook(count_allocation, &count);
        bide_code code = try_setter(message, which, large, &error);
        bide_alloc_set_hook(NULL, NULL);
        assert_int_equal(code, BIDE_E_NOMEM);
        assert_int_equal(error.code, BIDE_E_NOMEM);
        assert_all_parts(message);
    }
    bide_message_destroy(message);
}

static bool from_parts_or_nothing(void *user)
{
    struct bide_message_parts parts = all_parts();
    struct bide_message *message = bide_message_from_parts(&parts);
    (void)user;
    bide_message_destroy(message);
    return message != NULL;
}

static void each_allocation_of_reading_fails(void **state)
{
    (void)state;
    assert_int_equal(fail_each_allocation(from_parts_or_nothing, NULL), 1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(begins_empty),
    cmocka_unit_test(keeps_what_it_is_given),
    cmocka_unit_test(limits_of_names),
    cmocka_unit_test(limits_of_headers),
    cmocka_unit_test(limit_of_all_headers_together),
    cmocka_unit_test(limits_of_times),
    cmocka_unit_test(stamp_fills_what_is_open),
    cmocka_unit_test(stamp_of_due_times),
    cmocka_unit_test(stamp_refuses_a_bad_default_queue),
    cmocka_unit_test(from_parts),
    cmocka_unit_test(from_parts_takes_one_allocation),
    cmocka_unit_test(foreign_times_do_not_overflow),
    cmocka_unit_test(each_allocation_of_building_fails),
    cmocka_unit_test(setters_change_nothing_without_memory),
    cmocka_unit_test(each_allocation_of_reading_fails),
};

UNIT_MAIN(tests)
