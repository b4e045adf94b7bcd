/* schedules/: what is to be done with a schedule, and clocks of several hosts in virtual time. */
#include "unit/schedules_stage.h"

/* ---- plans ---- */

static struct bide_schedule every_minute(enum bide_catch_up catch_up)
{
    struct bide_schedule_config *declared = declare(0, 1);
    struct bide_schedule schedule;
    declared->every_ms = MINUTE;
    declared->catch_up = catch_up;
    assert_int_equal(bide_schedule_declare(declared, BEGIN_MS, &schedule, NULL), BIDE_OK);
    assert_int_equal(schedule.next_ms, BEGIN_MS + MINUTE);
    return schedule;
}

static struct bide_schedule_plan plan_at(const struct bide_schedule *schedule, int64_t after_ms)
{
    struct bide_schedule_plan plan;
    bide_schedule_plan(schedule, BEGIN_MS + after_ms, &plan);
    return plan;
}

static void it_fires_ahead(void **state)
{
    (void)state;
    struct bide_schedule schedule = every_minute(BIDE_CATCH_UP_LAST);
    struct bide_schedule_plan plan = plan_at(&schedule, 0);
    assert_int_equal(plan.does, BIDE_SCHEDULE_WAITS);
    assert_int_equal(plan.at_ms, BEGIN_MS + MINUTE - BIDE_FIRES_AHEAD_MS);
    plan = plan_at(&schedule, MINUTE - BIDE_FIRES_AHEAD_MS);
    assert_int_equal(plan.does, BIDE_SCHEDULE_FIRES);
    assert_int_equal(plan.n, 1);
    assert_int_equal(plan.slots_ms[0], BEGIN_MS + MINUTE);
    assert_int_equal(plan.next_ms, BEGIN_MS + 2 * MINUTE);
    schedule.is.overlap = BIDE_OVERLAP_SKIP; /* decided at its time */
    assert_int_equal(plan_at(&schedule, MINUTE - 1).at_ms, BEGIN_MS + MINUTE);
    assert_int_equal(plan_at(&schedule, MINUTE).does, BIDE_SCHEDULE_FIRES);
    schedule.paused = true;
    assert_int_equal(plan_at(&schedule, MINUTE).at_ms, BIDE_NEVER);
    bide_schedule_clear(&schedule);
}

static void what_is_a_minute_late_fires(void **state)
{
    (void)state;
    for (int catch_up = BIDE_CATCH_UP_NONE; catch_up <= BIDE_CATCH_UP_ALL; catch_up++) {
        struct bide_schedule schedule = every_minute((enum bide_catch_up)catch_up);
        struct bide_schedule_plan plan = plan_at(&schedule, 2 * MINUTE);
        assert_int_equal(plan.n, 2);
        assert_int_equal(plan.slots_ms[0], BEGIN_MS + MINUTE);
        assert_int_equal(plan.missed, 0);
        bide_schedule_clear(&schedule);
    }
}

static void after_an_outage(void **state)
{
    (void)state;
    struct bide_schedule schedule = every_minute(BIDE_CATCH_UP_NONE);
    struct bide_schedule_plan plan = plan_at(&schedule, 600 * MINUTE + 30 * SECOND);
    assert_int_equal(plan.missed, 599); /* the slot 30 s ago fires */
    assert_int_equal(plan.n, 1);
    assert_int_equal(plan.slots_ms[0], BEGIN_MS + 600 * MINUTE);
    bide_schedule_clear(&schedule);

    schedule = every_minute(BIDE_CATCH_UP_ALL);
    plan = plan_at(&schedule, 600 * MINUTE);
    assert_int_equal(plan.missed, 0);
    assert_int_equal(plan.n, BIDE_SLOTS_AT_ONCE);
    assert_int_equal(plan.slots_ms[0], BEGIN_MS + MINUTE);
    assert_int_equal(plan.next_ms, BEGIN_MS + (BIDE_SLOTS_AT_ONCE + 1) * (int64_t)MINUTE);
    schedule.is.overlap = BIDE_OVERLAP_SKIP;
    assert_int_equal(plan_at(&schedule, 600 * MINUTE).n, 1);
    bide_schedule_clear(&schedule);
}

