/* Messages as AMQP properties, there and back, and foreign ones. */
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "broker/rabbitmq/envelope/envelope.h"
#include "support/test.h"

struct ground {
    struct bide_rmq_draft draft;
    struct bide_rmq_scratch scratch;
    char encoded[65536];
    amqp_pool_t pool;
    struct bide_message_parts parts;
    struct bide_rmq_death death;
};

static int setup(void **state)
{
    static struct ground ground;
    bide_rmq_draft_init(&ground.draft);
    bide_buffer_init(&ground.scratch.text);
    init_amqp_pool(&ground.pool, 4096);
    *state = &ground;
    return 0;
}

static int teardown(void **state)
{
    struct ground *ground = *state;
    bide_rmq_draft_release(&ground->draft);
    bide_buffer_release(&ground->scratch.text);
    empty_amqp_pool(&ground->pool);
    return 0;
}

static struct bide_slice encode(struct ground *ground, amqp_basic_properties_t *properties)
{
    int size = amqp_encode_properties(
        AMQP_BASIC_CLASS, properties, (amqp_bytes_t){sizeof ground->encoded, ground->encoded});
    assert_true(size > 0);
    return (struct bide_slice){ground->encoded, (size_t)size};
}

static const amqp_basic_properties_t *decode(struct ground *ground, struct bide_slice raw)
{
    void *decoded = NULL;
    assert_true(amqp_decode_properties(
                    AMQP_BASIC_CLASS, &ground->pool, bide_rmq_bytes(raw.bytes, raw.size), &decoded) >= 0);
    return decoded;
}

static const char *read_back(struct ground *ground, const amqp_basic_properties_t *properties)
{
    return bide_rmq_read(properties, bide_clock_system(), &ground->scratch, &ground->parts, &ground->death);
}

static const amqp_table_entry_t *entry_of(const amqp_basic_properties_t *properties, const char *name)
{
    for (int i = 0; i < properties->headers.num_entries; i++)
        if (bide_rmq_bytes_are(properties->headers.entries[i].key, name))
            return &properties->headers.entries[i];
    return NULL;
}

static const char *header(const struct ground *ground, const char *name)
{
    for (size_t i = 0; i < ground->parts.n_headers; i++)
        if (strcmp(ground->parts.headers[i].name, name) == 0)
            return ground->parts.headers[i].value;
    return NULL;
}

static amqp_table_entry_t number(const char *key, uint8_t kind, int64_t value)
{
    return (amqp_table_entry_t){.key = bide_rmq_text(key), .value = {.kind = kind, .value.i64 = value}};
}

static amqp_table_entry_t text(const char *key, const char *value)
{
    return (amqp_table_entry_t){.key = bide_rmq_text(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bide_rmq_text(value)}};
}

/* Foreign properties with nothing but these headers. */
static amqp_basic_properties_t foreign(amqp_table_entry_t *entries, int n)
{
    return (amqp_basic_properties_t){._flags = AMQP_BASIC_HEADERS_FLAG, .headers = {n, entries}};
}

static void test_there_and_back(void **state)
{
    struct ground *ground = *state;
    struct bide_header headers[] = {{"tenant", "blue"}, {"x-death", "mine"}, {"CC", "all"}};
    struct bide_message message = {.id = "i1",
        .unique = "",
        .generation = "",
        .type = "mail",
        .queue = "q",
        .content_type = "text/plain",
        .error = "no",
        .failures = "[]",
        .headers = headers,
        .n_headers = 3,
        .due_ms = 1700000000123,
        .sent_ms = 1700000000001,
        .expires_ms = 1800000000000,
        .attempt = 3};
    assert_true(bide_rmq_draft_new(&ground->draft, &message, NULL));
    const amqp_basic_properties_t *got = decode(ground, encode(ground, &ground->draft.properties));
    assert_int_equal(got->delivery_mode, 2);
    assert_null(entry_of(got, "CC")); /* it would mean something to the broker */
    assert_null(read_back(ground, got));
    assert_memory_equal(ground->parts.id.bytes, "i1", 2);
    assert_int_equal(ground->parts.due_ms, message.due_ms);
    assert_int_equal(ground->parts.sent_ms, message.sent_ms);
    assert_int_equal(ground->parts.expires_ms, message.expires_ms);
    assert_int_equal(ground->parts.attempt, 3);
    assert_memory_equal(ground->parts.error.bytes, "no", 2);
    assert_memory_equal(ground->parts.failures.bytes, "[]", 2);
    assert_int_equal(ground->parts.n_headers, 3);
    assert_string_equal(header(ground, "tenant"), "blue");
    assert_string_equal(header(ground, "x-death"), "mine");
    assert_string_equal(header(ground, "CC"), "all");
}

