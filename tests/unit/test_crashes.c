/* shared/crashes: what is known of messages and types that brought a process down. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shared/crashes.h"
#include "support/fake_clock.h"
#include "unit/unit.h"

static int share_table(void **state)
{
    void *memory =
        mmap(NULL, sizeof(struct bide_crashes), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return -1;
    bide_crashes_init(memory);
    *state = memory;
    return 0;
}

static int unshare_table(void **state)
{
    return munmap(*state, sizeof(struct bide_crashes));
}

/* Asks for the message `id` met at this attempt, at this monotonic time. */
static bool ask(
    struct bide_crashes *crashes, const char *id, int attempt, int64_t now_ms, struct bide_crash *to)
{
    char copy[BIDE_ID_MAX + 1];
    snprintf(copy, sizeof copy, "%s", id);
    const struct bide_message message = {.id = copy, .queue = "default", .attempt = attempt};
    struct fake_clock clock;
    fake_clock_init(&clock, 0);
    fake_clock_advance_ms(&clock, now_ms - bide_mono_ms(&clock.clock));
    *to = (struct bide_crash){0};
    return bide_crashes_ask(crashes, &message, &clock.clock, to);
}

static void test_nothing_is_known(void **state)
{
    struct bide_crash crash;
    assert_false(ask(*state, "a", 1, 0, &crash));
    bide_crashes_note(*state, "b", 1, false, "text");
    assert_false(ask(*state, "a", 1, 0, &crash));
    bide_crashes_forget(*state, "a");
    bide_crashes_end(*state, "a", 1);
    assert_true(ask(*state, "b", 1, 0, &crash));
}

/* All copies of a message to a topic have its id. */
static void test_copies_are_told_apart(void **state)
{
    struct bide_crashes *crashes = *state;
    const struct bide_message geo = {.id = "m", .queue = "geo@logs", .attempt = 1};
    const struct bide_message errors = {.id = "m", .queue = "errors@logs", .attempt = 1};
    char text[BIDE_CRASH_KEY];
    struct bide_crash crash;
    bide_crashes_note(crashes, bide_crash_key(&geo, text), 1, false, "SIGSEGV");
    assert_true(bide_crashes_ask(crashes, &geo, bide_clock_system(), &crash));
    assert_int_equal(crash.crashes, 1);
    assert_false(bide_crashes_ask(crashes, &errors, bide_clock_system(), &crash));
    bide_crashes_forget(crashes, bide_crash_key(&errors, text));
    assert_true(bide_crashes_ask(crashes, &geo, bide_clock_system(), &crash));
}

static void test_who_is_dying(void **state)
{
    struct bide_crashes *crashes = *state;
    struct bide_dying *dying = &crashes->dying;
    bide_dying_add(dying, "a");
    bide_dying_add(dying, "a"); /* two processes at once */
    assert_false(bide_dying_has(dying, "b"));
    bide_dying_remove(dying, "b");
    bide_dying_remove(dying, "a");
    assert_true(bide_dying_has(dying, "a"));
    bide_dying_remove(dying, "a");
    assert_false(bide_dying_has(dying, "a"));
    assert_int_equal(dying->n, 0);
}

static void test_more_are_dying_than_there_is_room_for(void **state)
{
    struct bide_crashes *crashes = *state;
    char id[BIDE_ID_MAX + 1];
    for (int i = 0; i < BIDE_DYING_MAX + 1; i++) {
        snprintf(id, sizeof id, "id-%d", i);
        bide_dying_add(&crashes->dying, id);
    }
    assert_false(bide_dying_has(&crashes->dying, id));
    for (int i = 0; i < BIDE_DYING_MAX + 1; i++) {
        snprintf(id, sizeof id, "id-%d", i);
        bide_dying_remove(&crashes->dying, id);
    }
    assert_int_equal(crashes->dying.n, 0);
}

static void test_a_crash_is_counted_once(void **state)
{
    struct bide_crash crash;
    bide_crashes_note(*state, "a", 1, false, "killed by SIGSEGV");
    assert_true(ask(*state, "a", 1, 0, &crash));
    assert_true(crash.uncounted && crash.suspect && !crash.hung);
    assert_int_equal(crash.crashes, 1);
    assert_string_equal(crash.text, "killed by SIGSEGV");
    assert_true(ask(*state, "a", 1, 0, &crash)); /* its settlement was lost: the answer is the same */
    assert_true(crash.uncounted);
    assert_true(ask(*state, "a", 2, 0, &crash)); /* settled: this is the next run */
    assert_false(crash.uncounted);
    assert_true(crash.suspect);
    bide_crashes_note(*state, "a", 2, false, "again");
    assert_true(ask(*state, "a", 2, 0, &crash));
    assert_int_equal(crash.crashes, 2);
    assert_string_equal(crash.text, "again");
}

