/* What a message looks like in each broker, byte for byte as the version before the table of fields
 * (message/fields.h) wrote it: workers of both versions share a broker during an upgrade. Who changes one of
 * these texts breaks that. */
#include "broker/rabbitmq/envelope/envelope.h"
#include "broker/redis/wire.h"
#include "sqlite_place.h"
#include "support/test.h"

#define ID "0193c1a2-7c00-7abc-8def-0123456789ab"
#define FAILURES "[{\"attempt\":1}]"

static struct bide_header headers[] = {{"tenant", "blue"}, {"CC", "a\tb\\c\nd"}};

/* What happened to it. */
enum stage { NEW, RETRIED, DEAD, STAGES };

static struct bide_message message_at(enum stage stage)
{
    struct bide_message message = {.id = ID,
        .type = "mail",
        .queue = "post",
        .content_type = "text/plain",
        .error = "",
        .failures = "",
        .body = "hello",
        .body_size = 5,
        .headers = headers,
        .n_headers = 2,
        .due_ms = stage == RETRIED ? 1734000120000 : 1734000060123,
        .sent_ms = 1734000000001,
        .expires_ms = 1734003600000,
        .attempt = 1};
    if (stage != NEW)
        message.failures = FAILURES;
#define FILL(member, ...)                                                                                    \
    if (!message.member)                                                                                     \
        message.member = "";
    BIDE_FIELDS(BIDE_FIELD_NONE, FILL) /* those that are newer than these formats */
    return message;
}

/* ---- RabbitMQ ---- */

#define PIN(bytes)                                                                                           \
    {                                                                                                        \
        bytes, sizeof(bytes) - 1                                                                             \
    }
static const struct bide_slice amqp[STAGES] = {
    [NEW] = PIN("\260\340\012text/plain\000\000\000c\010bide-duel\000\000\001\223\272u&\333\011bide-sentl"
                "\000\000\001\223\272t<\001\014bide-expiresl\000\000\001\223\272\253*\200\006tenantS\000"
                "\000\000\004blue\013bide-app-CCS\000\000\000\007a\011b\134c\012d\002$0193c1a2-7c00-7abc-"
                "8def-0123456789ab\000\000\000\000gZ\275\200\004mail"),
    [RETRIED] = PIN("\260\340\012text/plain\000\000\000\307\010bide-duel\000\000\001\223\272v\020\300\011bide"
                    "-sentl\000\000\001\223\272t<\001\014bide-expiresl\000\000\001\223\272\253*\200\014bide-a"
                    "ttemptl\000\000\000\000\000\000\000\002\012bide-queueS\000\000\000\004post\012bide-error"
                    "S\000\000\000\010no route\015bide-failuresS\000\000\000\017[{\042attempt\042:1}]\006tena"
                    "ntS\000\000\000\004blue\013bide-app-CCS\000\000\000\007a\011b\134c\012d\002$0193c1a2-7c0"
                    "0-7abc-8def-0123456789ab\000\000\000\000gZ\275\200\004mail"),
    [DEAD] = PIN("\260\340\012text/plain\000\000\001\007\010bide-duel\000\000\001\223\272u&\333\011bide-se"
                 "ntl\000\000\001\223\272t<\001\014bide-expiresl\000\000\001\223\272\253*\200\015bide-atte"
                 "mptsl\000\000\000\000\000\000\000\003\011bide-diedl\000\000\001\223\272wI@\010bide-cutl"
                 "\000\000\000\000\000\001\021p\012bide-queueS\000\000\000\004post\012bide-errorS\000\000"
                 "\000\010no route\015bide-failuresS\000\000\000\017[{\042attempt\042:1}]\013bide-reasonS"
                 "\000\000\000\011exhausted\006tenantS\000\000\000\004blue\013bide-app-CCS\000\000\000\007"
                 "a\011b\134c\012d\002$0193c1a2-7c00-7abc-8def-0123456789ab\000\000\000\000gZ\275\200\004m"
                 "ail"),
};

