/* supervisor/states: single orders of events, and all of them up to a depth (unit/states_world.h). */
#include <stdlib.h>
#include <time.h>

#include "unit/states_world.h"

/* ---- single orders ---- */

/* "serve:0 round": that, in this order. */
static void follow(struct world *world, const char *order)
{
    char name[32];
    int used;
    for (; *order; order += used) {
        int place = 0, more = 0;
        assert_int_equal(sscanf(order, " %31[a-z0-]%n", name, &used), 1);
        if (sscanf(order + used, ":%d%n", &place, &more) == 1)
            used += more;
        int kind = ROUND;
        while (kind < EVENT_KINDS && strcmp(event_names[kind], name) != 0)
            kind++;
        const struct event event = {(enum event_kind)kind, place};
        assert_true(kind < EVENT_KINDS && may_happen(world, event));
        happen(world, event);
    }
}

static void test_one_that_hung_and_ended_unseen_is_replaced(void **state)
{
    struct world world;
    (void)state;
    begin(&world, 1, 16);
    follow(&world, "serve:0 round hang:0 return-0:0 round");
    assert_int_equal(count_role(&world, BIDE_ROLE_MEMBER), 1);
    assert_int_equal(world.deaths, 0);
}

static void test_a_candidate_that_hung_and_ended_unseen_is_replaced(void **state)
{
    struct world world;
    (void)state;
    begin(&world, 1, 16);
    follow(&world, "serve:0 reload round serve:1 hang:1 return-0:1 round");
    assert_int_equal(world.accepted, 1);
    assert_int_equal(count_role(&world, BIDE_ROLE_MEMBER), world.states.force.processes);
}

static void test_a_failed_start_beside_one_that_serves_is_tried_again(void **state)
{
    struct world world;
    (void)state;
    begin(&world, 2, 16);
    follow(&world, "serve:0 fail:1 round");
    assert_int_equal(count_role(&world, BIDE_ROLE_MEMBER), 2);
    follow(&world, "hang:0 fail:1 round wait round");
    assert_int_equal(count_role(&world, BIDE_ROLE_MEMBER), 2);
    assert_int_equal(world.states.phase, BIDE_PHASE_ON);
}

static void test_from_nine_to_one(void **state)
{
    struct world world;
    (void)state;
    begin(&world, 9, PLACES);
    for (int i = 0; i < 9; i++)
        happen(&world, (struct event){SERVE, i});
    world.next_processes = 1;
    bide_states_reload(&world.states);
    follow(&world, "round serve:9 round"); /* nine finish */
    follow(&world, "crash:9 round crash:9 round wait round");
    assert_int_equal(count_role(&world, BIDE_ROLE_MEMBER), 1);
    follow(&world, "reload round serve:10 round");
    assert_int_equal(world.accepted, 2);
}

/* As many members as make a crowd by themselves would keep every later reload waiting. */
static void test_after_the_largest_reload_comes_another(void **state)
{
    static const int largest = 8;
    struct world world;
    (void)state;
    for (int processes = largest - 1; processes <= largest; processes++) {
        begin(&world, 1, 2 * (size_t)largest);
        follow(&world, "serve:0");
        world.next_processes = processes;
        bide_states_reload(&world.states);
        follow(&world, "round");
        if (bide_states_is_reloading(&world.states))
            follow(&world, "serve:1 round return-0:0 round");
        follow(&world, "reload round");
        assert_true(bide_states_is_reloading(&world.states));
    }
}

static void test_strangers_stop_nobody(void **state)
{
    struct world world;
    (void)state;
    begin(&world, 2, 16);
    follow(&world, "serve:0 serve:1 round term-by-stranger:0 term-by-stranger:1 return-0:0 round");
    follow(&world, "wait round");
    assert_int_equal(count_role(&world, BIDE_ROLE_MEMBER), 2);
}

static void test_a_stop_refuses_a_candidate_that_serves(void **state)
{
    struct world world;
    (void)state;
    begin(&world, 1, 16);
    follow(&world, "serve:0 reload round serve:1 stop round");
    assert_int_equal(world.accepted, 0);
    assert_int_equal(world.refused, 1);
}

static void test_a_candidate_that_cannot_be_killed_holds_up_nothing(void **state)
{
    struct world world;
    (void)state;
    begin(&world, 1, 16);
    follow(&world, "serve:0 reload round stick:1 wait round");
    assert_int_equal(world.refused, 1);
    assert_int_equal(bide_states_wait_ms(&world.states, world.now_ms), -1);
    follow(&world, "reload round serve:2 round");
    assert_int_equal(world.accepted, 1);
    follow(&world, "stop round return-0:0 return-0:2 return-0:3 round wait round");
    assert_true(is_over(&world));
}

static void test_who_does_not_stop_is_killed(void **state)
{
    struct world world;
    (void)state;
    begin(&world, 2, 16);
    follow(&world, "serve:0 serve:1 stop round return-0:1 round");
    int64_t told_ms = world.now_ms;
    follow(&world, "wait round round");
    assert_true(is_over(&world));
    assert_int_equal(world.now_ms - told_ms, DRAIN_MS + BIDE_AFTER_DRAIN_MS);
    assert_int_equal(world.deaths, 0);
}

/* ---- all orders ---- */

/* States that have been gone through, with how many more events. */
struct seen {
    uint64_t *keys; /* hash, its lowest bits replaced by the depth left + 1; 0: free */
    size_t room, n, n_events;
};

enum { DEPTH_BITS = 4 };

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash ^= value;
    return next_random(&hash);
}

