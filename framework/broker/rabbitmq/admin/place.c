/* Finds out whether two admins are connected to the same vhost: one declares an exclusive queue, and the
 * other looks for it. */
#include <stdio.h>
#include <string.h>

#include "broker/rabbitmq/admin/admin.h"
#include "broker/rabbitmq/fault.h"

static bide_code declare(
    struct bide_rmq_admin *admin, const char *name, bool passive, amqp_rpc_reply_t *ret_reply)
{
    amqp_connection_state_t amqp = admin->link.amqp;
    bool exclusive = !passive;
    amqp_queue_declare(
        amqp, BIDE_RMQ_QUESTIONS, bide_rmq_text(name), passive, 0, exclusive, 1, amqp_empty_table);
    *ret_reply = amqp_get_rpc_reply(amqp);
    return ret_reply->reply_type == AMQP_RESPONSE_NORMAL ? BIDE_OK : BIDE_E_BROKER;
}

/* Looks for the queue. *ret_sees is true if it exists, or is locked as the exclusive queue of another
 * connection. */
static bide_code sees(struct bide_rmq_admin *admin, const char *name, bool *ret_sees, bide_error *error)
{
    amqp_rpc_reply_t reply;
    *ret_sees = declare(admin, name, true, &reply) == BIDE_OK || bide_rmq_is_locked(reply);
    if (*ret_sees || bide_rmq_is_not_found(reply))
        return reply.reply_type == AMQP_RESPONSE_NORMAL
                   ? BIDE_OK
                   : bide_rmq_admin_reopen(admin, BIDE_RMQ_QUESTIONS, error);
    bide_code code = bide_rmq_check(admin->settings, reply, "comparing two places", error);
    bide_rmq_link_drop(&admin->link);
    return code;
}

static bide_code compare(struct bide_rmq_admin *admin, struct bide_rmq_admin *other, const char *name,
    bool *ret_same, bide_error *error)
{
    amqp_rpc_reply_t reply;
    if (declare(admin, name, false, &reply) != BIDE_OK) {
        bide_code code = bide_rmq_check(admin->settings, reply, "comparing two places", error);
        bide_rmq_link_drop(&admin->link);
        return code;
    }
    bide_code code = sees(other, name, ret_same, error);
    amqp_queue_delete(admin->link.amqp, BIDE_RMQ_QUESTIONS, bide_rmq_text(name), 0, 0);
    if (amqp_get_rpc_reply(admin->link.amqp).reply_type != AMQP_RESPONSE_NORMAL)
        bide_rmq_link_drop(&admin->link); /* closing the connection deletes the queue */
    return code;
}

bide_code bide_rmq_same_place(
    struct bide_admin *base, struct bide_admin *other_base, bool *ret_same, bide_error *error)
{
    struct bide_rmq_admin *admin = (struct bide_rmq_admin *)base;
    struct bide_rmq_admin *other = (struct bide_rmq_admin *)other_base;
    char name[BIDE_NAME_MAX + BIDE_ID_TEXT + 16], id[BIDE_ID_TEXT];
    if (strcmp(admin->settings->name_space, other->settings->name_space) != 0) {
        *ret_same = false;
        return BIDE_OK;
    }
    bide_id_generate(id, bide_clock_system());
    snprintf(name, sizeof name, "%s.place.%s", admin->settings->name_space, id);
    bide_code code = bide_rmq_admin_ready(admin, error);
    if (code == BIDE_OK)
        code = bide_rmq_admin_ready(other, error);
    return code == BIDE_OK ? compare(admin, other, name, ret_same, error) : code;
}