/* A death between a retry's publish and its ack leaves an older copy. */
static void test_a_copy_does_not_begin_anew(void **state)
{
    struct bide_crash crash;
    bide_crashes_note(*state, "a", 1, false, "");
    bide_crashes_note(*state, "a", 2, false, "");
    bide_crashes_note(*state, "a", 3, false, "");
    assert_true(ask(*state, "a", 2, 0, &crash));
    assert_true(crash.uncounted);
    assert_int_equal(crash.crashes, 3);
}

static void test_what_hung_is_no_crash(void **state)
{
    struct bide_crash crash;
    bide_crashes_note(*state, "a", 1, true, BIDE_CRASH_HUNG);
    assert_true(ask(*state, "a", 1, 0, &crash));
    assert_true(crash.uncounted && crash.hung && !crash.suspect);
    assert_int_equal(crash.crashes, 0);
}

static void test_three_deaths_alone_are_blame(void **state)
{
    struct bide_crash crash;
    for (int death = 1; death <= 3; death++) {
        bide_crashes_suspect(*state, "a", 1, true, "killed by SIGKILL");
        assert_true(ask(*state, "a", 1, 0, &crash));
        assert_true(crash.suspect);
        assert_int_equal(crash.uncounted, death == 3);
        assert_int_equal(crash.crashes, death == 3 ? 3 : 0);
    }
    bide_crashes_suspect(*state, "a", 2, true, "killed by SIGKILL"); /* counts on where more are allowed */
    assert_true(ask(*state, "a", 2, 0, &crash));
    assert_int_equal(crash.crashes, 4);
}

static void test_to_be_near_is_no_blame(void **state)
{
    struct bide_crash crash;
    for (int death = 1; death <= 10; death++) {
        bide_crashes_suspect(*state, "a", 1, death <= 2, "");
        assert_true(ask(*state, "a", 1, 0, &crash));
        assert_true(crash.suspect && !crash.uncounted && crash.crashes == 0);
        assert_int_equal(crash.suspicions, death);
    }
}

static void test_done_is_forgotten(void **state)
{
    struct bide_crash crash;
    bide_crashes_suspect(*state, "a", 1, false, "");
    bide_crashes_forget(*state, "a");
    assert_false(ask(*state, "a", 1, 0, &crash));
    assert_int_equal(((struct bide_crashes *)*state)->n, 0);
}

static void test_an_end_is_remembered_for_lost_settlements(void **state)
{
    struct bide_crash crash;
    bide_crashes_note(*state, "a", 3, false, "");
    bide_crashes_end(*state, "a", 1000);
    assert_true(ask(*state, "a", 3, 7000, &crash)); /* Redis hands it out again after 5 s */
    assert_true(crash.uncounted);
    assert_false(ask(*state, "a", 3, 60000, &crash));
}

static void test_a_replay_begins_anew(void **state)
{
    struct bide_crash crash;
    bide_crashes_note(*state, "a", 3, false, "");
    bide_crashes_end(*state, "a", 1000);
    assert_false(ask(*state, "a", 1, 1001, &crash));
    assert_false(ask(*state, "a", 3, 1001, &crash));
}

static void test_the_oldest_makes_room(void **state)
{
    struct bide_crash crash;
    char id[32];
    for (int i = 0; i < BIDE_CRASH_RECORDS; i++) {
        snprintf(id, sizeof id, "m%d", i);
        bide_crashes_note(*state, id, 1, false, "");
    }
    bide_crashes_note(*state, "m0", 2, false, ""); /* the oldest is now m1 */
    bide_crashes_note(*state, "new", 1, false, "");
    assert_true(ask(*state, "m0", 2, 0, &crash));
    assert_false(ask(*state, "m1", 1, 0, &crash));
    assert_true(ask(*state, "m2", 1, 0, &crash));
    assert_true(ask(*state, "new", 1, 0, &crash));
    assert_int_equal(((struct bide_crashes *)*state)->n, BIDE_CRASH_RECORDS);
}

