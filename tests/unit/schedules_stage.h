/* tests/unit/schedules_stage.h: clocks of several hosts with one store in a file, a time that the test moves,
 * and a broker that is a list. Begin with set_up. */
#ifndef BIDE_UNIT_SCHEDULES_STAGE_H
#define BIDE_UNIT_SCHEDULES_STAGE_H

#include <stdlib.h>

#include "base/units.h"
#include "bide/log.h"
#include "schedules/facts.h"
#include "schedules/inside.h"
#include "schedules/manage.h"
#include "support/fake_clock.h"
#include "support/temp_dir.h"
#include "unit/unit.h"

enum { HOSTS = 3, SENT_MAX = 20000, SECOND = 1000, MINUTE = 60 * SECOND };
#define BEGIN_MS INT64_C(1795939200000) /* 2026-11-29T08:00:00Z */

struct sent {
    char id[BIDE_ID_MAX + 1], copy[BIDE_REVISION_TEXT];
    int64_t due_ms, at_ms;
};

enum broker_says { TAKES, IS_AWAY, LOSES_ANSWERS, REFUSES, HAS_IT_RUNNING, HAS_THIS_ONE };

static struct {
    struct temp_dir dir;
    struct bide_url url;
    struct fake_clock clock;
    struct bide_config configs[HOSTS];
    struct bide_schedule_config declared[HOSTS][4];
    struct bide_store *stores[HOSTS];
    struct bide_schedules *schedules[HOSTS];
    enum broker_says broker;
    struct sent *sent;
    size_t n_sent;
} stage;

static inline bide_sent send_one(bide_message *message)
{
    struct sent *sent = &stage.sent[stage.n_sent];
    if (stage.broker == HAS_IT_RUNNING || stage.broker == HAS_THIS_ONE) {
        message->duplicate_of = stage.broker == HAS_THIS_ONE ? message->id : "beat@1";
        return BIDE_SENT_DUPLICATE;
    }
    if (stage.broker == IS_AWAY || stage.broker == REFUSES)
        return stage.broker == IS_AWAY ? BIDE_SENT_UNKNOWN : BIDE_SENT_REFUSED;
    assert_true(++stage.n_sent <= SENT_MAX);
    *sent = (struct sent){.due_ms = bide_message_due_ms(message), .at_ms = bide_wall_ms(&stage.clock.clock)};
    snprintf(sent->id, sizeof sent->id, "%s", bide_message_id(message));
    snprintf(sent->copy, sizeof sent->copy, "%s", bide_message_header(message, BIDE_COPY_HEADER));
    return stage.broker == TAKES ? BIDE_SENT_OK : BIDE_SENT_UNKNOWN;
}

static inline bide_code send_all(
    void *user, bide_message *const *messages, size_t n, bide_sent *results, bide_error *error)
{
    (void)user;
    for (size_t i = 0; i < n; i++)
        results[i] = send_one(messages[i]);
    if (stage.broker == IS_AWAY || stage.broker == LOSES_ANSWERS)
        return bide_fail(error, BIDE_E_BROKER, "the broker is away");
    return stage.broker == REFUSES ? bide_fail(error, BIDE_E_DATA, "refused") : BIDE_OK;
}

static inline void open_store(int host)
{
    const struct bide_store_options options = {.url = &stage.url,
        .name_space = "bide",
        .base_dir = "/",
        .client_name = "test",
        .timeout_ms = 5000,
        .clock = &stage.clock.clock};
    assert_int_equal(bide_store_open(&options, &stage.stores[host], NULL), BIDE_OK);
}

static inline void begin(int host)
{
    const struct bide_schedules_options options = {.config = &stage.configs[host],
        .store = stage.stores[host],
        .clock = &stage.clock.clock,
        .send = send_all,
        .host = host == 0   ? "a"
                : host == 1 ? "b"
                            : "c"};
    assert_int_equal(bide_schedules_create(&options, &stage.schedules[host], NULL), BIDE_OK);
}

/* Its process ends, however. */
static inline void end(int host)
{
    bide_schedules_destroy(stage.schedules[host]);
    stage.schedules[host] = NULL;
}

/* What a host's file declares from now on. */
static inline struct bide_schedule_config *declare(int host, size_t n)
{
    static char names[][8] = {"beat", "other", "third", "fourth"}, type[] = "ping", queue[] = "default",
                utc[] = "UTC";
    for (size_t i = 0; i < n; i++)
        stage.declared[host][i] = (struct bide_schedule_config){.name = names[i],
            .every_ms = SECOND,
            .timezone = utc,
            .type = type,
            .queue = queue,
            .catch_up = BIDE_CATCH_UP_LAST};
    stage.configs[host] = (struct bide_config){.schedules = stage.declared[host], .n_schedules = n};
    return stage.declared[host];
}

static inline int set_up(void **state)
{
    char text[TEMP_DIR_PATH + 64];
    (void)state;
    memset(&stage, 0, sizeof stage);
    bide_log_set_level(BIDE_LOG_OFF);
    fake_clock_init(&stage.clock, BEGIN_MS);
    stage.sent = calloc(SENT_MAX + 1, sizeof *stage.sent);
    assert_non_null(stage.sent);
    assert_int_equal(temp_dir_create(&stage.dir), 0);
    snprintf(text, sizeof text, "sqlite:%s/store.db?synchronous=normal", stage.dir.path);
    assert_int_equal(bide_url_parse(text, &stage.url, NULL), BIDE_OK);
    for (int i = 0; i < HOSTS; i++) {
        declare(i, 1);
        open_store(i);
        begin(i);
    }
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < HOSTS; i++) {
        end(i);
        bide_store_destroy(stage.stores[i]);
    }
    bide_url_clear(&stage.url);
    temp_dir_remove(&stage.dir);
    free(stage.sent);
    return 0;
}

static inline int64_t now_ms(void)
{
    return bide_wall_ms(&stage.clock.clock);
}

/* Takes steps until nothing is to be done at this moment. Returns the last step's code. */
static inline bide_code step(int host)
{
    int64_t wait_ms = 0;
    bide_code code = BIDE_OK;
    for (int i = 0; wait_ms == 0 && code == BIDE_OK; i++) {
        assert_true(i < 1000); /* it does not spin */
        code = bide_schedules_step(stage.schedules[host], &wait_ms, NULL);
    }
    return code;
}

/* Time passes on one host alone, which takes the steps that it asks for. */
static inline void live(int host, int64_t ms)
{
    for (int64_t until_ms = now_ms() + ms; now_ms() < until_ms;) {
        int64_t wait_ms, left_ms = until_ms - now_ms();
        bide_schedules_step(stage.schedules[host], &wait_ms, NULL);
        fake_clock_advance_ms(&stage.clock, wait_ms < left_ms ? wait_ms : left_ms);
    }
}

/* How often the message of a slot was sent. */
static inline size_t copies(const char *name, int64_t slot_ms)
{
    char id[BIDE_ID_MAX + 1];
    size_t n = 0;
    snprintf(id, sizeof id, "%s@%lld", name, (long long)slot_ms);
    for (size_t i = 0; i < stage.n_sent; i++)
        n += strcmp(stage.sent[i].id, id) == 0;
    return n;
}

static inline struct bide_schedule stored(const char *name)
{
    struct bide_schedule schedule;
    bide_error error;
    assert_ok(bide_schedule_get(stage.stores[0], name, &schedule, &error), &error);
    return schedule;
}

static inline int64_t next_of(const char *name)
{
    struct bide_schedule schedule = stored(name);
    int64_t next_ms = schedule.next_ms;
    bide_schedule_clear(&schedule);
    return next_ms;
}

#endif
