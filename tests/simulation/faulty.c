/* The broker as the worker sees it: the one in memory, whose settlements take their time, whose connection is
 * lost, and which makes the intake wait although it should not. Here each delivery is entered into the books.
 */
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "simulation/world.h"

enum {
    UNDER_WAY = 4096,
    SURELY_EARLY_US = 50 * 1000, /* also when the intake looks at the clock */
};

static struct {
    struct bide_receiver base;
    struct bide_settlement under_way[UNDER_WAY]; /* settled by the worker, not there yet */
    size_t n;
    int64_t arrives_us;
} faulty;

/* ---- the books ---- */

static void enter(struct bide_delivery *delivery)
{
    struct world *world = the_world;
    size_t message = strtoul(delivery->message->id, NULL, 10);
    if (world->n_in_hand == WORLD_IN_HAND)
        world_fails("%zu deliveries in hand", world->n_in_hand);
    world->in_hand[world->n_in_hand++] = (struct in_hand){.delivery = delivery,
        .message = message,
        .early = delivery->message->due_ms * 1000 > virtual_wall_us() + SURELY_EARLY_US,
        .stalled_us = virtual_stalled_us()};
}

static void strike_out(const struct bide_delivery *delivery)
{
    struct world *world = the_world;
    struct in_hand *hand = rules_find(delivery, NULL);
    if (!hand)
        world_fails("a delivery is settled that is not in hand");
    *hand = world->in_hand[--world->n_in_hand];
}

/* ---- settlements ---- */

static void arrive(size_t n)
{
    const struct bide_receiver_ops *ops = the_world->inner->ops;
    virtual_alone(true);
    for (; n > 0 && faulty.n > 0; n--) {
        struct bide_receiver_stats before, after;
        struct bide_settlement first = faulty.under_way[0];
        memmove(faulty.under_way, faulty.under_way + 1, --faulty.n * sizeof faulty.under_way[0]);
        size_t message = strtoul(first.delivery->message->id, NULL, 10);
        ops->stats(the_world->inner, &before);
        ops->settle(the_world->inner, &first, 1);
        ops->stats(the_world->inner, &after);
        if (first.verdict == BIDE_VERDICT_ACK && after.settled > before.settled)
            the_world->messages[message].acked++;
    }
    virtual_alone(false);
}

static void settle(struct bide_receiver *base, const struct bide_settlement *settlements, size_t n)
{
    (void)base;
    for (size_t i = 0; i < n; i++) {
        strike_out(settlements[i].delivery);
        if (faulty.n == UNDER_WAY)
            world_fails("%zu settlements under way", faulty.n);
        if (faulty.n == 0)
            faulty.arrives_us = virtual_now_us() + (int64_t)virtual_random(10000);
        faulty.under_way[faulty.n++] = settlements[i];
    }
}

void faulty_lose_connection(void)
{
    virtual_alone(true);
    arrive(virtual_random(faulty.n + 1)); /* some were there; the answer was not */
    bide_memory_set_connected(the_world->inner, false);
    arrive(faulty.n); /* lost */
    virtual_alone(false);
}

void faulty_connect(void)
{
    bide_memory_set_connected(the_world->inner, true);
}

/* ---- the rest ---- */

static bide_code receive(struct bide_receiver *base, struct bide_delivery **deliveries, size_t max,
    size_t *ret_n, bide_error *error)
{
    struct world *world = the_world;
    (void)base;
    if (!world->healed && virtual_chance(2000)) { /* it should not make the intake wait */
        int64_t before_us = virtual_now_us();
        virtual_sleep((int64_t)virtual_random(2000000));
        virtual_excuse(virtual_now_us() - before_us);
    }
    if (faulty.n > 0 && virtual_now_us() >= faulty.arrives_us)
        arrive(faulty.n);
    bide_code code = world->inner->ops->receive(world->inner, deliveries, max, ret_n, error);
    world_suspect();
    for (size_t i = 0; i < *ret_n; i++)
        enter(deliveries[i]);
    world->rounds++;
    return code;
}

static void limit(struct bide_receiver *base, size_t queue, size_t wanted)
{
    (void)base;
    the_world->inner->ops->limit(the_world->inner, queue, wanted);
}

static void wait(struct bide_receiver *base, struct bide_wait *ret_wait)
{
    (void)base;
    rules_after_round();
    the_world->inner->ops->wait(the_world->inner, ret_wait);
    int64_t left_us = faulty.arrives_us - virtual_now_us();
    left_us = left_us > 0 ? left_us : 0;
    if (faulty.n > 0 && (ret_wait->timeout_us < 0 || ret_wait->timeout_us > left_us))
        ret_wait->timeout_us = left_us;
}

static void stop(struct bide_receiver *base)
{
    (void)base;
    the_world->inner->ops->stop(the_world->inner);
}

static void get_stats(const struct bide_receiver *base, struct bide_receiver_stats *ret_stats)
{
    (void)base;
    the_world->inner->ops->stats(the_world->inner, ret_stats);
    ret_stats->unsettled += faulty.n;
}

static void forget(struct bide_receiver *base, struct bide_delivery *delivery)
{
    (void)base;
    strike_out(delivery);
    the_world->inner->ops->forget(the_world->inner, delivery);
}

static void destroy(struct bide_receiver *base)
{
    (void)base;
    arrive(faulty.n);
    bide_receiver_destroy(the_world->inner);
}

struct bide_receiver *faulty_receiver(void)
{
    static const struct bide_receiver_ops ops = {
        .receive = receive,
        .settle = settle,
        .limit = limit,
        .wait = wait,
        .stop = stop,
        .stats = get_stats,
        .forget = forget,
        .destroy = destroy,
    };
    faulty.base.ops = &ops;
    faulty.n = 0;
    return &faulty.base;
}
