#include <string.h>

#include "base/killpoint.h"
#include "bide/log.h"
#include "broker/redis/receiver.h"

/* One that is refused by itself goes again after REFUSED_MS, so many times in all; given up, its message
 * comes again after GIVEN_UP_US. */
enum { REFUSALS = 5, REFUSED_MS = 500, GIVEN_UP_US = 10 * 1000 * 1000 };
/* Most in one command, so that Redis is never held up; while as many commands as UNDER_WAY are unanswered,
 * settlements gather, and the next command takes more at once. */
enum { UNDER_WAY = 4, COMMAND_BYTES = 256 * 1024, SEND_BYTES = 512 };
static const size_t most[BIDE_REDIS_N_LISTS] = {
    [BIDE_REDIS_LIST_ACK] = 256,
    [BIDE_REDIS_LIST_FOLLOW] = 64,
    [BIDE_REDIS_LIST_MOVE] = 64,
    [BIDE_REDIS_LIST_RELEASE] = 128,
};

static enum bide_redis_list list_of(const struct bide_settlement *settlement)
{
    if (settlement->verdict == BIDE_VERDICT_RELEASE)
        return BIDE_REDIS_LIST_RELEASE;
    if (settlement->verdict != BIDE_VERDICT_ACK)
        return BIDE_REDIS_LIST_MOVE;
    return settlement->n_sends ? BIDE_REDIS_LIST_FOLLOW : BIDE_REDIS_LIST_ACK;
}

static void finish(struct bide_redis_receiver *receiver, struct bide_redis_delivery *delivery)
{
    receiver->stats.unsettled--;
    bide_settlement_release(&delivery->settlement);
    bide_redis_delivery_free(delivery);
}

void bide_redis_settles_add(struct bide_redis_receiver *receiver, const struct bide_settlement *settlement)
{
    struct bide_redis_delivery *delivery = (struct bide_redis_delivery *)settlement->delivery;
    delivery->settlement = *settlement;
    receiver->stats.unsettled++;
    bide_redis_delivery_uncount(receiver, delivery);
    if (delivery->incarnation != receiver->incarnation) {
        receiver->stats.lost++;
        finish(receiver, delivery);
        return;
    }
    enum bide_redis_list list = list_of(settlement);
    if (list != BIDE_REDIS_LIST_MOVE) { /* only the source is needed from here on */
        bide_message_destroy(delivery->base.message);
        delivery->base.message = NULL;
    }
    bide_redis_chain_add(&receiver->queues[delivery->base.queue].settles[list], delivery);
}

/* The pause is over: to the end of their lists. */
static void take_up_refused(struct bide_redis_queue *queue)
{
    struct bide_redis_delivery *delivery;
    queue->refused_until_us = 0;
    while ((delivery = bide_redis_chain_take(&queue->refused)))
        bide_redis_chain_add(&queue->settles[list_of(&delivery->settlement)], delivery);
}

void bide_redis_settles_lose(struct bide_redis_receiver *receiver, struct bide_redis_chain *chain)
{
    struct bide_redis_delivery *delivery;
    while ((delivery = bide_redis_chain_take(chain))) {
        receiver->stats.lost++;
        finish(receiver, delivery);
    }
}

/* ---- commands ---- */

static void begin(struct bide_redis_receiver *receiver, const struct bide_redis_queue *queue,
    enum bide_redis_script script, size_t more_keys)
{
    struct bide_redis_args *args = &receiver->args;
    const char *name_space = receiver->settings->name_space;
    bide_redis_link_script(receiver->links.work, args, script, BIDE_REDIS_QUEUE_KEYS + 2 + (int)more_keys);
    bide_redis_keys_queue(args, name_space, queue->name);
    bide_redis_keys_one(args, name_space, "workers");
    bide_redis_keys_claimed(args, name_space, queue->name, receiver->links.worker);
}

static bool is_stream_id(const struct bide_redis_delivery *delivery)
{
    return strchr(delivery->source, '-') != NULL;
}

