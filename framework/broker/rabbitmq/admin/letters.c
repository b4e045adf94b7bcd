/* Taking letters from a source, by one channel for each. */
#include "broker/rabbitmq/admin/letters.h"

#include "broker/rabbitmq/admin/fetch.h"

enum { PIPELINE = 64 };

/* All gets are on their way at once: they cost one round trip. */
static bide_code get(struct bide_rmq_fetch *fetch, bide_error *error)
{
    struct bide_rmq_admin *admin = fetch->admin;
    amqp_basic_get_t get = {.queue = bide_rmq_text(bide_rmq_queue_of_source(admin, fetch->source))};
    struct timeval patience = bide_rmq_timeval(admin->settings->timeout_ms);
    amqp_frame_t frame;
    bide_code code = BIDE_OK;
    int status = AMQP_STATUS_OK;
    for (; fetch->n_asked < fetch->most && status == AMQP_STATUS_OK; fetch->n_asked++)
        status = amqp_send_method(admin->link.amqp, fetch->channel, AMQP_BASIC_GET_METHOD, &get);
    while (status == AMQP_STATUS_OK && code == BIDE_OK && fetch->n_answered < fetch->n_asked) {
        status = amqp_simple_wait_frame_noblock(admin->link.amqp, &frame, &patience);
        if (status == AMQP_STATUS_OK)
            code = bide_rmq_fetch_frame(fetch, &frame, error);
    }
    return status == AMQP_STATUS_OK ? code : bide_rmq_letters_failed(admin, status, error);
}

amqp_channel_t bide_rmq_channel_of(const struct bide_rmq_admin *admin, size_t source)
{
    for (size_t i = 0; i < admin->n_lanes; i++)
        if (admin->lanes[i] == source)
            return (amqp_channel_t)(BIDE_RMQ_LETTERS + i);
    return 0;
}

/* Makes sure that the source has a channel: one that no other source needs now, or a new one. */
static bide_code get_channel(struct bide_rmq_admin *admin, size_t source, bide_error *error)
{
    if (bide_rmq_channel_of(admin, source))
        return BIDE_OK;
    for (size_t i = 0; i < admin->n_lanes; i++)
        if (admin->n_letters[admin->lanes[i]] == 0) {
            admin->lanes[i] = source;
            return BIDE_OK;
        }
    admin->lanes[admin->n_lanes++] = source;
    return bide_rmq_link_open_channel(&admin->link, bide_rmq_channel_of(admin, source), error);
}

typedef bide_code fetch_letters(struct bide_rmq_fetch *fetch, bide_error *error);

static bide_code take(struct bide_rmq_fetch *fetch, fetch_letters *how, size_t *ret_n, bide_error *error)
{
    struct bide_rmq_admin *admin = fetch->admin;
    bide_buffer_init(&fetch->body);
    fetch->bytes_before = fetch->pile->bytes;
    bide_code code = get_channel(admin, fetch->source, error);
    fetch->channel = bide_rmq_channel_of(admin, fetch->source);
    if (code == BIDE_OK && fetch->most > 0)
        code = how(fetch, error);
    bide_buffer_release(&fetch->body);
    if (code != BIDE_OK) {
        bide_rmq_link_drop(&admin->link);
        return code;
    }
    if (fetch->filter->limit && fetch->pile->n > fetch->filter->limit)
        bide_rmq_pile_trim(fetch->pile, fetch->filter->limit);
    *ret_n = fetch->n_taken;
    return BIDE_OK;
}

bide_code bide_rmq_letters_take(struct bide_rmq_admin *admin, size_t source, size_t most,
    const struct bide_dead_filter *filter, struct bide_rmq_pile *pile, size_t *ret_n, bide_error *error)
{
    struct bide_rmq_fetch fetch = {
        .admin = admin, .source = source, .filter = filter, .pile = pile, .most = most};
    return take(&fetch, bide_rmq_fetch_consume, ret_n, error);
}

bide_code bide_rmq_letters_get(struct bide_rmq_admin *admin, size_t source, size_t most,
    const struct bide_dead_filter *filter, struct bide_rmq_pile *pile, size_t *ret_n, bide_error *error)
{
    struct bide_rmq_fetch fetch = {.admin = admin,
        .source = source,
        .filter = filter,
        .pile = pile,
        .most = most < PIPELINE ? most : PIPELINE};
    return take(&fetch, get, ret_n, error);
}
