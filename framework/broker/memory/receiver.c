#include "broker/memory/receiver.h"

#include "base/alloc.h"
#include "base/bug.h"

enum { LEAD_MS = 250 }; /* how early a delayed message is handed out, to be landed */

struct bide_memory_delivery {
    struct bide_delivery base;
    struct bide_memory_row *row; /* NULL: the connection it came by is gone */
    bool early;
};

/* ---- counting what is in the user's hands ---- */

static void count(struct bide_memory_receiver *receiver, const struct bide_memory_delivery *delivery, int n)
{
    struct bide_memory_served *served = &receiver->served[delivery->base.queue];
    served->queue->held += n;
    receiver->in_flight += n * (int64_t)delivery->base.message->body_size;
    if (delivery->early)
        served->early += (size_t)n;
    else
        served->due += (size_t)n;
}

/* Those that have fallen due count toward the limit from now on. */
static void recount(struct bide_memory_receiver *receiver, int64_t now_ms)
{
    struct bide_memory_row *row;
    TAILQ_FOREACH(row, &receiver->held, link)
    if (row->delivery && row->delivery->early && row->message->due_ms <= now_ms) {
        count(receiver, row->delivery, -1);
        row->delivery->early = false;
        count(receiver, row->delivery, 1);
    }
}

/* ---- handing out ---- */

static bool is_full(const struct bide_memory_receiver *receiver)
{
    return receiver->max_in_flight && receiver->in_flight >= (int64_t)receiver->max_in_flight;
}

/* What may be handed out of this queue now; NULL: nothing. */
static struct bide_memory_row *find_next(
    struct bide_memory_receiver *receiver, const struct bide_memory_served *served, int64_t now_ms)
{
    struct bide_memory_row *row;
    if (is_full(receiver))
        return NULL;
    bide_memory_promote(receiver->store, served->queue, now_ms);
    if (served->due < served->limit && (row = TAILQ_FIRST(&served->queue->ready)))
        return row;
    row = TAILQ_FIRST(&served->queue->delayed);
    bool room = served->early < served->limit;
    return room && row && row->message->due_ms <= now_ms + LEAD_MS ? row : NULL;
}

static struct bide_memory_delivery *new_delivery(
    const struct bide_memory_receiver *receiver, struct bide_memory_row *row, size_t queue)
{
    struct bide_memory_delivery *delivery = bide_calloc(1, sizeof *delivery);
    if (!delivery)
        return NULL;
    delivery->row = row;
    delivery->early = row->order == 0;
    delivery->base.queue = queue;
    delivery->base.message = bide_message_copy(row->message);
    if (!delivery->base.message) {
        bide_free(delivery);
        return NULL;
    }
    if (row->message->body_size > receiver->max_body) {
        delivery->base.defect = BIDE_REASON_OVERSIZED;
        delivery->base.defect_text = "the body is larger than worker.max_body";
    }
    return delivery;
}

/* NULL: there is nothing, or no memory. */
static struct bide_delivery *hand_out(struct bide_memory_receiver *receiver, size_t queue, int64_t now_ms)
{
    struct bide_memory_served *served = &receiver->served[queue];
    struct bide_memory_row *row = find_next(receiver, served, now_ms);
    struct bide_memory_delivery *delivery = row ? new_delivery(receiver, row, queue) : NULL;
    if (!delivery)
        return NULL;
    TAILQ_REMOVE(delivery->early ? &served->queue->delayed : &served->queue->ready, row, link);
    TAILQ_INSERT_TAIL(&receiver->held, row, link);
    row->delivery = delivery;
    count(receiver, delivery, 1);
    return &delivery->base;
}

static bide_code receive(struct bide_receiver *base, struct bide_delivery **deliveries, size_t max,
    size_t *ret_n, bide_error *error)
{
    struct bide_memory_receiver *receiver = (struct bide_memory_receiver *)base;
    int64_t now_ms = bide_wall_ms(receiver->clock);
    size_t n = 0;
    (void)error;
    bide_wakeup_drain(&receiver->wakeup);
    bide_memory_lock();
    recount(receiver, now_ms);
    for (size_t queue = 0; queue < receiver->n_served && receiver->stats.connected; queue++)
        while (n < max && (deliveries[n] = hand_out(receiver, queue, now_ms)))
            n++;
    bide_memory_unlock();
    *ret_n = n;
    return BIDE_OK;
}

/* ---- taking back ---- */

/* Out of the user's hands and into no list; NULL where that delivery's connection is gone. */
static struct bide_memory_row *take_back(
    struct bide_memory_receiver *receiver, struct bide_memory_delivery *delivery)
{
    struct bide_memory_row *row = delivery->row;
    if (!row)
        return NULL;
    count(receiver, delivery, -1);
    TAILQ_REMOVE(&receiver->held, row, link);
    row->delivery = NULL;
    return row;
}

