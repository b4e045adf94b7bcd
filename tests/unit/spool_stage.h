/* tests/unit/spool_stage.h: a sender with a spool, before the target of relay_stage.h. */
#ifndef BIDE_TESTS_SPOOL_STAGE_H
#define BIDE_TESTS_SPOOL_STAGE_H

#include <stdlib.h>

#include "producer/spool.h"
#include "unit/relay_stage.h"

#define FILE_URL "sqlite:out.db"

enum { N_MAX = 64, MAX_BYTES = 1024 * 1024 };

/* ---- sending ---- */

static inline bide_code open_with(
    struct stage *stage, bide_spool spool, struct bide_sender **ret_sender, bide_error *error)
{
    static const char *const queues[] = {"default"};
    struct bide_url url = {0};
    const struct bide_broker_options broker = {.name_space = "bide",
        .base_dir = stage->config->dir,
        .queues = queues,
        .n_queues = 1,
        .client_name = "test",
        .timeout_ms = SOON_MS,
        .max_body = MAX_BYTES,
        .clock = bide_clock_system()};
    if (!spool.url)
        spool.url = FILE_URL;
    return bide_spool_open(&spool, &target_adapter, &broker, &url, ret_sender, error);
}

static inline struct bide_sender *open_spool(struct stage *stage, bide_spool_mode mode)
{
    struct bide_sender *sender = NULL;
    bide_error error = {0};
    if (open_with(stage, (bide_spool){.mode = mode}, &sender, &error) != BIDE_OK)
        fail_msg("%s", error.text);
    return sender;
}

static inline bide_message *make_message(const char *id, const char *queue, const char *body, size_t size)
{
    bide_message *message = NULL;
    assert_int_equal(bide_message_create("ping", &message, NULL), BIDE_OK);
    assert_int_equal(bide_message_set_id(message, id, NULL), BIDE_OK);
    assert_int_equal(bide_message_set_queue(message, queue, NULL), BIDE_OK);
    assert_int_equal(bide_message_set_body(message, body, size, NULL), BIDE_OK);
    assert_int_equal(bide_message_stamp(message, "default", bide_clock_system(), NULL), BIDE_OK);
    return message;
}

/* Messages with the ids first, first + 1, …; the one in the middle has this body. */
static inline bide_code send_some(struct bide_sender *sender, int first, size_t n, const char *body,
    enum bide_sent *results, bide_error *error)
{
    bide_message *messages[N_MAX];
    char id[16];
    for (size_t i = 0; i < n; i++) {
        snprintf(id, sizeof id, "%04d", first + (int)i);
        const char *text = i == n / 2 ? body : "x";
        messages[i] = make_message(id, "default", text, strlen(text));
        results[i] = BIDE_SENT_UNKNOWN;
    }
    bide_code code = bide_sender_send(sender, messages, n, results, error);
    for (size_t i = 0; i < n; i++)
        bide_message_destroy(messages[i]);
    return code;
}

static inline void send_ok(struct bide_sender *sender, int first, size_t n)
{
    enum bide_sent results[N_MAX];
    bide_error error = {0};
    if (send_some(sender, first, n, "x", results, &error) != BIDE_OK)
        fail_msg("%s", error.text);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(results[i], BIDE_SENT_OK);
}

/* ---- looking ---- */

static inline int64_t spooled(const char *table)
{
    char text[100];
    sqlite3 *db;
    sqlite3_stmt *count;
    snprintf(text, sizeof text, "SELECT count(*) FROM bide_%s", table);
    assert_int_equal(sqlite3_open("out.db", &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &count, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(count), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(count, 0);
    sqlite3_finalize(count);
    sqlite3_close(db);
    return n;
}

static inline void go_until_empty(struct bide_relay *relay)
{
    struct deadline deadline = deadline_in_ms(SOON_MS);
    while (spooled("message") > 0 && !deadline_passed(&deadline))
        go(relay, 10000);
    assert_int_equal(spooled("message"), 0);
}

static inline void assert_in_order(int first, size_t n)
{
    assert_int_equal(target.n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(atoi(target.seen[i].id), first + (int)i);
}

#endif