static void write_ack(struct bide_redis_receiver *receiver, const struct bide_redis_queue *queue,
    const struct bide_redis_chain *chain)
{
    struct bide_redis_args *args = &receiver->args;
    int64_t n = 0;
    begin(receiver, queue, BIDE_REDIS_ACK, 0);
    for (const struct bide_redis_delivery *delivery = chain->first; delivery; delivery = delivery->next)
        n += is_stream_id(delivery);
    bide_redis_args_text(args, receiver->links.worker);
    bide_redis_args_int(args, n);
    for (int tokens = 0; tokens < 2; tokens++)
        for (const struct bide_redis_delivery *delivery = chain->first; delivery; delivery = delivery->next)
            if (is_stream_id(delivery) != tokens)
                bide_redis_args_text(args, delivery->source);
}

static void write_release(struct bide_redis_receiver *receiver, const struct bide_redis_queue *queue,
    const struct bide_redis_chain *chain)
{
    struct bide_redis_args *args = &receiver->args;
    begin(receiver, queue, BIDE_REDIS_RELEASE, 0);
    bide_redis_args_text(args, receiver->links.worker);
    bide_redis_args_text(args, queue->name);
    bide_redis_keys_wake(args, receiver->settings->name_space);
    for (const struct bide_redis_delivery *delivery = chain->first; delivery; delivery = delivery->next)
        bide_redis_args_text(args, delivery->source);
}

static void add_text(struct bide_redis_receiver *receiver)
{
    receiver->args.bytes.failed |= receiver->text.failed;
    bide_redis_args_add(&receiver->args, receiver->text.bytes, receiver->text.size);
}

static size_t count_sends(const struct bide_redis_chain *chain)
{
    size_t n = 0;
    for (const struct bide_redis_delivery *delivery = chain->first; delivery; delivery = delivery->next)
        n += delivery->settlement.n_sends;
    return n;
}

/* Each message that is sent names its queue's keys anew. */
static void write_keys_of_sends(struct bide_redis_receiver *receiver, const struct bide_redis_chain *chain)
{
    const char *name_space = receiver->settings->name_space;
    for (const struct bide_redis_delivery *delivery = chain->first; delivery; delivery = delivery->next)
        for (size_t i = 0; i < delivery->settlement.n_sends; i++)
            bide_redis_keys_queue(&receiver->args, name_space, delivery->settlement.sends[i]->queue);
}

static void write_sends(
    struct bide_redis_receiver *receiver, const struct bide_settlement *settlement, int64_t now_ms)
{
    bide_redis_args_int(&receiver->args, (int64_t)settlement->n_sends);
    for (size_t i = 0; i < settlement->n_sends; i++) {
        const struct bide_message *message = settlement->sends[i];
        bide_redis_args_text(&receiver->args, message->queue);
        if (message->due_ms <= now_ms)
            bide_redis_args_text(&receiver->args, "");
        else
            bide_redis_args_int(&receiver->args, message->due_ms);
        bide_buffer_clear(&receiver->text);
        bide_redis_wire_write(&receiver->text, message, NULL);
        bide_buffer_add(&receiver->text, message->body, message->body_size);
        add_text(receiver);
    }
}

static void write_one_move(struct bide_redis_receiver *receiver, const struct bide_redis_queue *queue,
    const struct bide_redis_delivery *delivery, int64_t now_ms)
{
    const struct bide_settlement *settlement = &delivery->settlement;
    bool dead = settlement->verdict == BIDE_VERDICT_DEAD;
    struct bide_message message;
    const struct bide_dead_letter letter = {&message, settlement->reason, now_ms};
    bide_settlement_apply(settlement, &message);
    message.queue = queue->name;
    bide_redis_args_text(&receiver->args, dead ? "dead" : "retry");
    bide_redis_args_text(&receiver->args, delivery->source);
    bide_buffer_clear(&receiver->text);
    bide_redis_wire_write(&receiver->text, &message, dead ? &letter : NULL);
    add_text(receiver);
    bide_redis_args_int(&receiver->args, dead ? now_ms : settlement->due_ms);
    write_sends(receiver, settlement, now_ms);
}