static struct bide_message amqp_message(enum stage stage)
{
    struct bide_message message = message_at(stage);
    message.attempt = (const int[]){1, 2, 3}[stage];
    message.error = stage == NEW ? "" : "no route";
    return message;
}

static void amqp_is_written_as_ever(void **state)
{
    (void)state;
    const struct bide_rmq_death death = {
        .died_ms = 1734000200000, .cut = 70000, .reason = {"exhausted", strlen("exhausted")}};
    struct bide_rmq_draft draft;
    char bytes[4096];
    bide_rmq_draft_init(&draft);
    for (enum stage stage = NEW; stage < STAGES; stage++) {
        struct bide_message message = amqp_message(stage);
        assert_true(stage == NEW ? bide_rmq_draft_new(&draft, &message, NULL)
                                 : bide_rmq_draft_again(
                                       &draft, amqp[NEW], &message, stage == DEAD ? &death : NULL, false));
        int size =
            amqp_encode_properties(AMQP_BASIC_CLASS, &draft.properties, (amqp_bytes_t){sizeof bytes, bytes});
        assert_int_equal(size, amqp[stage].size);
        assert_memory_equal(bytes, amqp[stage].bytes, (size_t)size);
    }
    bide_rmq_draft_release(&draft);
}

static void expect_same(
    const struct bide_message_parts *parts, const struct bide_message *wanted, unsigned without)
{
    struct bide_message *got = bide_message_from_parts(parts);
    assert_non_null(got);
    for (size_t i = 0; i < BIDE_N_FIELDS; i++) {
        const struct bide_field *field = &bide_fields[i];
        if (without & 1u << i)
            continue;
        if (field->kind == BIDE_KIND_TEXT)
            assert_string_equal(bide_field_text(got, field), bide_field_text(wanted, field));
        else
            assert_int_equal(bide_field_number(got, field), bide_field_number(wanted, field));
    }
    assert_int_equal(got->n_headers, 2);
    for (size_t i = 0; i < 2; i++)
        assert_string_equal(bide_message_header(got, headers[i].name), headers[i].value);
    bide_message_destroy(got);
}

static void amqp_is_read_as_ever(void **state)
{
    (void)state;
    struct bide_rmq_scratch scratch;
    bide_buffer_init(&scratch.text);
    for (enum stage stage = NEW; stage < STAGES; stage++) {
        struct bide_message_parts parts;
        struct bide_rmq_death death;
        amqp_pool_t pool;
        void *decoded = NULL;
        struct bide_message wanted = amqp_message(stage);
        init_amqp_pool(&pool, 4096);
        assert_true(amqp_decode_properties(AMQP_BASIC_CLASS, &pool,
                        bide_rmq_bytes(amqp[stage].bytes, amqp[stage].size), &decoded) >= 0);
        assert_null(bide_rmq_read(decoded, bide_clock_system(), &scratch, &parts, &death));
        if (stage == NEW)
            wanted.queue = ""; /* where it lies says it */
        if (stage == DEAD)
            wanted.attempt = 1; /* its own header counts the runs */
        expect_same(&parts, &wanted, 0);
        assert_int_equal(death.attempts, stage == DEAD ? 3 : 0);
        assert_int_equal(death.died_ms, stage == DEAD ? 1734000200000 : 0);
        assert_int_equal(death.cut, stage == DEAD ? 70000 : 0);
        assert_int_equal(death.reason.size, stage == DEAD ? strlen("exhausted") : 0);
        empty_amqp_pool(&pool);
    }
    bide_buffer_release(&scratch.text);
}

/* ---- Redis ---- */

