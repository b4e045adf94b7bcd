/* Acknowledging letters and giving them back. */
#include <poll.h>

#include "broker/rabbitmq/admin/fetch.h"

enum { RETURN_MS = 2000, RETURN_STEP_MS = 2, ACKS_MAX = 16 };
enum { ALL = 0 }; /* tag 0 with `multiple`: all in hand that came by the channel */

/* An earlier question may have ended the connection. */
static bide_code check_link(const struct bide_rmq_admin *admin, bide_error *error)
{
    return admin->link.amqp ? BIDE_OK : bide_rmq_letters_failed(admin, AMQP_STATUS_SOCKET_CLOSED, error);
}

static bide_code acknowledge(struct bide_rmq_admin *admin, size_t source, uint64_t tag, bide_error *error)
{
    bide_code code = check_link(admin, error);
    if (code != BIDE_OK)
        return code;
    int status = amqp_basic_ack(admin->link.amqp, bide_rmq_channel_of(admin, source), tag, tag == ALL);
    return status == AMQP_STATUS_OK ? BIDE_OK : bide_rmq_letters_failed(admin, status, error);
}

static bide_code give_back(struct bide_rmq_admin *admin, size_t source, uint64_t tag, bide_error *error)
{
    bide_code code = check_link(admin, error);
    if (code != BIDE_OK)
        return code;
    int status = amqp_basic_nack(admin->link.amqp, bide_rmq_channel_of(admin, source), tag, tag == ALL, 1);
    return status == AMQP_STATUS_OK ? BIDE_OK : bide_rmq_letters_failed(admin, status, error);
}

/* Waits until the broker has applied all acknowledgements. A channel hands a quorum queue only 32 commands at
 * a time and keeps the rest; if the channel is closed, the rest is lost and the acknowledged letters are
 * there again. A get passes through the queue's log: its answer means that all commands before it are
 * applied. */
static bide_code await_applied(struct bide_rmq_admin *admin, size_t source, bide_error *error)
{
    static const char *const ids[] = {""};
    const struct bide_dead_filter nobody = {.ids = ids, .n_ids = 1, .without_bodies = true};
    struct bide_rmq_pile none = {0};
    size_t n = 0;
    admin->n_acks = 0;
    bide_code code = bide_rmq_letters_get(admin, source, 1, &nobody, &none, &n, error);
    bide_rmq_pile_clear(&none);
    if (code != BIDE_OK || n == 0)
        return code;
    admin->n_letters[source]--;
    return give_back(admin, source, admin->last_tag, error);
}

bide_code bide_rmq_letter_acknowledge(
    struct bide_rmq_admin *admin, const struct bide_rmq_letter *letter, bide_error *error)
{
    bide_code code = acknowledge(admin, letter->source, letter->tag, error);
    if (code != BIDE_OK)
        return code;
    admin->n_letters[letter->source]--;
    return ++admin->n_acks < ACKS_MAX ? BIDE_OK : await_applied(admin, letter->source, error);
}

bide_code bide_rmq_letters_acknowledge_all(struct bide_rmq_admin *admin, size_t source, bide_error *error)
{
    if (admin->n_letters[source] == 0)
        return BIDE_OK;
    admin->n_letters[source] = 0;
    return acknowledge(admin, source, ALL, error);
}

bide_code bide_rmq_letters_return(struct bide_rmq_admin *admin, size_t source, bide_error *error)
{
    if (admin->n_letters[source] == 0)
        return BIDE_OK;
    admin->n_letters[source] = 0;
    return give_back(admin, source, ALL, error);
}

/* Waits until a quorum queue has taken back what the channel returned: this takes a moment, and until then
 * the queue seems empty. It also shows that the acknowledgements before are applied. */
static void await_return(struct bide_rmq_admin *admin, size_t source)
{
    const struct bide_clock *clock = admin->settings->clock;
    int64_t deadline_ms = bide_mono_ms(clock) + RETURN_MS, depth = 0;
    bide_error ignored;
    while (
        admin->link.amqp && bide_mono_ms(clock) < deadline_ms &&
        bide_rmq_admin_depth(admin, bide_rmq_queue_of_source(admin, source), &depth, &ignored) == BIDE_OK &&
        depth >= 0 && (size_t)depth < admin->n_letters[source])
        poll(NULL, 0, RETURN_STEP_MS);
}

void bide_rmq_letters_give_back(struct bide_rmq_admin *admin)
{
    bide_error ignored; /* if this fails, the connection has ended, and the broker takes the letters back */
    for (size_t i = 0; i < admin->n_lanes; i++)
        if (admin->n_letters[admin->lanes[i]])
            give_back(admin, admin->lanes[i], ALL, &ignored);
    for (size_t i = 0; i < admin->n_lanes; i++) {
        size_t source = admin->lanes[i];
        if (source < admin->sources.n_dead) /* a holding queue may pass them on at once */
            await_return(admin, source);
        admin->n_letters[source] = 0;
        if (admin->link.amqp)
            amqp_channel_close(admin->link.amqp, bide_rmq_channel_of(admin, source), AMQP_REPLY_SUCCESS);
    }
    admin->n_acks = 0;
    if (admin->link.amqp)
        amqp_maybe_release_buffers(admin->link.amqp);
    admin->n_lanes = 0;
}