static void write_move(struct bide_redis_receiver *receiver, const struct bide_redis_queue *queue,
    const struct bide_redis_chain *chain)
{
    struct bide_redis_args *args = &receiver->args;
    int64_t now_ms = bide_wall_ms(receiver->settings->clock);
    begin(receiver, queue, BIDE_REDIS_MOVE,
        2 + BIDE_REDIS_DEAD_KEYS + BIDE_REDIS_QUEUE_KEYS * count_sends(chain));
    bide_redis_keys_one(args, receiver->settings->name_space, "seq");
    bide_redis_keys_dead(args, receiver->settings->name_space);
    bide_redis_keys_one(args, receiver->settings->name_space, "queues");
    write_keys_of_sends(receiver, chain);
    bide_redis_args_text(args, receiver->links.worker);
    bide_redis_args_text(args, queue->name);
    bide_redis_keys_wake(args, receiver->settings->name_space);
    bide_redis_link_mark(receiver->links.work, args);
    bide_redis_args_int(args, now_ms);
    for (const struct bide_redis_delivery *delivery = chain->first; delivery; delivery = delivery->next)
        write_one_move(receiver, queue, delivery, now_ms);
}

static void write_follow(struct bide_redis_receiver *receiver, const struct bide_redis_queue *queue,
    const struct bide_redis_chain *chain)
{
    struct bide_redis_args *args = &receiver->args;
    const char *name_space = receiver->settings->name_space;
    int64_t now_ms = bide_wall_ms(receiver->settings->clock);
    begin(receiver, queue, BIDE_REDIS_FOLLOW, 2 + BIDE_REDIS_QUEUE_KEYS * count_sends(chain));
    bide_redis_keys_one(args, name_space, "seq");
    bide_redis_keys_one(args, name_space, "queues");
    write_keys_of_sends(receiver, chain);
    bide_redis_args_text(args, receiver->links.worker);
    bide_redis_keys_wake(args, name_space);
    bide_redis_link_mark(receiver->links.work, args);
    for (const struct bide_redis_delivery *delivery = chain->first; delivery; delivery = delivery->next) {
        bide_redis_args_text(args, delivery->source);
        write_sends(receiver, &delivery->settlement, now_ms);
    }
}

typedef void writer(struct bide_redis_receiver *receiver, const struct bide_redis_queue *queue,
    const struct bide_redis_chain *chain);
static writer *const writers[BIDE_REDIS_N_LISTS] = {
    [BIDE_REDIS_LIST_ACK] = write_ack,
    [BIDE_REDIS_LIST_FOLLOW] = write_follow,
    [BIDE_REDIS_LIST_MOVE] = write_move,
    [BIDE_REDIS_LIST_RELEASE] = write_release,
};

/* ---- sending ---- */

static size_t weight(const struct bide_settlement *settlement)
{
    size_t bytes = 0;
    for (size_t i = 0; i < settlement->n_sends; i++)
        bytes += settlement->sends[i]->body_size + SEND_BYTES;
    return bytes;
}

static void take_batch(
    struct bide_redis_chain *from, enum bide_redis_list list, struct bide_redis_chain *ret_batch)
{
    size_t bytes = 0;
    bide_redis_chain_init(ret_batch);
    while (from->first && ret_batch->n < most[list]) {
        bytes += weight(&from->first->settlement);
        if (ret_batch->n > 0 && (bytes > COMMAND_BYTES || from->first->alone || ret_batch->first->alone))
            return;
        from->first->sent = true;
        bide_redis_chain_add(ret_batch, bide_redis_chain_take(from));
    }
}

static bide_code send_some(struct bide_redis_receiver *receiver, struct bide_redis_queue *queue,
    enum bide_redis_list list, bide_error *error)
{
    struct bide_redis_chain *from = &queue->settles[list], batch;
    take_batch(from, list, &batch);
    writers[list](receiver, queue, &batch);
    bide_code code = bide_redis_link_append(receiver->links.work, &receiver->args, error);
    struct bide_redis_command *command = NULL;
    if (code == BIDE_OK && !(command = bide_redis_receiver_note(receiver, BIDE_REDIS_COMMAND_SETTLE, queue)))
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (code != BIDE_OK) {
        bide_redis_chain_prepend(from, &batch);
        return code;
    }
    command->list = list;
    bide_redis_chain_init(&command->chain);
    bide_redis_chain_prepend(&command->chain, &batch);
    receiver->settles_under_way++;
    BIDE_KILL_POINT("worker/redis-settle-written");
    return BIDE_OK;
}

