/* What a publisher tells its owner when the connection ends: here the other end of a pair of sockets is the
 * broker. */
#include <sys/socket.h>
#include <unistd.h>

#include "broker/rabbitmq/publisher.h"
#include "unit/unit.h"

enum { ITEMS = 4, NONE = -1 };

static const struct bide_rmq_settings settings = {.redacted = "amqp://test"};
static const struct bide_rmq_address address = {.exchange = "work", .key = "default"};
static struct bide_rmq_publisher publisher;
static int outcomes[ITEMS]; /* of each item */
static int broker;

static void note(void *owner, void *item, enum bide_rmq_outcome outcome)
{
    (void)owner;
    *(int *)item = (int)outcome;
}

static int set_up(void **state)
{
    int fds[2];
    (void)state;
    for (size_t i = 0; i < ITEMS; i++)
        outcomes[i] = NONE;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    broker = fds[1];
    bide_rmq_publisher_init(&publisher, &settings, note, NULL);
    publisher.link = (struct bide_rmq_link){
        .settings = &settings, .amqp = amqp_new_connection(), .fd = fds[0], .frame_max = 4096};
    amqp_tcp_socket_set_sockfd(amqp_tcp_socket_new(publisher.link.amqp), fds[0]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    bide_rmq_publisher_drop(&publisher);
    bide_rmq_publisher_release(&publisher);
    return 0;
}

static void put(size_t item)
{
    bide_error error;
    assert_int_equal(
        bide_rmq_publisher_put(&publisher, &address, (struct bide_slice){"{}", 2}, &outcomes[item], &error),
        BIDE_OK);
}

static void serve(bide_code expected)
{
    bide_error error;
    assert_int_equal(bide_rmq_publisher_serve(&publisher, 0, &error), expected);
}

/* basic.ack with `multiple`, on channel 1 */
static void confirm_up_to(char tag)
{
    const char frame[] = {1, 0, 1, 0, 0, 0, 13, 0, 60, 0, 80, 0, 0, 0, 0, 0, 0, 0, tag, 1, (char)0xCE};
    assert_int_equal(write(broker, frame, sizeof frame), sizeof frame);
}

/* The broker confirms two of three and is gone before the fourth is written: writing fails first, and the
 * confirms are there to be read. */
static void test_what_is_confirmed_is_heard_although_writing_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        put(i);
    serve(BIDE_OK);
    confirm_up_to(2);
    close(broker);
    put(3);
    serve(BIDE_E_BROKER);
    const int expected[] = {BIDE_RMQ_CONFIRMED, BIDE_RMQ_CONFIRMED, BIDE_RMQ_UNKNOWN, BIDE_RMQ_UNKNOWN};
    assert_memory_equal(outcomes, expected, sizeof outcomes);
    assert_false(bide_rmq_publisher_is_open(&publisher));
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(
        test_what_is_confirmed_is_heard_although_writing_fails, set_up, tear_down),
};

UNIT_MAIN(tests)
