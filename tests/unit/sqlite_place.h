/* tests/unit/sqlite_place.h: a database file of a test's own, and shorthand for what tests do with it.
 *
 * Used by the programs that test what is particular to the SQLite adapter; what all adapters share is
 * tests/contract/. */
#ifndef BIDE_TESTS_SQLITE_PLACE_H
#define BIDE_TESTS_SQLITE_PLACE_H

#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "bide/log.h"
#include "broker/sqlite/sqlite.h"
#include "support/deadline.h"
#include "support/temp_dir.h"
#include "unit.h"

enum { BATCH = 64, SOON_MS = 60000, AT_ONCE_MS = 700 /* less than the safety check's second */ };

static const char *const queues[] = {"default"};

struct place {
    struct temp_dir dir;
    struct bide_url url;
    char path[TEMP_DIR_PATH + 32];
    struct bide_broker_options options;
};

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
    struct place *place = *state;
    bide_url_clear(&place->url);
    int result = temp_dir_remove(&place->dir);
    bide_free(place);
    return result;
}

/* ---- shorthand ---- */

static inline struct bide_sender *open_sender(const struct place *place)
{
    struct bide_sender *sender;
    bide_error error;
    assert_ok(bide_sqlite_open_sender(&place->options, &sender, &error), &error);
    return sender;
}

static inline struct bide_receiver *open_receiver(const struct place *place)
{
    struct bide_receiver *receiver;
    bide_error error;
    assert_ok(bide_sqlite_open_receiver(&place->options, &receiver, &error), &error);
    receiver->ops->limit(receiver, 0, BATCH);
    return receiver;
}

static inline bide_code send_one(
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

static inline void send_ok(struct bide_sender *sender, const char *id, int64_t delay_ms)
{
    bide_error error;
    assert_ok(send_one(sender, id, delay_ms, 16, &error), &error);
}

/* Sleeps as wait says; true when something happened before the deadline. */
static inline void sleep_until(struct bide_receiver *receiver, const struct deadline *deadline)
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
static inline size_t take(
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

static inline struct bide_delivery *take_one(struct bide_receiver *receiver, int64_t within_ms)
{
    struct bide_delivery *delivery;
    assert_int_equal(take(receiver, &delivery, 1, within_ms), 1);
    return delivery;
}

static inline size_t unsettled(struct bide_receiver *receiver)
{
    struct bide_receiver_stats stats;
    receiver->ops->stats(receiver, &stats);
    return stats.unsettled;
}

static inline void settle(struct bide_receiver *receiver, struct bide_settlement settlement)
{
    receiver->ops->settle(receiver, &settlement, 1);
}

/* Serves until all settlements are final; takes nothing new. */
static inline void flush(struct bide_receiver *receiver)
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

static inline void ack(struct bide_receiver *receiver, struct bide_delivery *delivery)
{
    settle(receiver, (struct bide_settlement){.delivery = delivery, .verdict = BIDE_VERDICT_ACK});
    flush(receiver);
}

static inline void forget_all(struct bide_receiver *receiver, struct bide_delivery **deliveries, size_t n)
{
    for (size_t i = 0; i < n; i++)
        receiver->ops->forget(receiver, deliveries[i]);
}

/* Runs SQL as an outsider. */
static inline void meddle(const struct place *place, const char *sql)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(place->path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, SOON_MS);
    if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_close(db);
}

static inline int64_t ask(const struct place *place, const char *sql)
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

static inline void remove_files(const struct place *place)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    char path[sizeof place->path + 8];
    for (size_t i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s%s", place->path, suffixes[i]);
        (void)unlink(path);
    }
}

#endif
