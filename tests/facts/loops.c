/* Why a copy carries no x-death, and why the delivery limit is a large number. */
#include "facts/facts.h"

enum { SOON_MS = 60000, QUIET_MS = 1500, LISTINGS = 100 };

/* "first" expires into "second", which expires into "out". */
static void declare_two_hops(struct bare *bare)
{
    bare_declare(bare, bare_name(bare, "out"), bare_queue("quorum", 0, NULL, NULL));
    bare_declare(
        bare, bare_name(bare, "second"), bare_holding(50, "", bare_name(bare, "out"), "reject-publish"));
    bare_declare(
        bare, bare_name(bare, "first"), bare_holding(50, "", bare_name(bare, "second"), "reject-publish"));
}

/* Takes what arrived and sends it through the same hops again, with the headers it has got by now, or
 * without. */
static void send_again(struct bare *bare, bool with_deaths)
{
    amqp_message_t message;
    uint64_t tag = bare_get(bare, bare_name(bare, "out"), &message);
    assert_true(tag > 0);
    bool has_deaths = false;
    const amqp_table_t *headers = &message.properties.headers;
    for (int i = 0; i < headers->num_entries; i++)
        has_deaths |= bide_rmq_bytes_are(headers->entries[i].key, "x-death");
    assert_true(has_deaths);
    bare_publish(bare, "", bare_name(bare, "first"), NULL, with_deaths ? headers : NULL);
    assert_int_equal(amqp_basic_ack(bare->amqp, BARE_OTHER, tag, 0), AMQP_STATUS_OK);
    amqp_destroy_message(&message);
}

/* A cycle, thinks the broker, and drops it without a word. 4.0 believes only what it has recorded itself. */
static void a_copy_with_its_x_death_is_dropped(void **state)
{
    struct bare *bare = *state;
    declare_two_hops(bare);
    bare_publish(bare, "", bare_name(bare, "first"), NULL, NULL);
    assert_true(bare_await(bare, bare_name(bare, "out"), 1, SOON_MS) >= 0);
    send_again(bare, true);
    int64_t took = bare_await(bare, bare_name(bare, "out"), 1, bare->major < 4 ? QUIET_MS : SOON_MS);
    if (bare->major < 4)
        assert_int_equal(took, -1);
    else
        assert_true(took >= 0);
}

static void a_copy_without_x_death_arrives(void **state)
{
    struct bare *bare = *state;
    declare_two_hops(bare);
    bare_publish(bare, "", bare_name(bare, "first"), NULL, NULL);
    for (int round = 0; round < 3; round++) {
        assert_true(bare_await(bare, bare_name(bare, "out"), 1, SOON_MS) >= 0);
        send_again(bare, false);
    }
    assert_true(bare_await(bare, bare_name(bare, "out"), 1, SOON_MS) >= 0);
}

/* How often a message of a quorum queue can be fetched and handed back, up to LISTINGS. */
static int listings(struct bare *bare, const char *queue)
{
    bare_publish(bare, "", queue, NULL, NULL);
    assert_true(bare_await(bare, queue, 1, SOON_MS) >= 0);
    for (int n = 0; n < LISTINGS; n++) {
        uint64_t tag = bare_get(bare, queue, NULL);
        if (tag == 0)
            return n;
        bare_requeue(bare, tag);
    }
    return bare_await(bare, queue, 1, SOON_MS) >= 0 ? LISTINGS : LISTINGS - 1;
}

static int listings_with(struct bare *bare, const char *name, int64_t limit)
{
    struct bare_table table = bare_queue("quorum", 0, NULL, NULL);
    if (limit)
        bare_put_number(&table, "x-delivery-limit", limit);
    bare_declare(bare, bare_name(bare, name), table);
    return listings(bare, bare_name(bare, name));
}

static void the_largest_delivery_limit_keeps_what_is_listed(void **state)
{
    assert_int_equal(listings_with(*state, "large", INT32_MAX), LISTINGS);
}

/* 4.0: twenty by default. 4.3 does not count what is handed back by nack (versions.c). */
static void the_default_delivery_limit_depends_on_the_version(void **state)
{
    struct bare *bare = *state;
    int n = listings_with(bare, "default", 0);
    if (bare->major < 4 || bare_is_from(bare, 4, 3))
        assert_int_equal(n, LISTINGS);
    else
        assert_between(n, 20, 22);
}

/* "No limit" on 4.0, and on 3.10 the message is gone at the first requeue. */
static void minus_one_is_no_limit_or_destroys(void **state)
{
    struct bare *bare = *state;
    assert_int_equal(listings_with(bare, "minus", -1), bare->major < 4 ? 1 : LISTINGS);
}

static const struct CMUnitTest facts[] = {
    FACT(a_copy_with_its_x_death_is_dropped),
    FACT(a_copy_without_x_death_arrives),
    FACT(the_largest_delivery_limit_keeps_what_is_listed),
    FACT(the_default_delivery_limit_depends_on_the_version),
    FACT(minus_one_is_no_limit_or_destroys),
};
FACT_GROUP(loop_facts, facts);
