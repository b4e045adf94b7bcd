#include "broker/rabbitmq/admin/admin.h"

#include "base/alloc.h"
#include "broker/rabbitmq/topology.h"

enum { FIRST_LARGEST = 2 * 1024 * 1024 }; /* nothing is known about the bodies' sizes: few at first */

static bide_code erase(struct bide_admin *base, bide_error *error)
{
    struct bide_rmq_admin *admin = (struct bide_rmq_admin *)base;
    bide_code code = bide_rmq_admin_ready(admin, error);
    admin->settings->joins = true; /* subscriptions are deleted, too */
    if (code == BIDE_OK)
        code = bide_rmq_topology_delete(&admin->link, BIDE_RMQ_QUESTIONS, error);
    if (code == BIDE_OK && admin->holding.has_old)
        code = bide_rmq_old_ladder_delete(admin, error);
    admin->settings->joins = false;
    if (code != BIDE_OK)
        bide_rmq_link_drop(&admin->link);
    return code;
}

/* ---- topics ---- */

static bide_code join(struct bide_admin *base, const char *subscription, bide_error *error)
{
    struct bide_rmq_admin *admin = (struct bide_rmq_admin *)base;
    bide_code code = bide_rmq_admin_ready(admin, error);
    if (code == BIDE_OK)
        code = bide_rmq_topology_join(&admin->link, BIDE_RMQ_QUESTIONS, subscription, error);
    if (code != BIDE_OK)
        bide_rmq_link_drop(&admin->link);
    return code;
}

/* What waits on the ladder for another try comes to the unrouted messages. */
static bide_code leave(struct bide_admin *base, const char *subscription, bide_error *error)
{
    struct bide_rmq_admin *admin = (struct bide_rmq_admin *)base;
    bide_code code = bide_rmq_admin_ready(admin, error);
    if (code == BIDE_OK)
        code = bide_rmq_topology_leave(&admin->link, BIDE_RMQ_QUESTIONS, subscription, error);
    if (code != BIDE_OK)
        bide_rmq_link_drop(&admin->link);
    return code;
}

/* ---- its life ---- */

static void destroy(struct bide_admin *base)
{
    struct bide_rmq_admin *admin = (struct bide_rmq_admin *)base;
    bide_rmq_publisher_release(&admin->publisher);
    bide_rmq_link_close(&admin->link);
    bide_buffer_release(&admin->scratch.text);
    bide_rmq_sources_clear(&admin->sources);
    bide_rmq_holding_clear(&admin->holding);
    bide_free(admin->n_letters);
    bide_free(admin->lanes);
    bide_rmq_settings_destroy(admin->settings);
    bide_free(admin);
}

static const struct bide_admin_ops ops = {
    .stats = bide_rmq_admin_stats,
    .dead_each = bide_rmq_dead_each,
    .dead_retry = bide_rmq_dead_retry,
    .dead_drop = bide_rmq_dead_drop,
    .dead_trim = bide_rmq_dead_trim,
    .export_each = bide_rmq_export_each,
    .dead_add = bide_rmq_dead_add,
    .same_place = bide_rmq_same_place,
    .verify = bide_rmq_admin_verify,
    .join = join,
    .leave = leave,
    .erase = erase,
    .destroy = destroy,
};

static bide_code make_room(struct bide_rmq_admin *admin, bide_error *error)
{
    admin->n_letters = bide_calloc(admin->sources.n, sizeof *admin->n_letters);
    admin->lanes = bide_calloc(admin->sources.n, sizeof *admin->lanes);
    return admin->n_letters && admin->lanes ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

bide_code bide_rmq_open_admin(
    const struct bide_broker_options *options, struct bide_admin **ret_admin, bide_error *error)
{
    struct bide_rmq_settings *settings;
    bide_code code = bide_rmq_settings_create(options, &settings, error);
    if (code != BIDE_OK)
        return code;
    struct bide_rmq_admin *admin = bide_calloc(1, sizeof *admin);
    if (!admin) {
        bide_rmq_settings_destroy(settings);
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    }
    admin->base.ops = &ops;
    admin->settings = settings;
    settings->n_queues = settings->n_known; /* it looks at all of them */
    admin->largest = FIRST_LARGEST;
    bide_buffer_init(&admin->scratch.text);
    bide_rmq_publisher_init(&admin->publisher, settings, NULL, NULL);
    bide_arena_init(&admin->holding.arena);
    code = bide_rmq_admin_ready(admin, error);
    if (code == BIDE_OK)
        code = bide_rmq_holding_find(admin, error);
    if (code == BIDE_OK)
        code = bide_rmq_sources_init(&admin->sources, settings, &admin->holding, error);
    if (code == BIDE_OK)
        code = make_room(admin, error);
    if (code != BIDE_OK) {
        destroy(&admin->base);
        return code;
    }
    *ret_admin = &admin->base;
    return BIDE_OK;
}