/* Queues and lists take turns: none waits for ever behind another that always has something. */
bide_code bide_redis_settles_send(struct bide_redis_receiver *receiver, bide_error *error)
{
    size_t n = receiver->n_queues * BIDE_REDIS_N_LISTS;
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < receiver->n_queues; i++)
        if (receiver->queues[i].refused_until_us &&
            receiver->queues[i].refused_until_us <= bide_mono_us(receiver->settings->clock))
            take_up_refused(&receiver->queues[i]);
    for (size_t passed = 0; code == BIDE_OK && passed < n && receiver->settles_under_way < UNDER_WAY;) {
        size_t turn = receiver->settle_turn;
        struct bide_redis_queue *queue = &receiver->queues[turn / BIDE_REDIS_N_LISTS];
        enum bide_redis_list list = turn % BIDE_REDIS_N_LISTS;
        receiver->settle_turn = turn + 1 < n ? turn + 1 : 0;
        passed++;
        if (!queue->audited || !queue->settles[list].first)
            continue;
        code = send_some(receiver, queue, list, error);
        passed = 0;
    }
    return code;
}

bool bide_redis_settles_wait(const struct bide_redis_receiver *receiver, const struct bide_redis_queue *queue)
{
    if (!queue->audited || receiver->settles_under_way > 0)
        return false;
    for (enum bide_redis_list list = 0; list < BIDE_REDIS_N_LISTS; list++)
        if (queue->settles[list].first)
            return true;
    return false;
}

void bide_redis_settles_final(
    struct bide_redis_receiver *receiver, struct bide_redis_command *command, const redisReply *reply)
{
    struct bide_redis_delivery *delivery;
    receiver->settles_under_way--;
    BIDE_KILL_POINT("worker/redis-settled");
    if (command->list == BIDE_REDIS_LIST_MOVE && reply->type == REDIS_REPLY_INTEGER && reply->integer > 1)
        bide_log(BIDE_LOG_ERROR, "redis: messages without a body were parked: somebody deleted keys of bide",
            BIDE_STR("queue", command->queue->name), BIDE_INT("messages", reply->integer - 1));
    while ((delivery = bide_redis_chain_take(&command->chain))) {
        receiver->stats.settled++;
        finish(receiver, delivery);
    }
}

void bide_redis_settles_refused(
    struct bide_redis_receiver *receiver, struct bide_redis_command *command, const char *why)
{
    struct bide_redis_queue *queue = command->queue;
    struct bide_redis_chain *chain = &command->chain;
    receiver->settles_under_way--;
    if (chain->n > 1) {
        for (struct bide_redis_delivery *each = chain->first; each; each = each->next)
            each->alone = true;
        bide_redis_chain_prepend(&queue->settles[command->list], chain);
        return;
    }
    struct bide_redis_delivery *delivery = chain->first;
    delivery->alone = true;
    if (++delivery->refusals < REFUSALS) {
        bide_redis_chain_add(&queue->refused, bide_redis_chain_take(chain));
        if (queue->refused_until_us == 0)
            queue->refused_until_us = bide_mono_us(receiver->settings->clock) + REFUSED_MS * 1000;
        return;
    }
    bide_log(BIDE_LOG_ERROR, "redis: a settlement is refused: the message will come again",
        BIDE_STR("queue", queue->name), BIDE_STR("source", delivery->source), BIDE_STR("error", why));
    bide_redis_settles_lose(receiver, chain);
    bide_redis_audit_in(receiver, queue, GIVEN_UP_US);
}

void bide_redis_settles_drop_disowned(struct bide_redis_receiver *receiver, struct bide_redis_queue *queue)
{
    uint64_t lost_before = receiver->stats.lost;
    take_up_refused(queue);
    for (enum bide_redis_list list = 0; list < BIDE_REDIS_N_LISTS; list++) {
        struct bide_redis_chain kept;
        struct bide_redis_delivery *delivery;
        bide_redis_chain_init(&kept);
        while ((delivery = bide_redis_chain_take(&queue->settles[list]))) {
            if (!delivery->disowned) {
                bide_redis_chain_add(&kept, delivery);
                continue;
            }
            receiver->stats.settled += delivery->sent; /* most likely: only its answer was lost */
            receiver->stats.lost += !delivery->sent;
            finish(receiver, delivery);
        }
        bide_redis_chain_prepend(&queue->settles[list], &kept);
    }
    if (receiver->stats.lost != lost_before)
        bide_log(BIDE_LOG_WARN, "redis: the server no longer knows what this worker had in hand",
            BIDE_STR("queue", queue->name), BIDE_INT("settlements_lost", receiver->stats.lost - lost_before));
}