static void test_foreign_with_nothing(void **state)
{
    struct ground *ground = *state;
    amqp_basic_properties_t properties = {0};
    int64_t before = bide_wall_ms(bide_clock_system());
    assert_null(read_back(ground, &properties));
    assert_int_equal(ground->parts.id.size, BIDE_ID_TEXT - 1);
    assert_int_equal(ground->parts.type.size, 0);
    assert_int_equal(ground->parts.attempt, 1);
    assert_int_equal(ground->parts.sent_ms, 0);
    assert_true(ground->parts.due_ms >= before);
}

/* Found by fuzz_amqp_properties: they ended as an empty id, and as a due time of their own. */
static void test_id_and_time_that_are_none(void **state)
{
    struct ground *ground = *state;
    int64_t now_ms = bide_wall_ms(bide_clock_system());
    amqp_table_entry_t entries[] = {number("bide-sent", AMQP_FIELD_KIND_I64, now_ms + 172800000)};
    amqp_basic_properties_t properties = foreign(entries, 1);
    properties._flags |= AMQP_BASIC_MESSAGE_ID_FLAG;
    properties.message_id = bide_rmq_bytes("\0id", 3);
    assert_null(read_back(ground, &properties));
    assert_int_equal(ground->parts.id.size, BIDE_ID_TEXT - 1);
    assert_int_equal(ground->parts.sent_ms, 0);
    assert_true(ground->parts.due_ms >= now_ms && ground->parts.due_ms <= now_ms + 60000);
}

static void test_every_kind_of_number(void **state)
{
    static const uint8_t kinds[] = {AMQP_FIELD_KIND_I8, AMQP_FIELD_KIND_U8, AMQP_FIELD_KIND_I16,
        AMQP_FIELD_KIND_U16, AMQP_FIELD_KIND_I32, AMQP_FIELD_KIND_U32, AMQP_FIELD_KIND_I64,
        AMQP_FIELD_KIND_U64};
    for (size_t i = 0; i < sizeof kinds; i++) {
        amqp_table_entry_t entries[] = {number("bide-attempt", kinds[i], 7), number("size", kinds[i], 42)};
        amqp_basic_properties_t properties = foreign(entries, 2);
        assert_null(read_back(*state, &properties));
        assert_int_equal(((struct ground *)*state)->parts.attempt, 7);
        assert_string_equal(header(*state, "size"), "42");
    }
}

/* Clients encode numbers as their language has them: Node's 90000.0 may come as a double. */
static void test_whole_numbers_of_every_kind(void **state)
{
    struct ground *ground = *state;
    const amqp_field_value_t good[] = {
        {.kind = AMQP_FIELD_KIND_F64, .value.f64 = 5e9},
        {.kind = AMQP_FIELD_KIND_F32, .value.f32 = 5e9F},
        {.kind = AMQP_FIELD_KIND_DECIMAL, .value.decimal = {0, 2000000000}},
        {.kind = AMQP_FIELD_KIND_DECIMAL, .value.decimal = {2, 50000}},
        {.kind = AMQP_FIELD_KIND_DECIMAL, .value.decimal = {200, 0}},
        {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bide_rmq_text("0005000000000")},
        {.kind = AMQP_FIELD_KIND_BYTES, .value.bytes = bide_rmq_text("7")},
    };
    const int64_t wanted[] = {5000000000, 5000000000, 2000000000, 500, 0, 5000000000, 7};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        amqp_table_entry_t entry = {.key = bide_rmq_text("bide-sent"), .value = good[i]};
        const amqp_basic_properties_t properties = {
            ._flags = AMQP_BASIC_HEADERS_FLAG, .headers = {1, &entry}};
        assert_null(read_back(ground, &properties));
        assert_int_equal(ground->parts.sent_ms, wanted[i]);
    }
}

static void test_no_whole_numbers(void **state)
{
    struct ground *ground = *state;
    const amqp_field_value_t bad[] = {
        {.kind = AMQP_FIELD_KIND_F64, .value.f64 = 0.5},
        {.kind = AMQP_FIELD_KIND_F64, .value.f64 = -1},
        {.kind = AMQP_FIELD_KIND_F64, .value.f64 = NAN},
        {.kind = AMQP_FIELD_KIND_F64, .value.f64 = INFINITY},
        {.kind = AMQP_FIELD_KIND_F64, .value.f64 = 1e300},
        {.kind = AMQP_FIELD_KIND_F32, .value.f32 = 1.5F},
        {.kind = AMQP_FIELD_KIND_DECIMAL, .value.decimal = {1, 55}},
        {.kind = AMQP_FIELD_KIND_DECIMAL, .value.decimal = {255, 1}},
        {.kind = AMQP_FIELD_KIND_DECIMAL, .value.decimal = {0, UINT32_MAX}}, /* -1 */
        {.kind = AMQP_FIELD_KIND_I8, .value.i8 = -1},
        {.kind = AMQP_FIELD_KIND_U64, .value.u64 = UINT64_MAX},
        {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bide_rmq_text("")},
        {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bide_rmq_text("12 ")},
        {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bide_rmq_text("-12")},
        {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = bide_rmq_text("99999999999999999999999")},
        {.kind = AMQP_FIELD_KIND_TIMESTAMP, .value.u64 = 1700000000},
        {.kind = AMQP_FIELD_KIND_VOID},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        amqp_table_entry_t entry = {.key = bide_rmq_text("bide-due"), .value = bad[i]};
        const amqp_basic_properties_t properties = {
            ._flags = AMQP_BASIC_HEADERS_FLAG, .headers = {1, &entry}};
        const char *malformed = read_back(ground, &properties);
        assert_non_null(malformed);
        assert_non_null(strstr(malformed, "bide-due"));
    }
}

