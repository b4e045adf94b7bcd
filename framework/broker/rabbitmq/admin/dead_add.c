/* Dead letters from elsewhere. */
#include "broker/rabbitmq/address.h"
#include "broker/rabbitmq/admin/admin.h"

enum { SERVE_MS = 200, ERROR_MAX = 2000 }; /* as in parcel.c: all headers must fit into one frame */

struct call {
    struct bide_rmq_admin *admin;
    size_t n_out, n_refused;
    int64_t deadline_ms;
};

static void on_outcome(void *owner, void *item, enum bide_rmq_outcome outcome)
{
    struct call *call = owner;
    (void)item;
    call->n_out--;
    call->n_refused += outcome != BIDE_RMQ_CONFIRMED;
}

/* A queue that nobody knows has no place for dead letters: there they lie with what is unrouted. */
static void choose_route(
    const struct bide_rmq_settings *settings, const char *queue, struct bide_rmq_route *route)
{
    route->address = (struct bide_rmq_address){"", settings->unrouted};
    for (size_t i = 0; i < settings->n_queues; i++)
        if (strcmp(settings->queues[i].name, queue) == 0)
            bide_rmq_route_dead(route, &settings->queues[i]);
}

static bide_code put(struct call *call, const struct bide_dead_letter *letter, bide_error *error)
{
    struct bide_rmq_publisher *publisher = &call->admin->publisher;
    const struct bide_message *message = letter->message;
    const char *reason = bide_reason_name(letter->reason);
    struct bide_rmq_marks marks;
    struct bide_rmq_route route;
    bide_rmq_marks_of(message, &marks);
    marks.attempt = 0;
    marks.attempts = message->attempt;
    marks.died_ms = letter->died_ms;
    marks.reason = (struct bide_slice){reason, strlen(reason)};
    marks.error.size = strnlen(marks.error.bytes, ERROR_MAX);
    if (!bide_rmq_draft_new(&publisher->draft, message, &marks))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    choose_route(call->admin->settings, message->queue, &route);
    bide_code code = bide_rmq_publisher_put(
        publisher, &route.address, (struct bide_slice){message->body, message->body_size}, call, error);
    call->n_out += code == BIDE_OK;
    return code;
}

static bide_code serve(struct call *call, bide_error *error)
{
    const struct bide_rmq_settings *settings = call->admin->settings;
    bide_code code = bide_rmq_publisher_serve(&call->admin->publisher, SERVE_MS, error);
    if (code == BIDE_OK && bide_mono_ms(settings->clock) > call->deadline_ms)
        code =
            bide_fail(error, BIDE_E_TIMEOUT, "%s: the broker did not confirm in time%s", settings->redacted,
                call->admin->publisher.link.blocked ? ": it has an alarm (memory or disk)" : "");
    return code;
}

static bide_code add_all(
    struct call *call, const struct bide_dead_letter *letters, size_t n, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < n; i++) {
        code = put(call, &letters[i], error);
        while (code == BIDE_OK && bide_rmq_publisher_is_full(&call->admin->publisher))
            code = serve(call, error);
    }
    while (code == BIDE_OK && call->n_out > 0)
        code = serve(call, error);
    if (code == BIDE_OK && call->n_refused > 0)
        code = bide_fail(error, BIDE_E_BROKER, "%s: the broker did not take %zu of %zu dead letters",
            call->admin->settings->redacted, call->n_refused, n);
    return code;
}

bide_code bide_rmq_dead_add(
    struct bide_admin *base, const struct bide_dead_letter *letters, size_t n, bide_error *error)
{
    struct bide_rmq_admin *admin = (struct bide_rmq_admin *)base;
    struct bide_rmq_publisher *publisher = &admin->publisher;
    struct call call = {
        .admin = admin, .deadline_ms = bide_mono_ms(admin->settings->clock) + admin->settings->timeout_ms};
    publisher->sink = on_outcome;
    publisher->owner = &call;
    bide_code code = BIDE_OK;
    if (!bide_rmq_publisher_is_open(publisher))
        code = bide_rmq_publisher_open(publisher, "dead letters", false, error);
    if (code == BIDE_OK)
        code = add_all(&call, letters, n, error);
    if (call.n_out > 0)
        bide_rmq_publisher_drop(publisher); /* nobody waits for what is still out */
    return code;
}
