/* Somebody sets the wall clock while messages wait: a due time moves by as much, once, and nothing that is
 * measured on the monotonic clock moves at all. And what is taken back from the board meanwhile. */
#include "dispatch/board.h"
#include "outcome/breaker.h"
#include "support/fake_clock.h"
#include "unit/unit.h"

enum { NOW_MS = 1000000000, HOUR_MS = 3600000 };

struct made {
    struct bide_job job;
    struct bide_delivery delivery;
    struct bide_message message;
};

static struct bide_handler_config plain = {.type = (char[]){"x"}};
static const struct bide_queue_config queues[] = {{.name = (char[]){"default"}, .weight = 1}};

/* A board with its clock, and messages due every 100 ms from now on. */
struct scene {
    struct fake_clock fake;
    struct bide_board board;
    struct bide_handler handler, other;
    struct made made[5];
};

static void open_scene(struct scene *scene)
{
    *scene = (struct scene){.handler = {.config = &plain}, .other = {.config = &plain}};
    fake_clock_init(&scene->fake, NOW_MS);
    assert_int_equal(bide_board_init(&scene->board, queues, 1, BIDE_ORDER_WEIGHTED, NULL), BIDE_OK);
    for (size_t i = 0; i < COUNT_OF(scene->made); i++) {
        struct made *made = &scene->made[i];
        made->message = (struct bide_message){.id = "x", .type = "x", .queue = "default", .attempt = 1};
        made->message.due_ms = NOW_MS + 100 * (int64_t)(i + 1);
        made->delivery.message = &made->message;
        made->job = (struct bide_job){.delivery = &made->delivery, .handler = &scene->handler};
        assert_true(bide_board_add(
            &scene->board, &made->job, bide_wall_us(&scene->fake.clock), bide_mono_us(&scene->fake.clock)));
    }
}

static struct bide_job *take(struct scene *scene)
{
    struct bide_job *job =
        bide_board_take(&scene->board, bide_wall_us(&scene->fake.clock), bide_mono_us(&scene->fake.clock));
    if (job)
        bide_board_finished(&scene->board, job->handler);
    return job;
}

static void test_forward(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    assert_null(take(&scene));
    fake_clock_jump_ms(&scene.fake, HOUR_MS);
    for (size_t i = 0; i < COUNT_OF(scene.made); i++) /* all are due, in their order, each once */
        assert_ptr_equal(take(&scene), &scene.made[i].job);
    fake_clock_jump_ms(&scene.fake, -HOUR_MS);
    assert_null(take(&scene));
    bide_board_clear(&scene.board);
}

static void test_back(void **state)
{
    (void)state;
    struct scene scene;
    open_scene(&scene);
    fake_clock_advance_ms(&scene.fake, 100);
    assert_ptr_equal(take(&scene), &scene.made[0].job);
    fake_clock_jump_ms(&scene.fake, -HOUR_MS);
    fake_clock_advance_ms(&scene.fake, HOUR_MS + 99);
    assert_null(take(&scene)); /* an hour later than it would have been, and not a millisecond less */
    fake_clock_advance_ms(&scene.fake, 1);
    assert_ptr_equal(take(&scene), &scene.made[1].job);
    assert_null(take(&scene));
    struct bide_job_list rest = {0};
    bide_board_withdraw_overdue(&scene.board, &(struct bide_handlers){0}, INT64_MAX, &rest);
    assert_int_equal(rest.n, 3);
    bide_board_clear(&scene.board);
}

static void test_a_circuit_does_not_notice(void **state)
{
    (void)state;
    static const struct bide_breaker_config config = {
        .failure_rate = 0.5, .window_ms = 10000, .min_runs = 1, .pause_ms = 5000, .max_pause_ms = 5000};
    struct fake_clock fake;
    struct bide_breaker breaker = {0};
    fake_clock_init(&fake, NOW_MS);
    bide_breaker_report(&breaker, &config, bide_mono_ms(&fake.clock), false, BIDE_SIGN_BAD);
    fake_clock_jump_ms(&fake, HOUR_MS);
    assert_int_equal(bide_breaker_admit(&breaker, bide_mono_ms(&fake.clock), 1000), BIDE_ADMIT_HOLD);
    fake_clock_jump_ms(&fake, -2 * HOUR_MS);
    fake_clock_advance_ms(&fake, 5000);
    assert_int_equal(bide_breaker_admit(&breaker, bide_mono_ms(&fake.clock), 1000), BIDE_ADMIT_PROBE);
}

static bool is_handlers(const void *handler, const struct bide_job *job)
{
    return job->handler == handler;
}

/* Ready, early and blocked ones of a handler come out; the others stay, and land in their time. */
static void test_a_handler_is_taken_back(void **state)
{
    (void)state;
    struct scene scene;
    struct bide_job_list back = {0};
    open_scene(&scene);
    for (size_t i = 0; i < COUNT_OF(scene.made); i += 2)
        scene.made[i].job.handler = &scene.other;
    fake_clock_advance_ms(&scene.fake, 200); /* one of each is due */
    assert_ptr_equal(take(&scene), &scene.made[0].job);
    bide_board_withdraw(&scene.board, &(struct bide_handlers){.rows = &scene.handler, .n = 1}, is_handlers,
        &scene.handler, &back);
    assert_int_equal(back.n, 2);
    assert_int_equal(scene.board.n_ready, 0);
    assert_null(take(&scene));
    fake_clock_advance_ms(&scene.fake, 100);
    assert_ptr_equal(take(&scene), &scene.made[2].job);
    fake_clock_advance_ms(&scene.fake, 200);
    assert_ptr_equal(take(&scene), &scene.made[4].job);
    assert_null(take(&scene));
    bide_board_clear(&scene.board);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_forward),
    cmocka_unit_test(test_back),
    cmocka_unit_test(test_a_circuit_does_not_notice),
    cmocka_unit_test(test_a_handler_is_taken_back),
};

UNIT_MAIN(tests)