/* The delay that `expiration` means, in ms, or what is malformed. Without `bide-due` if that is NULL. */
static const char *read_expiration(
    struct ground *ground, const char *expiration, amqp_table_entry_t *due, int64_t *ret_delay_ms)
{
    const amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_EXPIRATION_FLAG | (due ? AMQP_BASIC_HEADERS_FLAG : 0),
        .expiration = bide_rmq_text(expiration),
        .headers = {due != NULL, due}};
    int64_t before = bide_wall_ms(bide_clock_system());
    const char *malformed = bide_rmq_read_later(
        &properties, bide_clock_system(), &ground->scratch, &ground->parts, &ground->death);
    *ret_delay_ms = ground->parts.due_ms - before;
    return malformed;
}

static void test_expiration_is_a_delay(void **state)
{
    static const struct {
        const char *expiration;
        int64_t delay_ms; /* -1: malformed */
    } rows[] = {{"0", 0}, {"5000", 5000}, {"0007", 7}, {"4294967295", 4294967295}, {"", -1}, {"5s", -1},
        {"-5", -1}, {"1.5", -1}, {" 5", -1}, {"99999999999999", -1}, {"9999999999999999999999", -1}};
    struct ground *ground = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t delay_ms;
        const char *malformed = read_expiration(ground, rows[i].expiration, NULL, &delay_ms);
        assert_int_equal(malformed != NULL, rows[i].delay_ms < 0);
        if (!malformed)
            assert_between(delay_ms, rows[i].delay_ms, rows[i].delay_ms + 60000);
    }
}

/* bide-due is an instant and says it better; whoever reads a message that came to a work queue ignores
 * expiration. */
static void test_due_goes_before_expiration(void **state)
{
    struct ground *ground = *state;
    int64_t now = bide_wall_ms(bide_clock_system()), delay_ms;
    amqp_table_entry_t due = number("bide-due", AMQP_FIELD_KIND_I64, now + 777000);
    assert_null(read_expiration(ground, "5000", &due, &delay_ms));
    assert_int_equal(ground->parts.due_ms, now + 777000);
    const amqp_basic_properties_t properties = {
        ._flags = AMQP_BASIC_EXPIRATION_FLAG, .expiration = bide_rmq_text("60000000")};
    assert_null(read_back(ground, &properties));
    assert_between(ground->parts.due_ms, now, now + 60000);
}

static void test_malformed(void **state)
{
    int64_t now = bide_wall_ms(bide_clock_system());
    amqp_table_entry_t rows[] = {
        text("bide-due", "tomorrow"),
        number("bide-due", AMQP_FIELD_KIND_I64, -5),
        number("bide-due", AMQP_FIELD_KIND_I64, now * 1000), /* microseconds */
        number("bide-due", AMQP_FIELD_KIND_I64, now + 2 * BIDE_DELAY_MAX_MS),
        number("bide-due", AMQP_FIELD_KIND_BOOLEAN, 1),
        text("bide-attempt", "2x"),
        number("bide-error", AMQP_FIELD_KIND_I64, 1),
        number("bide-attempt", AMQP_FIELD_KIND_U64, -1),
    };
    struct ground *ground = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        amqp_basic_properties_t properties = foreign(&rows[i], 1);
        assert_non_null(read_back(ground, &properties));
        assert_between(ground->parts.due_ms, now - 1000, now + 60000);
        assert_int_equal(ground->parts.attempt, 1);
    }
}