static void free_delivery(struct bide_memory_delivery *delivery)
{
    bide_message_destroy(delivery->base.message);
    bide_free(delivery);
}

/* The row's message as it is after the run. False where there is no memory: it is as it was. */
static bool change(struct bide_memory_row *row, const struct bide_settlement *settlement)
{
    struct bide_message after;
    bide_settlement_apply(settlement, &after);
    struct bide_message *changed = bide_message_copy(&after);
    if (!changed)
        return false;
    bide_message_destroy(row->message);
    row->message = changed;
    row->order = 0;
    return true;
}

static bool send_on(struct bide_memory_store *store, const struct bide_settlement *settlement, int64_t now_ms)
{
    const struct bide_message *const *sends = (const struct bide_message *const *)settlement->sends;
    return bide_memory_send(store, sends, settlement->n_sends, now_ms);
}

/* False where there is no memory. */
static bool carry_out(struct bide_memory_store *store, struct bide_memory_row *row,
    const struct bide_settlement *settlement, int64_t now_ms)
{
    switch (settlement->verdict) {
    case BIDE_VERDICT_ACK:
        if (!send_on(store, settlement, now_ms))
            return false;
        bide_memory_row_destroy(row);
        return true;
    case BIDE_VERDICT_RETRY:
        if (!change(row, settlement))
            return false;
        break;
    case BIDE_VERDICT_DEAD:
        if (!change(row, settlement) || !send_on(store, settlement, now_ms))
            return false;
        bide_memory_bury(store, row, settlement->reason, now_ms);
        return true;
    case BIDE_VERDICT_RELEASE:
        break;
    }
    bide_memory_put(store, row, now_ms);
    return true;
}

static void settle_one(
    struct bide_memory_receiver *receiver, const struct bide_settlement *settlement, int64_t now_ms)
{
    struct bide_memory_delivery *delivery = (struct bide_memory_delivery *)settlement->delivery;
    struct bide_memory_row *row = take_back(receiver, delivery);
    bool carried_out = row && carry_out(receiver->store, row, settlement, now_ms);
    if (row && !carried_out)
        bide_memory_put(receiver->store, row, now_ms); /* it comes again */
    if (carried_out)
        receiver->stats.settled++;
    else
        receiver->stats.lost++;
    bide_settlement_release(settlement);
    free_delivery(delivery);
}

static void settle(struct bide_receiver *base, const struct bide_settlement *settlements, size_t n)
{
    struct bide_memory_receiver *receiver = (struct bide_memory_receiver *)base;
    int64_t now_ms = bide_wall_ms(receiver->clock);
    bide_memory_lock();
    for (size_t i = 0; i < n; i++)
        settle_one(receiver, &settlements[i], now_ms);
    bide_memory_unlock();
}

static void forget(struct bide_receiver *base, struct bide_delivery *delivery)
{
    struct bide_memory_receiver *receiver = (struct bide_memory_receiver *)base;
    struct bide_memory_delivery *mine = (struct bide_memory_delivery *)delivery;
    bide_memory_lock();
    if (mine->row) {
        mine->row->delivery = NULL; /* nobody else gets it before this receiver has gone */
        count(receiver, mine, -1);
        mine->row->queue->held++;
    }
    bide_memory_unlock();
    free_delivery(mine);
}

static void give_back_all(struct bide_memory_receiver *receiver)
{
    int64_t now_ms = bide_wall_ms(receiver->clock);
    struct bide_memory_row *row;
    while ((row = TAILQ_FIRST(&receiver->held))) {
        if (row->delivery) {
            count(receiver, row->delivery, -1);
            row->delivery->row = NULL;
            row->delivery = NULL;
        } else {
            BIDE_BUG(row->queue->held == 0);
            row->queue->held--;
        }
        TAILQ_REMOVE(&receiver->held, row, link);
        bide_memory_put(receiver->store, row, now_ms);
    }
}

void bide_memory_set_connected(struct bide_receiver *base, bool connected)
{
    struct bide_memory_receiver *receiver = (struct bide_memory_receiver *)base;
    bide_memory_lock();
    receiver->stats.reconnects += connected && !receiver->stats.connected;
    receiver->stats.connected = connected;
    if (!connected)
        give_back_all(receiver);
    bide_memory_unlock();
    bide_wakeup_signal(&receiver->wakeup);
}

/* ---- the rest of the contract ---- */

static void limit(struct bide_receiver *base, size_t queue, size_t wanted)
{
    struct bide_memory_receiver *receiver = (struct bide_memory_receiver *)base;
    if (!receiver->stopped)
        receiver->served[queue].limit = wanted;
}