static void after_an_outage_of_a_rare_one(void **state)
{
    (void)state;
    static char nightly[] = "30 2 * * *";
    for (int catch_up = BIDE_CATCH_UP_NONE; catch_up <= BIDE_CATCH_UP_LAST; catch_up++) {
        struct bide_schedule schedule;
        struct bide_schedule_config *declared = declare(0, 1);
        declared->cron = nightly;
        declared->catch_up = (enum bide_catch_up)catch_up;
        assert_int_equal(bide_schedule_declare(declared, BEGIN_MS, &schedule, NULL), BIDE_OK);
        int64_t day_ms = INT64_C(86400) * SECOND, first_ms = schedule.next_ms;
        struct bide_schedule_plan plan = plan_at(&schedule, 10 * day_ms);
        bool last = catch_up == BIDE_CATCH_UP_LAST;
        assert_int_equal(plan.does, last ? BIDE_SCHEDULE_FIRES : BIDE_SCHEDULE_MOVES);
        assert_int_equal(plan.missed, last ? 9 : 10);
        assert_int_equal(plan.next_ms, first_ms + 10 * day_ms);
        if (last)
            assert_int_equal(plan.slots_ms[0], first_ms + 9 * day_ms);
        bide_schedule_clear(&schedule);
    }
}

/* ---- facts ---- */

static void a_fact_reads_as_it_was_written(void **state)
{
    (void)state;
    static char cron[] = "*/5 8-18 * * mon", berlin[] = "Europe/Berlin", body[] = "{\"a\":\"\\u00e4\"}";
    struct bide_schedule_config *declared = declare(0, 1);
    struct bide_schedule schedule, read;
    struct bide_buffer text;
    bide_error error;
    declared->cron = cron;
    declared->timezone = berlin;
    declared->body = body;
    declared->jitter_ms = 77;
    declared->overlap = BIDE_OVERLAP_SKIP;
    assert_ok(bide_schedule_declare(declared, BEGIN_MS, &schedule, &error), &error);
    bide_schedule_token(schedule.revision);
    bide_schedule_token(schedule.claim);
    schedule.paused = schedule.added = true;
    schedule.last_ms = 5;
    schedule.fired = 6, schedule.late = 7, schedule.skipped = 8, schedule.missed = 9;
    bide_buffer_init(&text);
    bide_schedule_write(&schedule, &text);
    assert_ok(bide_schedule_read("beat", (struct bide_slice){text.bytes, text.size}, &read, &error), &error);
    assert_true(bide_schedule_is_same(&read.is, declared));
    assert_string_equal(read.is.name, "beat");
    assert_string_equal(read.revision, schedule.revision);
    assert_string_equal(read.claim, schedule.claim);
    assert_true(read.paused && read.added);
    assert_int_equal(read.next_ms, schedule.next_ms);
    assert_int_equal(read.last_ms + read.fired + read.late + read.skipped + read.missed, 5 + 6 + 7 + 8 + 9);
    bide_schedule_clear(&read);
    for (size_t size = 0; size < text.size; size++) /* cut anywhere, it is refused */
        assert_int_equal(
            bide_schedule_read("beat", (struct bide_slice){text.bytes, size}, &read, &error), BIDE_E_DATA);
    bide_buffer_release(&text);
    bide_schedule_clear(&schedule);
}