static void test_again_leaves_out_what_harms(void **state)
{
    struct ground *ground = *state;
    amqp_table_entry_t inner[] = {text("deep", "er")};
    amqp_table_entry_t entries[] = {
        {.key = bide_rmq_text("x-death"), .value = {.kind = AMQP_FIELD_KIND_ARRAY}},
        text("x-first-death-queue", "a"), text("x-last-death-reason", "b"), text("CC", "c"), text("BCC", "d"),
        number("x-delivery-count", AMQP_FIELD_KIND_I64, 4), number("bide-due", AMQP_FIELD_KIND_I64, 1),
        text("tenant", "blue"), number("flag", AMQP_FIELD_KIND_BOOLEAN, 1),
        {.key = bide_rmq_text("table"), .value = {.kind = AMQP_FIELD_KIND_TABLE, .value.table = {1, inner}}}};
    amqp_basic_properties_t properties = foreign(entries, sizeof entries / sizeof entries[0]);
    properties._flags |= AMQP_BASIC_USER_ID_FLAG | AMQP_BASIC_EXPIRATION_FLAG | AMQP_BASIC_REPLY_TO_FLAG |
                         AMQP_BASIC_DELIVERY_MODE_FLAG;
    properties.user_id = bide_rmq_text("somebody");
    properties.expiration = bide_rmq_text("1");
    properties.reply_to = bide_rmq_text("back");
    properties.delivery_mode = 1;
    char copy[4096];
    struct bide_slice raw = encode(ground, &properties);
    memcpy(copy, raw.bytes, raw.size);
    raw.bytes = copy;
    struct bide_message *message = bide_message_from_parts(
        &(struct bide_message_parts){.id = {"the-id", 6}, .due_ms = 99, .attempt = 2});
    assert_non_null(message);
    assert_true(bide_rmq_draft_again(&ground->draft, raw, message, NULL, false));
    const amqp_basic_properties_t *got = decode(ground, encode(ground, &ground->draft.properties));
    static const char *const gone[] = {
        "x-death", "x-first-death-queue", "x-last-death-reason", "CC", "BCC", "x-delivery-count"};
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
        assert_null(entry_of(got, gone[i]));
    assert_int_equal(got->_flags & (AMQP_BASIC_USER_ID_FLAG | AMQP_BASIC_EXPIRATION_FLAG), 0);
    assert_int_equal(got->delivery_mode, 2);
    assert_true(bide_rmq_bytes_are(got->reply_to, "back"));
    assert_true(bide_rmq_bytes_are(got->message_id, "the-id"));
    assert_int_equal(entry_of(got, "bide-due")->value.value.i64, 99);
    assert_int_equal(entry_of(got, "bide-attempt")->value.value.i64, 2);
    assert_int_equal(entry_of(got, "flag")->value.kind, AMQP_FIELD_KIND_BOOLEAN);
    assert_true(bide_rmq_bytes_are(entry_of(got, "tenant")->value.value.bytes, "blue"));
    assert_int_equal(entry_of(got, "table")->value.value.table.num_entries, 1);
    bide_message_destroy(message);
}

/* Encodes what the draft has now, as a copy: encoding it again needs the memory. */
static struct bide_slice copied(struct ground *ground, char *to, amqp_basic_properties_t *properties)
{
    struct bide_slice raw = encode(ground, properties);
    memcpy(to, raw.bytes, raw.size);
    return (struct bide_slice){to, raw.size};
}

/* Held, held once more, and run: no holding queue sees the priority, and whoever consumes does. */
static void test_a_priority_is_a_header_while_held(void **state)
{
    struct ground *ground = *state;
    char memory[4096];
    amqp_basic_properties_t properties = foreign(NULL, 0);
    properties._flags |= AMQP_BASIC_PRIORITY_FLAG;
    properties.priority = 9;
    struct bide_message *message =
        bide_message_from_parts(&(struct bide_message_parts){.id = {"the-id", 6}, .due_ms = 99});
    assert_non_null(message);
    struct bide_slice raw = copied(ground, memory, &properties);
    for (int hold = 0; hold < 2; hold++) {
        assert_true(bide_rmq_draft_again(&ground->draft, raw, message, NULL, true));
        raw = copied(ground, memory, &ground->draft.properties);
        const amqp_basic_properties_t *held = decode(ground, raw);
        assert_false(held->_flags & AMQP_BASIC_PRIORITY_FLAG);
        assert_int_equal(entry_of(held, "bide-priority")->value.value.i64, 9);
    }
    assert_true(bide_rmq_draft_again(&ground->draft, raw, message, NULL, false));
    const amqp_basic_properties_t *got = decode(ground, encode(ground, &ground->draft.properties));
    assert_true(got->_flags & AMQP_BASIC_PRIORITY_FLAG);
    assert_int_equal(got->priority, 9);
    assert_null(entry_of(got, "bide-priority"));
    bide_message_destroy(message);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_there_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_foreign_with_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_id_and_time_that_are_none, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_kind_of_number, setup, teardown),
        cmocka_unit_test_setup_teardown(test_whole_numbers_of_every_kind, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_whole_numbers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_expiration_is_a_delay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_due_goes_before_expiration, setup, teardown),
        cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_again_leaves_out_what_harms, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_priority_is_a_header_while_held, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
