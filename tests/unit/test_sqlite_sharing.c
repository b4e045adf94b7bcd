/* The SQLite adapter among processes, its order, its contents and its cost. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "broker/sqlite/file.h"
#include "sqlite_place.h"
#include "support/fake_clock.h"

/* By the safety check alone nothing comes at once; a busy machine holds up some of the tries. */
enum { TRIES = 20 };

/* ---- several of us ---- */

/* A child that claims what there is and waits to be killed. */
static pid_t start_claimer(const struct place *place, int tell)
{
    pid_t child = fork();
    if (child != 0)
        return child;
    struct bide_receiver *receiver;
    struct bide_delivery *deliveries[BATCH];
    bide_error error;
    if (bide_sqlite_open_receiver(&place->options, &receiver, &error) != BIDE_OK)
        _exit(1);
    receiver->ops->limit(receiver, 0, BATCH);
    char n = (char)take(receiver, deliveries, 10, SOON_MS);
    if (write(tell, &n, 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

/* Ten messages of a killed process come to another one; whether at once. They are as before afterwards. */
static bool are_taken_over(const struct place *place)
{
    struct bide_delivery *deliveries[BATCH];
    char n = 0;
    int pipe_fds[2];
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    pid_t child = start_claimer(place, pipe_fds[1]);
    assert_int_equal(read(pipe_fds[0], &n, 1), 1);
    assert_int_equal(n, 10);
    struct bide_receiver *receiver = open_receiver(place);
    assert_int_equal(take(receiver, deliveries, 1, 100), 0); /* it lives: nothing for us */
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    size_t at_once = take(receiver, deliveries, 10, AT_ONCE_MS);
    assert_int_equal(at_once + take(receiver, deliveries + at_once, 10 - at_once, SOON_MS), 10);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_worker"), 1);
    forget_all(receiver, deliveries, 10);
    bide_receiver_destroy(receiver);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return at_once == 10;
}

static void test_taken_over_from_the_killed(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    char id[16];
    for (int i = 0; i < 10; i++) {
        snprintf(id, sizeof id, "m%d", i);
        send_ok(sender, id, 0);
    }
    bide_sender_destroy(sender);
    bool at_once = false;
    for (int i = 0; i < TRIES && !at_once; i++)
        at_once = are_taken_over(place);
    assert_true(at_once);
}

/* What one had in hand comes to the other when the one is gone; whether at once. */
static bool is_handed_over(const struct place *place, struct bide_sender *sender, int64_t quiet_ms)
{
    struct bide_receiver *one = open_receiver(place), *other = open_receiver(place);
    send_ok(sender, "m", 0);
    struct bide_delivery *delivery = take_one(one, SOON_MS), *none;
    assert_int_equal(take(other, &none, 1, quiet_ms), 0);
    one->ops->forget(one, delivery);
    bide_receiver_destroy(one);
    bool at_once = take(other, &delivery, 1, AT_ONCE_MS) == 1;
    if (!at_once)
        delivery = take_one(other, SOON_MS);
    assert_string_equal(delivery->message->id, "m");
    ack(other, delivery);
    bide_receiver_destroy(other);
    return at_once;
}

static void test_two_in_one_process(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    bool at_once = is_handed_over(place, sender, 1500); /* longer than the safety check */
    for (int i = 1; i < TRIES && !at_once; i++)
        at_once = is_handed_over(place, sender, 50);
    assert_true(at_once);
    bide_sender_destroy(sender);
}

/* A child that sends each time it is told to. */
static pid_t start_sender(const struct place *place, const int pipe_fds[2])
{
    pid_t child = fork();
    if (child != 0)
        return child;
    close(pipe_fds[1]);
    struct bide_sender *sender;
    bide_error error;
    char byte;
    if (bide_sqlite_open_sender(&place->options, &sender, &error) != BIDE_OK)
        _exit(1);
    while (read(pipe_fds[0], &byte, 1) == 1)
        if (send_one(sender, "m", 0, 16, &error) != BIDE_OK)
            _exit(1);
    bide_sender_destroy(sender);
    _exit(0);
}

static void test_woken_by_another_process(void **state)
{
    struct place *place = *state;
    struct bide_delivery *none, *delivery;
    int pipe_fds[2], status;
    size_t at_once = 0;
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    pid_t child = start_sender(place, pipe_fds);
    close(pipe_fds[0]);
    struct bide_receiver *receiver = open_receiver(place);
    assert_int_equal(take(receiver, &none, 1, 50), 0);
    for (int i = 0; i < TRIES && at_once < 3; i++) {
        assert_int_equal(write(pipe_fds[1], "", 1), 1);
        size_t n = take(receiver, &delivery, 1, AT_ONCE_MS);
        ack(receiver, n == 1 ? delivery : take_one(receiver, SOON_MS));
        at_once += n;
    }
    assert_int_equal(at_once, 3);
    close(pipe_fds[1]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    bide_receiver_destroy(receiver);
}

/* ---- order, earliness, contents ---- */

static void test_order(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct bide_receiver *receiver = open_receiver(place);
    struct bide_delivery *deliveries[4];
    send_ok(sender, "later", 1500);
    send_ok(sender, "a", 0);
    send_ok(sender, "sooner", 1000);
    send_ok(sender, "b", 0);
    static const char *const expected[] = {"a", "b", "sooner", "later"};
    assert_int_equal(take(receiver, deliveries, 4, SOON_MS), 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(deliveries[i]->message->id, expected[i]);
    forget_all(receiver, deliveries, 4);
    bide_receiver_destroy(receiver);
    bide_sender_destroy(sender);
}

/* Early ones do not keep due ones out, but there are no more of them than the limit says; those beyond the
 * lead stay where others can take them. */
static void test_early(void **state)
{
    struct place *place = *state;
    struct fake_clock fake;
    struct bide_sender *sender = open_sender(place);
    struct bide_delivery *deliveries[8];
    for (int i = 0; i < 6; i++)
        send_ok(sender, "m", 60 * 1000);
    meddle(place, "UPDATE bide_message SET due_ms = (SELECT min(due_ms) FROM bide_message);"
                  "UPDATE bide_waiting SET due_ms = (SELECT min(due_ms) FROM bide_message)");
    send_ok(sender, "far", 3600 * 1000);
    fake_clock_init(&fake, ask(place, "SELECT min(due_ms) FROM bide_message") - 50);
    place->options.clock = &fake.clock;
    struct bide_receiver *receiver = open_receiver(place);
    receiver->ops->limit(receiver, 0, 2);
    assert_int_equal(take(receiver, deliveries, 2, SOON_MS), 2);
    send_ok(sender, "at once", 0);
    deliveries[2] = take_one(receiver, SOON_MS);
    assert_string_equal(deliveries[2]->message->id, "at once");
    assert_int_equal(take(receiver, &deliveries[3], 1, 50), 0);
    receiver->ops->limit(receiver, 0, 0);
    for (size_t i = 0; i < 3; i++)
        receiver->ops->settle(receiver,
            &(struct bide_settlement){.delivery = deliveries[i], .verdict = BIDE_VERDICT_RELEASE}, 1);
    flush(receiver);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_waiting"), 8);
    bide_receiver_destroy(receiver);
    bide_sender_destroy(sender);
}

/* Of messages that fall due together each of two workers gets as many as it asked for. */
static void test_early_are_shared(void **state)
{
    enum { MESSAGES = 20, LIMIT = 3 };
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct bide_receiver *one = open_receiver(place), *other = open_receiver(place);
    struct bide_delivery *ones[MESSAGES], *others[MESSAGES];
    one->ops->limit(one, 0, LIMIT);
    other->ops->limit(other, 0, LIMIT);
    for (int i = 0; i < MESSAGES; i++)
        send_ok(sender, "m", 300);
    assert_int_equal(take(one, ones, MESSAGES, 600), LIMIT);
    assert_int_equal(take(other, others, MESSAGES, 600), LIMIT);
    forget_all(one, ones, LIMIT);
    forget_all(other, others, LIMIT);
    bide_receiver_destroy(one);
    bide_receiver_destroy(other);
    bide_sender_destroy(sender);
}

static void test_headers_that_are_no_text(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct bide_receiver *receiver = open_receiver(place);
    struct bide_message *message;
    enum bide_sent result = BIDE_SENT_UNKNOWN;
    bide_error error;
    assert_ok(bide_message_create("job", &message, &error), &error);
    assert_ok(bide_message_set_header(message, "text", "Gr\xC3\xBC\xC3\x9F \"e\"", &error), &error);
    assert_ok(bide_message_set_header(message, "bytes", "\x01\xFF\xFE", &error), &error);
    assert_ok(bide_message_stamp(message, queues[0], bide_clock_system(), &error), &error);
    assert_ok(bide_sender_send(sender, &message, 1, &result, &error), &error);
    bide_message_destroy(message);
    struct bide_delivery *delivery = take_one(receiver, SOON_MS);
    assert_int_equal(delivery->defect, BIDE_REASON_NONE);
    assert_string_equal(bide_message_header(delivery->message, "text"), "Gr\xC3\xBC\xC3\x9F \"e\"");
    assert_string_equal(bide_message_header(delivery->message, "bytes"), "\x01\xFF\xFE");
    ack(receiver, delivery);
    bide_receiver_destroy(receiver);
    bide_sender_destroy(sender);
}

static void test_headers_meddled_with(void **state)
{
    static const char *const headers[] = {"'{'", "'[]'", "'{\"a\":1}'", "'{\"a\":[0]}'", "x'00ff'"};
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct bide_receiver *receiver = open_receiver(place);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        char sql[96];
        receiver->ops->limit(receiver, 0, 0);
        send_ok(sender, "m", 0);
        snprintf(sql, sizeof sql, "UPDATE bide_message SET headers = %s", headers[i]);
        meddle(place, sql);
        receiver->ops->limit(receiver, 0, 1);
        struct bide_delivery *delivery = take_one(receiver, SOON_MS);
        assert_int_equal(delivery->defect, BIDE_REASON_MALFORMED);
        assert_string_equal(delivery->message->id, "m");
        ack(receiver, delivery);
    }
    bide_receiver_destroy(receiver);
    bide_sender_destroy(sender);
}

/* ---- cost ---- */

/* No statement walks through the messages: not to find a few among a million. */
static void check_plan(struct bide_sqlite_file *file, const char *sql)
{
    char explain[2048];
    sqlite3_stmt *statement;
    bide_error error;
    bool row;
    snprintf(explain, sizeof explain, "EXPLAIN QUERY PLAN %s", sql);
    assert_ok(bide_sqlite_prepare(file, explain, &statement, &error), &error);
    while (bide_sqlite_step(file, statement, &row, &error) == BIDE_OK && row) {
        const char *detail = (const char *)sqlite3_column_text(statement, 3);
        bool few = strstr(detail, "SCAN c") || strstr(detail, "SCAN bide_claim") ||
                   strstr(detail, "SCAN bide_worker") || strstr(detail, "SCAN bide_count") ||
                   strstr(detail, "SCAN bide_subscription") || strstr(detail, "SCAN pragma_");
        if (strstr(detail, "SCAN (subquery")) /* what that reads is said in a line of its own */
            continue;
        bool sorts = strstr(detail, "TEMP B-TREE") && !strstr(sql, "GROUP BY");
        if ((strstr(detail, "SCAN") && !few) || sorts)
            fail_msg("%s\n  %s", sql, detail);
    }
    sqlite3_finalize(statement);
}

static void delete_claim_of(const struct place *place, const char *id)
{
    char sql[128];
    sqlite3 *db;
    snprintf(sql, sizeof sql,
        "DELETE FROM bide_claim WHERE seq = (SELECT seq FROM bide_message WHERE id = '%s')", id);
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

/* Acknowledged together, in whatever order: gone, but for the one whose claim somebody took away, and what
 * was not acknowledged. */
static void test_acknowledged_together(void **state)
{
    enum { MESSAGES = 20, LEFT = 12 };
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct bide_receiver *receiver = open_receiver(place);
    struct bide_delivery *deliveries[BATCH];
    struct bide_receiver_stats stats;
    char id[16];
    for (int i = 0; i < MESSAGES; i++) {
        snprintf(id, sizeof id, "m%d", i);
        send_ok(sender, id, 0);
    }
    assert_int_equal(take(receiver, deliveries, MESSAGES, SOON_MS), MESSAGES);
    delete_claim_of(place, "m5");
    for (int i = 0; i < MESSAGES; i++) {
        int at = i * 7 % MESSAGES; /* each once */
        if (at != LEFT)
            settle(
                receiver, (struct bide_settlement){.delivery = deliveries[at], .verdict = BIDE_VERDICT_ACK});
    }
    flush(receiver);
    receiver->ops->stats(receiver, &stats);
    assert_int_equal(stats.settled, MESSAGES - 2);
    assert_int_equal(stats.lost, 1);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message WHERE id IN ('m5', 'm12')"), 2);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message"), 2);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_claim"), 1);
    forget_all(receiver, &deliveries[LEFT], 1);
    bide_receiver_destroy(receiver);
    bide_sender_destroy(sender);
}

static void test_plans(void **state)
{
    struct place *place = *state;
    struct bide_sqlite_file file;
    bide_error error;
    assert_ok(bide_sqlite_file_init(&file, &place->options, &error), &error);
    assert_ok(bide_sqlite_file_open(&file, BIDE_SQLITE_WRITE, 1000000, &error), &error);
    for (int i = 0; i < BIDE_SQL_COUNT; i++)
        check_plan(&file, bide_sqlite_statement_text((enum bide_sql)i));
    bide_sqlite_file_clear(&file);
}

/* Opens the database once the pipe is closed; the exit status of the process. */
static _Noreturn void open_at_once(const struct place *place, const int start[2])
{
    struct bide_sqlite_file file;
    bide_error error;
    char byte;
    close(start[1]);
    (void)!read(start[0], &byte, 1);
    bide_code code = bide_sqlite_file_init(&file, &place->options, &error);
    if (code == BIDE_OK)
        code = bide_sqlite_file_open(&file, BIDE_SQLITE_WRITE, 10000000, &error);
    if (code != BIDE_OK)
        fprintf(stderr, "%s\n", error.text);
    bide_sqlite_file_clear(&file);
    _exit(code == BIDE_OK ? 0 : 1);
}

/* A file that is not there yet is made by one of those that come at the same moment; none of them finds it
 * half made. */
static void test_made_by_many_at_once(void **state)
{
    enum { ROUNDS = 60, PROCESSES = 6 };
    struct place *place = *state;
    for (int round = 0; round < ROUNDS; round++) {
        int start[2], status;
        pid_t children[PROCESSES];
        assert_int_equal(pipe2(start, O_CLOEXEC), 0);
        for (int i = 0; i < PROCESSES; i++)
            if ((children[i] = fork()) == 0)
                open_at_once(place, start);
        close(start[0]);
        close(start[1]);
        for (int i = 0; i < PROCESSES; i++) {
            assert_int_equal(waitpid(children[i], &status, 0), children[i]);
            assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        }
        assert_int_equal(unlink(place->path), 0);
    }
}

static int64_t cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * INT64_C(1000000) + usage.ru_utime.tv_usec +
           usage.ru_stime.tv_usec;
}

static void test_idle(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct bide_receiver *receiver = open_receiver(place);
    struct bide_delivery *none;
    send_ok(sender, "far", 3600 * 1000);
    assert_int_equal(take(receiver, &none, 1, 100), 0);
    int64_t before_us = cpu_us();
    assert_int_equal(take(receiver, &none, 1, 3000), 0);
    assert_between(cpu_us() - before_us, 0, 30000); /* ten times the measured, for instrumented builds */
    bide_receiver_destroy(receiver);
    bide_sender_destroy(sender);
}

/* ---- no memory ---- */

/* Opens, receives and acknowledges; whether all went well. */
static bool serve_once(const struct place *place)
{
    struct bide_receiver *receiver;
    struct bide_delivery *delivery;
    bide_error error;
    size_t n = 0;
    if (bide_sqlite_open_receiver(&place->options, &receiver, &error) != BIDE_OK)
        return false;
    receiver->ops->limit(receiver, 0, 1);
    bool received = receiver->ops->receive(receiver, &delivery, 1, &n, &error) == BIDE_OK && n == 1;
    if (received)
        settle(receiver, (struct bide_settlement){.delivery = delivery, .verdict = BIDE_VERDICT_ACK});
    bide_receiver_destroy(receiver);
    return received;
}

static void test_no_memory(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct alloc_count count = {.fail_at = 1};
    size_t served = 0;
    send_ok(sender, "m", 0);
    for (bool well = false; !well && count.fail_at <= 1000; count.fail_at++) {
        count.asked = 0;
        bide_alloc_set_hook(count_allocation, &count);
        bool received = serve_once(place);
        bide_alloc_set_hook(NULL, NULL);
        well = count.asked < count.fail_at;
        int64_t left = ask(place, "SELECT count(*) FROM bide_message");
        served += received && left == 0;
        assert_true(received || left == 1); /* what was not received is still there */
        if (left == 0)
            send_ok(sender, "m", 0);
    }
    assert_true(served > 0 && count.fail_at > 11);
    bide_sender_destroy(sender);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
static const struct CMUnitTest tests[] = {
    CASE(test_taken_over_from_the_killed),
    CASE(test_two_in_one_process),
    CASE(test_woken_by_another_process),
    CASE(test_order),
    CASE(test_early),
    CASE(test_early_are_shared),
    CASE(test_headers_that_are_no_text),
    CASE(test_headers_meddled_with),
    CASE(test_made_by_many_at_once),
    CASE(test_acknowledged_together),
    CASE(test_plans),
    CASE(test_idle),
    CASE(test_no_memory),
};

UNIT_MAIN(tests)
