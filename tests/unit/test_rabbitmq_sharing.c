/* How the workers share what is landed from one queue. */
#include "broker/rabbitmq/sharing.h"
#include "support/test.h"

static void test_the_sum_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(bide_rmq_landed_share(0), BIDE_RMQ_LANDED_MAX); /* not known */
    assert_int_equal(bide_rmq_landed_share(1), BIDE_RMQ_LANDED_MAX);
    assert_int_equal(bide_rmq_landed_share(2), 4000);
    assert_int_equal(bide_rmq_landed_share(3), 2000);
    for (size_t n = 1; n <= 32; n++) {
        assert_true(n * bide_rmq_landed_share(n) <= BIDE_RMQ_LANDED_MAX);
        assert_true(2 * n * bide_rmq_landed_share(n) > BIDE_RMQ_LANDED_MAX);
    }
}

static void test_a_worker_has_some_always(void **state)
{
    (void)state;
    assert_int_equal(bide_rmq_landed_share(33), BIDE_RMQ_LANDED_LEAST);
    assert_int_equal(bide_rmq_landed_share(SIZE_MAX), BIDE_RMQ_LANDED_LEAST);
}

/* A change is by the half or the double at least, or the consumers would stay as they are (receiver.c). */
static void test_each_change_is_worth_a_consumer(void **state)
{
    (void)state;
    for (size_t n = 1; n < 100; n++) {
        size_t now = bide_rmq_landed_share(n), next = bide_rmq_landed_share(n + 1);
        assert_true(next == now || 2 * next <= now);
    }
}

struct row {
    struct bide_rmq_consumers landing, later;
    size_t workers;
};

enum { BEFORE = 7 };

static const struct row rows[] = {
    {{1, 1}, {1, 1}, 1}, {{3, 1}, {3, 1}, 3},
    {{5, 1}, {3, 1}, 3},      /* two consumers were cancelled, and have messages in hand */
    {{3, 1}, {14, 5}, 3},     /* many messages come in by the later queue */
    {{4, 2}, {3, 0}, 3},      /* one of the later queue's consumers is just beginning */
    {{3, 0}, {3, 0}, BEFORE}, /* both have changed */
    {{0, 1}, {0, 1}, BEFORE}, /* no queue, or a broker in trouble */
    {{1, 2}, {4, 1}, 4},      /* fewer than our own */
};

static void test_counted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct bide_rmq_consumers queues[] = {rows[i].landing, rows[i].later};
        assert_int_equal(bide_rmq_workers_of(queues, 2, BEFORE), rows[i].workers);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_sum_is_bounded),
        cmocka_unit_test(test_a_worker_has_some_always),
        cmocka_unit_test(test_each_change_is_worth_a_consumer),
        cmocka_unit_test(test_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
