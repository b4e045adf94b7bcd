/* Why a holding queue is as it is: one TTL, at least once, reject-publish, an alternate exchange behind it.
 */
#include <poll.h>

#include "facts/facts.h"

enum { SOON_MS = 60000, QUIET_MS = 1500, PREFETCH = 32 }; /* PREFETCH: of the broker's dead-letter worker */

/* "<prefix>.hold" expires into "<prefix>.out". */
static void declare_hold(struct bare *bare, const char *type)
{
    bare_declare(bare, bare_name(bare, "out"), bare_queue(type, 0, NULL, NULL));
    bare_declare(bare, bare_name(bare, "hold"), bare_queue(type, 0, "", bare_name(bare, "out")));
}

static void expire_behind_a_longer_one(struct bare *bare, const char *type)
{
    declare_hold(bare, type);
    int64_t began = bare_now_ms();
    bare_publish(bare, "", bare_name(bare, "hold"), "100", NULL);
    assert_between(bare_await(bare, bare_name(bare, "out"), 1, SOON_MS), 0, 30000);
    assert_true(bare_now_ms() - began >= 100);
    began = bare_now_ms();
    bare_publish(bare, "", bare_name(bare, "hold"), "1500", NULL);
    bare_publish(bare, "", bare_name(bare, "hold"), "100", NULL);
    assert_true(bare_await(bare, bare_name(bare, "out"), 3, SOON_MS) >= 0);
    assert_true(bare_now_ms() - began >= 1500); /* both: until then there was one */
}

/* Alone a message leaves in time. Behind a longer one it waits for that: one TTL a queue, always. */
static void a_quorum_queue_expires_only_at_its_head(void **state)
{
    expire_behind_a_longer_one(*state, "quorum");
}

static void a_classic_queue_expires_only_at_its_head(void **state)
{
    expire_behind_a_longer_one(*state, "classic");
}

/* Dead letters go to exchange "<prefix>.on", where only the key "known" leads to "<prefix>.out". */
static void declare_at_least_once(struct bare *bare, const char *overflow, const char *alternate)
{
    bare_declare(bare, bare_name(bare, "out"), bare_queue("quorum", 0, NULL, NULL));
    bare_exchange(bare, bare_name(bare, "in"), NULL);
    bare_exchange(bare, bare_name(bare, "on"), alternate);
    bare_bind(bare, bare_name(bare, "out"), bare_name(bare, "on"), "known");
    bare_declare(bare, bare_name(bare, "hold"), bare_holding(50, bare_name(bare, "on"), NULL, overflow));
    bare_bind(bare, bare_name(bare, "hold"), bare_name(bare, "in"), "known");
    bare_bind(bare, bare_name(bare, "hold"), bare_name(bare, "in"), "unknown");
}

static void hold_unroutable(struct bare *bare, int n)
{
    for (int i = 0; i < n; i++)
        bare_publish(bare, bare_name(bare, "in"), "unknown", NULL, NULL);
    bare_publish(bare, bare_name(bare, "in"), "known", NULL, NULL);
}

static void one_less_than_32_unroutable_do_not_stop_a_queue(void **state)
{
    struct bare *bare = *state;
    declare_at_least_once(bare, "reject-publish", NULL);
    hold_unroutable(bare, PREFETCH - 1);
    assert_true(bare_await(bare, bare_name(bare, "out"), 1, SOON_MS) >= 0);
}

/* For good, and a passive declare shows an empty queue. */
static void unroutable_32_freeze_an_at_least_once_queue(void **state)
{
    struct bare *bare = *state;
    declare_at_least_once(bare, "reject-publish", NULL);
    hold_unroutable(bare, PREFETCH);
    assert_int_equal(bare_await(bare, bare_name(bare, "out"), 1, QUIET_MS), -1);
    assert_int_equal(bare_depth(bare, bare_name(bare, "hold")), 0);
    assert_int_equal(bare_get(bare, bare_name(bare, "hold"), NULL), 0);
}

static void an_alternate_exchange_keeps_it_flowing(void **state)
{
    struct bare *bare = *state;
    bare_exchange(bare, bare_name(bare, "lost"), NULL);
    bare_declare(bare, bare_name(bare, "lost"), bare_queue("quorum", 0, NULL, NULL));
    bare_bind(bare, bare_name(bare, "lost"), bare_name(bare, "lost"), "unknown");
    declare_at_least_once(bare, "reject-publish", bare_name(bare, "lost"));
    hold_unroutable(bare, 2 * PREFETCH);
    assert_true(bare_await(bare, bare_name(bare, "out"), 1, SOON_MS) >= 0);
    assert_true(bare_await(bare, bare_name(bare, "lost"), 2 * PREFETCH, SOON_MS) >= 0);
}

/* With another overflow the strategy silently is at-most-once: what cannot be routed is thrown away. */
static void at_least_once_needs_reject_publish(void **state)
{
    struct bare *bare = *state;
    declare_at_least_once(bare, "drop-head", NULL);
    hold_unroutable(bare, 2 * PREFETCH);
    assert_true(bare_await(bare, bare_name(bare, "out"), 1, SOON_MS) >= 0);
}

static void a_classic_queue_refuses_the_strategy(void **state)
{
    struct bare *bare = *state;
    struct bare_table table = bare_queue("classic", 50, "", bare_name(bare, "out"));
    bare_put_text(&table, "x-dead-letter-strategy", "at-least-once");
    assert_int_equal(bare_try_declare(bare, bare_name(bare, "hold"), table), AMQP_PRECONDITION_FAILED);
}

/* Dead-lettering removes `expiration`: each further hop needs the queue's own TTL. */
static void a_hop_removes_the_expiration(void **state)
{
    struct bare *bare = *state;
    amqp_message_t message;
    declare_hold(bare, "quorum");
    bare_publish(bare, "", bare_name(bare, "hold"), "50", NULL);
    assert_true(bare_await(bare, bare_name(bare, "out"), 1, SOON_MS) >= 0);
    assert_true(bare_get(bare, bare_name(bare, "out"), &message) > 0);
    assert_false(message.properties._flags & AMQP_BASIC_EXPIRATION_FLAG);
    amqp_destroy_message(&message);
}

/* Messages and all. */
static void x_expires_deletes_a_queue_that_holds_messages(void **state)
{
    struct bare *bare = *state;
    struct bare_table table = bare_holding(60000, "", bare_name(bare, "out"), "reject-publish");
    bare_put_number(&table, "x-expires", 500);
    bare_declare(bare, bare_name(bare, "hold"), table);
    bare_publish(bare, "", bare_name(bare, "hold"), NULL, NULL);
    poll(NULL, 0, 500); /* asking for its depth sooner could count as a use */
    assert_true(bare_await(bare, bare_name(bare, "hold"), -1, SOON_MS) >= 0);
}

static const struct CMUnitTest facts[] = {
    FACT(a_quorum_queue_expires_only_at_its_head),
    FACT(a_classic_queue_expires_only_at_its_head),
    FACT(one_less_than_32_unroutable_do_not_stop_a_queue),
    FACT(unroutable_32_freeze_an_at_least_once_queue),
    FACT(an_alternate_exchange_keeps_it_flowing),
    FACT(at_least_once_needs_reject_publish),
    FACT(a_classic_queue_refuses_the_strategy),
    FACT(a_hop_removes_the_expiration),
    FACT(x_expires_deletes_a_queue_that_holds_messages),
};
FACT_GROUP(holding_facts, facts);
