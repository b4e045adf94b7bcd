/* The connection of an admin, and the questions to the broker that it is for. */
#include "broker/rabbitmq/admin/admin.h"
#include "broker/rabbitmq/fault.h"
#include "broker/rabbitmq/topology.h"

/* Declares what is missing. Ignores refusals: an admin must be able to look at a broker that is not as it
 * should be. */
static void declare(struct bide_rmq_admin *admin)
{
    bide_error ignored;
    if (bide_rmq_topology_declare(&admin->link, BIDE_RMQ_QUESTIONS, &ignored) != BIDE_OK && admin->link.amqp)
        bide_rmq_admin_reopen(admin, BIDE_RMQ_QUESTIONS, &ignored);
}

static bide_code open_link(struct bide_rmq_admin *admin, bide_error *error)
{
    bide_rmq_link_drop(&admin->link);
    bide_code code = bide_rmq_link_open(&admin->link, admin->settings, 0, "admin", false, error);
    if (code == BIDE_OK)
        code = bide_rmq_link_open_channel(&admin->link, BIDE_RMQ_QUESTIONS, error);
    if (code != BIDE_OK) {
        bide_rmq_link_drop(&admin->link);
        return code;
    }
    declare(admin);
    return BIDE_OK;
}

/* Does the connection still work? Asks the broker something that it always answers. */
static bool answers(struct bide_rmq_admin *admin)
{
    if (!admin->link.amqp)
        return false;
    amqp_basic_qos(admin->link.amqp, BIDE_RMQ_QUESTIONS, 0, 0, 0);
    return amqp_get_rpc_reply(admin->link.amqp).reply_type == AMQP_RESPONSE_NORMAL;
}

bide_code bide_rmq_admin_ready(struct bide_rmq_admin *admin, bide_error *error)
{
    return answers(admin) ? BIDE_OK : open_link(admin, error);
}

bide_code bide_rmq_admin_reopen(struct bide_rmq_admin *admin, amqp_channel_t channel, bide_error *error)
{
    return bide_rmq_link_reopen_channel(&admin->link, channel, error);
}

bide_code bide_rmq_admin_look(struct bide_rmq_admin *admin, const char *queue, int64_t *ret_ready,
    int64_t *ret_consumers, bide_error *error)
{
    amqp_connection_state_t amqp = admin->link.amqp;
    const amqp_queue_declare_ok_t *ok =
        amqp_queue_declare(amqp, BIDE_RMQ_QUESTIONS, bide_rmq_text(queue), 1, 0, 0, 0, amqp_empty_table);
    int64_t ready = ok ? (int64_t)ok->message_count : -1;
    int64_t consumers = ok ? (int64_t)ok->consumer_count : 0;
    amqp_rpc_reply_t reply = amqp_get_rpc_reply(amqp);
    bide_code code = BIDE_OK;
    if (bide_rmq_is_not_found(reply))
        code = bide_rmq_admin_reopen(admin, BIDE_RMQ_QUESTIONS, error);
    else
        code = bide_rmq_check(admin->settings, reply, "asking for a queue's length", error);
    amqp_maybe_release_buffers(amqp);
    if (code != BIDE_OK) {
        bide_rmq_link_drop(&admin->link);
        return code;
    }
    *ret_ready = ready;
    *ret_consumers = consumers;
    return BIDE_OK;
}

bide_code bide_rmq_admin_depth(
    struct bide_rmq_admin *admin, const char *queue, int64_t *ret_ready, bide_error *error)
{
    int64_t consumers;
    return bide_rmq_admin_look(admin, queue, ret_ready, &consumers, error);
}