static void test_long_ids_and_texts(void **state)
{
    struct bide_crash crash;
    char id[BIDE_ID_MAX + 1], text[1000];
    memset(id, 'i', sizeof id - 1);
    memset(text, 't', sizeof text - 1);
    id[sizeof id - 1] = text[sizeof text - 1] = '\0';
    bide_crashes_note(*state, id, 1, false, text);
    assert_true(ask(*state, id, 1, 0, &crash));
    assert_int_equal(strlen(crash.text), BIDE_CRASH_TEXT - 1);
}

/* Its own process, as a worker that is killed inside a call would. */
static void test_a_dead_owner_leaves_the_lock(void **state)
{
    struct bide_crashes *crashes = *state;
    struct bide_crash crash;
    bide_crashes_note(crashes, "a", 1, false, "");
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(&crashes->lock);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    alarm(10); /* a lock that is lost would wait for ever */
    assert_true(ask(crashes, "a", 1, 0, &crash));
    bide_crashes_note(crashes, "b", 1, false, "");
    assert_true(ask(crashes, "b", 1, 0, &crash));
    alarm(0);
}

static void test_a_stopped_owner_keeps_nobody(void **state)
{
    struct bide_crashes *crashes = *state;
    struct bide_crash crash;
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        pthread_mutex_lock(&crashes->lock);
        raise(SIGSTOP);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    alarm(10); /* it would wait for ever */
    bide_crashes_note(crashes, "a", 1, false, "");
    alarm(0);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_true(ask(crashes, "a", 1, 0, &crash));
}

static void test_a_type_gets_into_trouble_and_out(void **state)
{
    assert_int_equal(bide_crashes_type_trouble(*state, "t"), 0);
    assert_false(bide_crashes_type_died(*state, "t"));
    assert_false(bide_crashes_type_died(*state, "t"));
    assert_int_equal(bide_crashes_type_trouble(*state, "t"), 0);
    assert_true(bide_crashes_type_died(*state, "t"));
    assert_int_equal(bide_crashes_type_trouble(*state, "t"), 3);
    assert_false(bide_crashes_type_died(*state, "t")); /* told once */
    for (int i = 0; i < 100; i++)
        bide_crashes_type_died(*state, "t");
    assert_int_equal(bide_crashes_type_trouble(*state, "t"), 20);
    for (int i = 0; i < 18; i++)
        bide_crashes_type_did_well(*state, "t");
    assert_int_equal(bide_crashes_type_trouble(*state, "t"), 0);
    assert_int_equal(bide_crashes_type_trouble(*state, "another"), 0);
}

static void test_rare_deaths_are_no_trouble(void **state)
{
    for (int death = 0; death < 1000; death++) {
        assert_false(bide_crashes_type_died(*state, "t"));
        for (int i = 0; i < 40; i++)
            bide_crashes_type_did_well(*state, "t");
    }
    assert_int_equal(bide_crashes_type_trouble(*state, "t"), 0);
}

#define WITH_TABLE(test) cmocka_unit_test_setup_teardown(test, share_table, unshare_table)

static const struct CMUnitTest tests[] = {
    WITH_TABLE(test_nothing_is_known),
    WITH_TABLE(test_copies_are_told_apart),
    WITH_TABLE(test_who_is_dying),
    WITH_TABLE(test_more_are_dying_than_there_is_room_for),
    WITH_TABLE(test_a_crash_is_counted_once),
    WITH_TABLE(test_a_copy_does_not_begin_anew),
    WITH_TABLE(test_what_hung_is_no_crash),
    WITH_TABLE(test_three_deaths_alone_are_blame),
    WITH_TABLE(test_to_be_near_is_no_blame),
    WITH_TABLE(test_done_is_forgotten),
    WITH_TABLE(test_an_end_is_remembered_for_lost_settlements),
    WITH_TABLE(test_a_replay_begins_anew),
    WITH_TABLE(test_the_oldest_makes_room),
    WITH_TABLE(test_long_ids_and_texts),
    WITH_TABLE(test_a_dead_owner_leaves_the_lock),
    WITH_TABLE(test_a_stopped_owner_keeps_nobody),
    WITH_TABLE(test_a_type_gets_into_trouble_and_out),
    WITH_TABLE(test_rare_deaths_are_no_trouble),
};

UNIT_MAIN(tests)
