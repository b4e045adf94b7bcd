/* What is particular to the SQLite adapter; what all adapters share is tests/contract/. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "bide/log.h"
#include "broker/sqlite/file.h"
#include "broker/sqlite/sqlite.h"
#include "support/deadline.h"
#include "support/temp_dir.h"
#include "support/test.h"

enum { BATCH = 64, SOON_MS = 5000, AT_ONCE_MS = 700 /* less than the safety check's second */ };

static const char *const queues[] = {"default"};

struct place {
    struct temp_dir dir;
    struct bide_url url;
    char path[TEMP_DIR_PATH + 32];
    struct bide_broker_options options;
};

static int setup(void **state)
{
    struct place *place = bide_calloc(1, sizeof *place);
    char text[TEMP_DIR_PATH + 64];
    bide_error error;
    if (!place || temp_dir_create(&place->dir) != 0)
        return -1;
    snprintf(place->path, sizeof place->path, "%s/bide.db", place->dir.path);
    snprintf(text, sizeof text, "sqlite:%s", place->path);
    if (bide_url_parse(text, &place->url, &error) != BIDE_OK)
        return -1;
    place->options = (struct bide_broker_options){
        .url = &place->url,
        .name_space = "bide",
        .base_dir = "/",
        .queues = queues,
        .n_queues = 1,
        .client_name = "test",
        .timeout_ms = SOON_MS,
        .max_body = 1 << 20,
        .clock = bide_clock_system(),
    };
    bide_log_set_level(BIDE_LOG_OFF); /* failures are provoked */
    *state = place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    bide_url_clear(&place->url);
    int result = temp_dir_remove(&place->dir);
    bide_free(place);
    return result;
}

/* ---- shorthand ---- */

static struct bide_sender *open_sender(const struct place *place)
{
    struct bide_sender *sender;
    bide_error error;
    assert_ok(bide_sqlite_open_sender(&place->options, &sender, &error), &error);
    return sender;
}

static struct bide_receiver *open_receiver(const struct place *place)
{
    struct bide_receiver *receiver;
    bide_error error;
    assert_ok(bide_sqlite_open_receiver(&place->options, &receiver, &error), &error);
    receiver->ops->limit(receiver, 0, BATCH);
    return receiver;
}

static bide_code send_one(
    struct bide_sender *sender, const char *id, int64_t delay_ms, size_t body_size, bide_error *error)
{
    static const char body[65536];
    struct bide_message *message;
    enum bide_sent result = BIDE_SENT_UNKNOWN;
    bide_code code = bide_message_create("job", &message, error);
    if (code == BIDE_OK)
        code = bide_message_set_id(message, id, error);
    if (code == BIDE_OK)
        code = bide_message_set_delay_ms(message, delay_ms, error);
    if (code == BIDE_OK)
        code = bide_message_set_body(message, body, body_size, error);
    if (code == BIDE_OK)
        code = bide_message_stamp(message, queues[0], bide_clock_system(), error);
    if (code == BIDE_OK)
        code = bide_sender_send(sender, &message, 1, &result, error);
    if (code == BIDE_OK && result != BIDE_SENT_OK)
        code = bide_fail(error, BIDE_E_INTERNAL, "BIDE_OK without a confirmation");
    bide_message_destroy(message);
    return code;
}

static void send_ok(struct bide_sender *sender, const char *id, int64_t delay_ms)
{
    bide_error error;
    assert_ok(send_one(sender, id, delay_ms, 16, &error), &error);
}

/* Sleeps as wait says; true when something happened before the deadline. */
static void sleep_until(struct bide_receiver *receiver, const struct deadline *deadline)
{
    struct bide_wait wait;
    receiver->ops->wait(receiver, &wait);
    int64_t us = deadline_left_us(deadline);
    if (wait.timeout_us >= 0 && wait.timeout_us < us)
        us = wait.timeout_us;
    struct timespec timeout = {us / 1000000, us % 1000000 * 1000};
    (void)ppoll(wait.fds, wait.n_fds, &timeout, NULL);
}

