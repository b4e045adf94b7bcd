/* tests/unit/relay_stage.h: a relay between an application's database, or a broker's file, and a target that
 * does what a test says. */
#ifndef BIDE_TESTS_RELAY_STAGE_H
#define BIDE_TESTS_RELAY_STAGE_H

#include <poll.h>
#include <sqlite3.h>
#include <time.h>
#include <unistd.h>

#include "bide/log.h"
#include "bide/outbox_sqlite.h"
#include "relay/relay.h"
#include "support/deadline.h"
#include "unit/config_folder.h"
#include "unit/unit.h"

enum { SOON_MS = 60000, SEEN_MAX = 4096 };

/* ---- the target ---- */

struct seen {
    char id[48];
    char queue[32];
    char body[64];
    char header[32]; /* "a" */
    int64_t due_ms, sent_ms;
    int attempt;
};

struct target {
    struct seen seen[SEEN_MAX];
    size_t n;
    int answered;        /* so many calls do well before what follows begins */
    int away;            /* so many calls fail; none is stored */
    int halved;          /* so many calls store the first half, confirm that, and fail */
    int lost_answers;    /* so many calls store all, and fail */
    bool denied;         /* opening it fails: a wrong password */
    const char *refused; /* messages with this body */
    size_t n_queues;     /* that the sender was opened with */
    size_t calls;        /* of send */
};

static struct target target;

static void note_seen(const struct bide_message *message)
{
    struct seen *seen = &target.seen[target.n++];
    const char *header = bide_message_header(message, "a");
    assert_true(target.n < SEEN_MAX);
    snprintf(seen->id, sizeof seen->id, "%s", message->id);
    snprintf(seen->queue, sizeof seen->queue, "%s", message->queue);
    snprintf(seen->body, sizeof seen->body, "%.*s", (int)message->body_size, (const char *)message->body);
    snprintf(seen->header, sizeof seen->header, "%s", header ? header : "");
    seen->due_ms = message->due_ms;
    seen->sent_ms = message->sent_ms;
    seen->attempt = message->attempt;
}

static bool counts_down(int *left)
{
    return *left > 0 && (*left)--;
}

static bool is_refused(const struct bide_message *message)
{
    return target.refused && message->body_size == strlen(target.refused) &&
           memcmp(message->body, target.refused, message->body_size) == 0;
}

static bide_code target_send(struct bide_sender *sender, struct bide_message *const *messages, size_t n,
    enum bide_sent *results, bide_error *error)
{
    (void)sender;
    bool fails = !counts_down(&target.answered), refused = false;
    bool halved = fails && counts_down(&target.halved);
    target.calls++;
    if (fails && counts_down(&target.away))
        return bide_fail(error, BIDE_E_BROKER, "away");
    for (size_t i = 0; i < (halved ? n / 2 : n); i++) {
        results[i] = is_refused(messages[i]) ? BIDE_SENT_REFUSED : BIDE_SENT_OK;
        refused = refused || results[i] == BIDE_SENT_REFUSED;
        if (results[i] == BIDE_SENT_OK)
            note_seen(messages[i]);
    }
    if (fails && counts_down(&target.lost_answers)) {
        for (size_t i = 0; i < n; i++)
            results[i] = BIDE_SENT_UNKNOWN;
        return bide_fail(error, BIDE_E_TIMEOUT, "no answer");
    }
    if (halved)
        return bide_fail(error, BIDE_E_BROKER, "cut");
    return refused ? bide_fail(error, BIDE_E_DATA, "too large for it") : BIDE_OK;
}

static void target_destroy(struct bide_sender *sender)
{
    (void)sender;
}

static const struct bide_sender_ops target_ops = {.send = target_send, .destroy = target_destroy};

static bide_code target_open(
    const struct bide_broker_options *options, struct bide_sender **ret_sender, bide_error *error)
{
    static struct bide_sender sender = {.ops = &target_ops};
    if (target.denied)
        return bide_fail(error, BIDE_E_CONFIG, "wrong password");
    if (target.answered == 0 && counts_down(&target.away))
        return bide_fail(error, BIDE_E_BROKER, "away");
    target.n_queues = options->n_queues;
    *ret_sender = &sender;
    return BIDE_OK;
}

static const struct bide_adapter target_adapter = {.name = "target", .open_sender = target_open};

/* ---- the relay ---- */