static const char *const redis[STAGES] = {
    [NEW] = "id 0193c1a2-7c00-7abc-8def-0123456789ab\n"
            "type mail\n"
            "due 1734000060123\n"
            "sent 1734000000001\n"
            "content-type text/plain\n"
            "expires 1734003600000\n"
            "h tenant\tblue\n"
            "h CC\ta\\tb\\\\c\\nd\n"
            "\n",
    [RETRIED] = "id 0193c1a2-7c00-7abc-8def-0123456789ab\n"
                "type mail\n"
                "due 1734000120000\n"
                "sent 1734000000001\n"
                "attempt 2\n"
                "content-type text/plain\n"
                "expires 1734003600000\n"
                "error no\\troute\n"
                "failures [{\"attempt\":1}]\n"
                "h tenant\tblue\n"
                "h CC\ta\\tb\\\\c\\nd\n"
                "\n",
    [DEAD] = "id 0193c1a2-7c00-7abc-8def-0123456789ab\n"
             "type mail\n"
             "due 1734000060123\n"
             "sent 1734000000001\n"
             "attempt 0\n"
             "content-type text/plain\n"
             "expires 1734003600000\n"
             "error no\\troute\n"
             "failures [{\"attempt\":1}]\n"
             "queue post\n"
             "reason exhausted\n"
             "died 1734000200000\n"
             "h tenant\tblue\n"
             "h CC\ta\\tb\\\\c\\nd\n"
             "\n",
};

static struct bide_message redis_message(enum stage stage)
{
    struct bide_message message = message_at(stage);
    message.attempt = (const int[]){1, 2, 0}[stage];
    message.error = stage == NEW ? "" : "no\troute";
    return message;
}

static void redis_is_written_as_ever(void **state)
{
    (void)state;
    for (enum stage stage = NEW; stage < STAGES; stage++) {
        struct bide_message message = redis_message(stage);
        const struct bide_dead_letter letter = {&message, BIDE_REASON_EXHAUSTED, 1734000200000};
        struct bide_buffer text;
        bide_buffer_init(&text);
        bide_redis_wire_write(&text, &message, stage == DEAD ? &letter : NULL);
        bide_buffer_char(&text, '\0');
        assert_false(text.failed);
        assert_string_equal(text.bytes, redis[stage]);
        bide_buffer_release(&text);
    }
}

static void redis_is_read_as_ever(void **state)
{
    (void)state;
    for (enum stage stage = NEW; stage < STAGES; stage++) {
        char text[1024];
        struct bide_redis_wire wire;
        struct bide_message wanted = redis_message(stage);
        memcpy(text, redis[stage], strlen(redis[stage]) + 1);
        bide_redis_wire_init(&wire);
        bide_redis_wire_read(&wire, text, strlen(redis[stage]));
        assert_null(wire.defect);
        if (stage != DEAD)
            wanted.queue = ""; /* the key says it */
        expect_same(&wire.parts, &wanted, stage == DEAD ? 1u << BIDE_FIELD_attempt : 0);
        assert_int_equal(wire.parts.attempt, wanted.attempt);
        assert_int_equal(wire.reason, stage == DEAD ? BIDE_REASON_EXHAUSTED : BIDE_REASON_NONE);
        assert_int_equal(wire.died_ms, stage == DEAD ? 1734000200000 : 0);
    }
}

/* ---- SQLite ---- */

#define MESSAGE_COLUMNS                                                                                      \
    "id, type, queue, due_ms, attempt, sent_ms, expires_ms, content_type, headers, error, body"
#define DEAD_COLUMNS                                                                                         \
    "id, type, queue, reason, error, attempts, due_ms, sent_ms, expires_ms, content_type, headers, body"
#define CONSTANT                                                                                             \
    "1734000000001, 1734003600000, 'text/plain', '{\"tenant\":\"blue\",\"CC\":\"a\\tb\\\\c\\nd\"}'"

