/* schedules/: time zones that are gone, clocks that were ahead, more schedules than a round takes. */
#include "unit/schedules_stage.h"

/* The schedule in the store becomes what the caller has made of it. */
static void put(struct bide_schedule *schedule)
{
    struct bide_schedule_change change;
    char before[BIDE_REVISION_TEXT];
    memcpy(before, schedule->revision, sizeof before);
    bide_schedule_change_init(&change);
    assert_int_equal(
        bide_schedule_change_write(&change, schedule->is.name, before, schedule, true, NULL), BIDE_OK);
    assert_int_equal(bide_store_apply(stage.stores[0], &change.letter, 1, NULL), BIDE_OK);
    assert_true(bide_schedule_changed(&change));
    bide_schedule_change_clear(&change);
}

/* As after an upgrade of tzdata, which moved old names to another package. */
static void lose_zone(void)
{
    static char hourly[] = "0 * * * *", gone[] = "Old/Name";
    struct bide_schedule schedule = stored("beat");
    schedule.is.cron = hourly;
    schedule.is.timezone = gone;
    put(&schedule);
    bide_schedule_clear(&schedule);
}

static const char *state_of(const char *name)
{
    struct bide_schedule_list list;
    const char *said = NULL;
    bide_error error;
    assert_ok(bide_schedule_list_take(stage.stores[0], &stage.configs[0], now_ms(), &list, &error), &error);
    for (size_t i = 0; i < list.n; i++)
        if (strcmp(list.rows[i].schedule.is.name, name) == 0)
            said = bide_schedule_row_state(&list.rows[i], now_ms());
    bide_schedule_list_clear(&list);
    return said;
}

static void a_zone_that_is_gone_is_declared_anew(void **state)
{
    (void)state;
    bide_error error;
    live(0, 3 * SECOND);
    lose_zone();
    assert_string_equal(state_of("beat"), "unusable");
    end(0);
    begin(0); /* its file names another zone, or none */
    live(0, 2 * (int64_t)BIDE_FIRES_AHEAD_MS);
    assert_string_equal(state_of("beat"), "active");
    assert_int_equal(copies("beat", now_ms() / SECOND * SECOND), 1);
    lose_zone();
    live(0, 3 * SECOND); /* it does not fire, and harms nobody */
    assert_ok(
        bide_schedule_pause(stage.stores[1], &stage.configs[1], "beat", true, now_ms(), &error), &error);
    assert_int_equal(bide_schedule_pause(stage.stores[1], &stage.configs[1], "beat", false, now_ms(), &error),
        BIDE_E_DATA);
    assert_non_null(strstr(error.text, "Old/Name"));
    stage.configs[1].n_schedules = 0; /* no file declares it any more */
    assert_ok(bide_schedule_remove(stage.stores[1], &stage.configs[1], "beat", &error), &error);
}

/* Its fact was written by a newer version, or is damaged. */
static void what_cannot_be_read_can_be_removed(void **state)
{
    (void)state;
    bide_error error;
    struct bide_schedule schedule;
    struct bide_store_operation turn = {.kind = BIDE_STORE_TURN,
        .scope = BIDE_SCHEDULES,
        .key = "newer",
        .lasts_ms = MINUTE,
        .turn = {.from = BIDE_STORE_ANY, .to = 1, .data = {"0123456789abcdef {}", 19}}};
    struct bide_store_letter letter = {.operations = &turn, .n = 1};
    assert_int_equal(bide_store_apply(stage.stores[0], &letter, 1, NULL), BIDE_OK);
    bide_store_letter_clear(&letter);
    assert_int_equal(bide_schedule_get(stage.stores[0], "newer", &schedule, &error), BIDE_E_DATA);
    assert_ok(bide_schedule_remove(stage.stores[0], &stage.configs[0], "newer", &error), &error);
    assert_int_equal(bide_schedule_get(stage.stores[0], "newer", &schedule, &error), BIDE_E_NOT_FOUND);
}

static void count_ahead(void *user, bide_log_level level, const char *text, const bide_log_field *fields)
{
    int *n = user;
    (void)level, (void)fields;
    *n += strstr(text, "fires no more until") != NULL;
}

/* A host begins with a clock that is a year ahead, and is set right. */
static void resumed_after_a_clock_was_ahead(void **state)
{
    (void)state;
    static const int64_t year_ms = INT64_C(365) * 24 * 3600 * 1000;
    bide_error error;
    live(0, 3 * SECOND);
    fake_clock_jump_ms(&stage.clock, year_ms);
    live(0, 3 * SECOND);
    fake_clock_jump_ms(&stage.clock, -year_ms);
    size_t n = stage.n_sent;
    int said = 0;
    bide_log_set_level(BIDE_LOG_WARN);
    bide_log_set_sink(count_ahead, &said);
    live(0, 120 * SECOND);
    bide_log_set_sink(NULL, NULL);
    bide_log_set_level(BIDE_LOG_OFF);
    assert_int_equal(said, 1);
    assert_int_equal(stage.n_sent, n);
    assert_string_equal(state_of("beat"), "ahead");
    for (int pauses = 1; pauses >= 0; pauses--)
        assert_ok(bide_schedule_pause(stage.stores[1], &stage.configs[1], "beat", pauses, now_ms(), &error),
            &error);
    assert_string_equal(state_of("beat"), "active");
    live(0, 10 * SECOND);
    assert_int_equal(copies("beat", now_ms() / SECOND * SECOND), 1);
}

/* Clocks that differ by less than a minute are no reason to complain. */
static void a_clock_that_is_a_little_ahead(void **state)
{
    (void)state;
    live(0, 3 * SECOND);
    fake_clock_jump_ms(&stage.clock, 50 * SECOND);
    live(0, SECOND);
    fake_clock_jump_ms(&stage.clock, -50 * SECOND);
    assert_string_equal(state_of("beat"), "active");
}

/* While a round takes a second, more are due in it than a round takes. */
static void all_have_their_turn(void **state)
{
    enum { MANY = 3 * BIDE_ROUND_MAX };
    (void)state;
    bide_error error;
    char name[16];
    struct bide_schedule_config added = *declare(0, 1);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "many%03d", i);
        added.name = name;
        added.body = name;
        assert_ok(bide_schedule_add(stage.stores[0], &added, now_ms(), &error), &error);
    }
    for (int i = 0; i < 10; i++) {
        int64_t wait_ms;
        assert_int_equal(bide_schedules_step(stage.schedules[0], &wait_ms, NULL), BIDE_OK);
        fake_clock_advance_ms(&stage.clock, SECOND);
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "many%03d", i);
        assert_int_equal(copies(name, BEGIN_MS + SECOND), 1);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    CASE(a_zone_that_is_gone_is_declared_anew),
    CASE(what_cannot_be_read_can_be_removed),
    CASE(resumed_after_a_clock_was_ahead),
    CASE(a_clock_that_is_a_little_ahead),
    CASE(all_have_their_turn),
};

UNIT_MAIN(tests)