struct stage {
    struct bide_config *config;
    struct bide_broker_options target;
    struct bide_relay_metrics metrics;
    sqlite3 *db; /* the application's connection */
};

static inline int raise_stage(void **state)
{
    struct stage *stage = bide_calloc(1, sizeof *stage);
    void *folder;
    if (!stage || enter_folder(&folder) != 0)
        return -1;
    target = (struct target){0};
    stage->config = load("handlers = ( { type = \"mail\"; plugin = \"p\"; queue = \"slow\"; } );"
                         "worker: { max_body = \"1KiB\"; };");
    bide_log_set_level(BIDE_LOG_OFF); /* failures are provoked */
    *state = stage;
    return sqlite3_open("shop.db", &stage->db) == SQLITE_OK ? 0 : -1;
}

static inline int strike_stage(void **state)
{
    struct stage *stage = *state;
    char folder[256];
    void *path = getcwd(folder, sizeof folder);
    sqlite3_close(stage->db);
    bide_config_destroy(stage->config);
    bide_free(stage);
    return leave_folder(&path);
}

static inline struct bide_source *make_source(struct stage *stage, const char *url)
{
    const struct bide_source_options options = {
        .config = stage->config, .url = url, .clock = bide_clock_system(), .timeout_ms = SOON_MS};
    struct bide_source *source = NULL;
    bide_error error = {0};
    if (bide_source_create(&options, &source, &error) != BIDE_OK)
        fail_msg("%s", error.text);
    return source;
}

static inline struct bide_relay *make_relay_to(struct stage *stage, const char *url,
    const struct bide_adapter *adapter, const struct bide_broker_options *to)
{
    struct bide_relay *relay = NULL;
    const struct bide_relay_options options = {.name = "test",
        .source = make_source(stage, url),
        .adapter = adapter,
        .target = to,
        .clock = bide_clock_system(),
        .metrics = &stage->metrics};
    assert_int_equal(bide_relay_create(&options, &relay, NULL), BIDE_OK);
    return relay;
}

static inline struct bide_relay *make_relay(struct stage *stage, const char *url)
{
    return make_relay_to(stage, url, &target_adapter, &stage->target);
}

/* One round and the sleep after it, for at most so long. */
static inline void go(struct bide_relay *relay, int64_t longest_us)
{
    struct bide_wait wait;
    bide_relay_step(relay, &wait);
    int64_t us = wait.timeout_us >= 0 && wait.timeout_us < longest_us ? wait.timeout_us : longest_us;
    const struct timespec timeout = {us / 1000000, us % 1000000 * 1000};
    (void)ppoll(wait.fds, wait.n_fds, &timeout, NULL);
}

/* Until the target has seen n. */
static inline void go_until(struct bide_relay *relay, size_t n)
{
    struct deadline deadline = deadline_in_ms(SOON_MS);
    while (target.n < n && !deadline_passed(&deadline))
        go(relay, deadline_left_us(&deadline));
    assert_int_equal(target.n, n);
}

/* ---- the application ---- */

static inline void sql(struct stage *stage, const char *text)
{
    if (sqlite3_exec(stage->db, text, NULL, NULL, NULL) != SQLITE_OK)
        fail_msg("%s: %s", text, sqlite3_errmsg(stage->db));
}

static inline void put(struct stage *stage, const char *id, const char *body)
{
    const bide_outbox_message message = {.type = "mail", .id = id, .body = body, .body_size = strlen(body)};
    if (bide_outbox_sqlite_send(stage->db, &message, NULL) != SQLITE_OK)
        fail_msg("%s", sqlite3_errmsg(stage->db));
}

static inline int64_t rows(struct stage *stage, const char *where)
{
    char text[200];
    sqlite3_stmt *count;
    snprintf(text, sizeof text, "SELECT count(*) FROM bide_outbox WHERE %s", where);
    assert_int_equal(sqlite3_prepare_v2(stage->db, text, -1, &count, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(count), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(count, 0);
    sqlite3_finalize(count);
    return n;
}

/* Until so many rows are like that. */
static inline void go_until_rows(struct bide_relay *relay, struct stage *stage, int64_t n, const char *where)
{
    struct deadline deadline = deadline_in_ms(SOON_MS);
    while (rows(stage, where) != n && !deadline_passed(&deadline))
        go(relay, 10000);
    assert_int_equal(rows(stage, where), n);
}

#endif