static void jitter_is_the_same_for_all_copies(void **state)
{
    (void)state;
    struct bide_schedule_config *declared = declare(0, 1);
    int64_t least = INT64_MAX, most = 0;
    declared->jitter_ms = 500;
    for (int i = 0; i < 200; i++) {
        bide_message *one, *other;
        assert_int_equal(bide_schedule_message(declared, i * SECOND, &one, NULL), BIDE_OK);
        assert_int_equal(bide_schedule_message(declared, i * SECOND, &other, NULL), BIDE_OK);
        int64_t late = bide_message_due_ms(one) - i * SECOND;
        assert_int_equal(bide_message_due_ms(other), bide_message_due_ms(one));
        assert_string_not_equal(
            bide_message_header(one, BIDE_COPY_HEADER), bide_message_header(other, BIDE_COPY_HEADER));
        least = late < least ? late : least;
        most = late > most ? late : most;
        bide_message_destroy(one);
        bide_message_destroy(other);
    }
    assert_true(least >= 0 && least < 50 && most > 450 && most <= 500);
}

/* ---- one clock ---- */

static void one_message_a_slot(void **state)
{
    (void)state;
    live(0, 60 * SECOND);
    for (int64_t i = 1; i <= 60; i++)
        assert_int_equal(copies("beat", BEGIN_MS + i * SECOND), 1);
    for (size_t i = 0; i < stage.n_sent; i++)
        assert_true(stage.sent[i].due_ms % SECOND == 0 && stage.sent[i].at_ms < stage.sent[i].due_ms);
    struct bide_schedule schedule = stored("beat");
    assert_int_equal(schedule.fired, (int64_t)stage.n_sent);
    assert_int_equal(schedule.late + schedule.skipped + schedule.missed, 0);
    assert_string_equal(schedule.claim, "");
    bide_schedule_clear(&schedule);
}

static void a_broker_that_is_away_is_waited_for(void **state)
{
    (void)state;
    stage.broker = IS_AWAY;
    assert_int_equal(step(0), BIDE_E_BROKER);
    live(0, 30 * SECOND);
    assert_int_equal(stage.n_sent, 0);
    stage.broker = TAKES;
    live(0, 10 * SECOND);
    for (int64_t i = 1; i <= 40; i++)
        assert_int_equal(copies("beat", BEGIN_MS + i * SECOND), 1);
    struct bide_schedule schedule = stored("beat");
    assert_true(schedule.late >= 25 && schedule.late <= 31);
    bide_schedule_clear(&schedule);
}

static void a_lost_answer_sends_another_copy(void **state)
{
    (void)state;
    stage.broker = LOSES_ANSWERS;
    assert_int_equal(step(0), BIDE_E_BROKER);
    stage.broker = TAKES;
    assert_int_equal(step(0), BIDE_OK);
    assert_int_equal(copies("beat", BEGIN_MS + SECOND), 2);
    assert_string_equal(stage.sent[0].id, stage.sent[5].id);
    assert_string_not_equal(stage.sent[0].copy, stage.sent[5].copy);
}

static void what_the_broker_refuses_holds_up_nothing(void **state)
{
    (void)state;
    stage.broker = REFUSES;
    assert_int_equal(step(0), BIDE_OK);
    struct bide_schedule schedule = stored("beat");
    assert_int_equal(schedule.missed, 5);
    assert_int_equal(schedule.next_ms, BEGIN_MS + 6 * SECOND);
    bide_schedule_clear(&schedule);
}

static void a_slot_is_skipped_while_the_last_message_lives(void **state)
{
    (void)state;
    declare(0, 1)->overlap = BIDE_OVERLAP_SKIP;
    stage.broker = HAS_IT_RUNNING;
    live(0, 3 * SECOND + 1);
    struct bide_schedule schedule = stored("beat");
    assert_int_equal(schedule.skipped, 3);
    assert_int_equal(schedule.fired, 0);
    bide_schedule_clear(&schedule);
    stage.broker = HAS_THIS_ONE; /* another clock sent it, and died before it moved on */
    live(0, SECOND);
    schedule = stored("beat");
    assert_int_equal(schedule.skipped, 3);
    assert_int_equal(schedule.fired, 1);
    bide_schedule_clear(&schedule);
}