/* Receives until `n` came or the time is over; how many came. */
static size_t take(
    struct bide_receiver *receiver, struct bide_delivery **deliveries, size_t n, int64_t within_ms)
{
    struct deadline deadline = deadline_in_ms(within_ms);
    size_t taken = 0;
    while (taken < n && !deadline_passed(&deadline)) {
        bide_error error;
        size_t more = 0;
        if (receiver->ops->receive(receiver, deliveries + taken, n - taken, &more, &error) != BIDE_OK)
            return taken;
        taken += more;
        if (more == 0)
            sleep_until(receiver, &deadline);
    }
    return taken;
}

static struct bide_delivery *take_one(struct bide_receiver *receiver, int64_t within_ms)
{
    struct bide_delivery *delivery;
    assert_int_equal(take(receiver, &delivery, 1, within_ms), 1);
    return delivery;
}

static size_t unsettled(struct bide_receiver *receiver)
{
    struct bide_receiver_stats stats;
    receiver->ops->stats(receiver, &stats);
    return stats.unsettled;
}

static void settle(struct bide_receiver *receiver, struct bide_settlement settlement)
{
    receiver->ops->settle(receiver, &settlement, 1);
}

/* Serves until all settlements are final; takes nothing new. */
static void flush(struct bide_receiver *receiver)
{
    struct deadline deadline = deadline_in_ms(SOON_MS);
    bide_error error;
    size_t none;
    while (unsettled(receiver) > 0 && !deadline_passed(&deadline)) {
        assert_ok(receiver->ops->receive(receiver, NULL, 0, &none, &error), &error);
        if (unsettled(receiver) > 0)
            sleep_until(receiver, &deadline);
    }
    assert_int_equal(unsettled(receiver), 0);
}

static void ack(struct bide_receiver *receiver, struct bide_delivery *delivery)
{
    settle(receiver, (struct bide_settlement){.delivery = delivery, .verdict = BIDE_VERDICT_ACK});
    flush(receiver);
}

static void forget_all(struct bide_receiver *receiver, struct bide_delivery **deliveries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        receiver->ops->forget(receiver, deliveries[i]);
}

/* Runs SQL as an outsider. */
static void meddle(const struct place *place, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, SOON_MS);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static int64_t ask(const struct place *place, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, SOON_MS);
    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return value;
}

static void remove_files(const struct place *place)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char path[sizeof place->path + 8];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", place->path, suffixes[i]);
        (void)unlink(path);
    }
}

/* ---- files that cannot be used ---- */

/* Every way to open a file refuses it, with this code and words in the text. */
static void expect_refusal(const struct bide_broker_options *options, bide_code code, const char *words)
{
    struct bide_sender *sender;
    struct bide_receiver *receiver;
    bide_error error;
    assert_int_equal(bide_sqlite_open_sender(options, &sender, &error), code);
    assert_non_null(strstr(error.text, words));
    assert_int_equal(bide_sqlite_open_receiver(options, &receiver, &error), code);
    assert_non_null(strstr(error.text, words));
}

static void test_newer_schema(void **state)
{
    struct place *place = *state;
    bide_sender_destroy(open_sender(place));
    meddle(place, "PRAGMA user_version = 99");
    expect_refusal(&place->options, BIDE_E_CONFIG, "schema version 99");
    assert_int_equal(ask(place, "PRAGMA user_version"), 99);
}

static void test_not_a_database(void **state)
{
    struct place *place = *state;
    char path[TEMP_DIR_PATH];
    struct stat status;
    assert_int_equal(
        temp_dir_write(&place->dir, "bide.db", "#!/bin/sh\nexit 0 # and some more text\n", path), 0);
    expect_refusal(&place->options, BIDE_E_CONFIG, "is not a SQLite database");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 38);
}

