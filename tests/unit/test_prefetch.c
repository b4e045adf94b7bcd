/* worker/prefetch.h, worker/gates/quarantine.h: how much is held, and how much of it may be suspect. */
#include "made_jobs.h"

#include "worker/prefetch.h"
#include "worker/gates/quarantine.h"

static void test_prefetch_grows_and_shrinks(void **state)
{
    (void)state;
    struct bide_prefetch prefetch;
    int64_t now_us = 0;
    bide_prefetch_init(&prefetch, 0, 4, 1);
    assert_int_equal(prefetch.limit, 8);
    for (int round = 0; round < 20; round++) { /* dry, at the limit, short waits: grows to the maximum */
        size_t n = prefetch.limit;
        bide_prefetch_took(&prefetch, n);
        for (size_t i = 0; i < n; i++)
            bide_prefetch_gave(&prefetch, 100);
        bide_prefetch_adapt(&prefetch, true, now_us += 10000);
    }
    assert_int_equal(prefetch.limit, BIDE_PREFETCH_MAX);
    for (int round = 0; round < 20; round++) { /* long waits: back to where it began */
        bide_prefetch_took(&prefetch, 1);
        bide_prefetch_gave(&prefetch, 500000);
        bide_prefetch_adapt(&prefetch, true, now_us += 300000);
    }
    assert_int_equal(prefetch.limit, 8);
    assert_int_equal(prefetch.held, 0);
}

static void test_prefetch_configured_stays(void **state)
{
    (void)state;
    struct bide_prefetch prefetch;
    bide_prefetch_init(&prefetch, 0, 4, 1000); /* one batch runs, one fills, two are settled */
    assert_int_equal(prefetch.limit, 4000);
    bide_prefetch_init(&prefetch, 3, 4, 1000);
    bide_prefetch_took(&prefetch, 3);
    assert_false(bide_prefetch_adapt(&prefetch, true, 1000000));
    assert_int_equal(prefetch.limit, 3);
}

/* ---- quarantine ---- */

static void test_suspects_have_half_of_the_prefetch(void **state)
{
    (void)state;
    static const struct {
        size_t limit, room;
    } rows[] = {{1, 1}, {2, 1}, {3, 1}, {4, 2}, {5, 2}, {8, 4}, {100, 4}};
    struct bide_handler handler = {.config = &plain};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bide_quarantine quarantine;
        struct bide_job_list jobs = {0};
        size_t n = 0;
        bide_quarantine_init(&quarantine, 4, 0);
        for (; !bide_quarantine_is_full(&quarantine, 0, rows[i].limit); n++)
            bide_job_append(&quarantine.waiting, &make(&handler, 0, 0)->job);
        assert_int_equal(n, rows[i].room);
        assert_int_equal(bide_quarantine_is_full(&quarantine, 1, 2), n == 4); /* each queue has its own */
        bide_quarantine_admit(&quarantine, &jobs, 0, true, 1000000); /* the one that runs is one of them */
        assert_int_equal(jobs.n, 1);
        assert_int_equal(bide_quarantine_is_full(&quarantine, 0, rows[i].limit), rows[i].limit < 100);
        bide_quarantine_withdraw(&quarantine, NULL, NULL, &jobs);
        free_all(&jobs);
    }
}

/* Near one death for 0.2 s, near two for 0.8 s …: others wait so long beside a suspect that runs. */
static void test_the_more_deaths_the_longer_alone(void **state)
{
    (void)state;
    static const int64_t alone_us[] = {50000, 200000, 800000, 3200000, 12800000, 51200000, 51200000};
    struct bide_handler handler = {.config = &plain};
    for (int deaths = 0; deaths < 7; deaths++) {
        struct bide_quarantine quarantine;
        struct bide_job_list jobs = {0}, others = {0};
        const int64_t now_us = 1000000;
        struct bide_job *suspect = &make(&handler, 0, 0)->job;
        suspect->deaths = deaths;
        bide_quarantine_init(&quarantine, 4, 0);
        bide_job_append(&quarantine.waiting, suspect);
        bide_quarantine_admit(&quarantine, &jobs, 0, true, now_us);
        assert_ptr_equal(jobs.first, suspect);
        bide_job_append(&others, &make(&handler, 0, 0)->job);
        bide_quarantine_admit(&quarantine, &others, 1, true, now_us + alone_us[deaths] - 1);
        assert_int_equal(others.n, 0);
        bide_quarantine_admit(&quarantine, &others, 1, true, now_us + alone_us[deaths]);
        assert_int_equal(others.n, 1);
        free_all(&others);
        free_all(&jobs);
    }
}

static bool any(const void *user, const struct bide_job *job)
{
    (void)user, (void)job;
    return true;
}

/* A pause takes the suspect whose turn had been prepared: the others go on. */
static void test_nobody_waits_for_a_suspect_that_was_withdrawn(void **state)
{
    (void)state;
    struct bide_handler handler = {.config = &plain};
    struct bide_quarantine quarantine;
    struct bide_job_list jobs = {0}, back = {0};
    bide_quarantine_init(&quarantine, 4, 0);
    bide_job_append(&quarantine.waiting, &make(&handler, 0, 0)->job);
    bide_job_append(&jobs, &make(&handler, 0, 0)->job);
    bide_quarantine_admit(&quarantine, &jobs, 0, false, 1000000);
    assert_int_equal(jobs.n, 0); /* it is quiet before the suspect's turn */
    bide_job_pick(&quarantine.held, any, NULL, &jobs);
    bide_quarantine_withdraw(&quarantine, any, NULL, &back);
    assert_int_equal(back.n, 1);
    bide_quarantine_admit(&quarantine, &jobs, 0, false, 1001000);
    assert_int_equal(jobs.n, 1);
    free_all(&jobs);
    free_all(&back);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_prefetch_grows_and_shrinks),
    cmocka_unit_test(test_prefetch_configured_stays),
    cmocka_unit_test(test_suspects_have_half_of_the_prefetch),
    cmocka_unit_test(test_the_more_deaths_the_longer_alone),
    cmocka_unit_test(test_nobody_waits_for_a_suspect_that_was_withdrawn),
};

UNIT_MAIN(tests)
