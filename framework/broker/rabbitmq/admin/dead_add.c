/* Stores dead letters from another broker. */
#include "broker/rabbitmq/address.h"
#include "broker/rabbitmq/admin/batch.h"

/* Dead letters of a queue that the settings do not know go to the unrouted messages. */
static void choose_route(
    const struct bide_rmq_settings *settings, const char *queue, struct bide_rmq_route *route)
{
    route->address = (struct bide_rmq_address){"", settings->unrouted};
    for (size_t i = 0; i < settings->n_queues; i++)
        if (strcmp(settings->queues[i].name, queue) == 0)
            bide_rmq_route_dead(route, &settings->queues[i]);
}

static bide_code put(struct bide_rmq_batch *batch, size_t number, void *item, bide_error *error)
{
    const struct bide_dead_letter *letter = (const struct bide_dead_letter *)batch->user + number;
    struct bide_rmq_publisher *publisher = &batch->admin->publisher;
    const struct bide_message *message = letter->message;
    const char *reason = bide_reason_name(letter->reason);
    const struct bide_rmq_death death = {.died_ms = letter->died_ms, .reason = {reason, strlen(reason)}};
    struct bide_rmq_route route;
    if (!bide_rmq_draft_new(&publisher->draft, message, &death))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    choose_route(batch->admin->settings, message->queue, &route);
    return bide_rmq_publisher_put(
        publisher, &route.address, (struct bide_slice){message->body, message->body_size}, item, error);
}

bide_code bide_rmq_dead_add(
    struct bide_admin *base, const struct bide_dead_letter *letters, size_t n, bide_error *error)
{
    struct bide_rmq_admin *admin = (struct bide_rmq_admin *)base;
    struct bide_rmq_batch batch = {
        .admin = admin, .role = "dead letters", .put = put, .user = (void *)(uintptr_t)letters};
    bide_code code = bide_rmq_batch_init(&batch, n, error);
    if (code == BIDE_OK && !bide_rmq_publisher_is_open(&admin->publisher))
        code = bide_rmq_publisher_open(&admin->publisher, batch.role, false, error);
    if (code == BIDE_OK)
        code = bide_rmq_batch_publish(&batch, error);
    if (code == BIDE_OK && batch.n_denied > 0)
        code = bide_fail(error, batch.why.code, "%s: the broker did not take %zu of %zu dead letters: %s",
            admin->settings->redacted, batch.n_denied, n, batch.why.text);
    bide_rmq_batch_clear(&batch);
    return code;
}