static void all_missed_slots_fire_a_hundred_at_a_time(void **state)
{
    (void)state;
    struct bide_schedule_config *declared = declare(0, 1);
    declared->catch_up = BIDE_CATCH_UP_ALL;
    declared->every_ms = MINUTE;
    live(0, SECOND);
    fake_clock_advance_ms(&stage.clock, 1000 * MINUTE);
    assert_int_equal(step(0), BIDE_OK);
    assert_int_equal(stage.n_sent, 1000);
    for (size_t i = 0; i < stage.n_sent; i++)
        assert_int_equal(stage.sent[i].due_ms, BEGIN_MS + ((int64_t)i + 1) * MINUTE);
}

static void a_clock_set_back_fires_nothing_again(void **state)
{
    (void)state;
    live(0, 20 * SECOND);
    size_t n = stage.n_sent;
    fake_clock_jump_ms(&stage.clock, -10 * SECOND);
    live(0, 10 * SECOND);
    assert_int_equal(stage.n_sent, n);
    live(0, 10 * SECOND);
    for (int64_t i = 1; i <= 20; i++)
        assert_int_equal(copies("beat", BEGIN_MS + i * SECOND), 1);
    assert_true(stage.n_sent > n);
}

/* ---- several clocks ---- */

static void a_claim_is_taken_over_in_time(void **state)
{
    (void)state;
    stage.broker = IS_AWAY; /* it claims, and dies before it has sent */
    assert_int_equal(step(0), BIDE_E_BROKER);
    end(0);
    stage.broker = TAKES;
    int64_t begun_ms = now_ms();
    assert_int_equal(step(1), BIDE_OK);
    assert_int_equal(stage.n_sent, 0); /* it may still live */
    live(1, BIDE_CLAIM_MS + 1);
    assert_int_equal(copies("beat", BEGIN_MS + SECOND), 1);
    assert_true(stage.sent[0].at_ms - begun_ms <= BIDE_CLAIM_MS);
}

/* Whatever happens when: no slot is missing, and one is sent twice only where an answer was lost or a clock
 * died. */
static void clocks_that_die_at_random(void **state)
{
    (void)state;
    uint64_t random = 20261129;
    int64_t dead_until_ms[HOSTS] = {0};
    size_t lost = 0;
    for (int64_t begun_ms = now_ms(); now_ms() < begun_ms + 300 * SECOND;) {
        int host = (int)(next_random(&random) % HOSTS);
        if (!stage.schedules[host] && now_ms() >= dead_until_ms[host])
            begin(host);
        if (stage.schedules[host]) {
            int64_t wait_ms;
            uint64_t dice = next_random(&random) % 100;
            size_t before = stage.n_sent;
            stage.broker = dice < 4 ? IS_AWAY : dice < 8 ? LOSES_ANSWERS : TAKES;
            bide_schedules_step(stage.schedules[host], &wait_ms, NULL);
            if (dice < 8) { /* a death after the claim, or after the message */
                lost += stage.n_sent - before;
                dead_until_ms[host] = now_ms() + (int64_t)(next_random(&random) % 5000);
                end(host);
            }
        }
        fake_clock_advance_ms(&stage.clock, (int64_t)(next_random(&random) % 200));
    }
    size_t slots = 0, in_time = 0;
    for (int64_t slot_ms = BEGIN_MS + SECOND; slot_ms < now_ms(); slot_ms += SECOND, slots++)
        assert_true(copies("beat", slot_ms) >= 1);
    for (size_t i = 0; i < stage.n_sent; i++)
        in_time += stage.sent[i].at_ms < stage.sent[i].due_ms;
    assert_true(stage.n_sent <= slots + 10 + lost);
    assert_true(in_time * 10 >= stage.n_sent * 9);
}

