#include "broker/rabbitmq/admin/admin.h"

#include "base/alloc.h"
#include "broker/rabbitmq/fault.h"
#include "broker/rabbitmq/old_ladder.h"

static bide_code exists(struct bide_rmq_admin *admin, const char *queue, bool *ret_exists, bide_error *error)
{
    int64_t ready = 0;
    bide_code code = bide_rmq_admin_depth(admin, queue, &ready, error);
    *ret_exists = code == BIDE_OK && ready >= 0;
    return code;
}

/* Earlier, or for other senders, the ladder may have more shards than the settings say. All shards of a
 * number are declared together. */
static bide_code find_shards(struct bide_rmq_admin *admin, bide_error *error)
{
    struct bide_rmq_settings *settings = admin->settings;
    bide_code code = BIDE_OK;
    for (bool is_there = true; is_there && code == BIDE_OK && settings->shards < BIDE_RMQ_SHARDS;) {
        char name[BIDE_RMQ_HOLDING_NAME];
        bide_rmq_holding_name(settings->name_space, BIDE_RMQ_RUNGS - 1, 1, settings->shards + 1, name);
        code = exists(admin, name, &is_there, error);
        settings->shards += is_there;
    }
    return code;
}

static bool add(struct bide_rmq_holding *holding, const char *name, int64_t ms)
{
    const char *copy = bide_arena_copy(&holding->arena, name, strlen(name));
    holding->items[holding->n++] = (struct bide_rmq_holding_queue){copy, ms};
    return copy != NULL;
}

static bool add_rung(struct bide_rmq_holding *holding, const struct bide_rmq_settings *settings, int rung)
{
    bool complete = true;
    for (int number = 1; number <= bide_rmq_rung_numbers(rung); number++)
        for (int shard = 1; shard <= settings->shards; shard++) {
            char name[BIDE_RMQ_HOLDING_NAME];
            bide_rmq_holding_name(settings->name_space, rung, number, shard, name);
            complete &= add(holding, name, number * bide_rmq_rung_unit_ms(rung));
        }
    return complete;
}

static bool fill(struct bide_rmq_holding *holding, const struct bide_rmq_settings *settings)
{
    bool complete = true;
    for (int rung = BIDE_RMQ_RUNGS - 1; rung >= 0; rung--)
        complete &= add_rung(holding, settings, rung);
    for (int i = 0; i < BIDE_RMQ_OLD_QUEUES && holding->has_old; i++) {
        char name[BIDE_RMQ_OLD_NAME];
        complete &= add(holding, bide_rmq_old_queue(settings->name_space, i, name), bide_rmq_old_ms(i));
    }
    return complete;
}

bide_code bide_rmq_holding_find(struct bide_rmq_admin *admin, bide_error *error)
{
    struct bide_rmq_holding *holding = &admin->holding;
    char oldest[BIDE_RMQ_OLD_NAME];
    bide_code code = find_shards(admin, error);
    if (code == BIDE_OK)
        code = exists(
            admin, bide_rmq_old_queue(admin->settings->name_space, 0, oldest), &holding->has_old, error);
    if (code != BIDE_OK)
        return code;
    size_t n = holding->has_old ? BIDE_RMQ_OLD_QUEUES : 0;
    for (int rung = 0; rung < BIDE_RMQ_RUNGS; rung++)
        n += (size_t)(bide_rmq_rung_numbers(rung) * admin->settings->shards);
    holding->items = bide_calloc(n, sizeof *holding->items);
    if (holding->items && fill(holding, admin->settings))
        return BIDE_OK;
    return bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

void bide_rmq_holding_clear(struct bide_rmq_holding *holding)
{
    bide_free(holding->items);
    bide_arena_release(&holding->arena);
    *holding = (struct bide_rmq_holding){0};
}

bide_code bide_rmq_old_ladder_delete(struct bide_rmq_admin *admin, bide_error *error)
{
    struct bide_rmq_link *link = &admin->link;
    const char *name_space = admin->settings->name_space;
    int status = AMQP_STATUS_OK;
    char name[BIDE_RMQ_OLD_NAME];
    for (int i = 0; i < BIDE_RMQ_OLD_EXCHANGES && status == AMQP_STATUS_OK; i++) {
        amqp_exchange_delete_t exchange = {
            .exchange = bide_rmq_text(bide_rmq_old_exchange(name_space, i, name)), .nowait = 1};
        status = amqp_send_method(link->amqp, BIDE_RMQ_QUESTIONS, AMQP_EXCHANGE_DELETE_METHOD, &exchange);
    }
    for (int i = 0; i < BIDE_RMQ_OLD_QUEUES && status == AMQP_STATUS_OK; i++) {
        amqp_queue_delete_t queue = {
            .queue = bide_rmq_text(bide_rmq_old_queue(name_space, i, name)), .nowait = 1};
        status = amqp_send_method(link->amqp, BIDE_RMQ_QUESTIONS, AMQP_QUEUE_DELETE_METHOD, &queue);
    }
    if (status != AMQP_STATUS_OK)
        return bide_rmq_fail_status(link->settings, status, "deleting the old ladder", error);
    amqp_basic_qos(link->amqp, BIDE_RMQ_QUESTIONS, 0, 0, 0);
    return bide_rmq_check(link->settings, amqp_get_rpc_reply(link->amqp), "deleting the old ladder", error);
}
