/* console/connections: nobody keeps others out. */
#include "console/connections.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "unit/unit.h"

enum { PAIRS = BIDE_CONNECTIONS + BIDE_CONNECTIONS_SPARE };

/* Clients that are connected to the table's rows. */
struct crowd {
    struct bide_connections connections;
    struct bide_connection *rows[PAIRS];
    int clients[PAIRS];
    size_t n;
};

static int set_up(void **state)
{
    struct crowd *crowd = calloc(1, sizeof *crowd);
    assert_non_null(crowd);
    bide_connections_init(&crowd->connections);
    *state = crowd;
    return 0;
}

static int tear_down(void **state)
{
    struct crowd *crowd = *state;
    for (size_t i = 0; i < crowd->n; i++) {
        close(crowd->clients[i]);
        close(crowd->rows[i]->fd);
    }
    bide_connections_destroy(&crowd->connections);
    free(crowd);
    return 0;
}

static struct bide_connection *arrive_from(struct crowd *crowd, const struct sockaddr *from, int64_t now_ms)
{
    int ends[2];
    assert_true(crowd->n < PAIRS);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    struct bide_connection *row = bide_connections_open(&crowd->connections, ends[0], from, now_ms);
    assert_non_null(row);
    crowd->clients[crowd->n] = ends[1];
    crowd->rows[crowd->n++] = row;
    return row;
}

static struct bide_connection *arrive(struct crowd *crowd, uint32_t address, int64_t now_ms)
{
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    return arrive_from(crowd, (const struct sockaddr *)&from, now_ms);
}

static bool was_ended(const struct crowd *crowd, size_t i)
{
    char byte;
    return read(crowd->clients[i], &byte, 1) == 0;
}

static void test_the_oldest_half_request_makes_room(void **state)
{
    struct crowd *crowd = *state;
    for (uint32_t i = 0; i < BIDE_CONNECTIONS; i++)
        arrive(crowd, i % 2, i);
    for (size_t i = 0; i < crowd->n; i++)
        assert_false(was_ended(crowd, i));
    arrive(crowd, 7, 100); /* 65 in all */
    arrive(crowd, 1, 101); /* 33 of that address */
    for (size_t i = 0; i < crowd->n; i++)
        assert_int_equal(was_ended(crowd, i), i == 0 || i == 1);
}

/* http.listen = "[::]:9470" sees IPv4 clients as ::ffff:a.b.c.d: one of them is not all of them. */
static void test_mapped_addresses_differ(void **state)
{
    struct crowd *crowd = *state;
    struct sockaddr_in6 from = {.sin6_family = AF_INET6, .sin6_addr.s6_addr = {[10] = 0xFF, 0xFF, 192, 0, 2}};
    for (uint32_t i = 0; i <= BIDE_CONNECTIONS_ADDRESS; i++) {
        from.sin6_addr.s6_addr[15] = i == 0 ? 1 : 2; /* a probe, then one who asks a lot */
        arrive_from(crowd, (const struct sockaddr *)&from, i);
    }
    assert_false(was_ended(crowd, 0));
    arrive_from(crowd, (const struct sockaddr *)&from, 100);
    assert_false(was_ended(crowd, 0));
    assert_true(was_ended(crowd, 1));
}

static void test_a_busy_one_is_spared(void **state)
{
    struct crowd *crowd = *state;
    for (uint32_t i = 0; i < BIDE_CONNECTIONS_ADDRESS; i++)
        arrive(crowd, 1, i);
    assert_true(bide_connections_begin(&crowd->connections, crowd->rows[0], 50));
    arrive(crowd, 1, 60);
    assert_false(was_ended(crowd, 0));
    assert_true(was_ended(crowd, 1));
}

static void test_too_many_at_work(void **state)
{
    struct crowd *crowd = *state;
    for (uint32_t i = 0; i < BIDE_CONNECTIONS_ADDRESS; i++)
        assert_true(bide_connections_begin(&crowd->connections, arrive(crowd, 1, i), i));
    struct bide_connection *late = arrive(crowd, 1, 90);
    assert_false(was_ended(crowd, crowd->n - 1)); /* there is room for its /healthz */
    assert_false(bide_connections_begin(&crowd->connections, late, 90));
    assert_true(bide_connections_begin(&crowd->connections, arrive(crowd, 2, 91), 91));
    bide_connections_finish(&crowd->connections, crowd->rows[3], 92);
    bide_connections_finish(&crowd->connections, late, 92);
    assert_true(bide_connections_begin(&crowd->connections, late, 93));
}

static void test_overdue_ones_end(void **state)
{
    struct crowd *crowd = *state;
    for (uint32_t i = 0; i < 4; i++)
        arrive(crowd, i, 0);
    bide_connections_begin(&crowd->connections, crowd->rows[1], 0);
    bide_connections_begin(&crowd->connections, crowd->rows[2], 0);
    bide_connections_stream(&crowd->connections, crowd->rows[2]);
    bide_connections_begin(&crowd->connections, crowd->rows[3], 0);
    bide_connections_finish(&crowd->connections, crowd->rows[3], 5);
    bide_connections_expire(&crowd->connections, BIDE_CONNECTION_WAIT_MS);
    for (size_t i = 0; i < 4; i++)
        assert_false(was_ended(crowd, i));
    bide_connections_expire(&crowd->connections, BIDE_CONNECTION_WAIT_MS + 1);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(was_ended(crowd, i), i == 0);
    bide_connections_expire(&crowd->connections, INT64_C(1000) * BIDE_CONNECTION_BUSY_MS);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(was_ended(crowd, i), i != 2); /* a stream ends when its reader leaves */
}

static void test_no_room_at_all(void **state)
{
    struct crowd *crowd = *state;
    for (uint32_t i = 0; i < PAIRS; i++)
        arrive(crowd, i, 0);
    assert_null(bide_connections_open(&crowd->connections, STDIN_FILENO, NULL, 0));
    bide_connections_close(&crowd->connections, crowd->rows[5]);
    assert_ptr_equal(bide_connections_open(&crowd->connections, dup(STDIN_FILENO), NULL, 0), crowd->rows[5]);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_the_oldest_half_request_makes_room, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_mapped_addresses_differ, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_a_busy_one_is_spared, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_too_many_at_work, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_overdue_ones_end, set_up, tear_down),
    cmocka_unit_test_setup_teardown(test_no_room_at_all, set_up, tear_down),
};

UNIT_MAIN(tests)