/* A file as the version before made it: two messages, one of them retried, and a dead letter. */
static const char before[] =
    "PRAGMA journal_mode = WAL;"
    "CREATE TABLE \"bide_message\"(seq INTEGER PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, queue TEXT "
    "NOT NULL, due_ms INTEGER NOT NULL, attempt INTEGER NOT NULL DEFAULT 1, sent_ms INTEGER, expires_ms "
    "INTEGER, content_type TEXT, headers TEXT, error TEXT, body BLOB);"
    "CREATE TABLE \"bide_waiting\"(queue TEXT NOT NULL, due_ms INTEGER NOT NULL, seq INTEGER NOT NULL, "
    "PRIMARY KEY(queue, due_ms, seq)) WITHOUT ROWID;"
    "CREATE TABLE \"bide_claim\"(seq INTEGER PRIMARY KEY, worker INTEGER NOT NULL);"
    "CREATE TABLE \"bide_worker\"(number INTEGER PRIMARY KEY, name TEXT NOT NULL, host TEXT NOT NULL, pid "
    "INTEGER NOT NULL, started_ms INTEGER NOT NULL);"
    "CREATE TABLE \"bide_dead\"(seq INTEGER PRIMARY KEY, id TEXT NOT NULL, type TEXT NOT NULL, queue TEXT "
    "NOT NULL, reason TEXT NOT NULL, error TEXT, attempts INTEGER NOT NULL, died_ms INTEGER NOT NULL, due_ms "
    "INTEGER, sent_ms INTEGER, expires_ms INTEGER, content_type TEXT, headers TEXT, body BLOB);"
    "CREATE INDEX \"bide_dead_id\" ON \"bide_dead\"(id); CREATE INDEX \"bide_dead_queue\" ON "
    "\"bide_dead\"(queue);"
    "CREATE INDEX \"bide_dead_type\" ON \"bide_dead\"(type); CREATE INDEX \"bide_dead_reason\" ON "
    "\"bide_dead\"(reason);"
    "CREATE TABLE \"bide_count\"(queue TEXT PRIMARY KEY, waiting INTEGER NOT NULL, ready INTEGER NOT NULL, "
    "due_ms INTEGER NOT NULL, seq INTEGER NOT NULL, dead INTEGER NOT NULL) WITHOUT ROWID;"
    "PRAGMA user_version = 2; PRAGMA application_id = 1651074149;";
static const char rows_before[] =
    "INSERT INTO bide_message(" MESSAGE_COLUMNS ") VALUES"
    "('" ID "', 'mail', 'default', 1734000060123, 1, " CONSTANT ", NULL, X'68656C6C6F'),"
    "('retried', 'mail', 'default', 1734000120000, 2, " CONSTANT ", 'no route' || char(30) || '" FAILURES
    "', X'68656C6C6F');"
    "INSERT INTO bide_waiting SELECT queue, due_ms, seq FROM bide_message;"
    "INSERT INTO bide_dead(died_ms, " DEAD_COLUMNS ") VALUES"
    "(1734000200000, 'dead', 'mail', 'default', 'exhausted', 'no route' || char(30) || '" FAILURES
    "', 3, 1734000060123, " CONSTANT ", X'68656C6C6F')";

static void settle_as(
    struct bide_receiver *receiver, struct bide_delivery *delivery, enum bide_verdict verdict, int attempt)
{
    settle(receiver, (struct bide_settlement){.delivery = delivery,
                         .verdict = verdict,
                         .reason = verdict == BIDE_VERDICT_DEAD ? BIDE_REASON_EXHAUSTED : BIDE_REASON_NONE,
                         .attempt = attempt,
                         .due_ms = 1734000120000,
                         .error = bide_strdup("no route"),
                         .failures = bide_strdup(FAILURES)});
    flush(receiver);
}

static void send_message(const struct place *place, const char *id)
{
    struct bide_message message = message_at(NEW), *sent = &message;
    enum bide_sent result = BIDE_SENT_UNKNOWN;
    bide_error error;
    struct bide_sender *sender = open_sender(place);
    message.id = id;
    message.queue = "default";
    assert_ok(bide_sender_send(sender, &sent, 1, &result, &error), &error);
    bide_sender_destroy(sender);
}

/* What the version before reads, and what it writes where nothing failed, is in its columns as ever. The
 * failures, which it put behind the error, have a column that it does not look at. */
