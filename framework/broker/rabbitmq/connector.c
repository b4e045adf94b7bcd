#include "broker/rabbitmq/receiver.h"

#include "broker/rabbitmq/inbound.h"

void bide_rmq_connector_init(struct bide_rmq_connector *connector, const struct bide_rmq_settings *settings,
    const struct bide_wakeup *done)
{
    *connector = (struct bide_rmq_connector){.settings = settings, .done = done, .link.fd = -1};
}

static void *run(void *user)
{
    struct bide_rmq_connector *connector = user;
    connector->code = bide_rmq_inbound_connect(
        &connector->link, connector->settings, connector->host++, &connector->refused, &connector->error);
    if (connector->code == BIDE_OK && connector->declare_only)
        bide_rmq_link_close(&connector->link);
    bide_wakeup_signal(connector->done);
    atomic_store(&connector->has_ended, true);
    return NULL;
}

bide_code bide_rmq_connector_start(struct bide_rmq_connector *connector, bool declare_only, bide_error *error)
{
    connector->declare_only = declare_only;
    atomic_store(&connector->has_ended, false);
    if (pthread_create(&connector->thread, NULL, run, connector) != 0)
        return bide_fail(error, BIDE_E_INTERNAL, "cannot start a thread");
    connector->is_busy = true;
    return BIDE_OK;
}

bool bide_rmq_connector_finish(struct bide_rmq_connector *connector, struct bide_rmq_link *ret_link,
    bide_code *ret_code, bide_error *ret_error)
{
    if (!connector->is_busy || !atomic_load(&connector->has_ended))
        return false;
    pthread_join(connector->thread, NULL);
    connector->is_busy = false;
    *ret_code = connector->code;
    if (connector->code == BIDE_OK)
        *ret_link = connector->link;
    else
        *ret_error = connector->error;
    connector->link = (struct bide_rmq_link){.fd = -1};
    return true;
}

void bide_rmq_connector_release(struct bide_rmq_connector *connector)
{
    if (!connector->is_busy)
        return;
    pthread_join(connector->thread, NULL);
    connector->is_busy = false;
    bide_rmq_link_close(&connector->link);
}