static uint64_t hash_process(const struct world *world, size_t i)
{
    const struct bide_place *place = &world->places[i];
    const struct process *process = &world->processes[i];
    int64_t left_ms = place->until_ms == INT64_MAX ? -1 : place->until_ms - world->now_ms;
    bool steady = world->now_ms - place->started_ms > 60 * 1000;
    uint64_t flags = (uint64_t)place->role | (uint64_t)place->serves << 3 | (uint64_t)place->unhurried << 4 |
                     (uint64_t)place->killed << 5 | (uint64_t)process->alive << 6 |
                     (uint64_t)process->zombie << 7 | (uint64_t)process->serving << 8 |
                     (uint64_t)process->told << 9 | (uint64_t)process->killed << 10 |
                     (uint64_t)process->stuck << 11 | (uint64_t)process->candidate << 12 |
                     (uint64_t)process->leaving << 13 | (uint64_t)process->end.returned << 16 |
                     (uint64_t)process->end.status << 17 | (uint64_t)process->end.signal << 25 |
                     (uint64_t)steady << 33 | (uint64_t)(world->generation - process->generation + 1) << 34;
    return place->role == BIDE_ROLE_FREE ? 1 : mix(mix(flags, (uint64_t)left_ms), (uint64_t)place->signal);
}

/* Places are alike: their order does not matter. */
static uint64_t hash_world(const struct world *world)
{
    const struct bide_states *states = &world->states;
    int64_t pause_left_ms = states->start_again_ms - world->now_ms;
    uint64_t hash = (uint64_t)states->phase | (uint64_t)states->reload_wanted << 2 |
                    (uint64_t)states->candidate_wanted << 3 | (uint64_t)states->answer << 4 |
                    (uint64_t)world->fork_fails << 6 | (uint64_t)world->prepared << 7 |
                    (uint64_t)world->ever_served << 8 | (uint64_t)states->ever_served << 9 |
                    (uint64_t)world->failed << 10 | (uint64_t)(world->stops > 0) << 11 |
                    (uint64_t)states->force.processes << 12 | (uint64_t)states->next_force.processes << 16 |
                    (uint64_t)world->next_processes << 20 | (uint64_t)states->idle << 24 |
                    (uint64_t)states->status << 28;
    hash = mix(mix(hash, (uint64_t)(pause_left_ms > 0 ? pause_left_ms : 0)), (uint64_t)states->pause_ms);
    uint64_t all = 0;
    for (size_t i = 0; i < states->n_places; i++)
        all += hash_process(world, i);
    return mix(hash, all);
}

/* False where it was gone through from here with as many events left. */
static bool is_new(struct seen *seen, uint64_t hash, int left)
{
    uint64_t mask = ((uint64_t)1 << DEPTH_BITS) - 1, key = (hash & ~mask) | (uint64_t)(left + 1);
    size_t at = hash >> DEPTH_BITS & (seen->room - 1);
    for (; seen->keys[at]; at = (at + 1) & (seen->room - 1)) {
        if ((seen->keys[at] & ~mask) != (hash & ~mask))
            continue;
        if ((seen->keys[at] & mask) >= (key & mask))
            return false;
        seen->keys[at] = key;
        return true;
    }
    assert_true(++seen->n < seen->room / 2);
    seen->keys[at] = key;
    return true;
}

static void go_on(struct seen *seen, const struct world *from, int left);

static void try(struct seen *seen, const struct world *from, int left, struct event event)
{
    struct world world;
    int length = trail_length;
    if (!may_happen(from, event))
        return;
    copy_world(&world, from);
    seen->n_events++;
    happen(&world, event);
    if (is_new(seen, hash_world(&world), left - 1))
        go_on(seen, &world, left - 1);
    trail_length = length;
}

static void go_on(struct seen *seen, const struct world *from, int left)
{
    if (left == 0 || is_over(from))
        return;
    for (int kind = ROUND; kind < EVENT_KINDS; kind++) {
        bool of_one = kind > ROUND && kind < STOP;
        for (int i = 0; i < (of_one ? (int)from->states.n_places : 1); i++)
            try(seen, from, left, (struct event){(enum event_kind)kind, i});
    }
}

static void test_all_orders(void **state)
{
    static const struct {
        int processes;
        size_t n_places;
        int depth;
    } cases[] = {{1, 5, 9}, {2, 7, 7}};
    struct seen seen = {.room = (size_t)1 << 22};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct world world;
        clock_t began = clock();
        seen.n = seen.n_events = 0;
        seen.keys = calloc(seen.room, sizeof *seen.keys);
        assert_non_null(seen.keys);
        begin(&world, cases[i].processes, cases[i].n_places);
        go_on(&seen, &world, cases[i].depth);
        free(seen.keys);
        print_message("%d processes: %zu states, %zu events, depth %d, %.2f s\n", cases[i].processes, seen.n,
            seen.n_events, cases[i].depth, (double)(clock() - began) / CLOCKS_PER_SEC);
    }
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_one_that_hung_and_ended_unseen_is_replaced),
    cmocka_unit_test(test_a_candidate_that_hung_and_ended_unseen_is_replaced),
    cmocka_unit_test(test_a_failed_start_beside_one_that_serves_is_tried_again),
    cmocka_unit_test(test_from_nine_to_one),
    cmocka_unit_test(test_after_the_largest_reload_comes_another),
    cmocka_unit_test(test_strangers_stop_nobody),
    cmocka_unit_test(test_a_stop_refuses_a_candidate_that_serves),
    cmocka_unit_test(test_a_candidate_that_cannot_be_killed_holds_up_nothing),
    cmocka_unit_test(test_who_does_not_stop_is_killed),
    cmocka_unit_test(test_all_orders),
};

UNIT_MAIN(tests)