/* When this queue may have something to hand out: wall ms; INT64_MAX: not by the passing of time. */
static int64_t next_ms(
    struct bide_memory_receiver *receiver, const struct bide_memory_served *served, int64_t now_ms)
{
    const struct bide_memory_row *delayed = TAILQ_FIRST(&served->queue->delayed), *row;
    if (find_next(receiver, served, now_ms))
        return now_ms;
    if (is_full(receiver))
        return INT64_MAX; /* until something is settled */
    if (served->early < served->limit)
        return delayed ? delayed->message->due_ms - LEAD_MS : INT64_MAX;
    int64_t soonest_ms = INT64_MAX; /* when one in hand falls due there is room for another early one */
    TAILQ_FOREACH(row, &receiver->held, link)
    if (delayed && row->delivery && row->delivery->early && row->message->due_ms < soonest_ms)
        soonest_ms = row->message->due_ms;
    return soonest_ms;
}

static void wait(struct bide_receiver *base, struct bide_wait *ret_wait)
{
    struct bide_memory_receiver *receiver = (struct bide_memory_receiver *)base;
    int64_t now_us = bide_wall_us(receiver->clock), soonest_ms = INT64_MAX;
    bide_memory_lock();
    for (size_t i = 0; i < receiver->n_served && receiver->stats.connected; i++) {
        int64_t next = next_ms(receiver, &receiver->served[i], now_us / 1000);
        soonest_ms = next < soonest_ms ? next : soonest_ms;
    }
    bide_memory_unlock();
    int64_t left_us = soonest_ms == INT64_MAX ? -1 : soonest_ms * 1000 - now_us;
    ret_wait->timeout_us = left_us < 0 && soonest_ms != INT64_MAX ? 0 : left_us;
    ret_wait->fds[0] = (struct pollfd){.fd = receiver->wakeup.fd, .events = POLLIN};
    ret_wait->n_fds = 1;
}

static void stop(struct bide_receiver *base)
{
    struct bide_memory_receiver *receiver = (struct bide_memory_receiver *)base;
    for (size_t i = 0; i < receiver->n_served; i++)
        receiver->served[i].limit = 0;
    receiver->stopped = true;
}

static void get_stats(const struct bide_receiver *base, struct bide_receiver_stats *ret_stats)
{
    *ret_stats = ((const struct bide_memory_receiver *)base)->stats; /* what is settled is final at once */
}

static void destroy(struct bide_receiver *base)
{
    struct bide_memory_receiver *receiver = (struct bide_memory_receiver *)base;
    bide_memory_lock();
    TAILQ_REMOVE(&receiver->store->receivers, receiver, link);
    give_back_all(receiver);
    bide_memory_unlock();
    bide_wakeup_close(&receiver->wakeup);
    bide_free(receiver->served);
    bide_free(receiver);
}

static const struct bide_receiver_ops ops = {
    .receive = receive,
    .settle = settle,
    .limit = limit,
    .wait = wait,
    .stop = stop,
    .stats = get_stats,
    .destroy = destroy,
    .forget = forget,
};

static bide_code open_parts(
    struct bide_memory_receiver *receiver, const struct bide_broker_options *options, bide_error *error)
{
    bide_code code = bide_memory_store_open(options, &receiver->store, error);
    if (code == BIDE_OK)
        code = bide_wakeup_init(&receiver->wakeup, error);
    if (code != BIDE_OK)
        return code;
    receiver->served = bide_calloc(options->n_queues + 1, sizeof *receiver->served);
    return receiver->served ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

bide_code bide_memory_open_receiver(
    const struct bide_broker_options *options, struct bide_receiver **ret_receiver, bide_error *error)
{
    struct bide_memory_receiver *receiver = bide_calloc(1, sizeof *receiver);
    if (!receiver)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    *receiver = (struct bide_memory_receiver){.base.ops = &ops,
        .clock = options->clock,
        .wakeup = {-1},
        .max_body = options->max_body,
        .max_in_flight = options->max_in_flight,
        .n_served = options->n_queues,
        .stats.connected = true};
    TAILQ_INIT(&receiver->held);
    bide_code code = open_parts(receiver, options, error);
    if (code != BIDE_OK) {
        bide_wakeup_close(&receiver->wakeup);
        bide_free(receiver);
        return code;
    }
    bide_memory_lock();
    for (size_t i = 0; i < options->n_queues; i++) {
        struct bide_memory_queue *queue = bide_memory_queue(receiver->store, options->queues[i]);
        queue->is_joined |= bide_queue_topic(queue->name) != NULL;
        receiver->served[i].queue = queue;
    }
    for (size_t i = 0; i < options->n_subscriptions; i++)
        bide_memory_queue(receiver->store, options->subscriptions[i])->is_joined = true;
    TAILQ_INSERT_TAIL(&receiver->store->receivers, receiver, link);
    bide_memory_unlock();
    *ret_receiver = &receiver->base;
    return BIDE_OK;
}