static void hosts_that_disagree(void **state)
{
    (void)state;
    struct bide_schedule_list list;
    bide_error error;
    assert_int_equal(step(0), BIDE_OK);
    assert_int_equal(step(1), BIDE_OK);
    end(1);
    declare(1, 1)->every_ms = 10 * SECOND; /* SIGHUP: it begins with another file */
    begin(1);
    fake_clock_advance_ms(&stage.clock, 1500);
    assert_int_equal(step(1), BIDE_OK);
    assert_int_equal(next_of("beat"), BEGIN_MS + 10 * SECOND); /* the first of the new definition */
    assert_int_equal(step(0), BIDE_OK);
    assert_ok(bide_schedule_list_take(stage.stores[0], &stage.configs[0], now_ms(), &list, &error), &error);
    assert_int_equal(list.n, 1);
    assert_int_equal(list.rows[0].schedule.is.every_ms, 10 * SECOND);
    assert_string_equal(list.rows[0].differ, "a");
    bide_schedule_list_clear(&list);
    end(2);
    begin(2); /* its file says what the first one's does: that is the newest change */
    assert_int_equal(step(2), BIDE_OK);
    assert_int_equal(next_of("beat") % (10 * SECOND) != 0, 1);
}

static void a_store_that_was_emptied(void **state)
{
    (void)state;
    live(0, 20 * SECOND);
    size_t n = stage.n_sent;
    struct bide_store_operation close = {.kind = BIDE_STORE_CLOSE, .scope = BIDE_SCHEDULES};
    struct bide_store_letter letter = {.operations = &close, .n = 1};
    assert_int_equal(bide_store_apply(stage.stores[1], &letter, 1, NULL), BIDE_OK);
    live(0, 20 * SECOND);
    for (int64_t i = 1; i <= 40; i++)
        assert_int_equal(copies("beat", BEGIN_MS + i * SECOND), 1);
    assert_true(stage.n_sent > n);
}

/* ---- operators ---- */

static void added_ones_fire_everywhere(void **state)
{
    (void)state;
    bide_error error;
    struct bide_schedule_config added = *declare(1, 2);
    static char name[] = "extra", body[] = "{}";
    added.name = name;
    added.body = body;
    assert_int_equal(step(2), BIDE_OK);
    assert_ok(bide_schedule_add(stage.stores[0], &added, now_ms(), &error), &error);
    assert_int_equal(bide_schedule_add(stage.stores[0], &added, now_ms(), &error), BIDE_E_DATA);
    live(2, 5 * SECOND);
    assert_int_equal(copies("extra", BEGIN_MS + 3 * SECOND), 1);
    assert_ok(bide_schedule_remove(stage.stores[0], &stage.configs[0], "extra", &error), &error);
    live(2, 20 * SECOND);
    assert_int_equal(copies("extra", BEGIN_MS + 20 * SECOND), 0);
    assert_int_equal(
        bide_schedule_remove(stage.stores[0], &stage.configs[0], "extra", &error), BIDE_E_NOT_FOUND);
    assert_int_equal(bide_schedule_remove(stage.stores[0], &stage.configs[0], "beat", &error), BIDE_E_DATA);
    added.every_ms = 1500;
    assert_int_equal(bide_schedule_add(stage.stores[0], &added, now_ms(), &error), BIDE_E_USAGE);
}

static void paused_and_resumed(void **state)
{
    (void)state;
    bide_error error;
    live(0, 10 * SECOND);
    assert_ok(
        bide_schedule_pause(stage.stores[1], &stage.configs[1], "beat", true, now_ms(), &error), &error);
    live(0, 300 * SECOND);
    assert_true(stage.n_sent >= 14 && stage.n_sent <= 16); /* those ahead were sent */
    assert_ok(
        bide_schedule_pause(stage.stores[1], &stage.configs[1], "beat", false, now_ms(), &error), &error);
    live(0, 10 * SECOND);
    assert_true(stage.n_sent >= 24 && stage.n_sent <= 31); /* nothing to catch up */
    struct bide_schedule schedule = stored("beat");
    assert_int_equal(schedule.missed, 0);
    bide_schedule_clear(&schedule);
    assert_int_equal(
        bide_schedule_pause(stage.stores[1], &stage.configs[1], "nosuch", true, now_ms(), &error),
        BIDE_E_NOT_FOUND);
}

