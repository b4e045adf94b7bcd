/* console/outbox: requests of many threads, in commits they share; what is not confirmed is said; the budget.
 */
#include "console/outbox.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "unit/unit.h"

enum { CLIENTS = 4, ROUNDS = 20, MANY = 2 * BIDE_OUTBOX_BATCH + 1 };

struct scene {
    struct bide_config *config;
    struct bide_outbox outbox;
    _Atomic uint64_t sent;
};

static struct scene scene;

static void begin(const char *broker)
{
    bide_error error = {0};
    scene = (struct scene){0};
    assert_ok(bide_config_default(&scene.config, &error), &error);
    bide_free(scene.config->broker);
    scene.config->broker = bide_strdup(broker);
    assert_ok(bide_outbox_start(&scene.outbox, scene.config, &scene.sent, &error), &error);
}

static int end(void **state)
{
    (void)state;
    bide_outbox_stop(&scene.outbox);
    bide_config_destroy(scene.config);
    return 0;
}

/* How many of n messages were confirmed. */
static size_t send_some(size_t n, struct bide_outbox_request *request)
{
    size_t confirmed = 0;
    *request = (struct bide_outbox_request){.rows = bide_calloc(n, sizeof *request->rows), .n = n};
    for (size_t i = 0; i < n; i++)
        if (bide_message_create("probe", &request->rows[i].message, NULL) != BIDE_OK)
            abort();
    bide_outbox_send(&scene.outbox, request);
    for (size_t i = 0; i < n; i++) {
        confirmed += request->rows[i].result == BIDE_SENT_OK;
        bide_message_destroy(request->rows[i].message);
        bide_free(request->rows[i].why);
    }
    bide_free(request->rows);
    return confirmed;
}

static void *client(void *user)
{
    size_t *confirmed = user;
    struct bide_outbox_request request;
    for (size_t i = 0; i < ROUNDS; i++)
        *confirmed += send_some(1 + i % 3, &request);
    *confirmed += send_some(MANY, &request);
    return NULL;
}

static void test_many_at_once(void **state)
{
    pthread_t threads[CLIENTS];
    size_t confirmed[CLIENTS] = {0}, all = 0, wanted = 0;
    (void)state;
    begin("memory:outbox");
    for (size_t i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, client, &confirmed[i]), 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        all += confirmed[i];
    }
    for (size_t i = 0; i < ROUNDS; i++)
        wanted += 1 + i % 3;
    assert_int_equal(all, CLIENTS * (wanted + MANY));
    assert_int_equal(atomic_load(&scene.sent), all);
}

/* Also one whose first commit fails while most of it is still to come. */
static void test_a_broker_that_fails(void **state)
{
    struct bide_outbox_request request;
    (void)state;
    begin("sqlite:/nowhere/at/all/bide.db");
    assert_int_equal(send_some(1, &request), 0);
    assert_true(request.failed && *request.error.text);
    assert_int_equal(send_some(MANY, &request), 0);
    assert_true(request.failed && request.taken < MANY);
    assert_int_equal(atomic_load(&scene.sent), 0);
}

static void test_budget(void **state)
{
    (void)state;
    begin("memory:outbox");
    struct bide_outbox *outbox = &scene.outbox;
    assert_true(bide_outbox_reserve(outbox, outbox->budget - 1));
    assert_false(bide_outbox_reserve(outbox, 2));
    assert_true(bide_outbox_reserve(outbox, 1));
    bide_outbox_release(outbox, outbox->budget);
    assert_true(bide_outbox_reserve(outbox, outbox->longest));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(test_many_at_once, end),
    cmocka_unit_test_teardown(test_a_broker_that_fails, end),
    cmocka_unit_test_teardown(test_budget, end),
};

UNIT_MAIN(tests)