static void test_database_of_another_program(void **state)
{
    struct place *place = *state;
    meddle(place, "CREATE TABLE invoice(number INTEGER)");
    expect_refusal(&place->options, BIDE_E_CONFIG, "another program's");
    assert_int_equal(ask(place, "SELECT count(*) FROM sqlite_master"), 1);
}

static void test_urls(void **state)
{
    static const struct {
        const char *url, *words;
    } rows[] = {
        {"sqlite:", "no file"},
        {"sqlite:some/folder/", "no file"},
        {"sqlite::memory:", "in memory"},
        {"sqlite://host/bide.db", "has no host"},
        {"sqlite:///tmp/bide.db", "has no host"},
        {"sqlite:bide.db?synchronous=off", "full"},
        {"sqlite:bide.db?synchronus=full", "did you mean 'synchronous'"},
        {"sqlite:/no/such/folder/bide.db", "folder must exist"},
    };
    struct place *place = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bide_url url;
        bide_error error;
        struct bide_broker_options options = place->options;
        options.url = &url;
        assert_ok(bide_url_parse(rows[i].url, &url, &error), &error);
        expect_refusal(&options, BIDE_E_CONFIG, rows[i].words);
        bide_url_clear(&url);
    }
}

/* As a user who is not root: in a child, because that cannot be undone for files. */
static void test_folder_not_writable(void **state)
{
    struct place *place = *state;
    assert_int_equal(chmod(place->dir.path, 0555), 0);
    pid_t child = fork();
    if (child == 0) {
        struct bide_sender *sender;
        bide_error error;
        if (geteuid() == 0 && setuid(65534) != 0)
            _exit(2);
        bide_code code = bide_sqlite_open_sender(&place->options, &sender, &error);
        _exit(code == BIDE_E_CONFIG && strstr(error.text, place->path) ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(chmod(place->dir.path, 0755), 0);
    assert_int_equal(status, 0);
}

static void note_finding(void *user, const struct bide_finding *finding)
{
    size_t *counts = user;
    counts[finding->severity]++;
    assert_true(finding->severity != BIDE_FINDING_NOT_CHECKED || finding->remedy != NULL);
}

static void verify(const struct place *place, size_t counts[4])
{
    struct bide_admin *admin;
    bide_error error;
    memset(counts, 0, 4 * sizeof *counts);
    assert_ok(bide_sqlite_open_admin(&place->options, &admin, &error), &error);
    assert_ok(admin->ops->verify(admin, note_finding, counts, &error), &error);
    bide_admin_destroy(admin);
}

static void test_verify(void **state)
{
    struct place *place = *state;
    size_t counts[4];
    verify(place, counts);
    assert_int_equal(counts[BIDE_FINDING_ERROR], 0);
    assert_int_not_equal(access(place->path, F_OK), 0); /* made nothing */
    bide_sender_destroy(open_sender(place));
    verify(place, counts);
    assert_int_equal(counts[BIDE_FINDING_ERROR] + counts[BIDE_FINDING_WARNING], 0);
    meddle(place, "PRAGMA user_version = 99");
    verify(place, counts);
    assert_int_equal(counts[BIDE_FINDING_ERROR], 1);
}

/* ---- no room ---- */

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_full_disk(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct bide_receiver *receiver = open_receiver(place);
    struct bide_delivery *deliveries[BATCH];
    char id[16];
    int64_t sent = 0;
    bide_error error;
    signal(SIGXFSZ, SIG_IGN);
    send_ok(sender, "first", 0);
    deliveries[0] = take_one(receiver, SOON_MS);
    limit_files(512 * 1024);
    bide_code code;
    for (code = BIDE_OK; code == BIDE_OK && sent < 100; sent++) {
        snprintf(id, sizeof id, "m%d", (int)sent);
        code = send_one(sender, id, 0, 32768, &error);
    }
    assert_int_equal(code, BIDE_E_BROKER);
    if (!strstr(error.text, "no room"))
        fail_msg("%s", error.text);
    sent--;
    assert_true(sent > 0);
    /* A settlement that finds no room is kept. */
    settle(receiver, (struct bide_settlement){.delivery = deliveries[0],
                         .verdict = BIDE_VERDICT_RETRY,
                         .attempt = 2,
                         .due_ms = 0,
                         .error = bide_strdup("later")});
    size_t n;
    assert_ok(receiver->ops->receive(receiver, deliveries, BATCH, &n, &error), &error);
    assert_int_equal(n, 0);
    assert_int_equal(unsettled(receiver), 1);
    limit_files(RLIM_INFINITY);
    flush(receiver);
    n = take(receiver, deliveries, (size_t)sent + 1, SOON_MS);
    assert_int_equal(n, sent + 1); /* all that was confirmed, and the one to be run again */
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_message"), sent + 1);
    forget_all(receiver, deliveries, n);
    bide_receiver_destroy(receiver);
    bide_sender_destroy(sender);
}

/* ---- the file goes away ---- */

static void test_file_removed(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct bide_receiver *receiver = open_receiver(place);
    struct bide_receiver_stats stats;
    send_ok(sender, "old", 0);
    struct bide_delivery *old = take_one(receiver, SOON_MS);
    remove_files(place);
    send_ok(sender, "new", 0);
    assert_int_equal(access(place->path, F_OK), 0);
    struct bide_delivery *new = take_one(receiver, SOON_MS);
    assert_string_equal(new->message->id, "new");
    ack(receiver, old);
    receiver->ops->stats(receiver, &stats);
    assert_int_equal(stats.lost, 1);
    assert_int_equal(stats.settled, 0);
    ack(receiver, new);
    receiver->ops->stats(receiver, &stats);
    assert_int_equal(stats.settled, 1);
    assert_true(stats.connected);
    bide_receiver_destroy(receiver);
    bide_sender_destroy(sender);
}

/* Without anybody sending, the receiver makes it anew by itself. */
static void test_file_removed_while_idle(void **state)
{
    struct place *place = *state;
    struct bide_receiver *receiver = open_receiver(place);
    struct bide_delivery *none;
    assert_int_equal(take(receiver, &none, 1, 50), 0);
    remove_files(place);
    assert_int_equal(take(receiver, &none, 1, AT_ONCE_MS), 0);
    assert_int_equal(access(place->path, F_OK), 0);
    bide_receiver_destroy(receiver);
}

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

static void test_taken_over_from_the_killed(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct bide_delivery *deliveries[BATCH];
    char id[16], n = 0;
    int pipe_fds[2];
    for (int i = 0; i < 10; i++) {
        snprintf(id, sizeof id, "m%d", i);
        send_ok(sender, id, 0);
    }
    bide_sender_destroy(sender);
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    pid_t child = start_claimer(place, pipe_fds[1]);
    assert_int_equal(read(pipe_fds[0], &n, 1), 1);
    assert_int_equal(n, 10);
    struct bide_receiver *receiver = open_receiver(place);
    assert_int_equal(take(receiver, deliveries, 1, 100), 0); /* it lives: nothing for us */
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(take(receiver, deliveries, 10, AT_ONCE_MS), 10);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_worker"), 1);
    forget_all(receiver, deliveries, 10);
    bide_receiver_destroy(receiver);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void test_two_in_one_process(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct bide_receiver *one = open_receiver(place), *other = open_receiver(place);
    send_ok(sender, "m", 0);
    struct bide_delivery *delivery = take_one(one, SOON_MS), *none;
    assert_int_equal(take(other, &none, 1, 1500), 0); /* longer than the safety check */
    one->ops->forget(one, delivery);
    bide_receiver_destroy(one);
    delivery = take_one(other, AT_ONCE_MS);
    assert_string_equal(delivery->message->id, "m");
    ack(other, delivery);
    bide_receiver_destroy(other);
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
    struct bide_delivery *none;
    int pipe_fds[2], status;
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    pid_t child = start_sender(place, pipe_fds);
    close(pipe_fds[0]);
    struct bide_receiver *receiver = open_receiver(place);
    assert_int_equal(take(receiver, &none, 1, 50), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(write(pipe_fds[1], "", 1), 1);
        ack(receiver, take_one(receiver, AT_ONCE_MS));
    }
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
    send_ok(sender, "later", 200);
    send_ok(sender, "a", 0);
    send_ok(sender, "sooner", 150);
    send_ok(sender, "b", 0);
    static const char *const expected[] = {"a", "b", "sooner", "later"};
    assert_int_equal(take(receiver, deliveries, 4, SOON_MS), 4);
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(deliveries[i]->message->id, expected[i]);
    forget_all(receiver, deliveries, 4);
    bide_receiver_destroy(receiver);
    bide_sender_destroy(sender);
}

/* Early ones do not use up the limit; those beyond the lead stay where others can take them. */
static void test_early(void **state)
{
    struct place *place = *state;
    struct bide_sender *sender = open_sender(place);
    struct bide_receiver *receiver = open_receiver(place);
    struct bide_delivery *deliveries[8];
    receiver->ops->limit(receiver, 0, 2);
    for (int i = 0; i < 6; i++)
        send_ok(sender, "m", 1000);
    send_ok(sender, "far", 60 * 1000);
    assert_int_equal(take(receiver, deliveries, 7, 1500), 6);
    for (size_t i = 0; i < 6; i++)
        receiver->ops->settle(receiver,
            &(struct bide_settlement){.delivery = deliveries[i], .verdict = BIDE_VERDICT_RELEASE}, 1);
    receiver->ops->limit(receiver, 0, 0);
    flush(receiver);
    assert_int_equal(ask(place, "SELECT count(*) FROM bide_waiting"), 7);
    bide_receiver_destroy(receiver);
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
            strstr(detail, "SCAN bide_worker");
        bool sorts = strstr(detail, "TEMP B-TREE") && !strstr(sql, "GROUP BY");
        if ((strstr(detail, "SCAN") && !few) || sorts)
            fail_msg("%s\n  %s", sql, detail);
    }
    sqlite3_finalize(statement);
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

struct failing {
    size_t at, calls;
};

static int fail_nth(void *user, size_t size)
{
    struct failing *failing = user;
    (void)size;
    return failing->calls++ != failing->at;
}

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
    struct failing failing = {0};
    size_t served = 0;
    send_ok(sender, "m", 0);
    for (bool well = false; !well && failing.at < 1000; failing.at++) {
        failing.calls = 0;
        bide_alloc_set_hook(fail_nth, &failing);
        bool received = serve_once(place);
        bide_alloc_set_hook(NULL, NULL);
        well = failing.calls <= failing.at;
        int64_t left = ask(place, "SELECT count(*) FROM bide_message");
        served += received && left == 0;
        assert_true(received || left == 1); /* what was not received is still there */
        if (left == 0)
            send_ok(sender, "m", 0);
    }
    assert_true(served > 0 && failing.at > 10);
    bide_sender_destroy(sender);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(test_newer_schema),
        CASE(test_not_a_database),
        CASE(test_database_of_another_program),
        CASE(test_urls),
        CASE(test_folder_not_writable),
        CASE(test_verify),
        CASE(test_full_disk),
        CASE(test_file_removed),
        CASE(test_file_removed_while_idle),
        CASE(test_taken_over_from_the_killed),
        CASE(test_two_in_one_process),
        CASE(test_woken_by_another_process),
        CASE(test_order),
        CASE(test_early),
        CASE(test_headers_that_are_no_text),
        CASE(test_headers_meddled_with),
        CASE(test_plans),
        CASE(test_idle),
        CASE(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