/* It is paused between a clock's claim and its last step: that slot was sent, and does not fire again. */
static void paused_while_a_clock_has_it(void **state)
{
    (void)state;
    bide_error error;
    stage.broker = LOSES_ANSWERS;
    assert_int_equal(step(0), BIDE_E_BROKER);
    assert_ok(
        bide_schedule_pause(stage.stores[1], &stage.configs[1], "beat", true, now_ms(), &error), &error);
    stage.broker = TAKES;
    live(0, 10 * SECOND);
    assert_int_equal(copies("beat", BEGIN_MS + SECOND), 1);
    struct bide_schedule schedule = stored("beat");
    assert_string_not_equal(schedule.claim, "");
    bide_schedule_clear(&schedule);
    assert_ok(
        bide_schedule_pause(stage.stores[1], &stage.configs[1], "beat", false, now_ms(), &error), &error);
    assert_true(next_of("beat") > now_ms());
}

/* ---- without memory ---- */

/* Each step loses one more allocation. (jansson does not say that it was memory that it lacked: a schedule is
 * taken for damaged then, and read again 30 s later.) */
static void without_memory(void **state)
{
    (void)state;
    declare(0, 3);
    for (int round = 0; round < 10; round++) {
        struct alloc_count count = {.asked = 1};
        for (size_t n = 1; count.asked >= count.fail_at; n++) {
            int64_t wait_ms;
            bide_error error = {0};
            count = (struct alloc_count){.fail_at = n};
            bide_alloc_set_hook(count_allocation, &count);
            bide_code code = bide_schedules_step(stage.schedules[0], &wait_ms, &error);
            bide_alloc_set_hook(NULL, NULL);
            assert_true(code == BIDE_OK || code == BIDE_E_NOMEM);
            assert_int_equal(error.code, code);
        }
        fake_clock_advance_ms(&stage.clock, SECOND);
    }
    live(0, 70 * SECOND);
    int64_t slot_ms = now_ms() / SECOND * SECOND;
    assert_true(
        copies("beat", slot_ms) == 1 && copies("other", slot_ms) == 1 && copies("third", slot_ms) == 1);
    for (slot_ms = BEGIN_MS + SECOND; slot_ms < now_ms(); slot_ms += SECOND)
        assert_true(copies("beat", slot_ms) >= 1);
}

static bool list_without_memory(void *user)
{
    struct bide_schedule_list list;
    bide_code code = bide_schedule_list_take(user, &stage.configs[0], now_ms(), &list, NULL);
    if (code == BIDE_OK) {
        assert_int_equal(list.n, 3);
        bide_schedule_list_clear(&list);
    }
    return code == BIDE_OK;
}

static void a_list_without_memory(void **state)
{
    (void)state;
    declare(0, 3);
    assert_true(fail_each_allocation(list_without_memory, stage.stores[0]) > 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(it_fires_ahead),
    cmocka_unit_test(what_is_a_minute_late_fires),
    cmocka_unit_test(after_an_outage),
    cmocka_unit_test(after_an_outage_of_a_rare_one),
    cmocka_unit_test(a_fact_reads_as_it_was_written),
    cmocka_unit_test(jitter_is_the_same_for_all_copies),
    CASE(one_message_a_slot),
    CASE(a_broker_that_is_away_is_waited_for),
    CASE(a_lost_answer_sends_another_copy),
    CASE(what_the_broker_refuses_holds_up_nothing),
    CASE(a_slot_is_skipped_while_the_last_message_lives),
    CASE(all_missed_slots_fire_a_hundred_at_a_time),
    CASE(a_clock_set_back_fires_nothing_again),
    CASE(a_claim_is_taken_over_in_time),
    CASE(clocks_that_die_at_random),
    CASE(hosts_that_disagree),
    CASE(a_store_that_was_emptied),
    CASE(added_ones_fire_everywhere),
    CASE(paused_and_resumed),
    CASE(paused_while_a_clock_has_it),
    CASE(without_memory),
    CASE(a_list_without_memory),
};

UNIT_MAIN(tests)