static void sqlite_is_written_as_ever(void **state)
{
    const struct place *place = *state;
    send_message(place, ID);
    assert_int_equal(
        ask(place, "SELECT count(*) FROM bide_message WHERE (" MESSAGE_COLUMNS ", failures) IS ('" ID
                   "', 'mail', 'default', 1734000060123, 1, " CONSTANT ", NULL, X'68656C6C6F', NULL)"),
        1);
    struct bide_receiver *receiver = open_receiver(place);
    settle_as(receiver, take_one(receiver, SOON_MS), BIDE_VERDICT_RETRY, 2);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message WHERE (" MESSAGE_COLUMNS
                                ", failures) IS ('" ID "', 'mail', 'default', 1734000120000, 2, " CONSTANT
                                ", 'no route', X'68656C6C6F', '" FAILURES "')"),
        1);
    settle_as(receiver, take_one(receiver, SOON_MS), BIDE_VERDICT_DEAD, 3);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_dead WHERE (" DEAD_COLUMNS ", failures) IS ('" ID
                                "', 'mail', 'default', 'exhausted', 'no route', 3, 1734000120000, " CONSTANT
                                ", X'68656C6C6F', '" FAILURES "')"),
        1);
    bide_receiver_destroy(receiver);
}

static void sqlite_is_read_as_ever(void **state)
{
    const struct place *place = *state;
    meddle(place, before);
    meddle(place, rows_before);
    struct bide_receiver *receiver = open_receiver(place);
    struct bide_delivery *first = take_one(receiver, SOON_MS), *second = take_one(receiver, SOON_MS);
    assert_int_equal(ask(place, "PRAGMA user_version"), 2); /* a worker of that version goes on beside us */
    assert_string_equal(first->message->id, ID);
    assert_string_equal(first->message->failures, "");
    assert_string_equal(second->message->error, "no route");
    assert_string_equal(second->message->failures, FAILURES);
    assert_int_equal(second->message->attempt, 2);
    ack(receiver, first);
    ack(receiver, second);
    bide_receiver_destroy(receiver);
}

static bool is_the_dead_one(void *user, const struct bide_dead_letter *letter)
{
    ++*(int *)user;
    assert_string_equal(letter->message->error, "no route");
    assert_string_equal(letter->message->failures, FAILURES);
    assert_int_equal(letter->message->attempt, 3);
    return true;
}

static void sqlite_dead_letters_are_read_as_ever(void **state)
{
    const struct place *place = *state;
    struct bide_admin *admin;
    bide_error error;
    int n = 0;
    meddle(place, before);
    meddle(place, rows_before);
    assert_ok(bide_sqlite_open_admin(&place->options, &admin, &error), &error);
    const struct bide_dead_filter filter = {.search = "NO ROUTE"};
    assert_ok(admin->ops->dead_each(admin, &filter, is_the_dead_one, &n, &error), &error);
    assert_int_equal(n, 1);
    bide_admin_destroy(admin);
}

/* A worker of the version before retries what this one retried before: what it says is the newer. */
static void sqlite_is_shared_with_the_version_before(void **state)
{
    const struct place *place = *state;
    send_message(place, ID);
    struct bide_receiver *receiver = open_receiver(place);
    settle_as(receiver, take_one(receiver, SOON_MS), BIDE_VERDICT_RETRY, 2);
    bide_receiver_destroy(receiver);
    meddle(place, "UPDATE bide_message SET queue = 'default', attempt = 3, error = "
                  "coalesce('later' || char(30) || '[{\"attempt\":2}]', error)");
    receiver = open_receiver(place);
    struct bide_delivery *delivery = take_one(receiver, SOON_MS);
    assert_string_equal(delivery->message->error, "later");
    assert_string_equal(delivery->message->failures, "[{\"attempt\":2}]");
    settle_as(receiver, delivery, BIDE_VERDICT_RETRY, 4);
    assert_int_equal(
        ask(place,
            "SELECT count(*) FROM bide_message WHERE (error, failures) IS ('no route', '" FAILURES "')"),
        1);
    bide_receiver_destroy(receiver);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(amqp_is_written_as_ever),
        cmocka_unit_test(amqp_is_read_as_ever),
        cmocka_unit_test(redis_is_written_as_ever),
        cmocka_unit_test(redis_is_read_as_ever),
        cmocka_unit_test_setup_teardown(sqlite_is_written_as_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(sqlite_is_read_as_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(sqlite_dead_letters_are_read_as_ever, setup, teardown),
        cmocka_unit_test_setup_teardown(sqlite_is_shared_with_the_version_before, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
