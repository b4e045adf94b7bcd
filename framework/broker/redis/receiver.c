#include "broker/joins.h"
#include "broker/redis/receiver.h"

#include "base/alloc.h"
#include "bide/log.h"

/* ---- commands under way ---- */

static struct bide_redis_command *take_command(struct bide_redis_receiver *receiver)
{
    struct bide_redis_command *command = receiver->commands;
    if (!command)
        return NULL;
    receiver->commands = command->next;
    if (!receiver->commands)
        receiver->commands_end = &receiver->commands;
    return command;
}

/* What was not answered is to be sent again, in front of what came after it. */
static void take_back_commands(struct bide_redis_receiver *receiver)
{
    struct bide_redis_command *command;
    struct bide_redis_chain unanswered;
    for (size_t i = 0; i < receiver->n_queues; i++)
        bide_redis_claims_reset(&receiver->queues[i]);
    while ((command = take_command(receiver))) {
        struct bide_redis_chain *to = &command->queue->settles[command->list];
        bide_redis_chain_init(&unanswered);
        bide_redis_chain_prepend(&unanswered, &command->chain);
        bide_redis_chain_prepend(to, &unanswered);
        bide_free(command);
    }
    receiver->settles_under_way = 0;
    receiver->unsent = false;
}

static void disconnect(struct bide_redis_receiver *receiver, bool new_name)
{
    if (!receiver->links.work)
        return;
    bide_redis_link_destroy(receiver->links.work);
    bide_redis_link_destroy(receiver->links.wake);
    receiver->links.work = receiver->links.wake = NULL;
    receiver->stats.connected = false;
    take_back_commands(receiver);
    bide_redis_keeper_reconnect(receiver->keeper, new_name);
}

/* The worker's name is somebody else's: all in hand is lost. */
static void lose_all(struct bide_redis_receiver *receiver)
{
    struct bide_redis_delivery *delivery;
    struct bide_heap_node *node;
    uint64_t before = receiver->stats.lost;
    while ((node = bide_heap_first(&receiver->landing)))
        bide_heap_remove(&receiver->landing, node);
    receiver->incarnation++;
    while ((delivery = bide_redis_chain_take(&receiver->ready)))
        bide_redis_delivery_free(delivery);
    for (size_t i = 0; i < receiver->n_queues; i++) {
        receiver->queues[i].in_hand = receiver->queues[i].early = 0;
        for (enum bide_redis_list list = 0; list < BIDE_REDIS_N_LISTS; list++)
            bide_redis_settles_lose(receiver, &receiver->queues[i].settles[list]);
        bide_redis_settles_lose(receiver, &receiver->queues[i].refused);
    }
    bide_log(BIDE_LOG_WARN, "redis: others took over what this worker had in hand",
        BIDE_INT("settlements_lost", receiver->stats.lost - before));
}

/* ---- replies ---- */

static void reply_failed(struct bide_redis_receiver *receiver, const redisReply *reply)
{
    struct bide_redis_command *command = receiver->commands;
    bide_error why = {0};
    bide_redis_reply_fail(receiver->settings, reply->str, "working", &why);
    enum bide_redis_trouble trouble = bide_redis_trouble_of(reply->str);
    if (bide_redis_action_on(trouble, command->fault_kind) != BIDE_REDIS_APART) {
        bide_log(BIDE_LOG_WARN, "redis: an error answer: connecting again", BIDE_STR("error", why.text));
        disconnect(receiver, false);
        return;
    }
    take_command(receiver);
    if (command->kind == BIDE_REDIS_COMMAND_SETTLE) {
        bide_redis_settles_refused(receiver, command, why.text);
    } else {
        bide_log(BIDE_LOG_WARN, "redis: a queue is refused", BIDE_STR("queue", command->queue->name),
            BIDE_STR("error", why.text));
        bide_redis_claims_refused(receiver, command);
    }
    bide_free(command);
}

static bool says_taken_over(const struct bide_redis_command *command, const redisReply *reply)
{
    return command->kind != BIDE_REDIS_COMMAND_READ && reply->type == REDIS_REPLY_INTEGER &&
           reply->integer == -1;
}

/* Takes the reply. An error reply or one that says "taken over" ends the links: the command is then among
 * those taken back, so it is looked at before it leaves the list. */
static bide_code act_on(struct bide_redis_receiver *receiver, const redisReply *reply, bide_error *error)
{
    struct bide_redis_command *command = receiver->commands;
    if (!command)
        return bide_fail(error, BIDE_E_BROKER, "%s: an answer without a question", receiver->settings->shown);
    if (reply->type == REDIS_REPLY_ERROR) {
        reply_failed(receiver, reply);
        return BIDE_OK;
    }
    if (says_taken_over(command, reply)) {
        disconnect(receiver, true);
        lose_all(receiver);
        return BIDE_OK;
    }
    take_command(receiver);
    bide_code code = BIDE_OK;
    if (command->kind == BIDE_REDIS_COMMAND_SETTLE) {
        bide_redis_settles_final(receiver, command, reply);
    } else if (command->kind == BIDE_REDIS_COMMAND_KEEP) {
        bide_redis_audit_answer(receiver, command->queue, reply);
        bide_redis_settles_drop_disowned(receiver, command->queue);
    } else {
        code = bide_redis_claims_answer(receiver, command, reply, error);
    }
    bide_free(command);
    return code;
}

static void link_failed(struct bide_redis_receiver *receiver, const bide_error *why)
{
    bide_log(BIDE_LOG_WARN, "redis: connection lost", BIDE_STR("error", why->text));
    disconnect(receiver, false);
}

/* An answer that fits no question, or is none of those expected, is the connection's fault: a new one is
 * made. */
static bide_code read_work(struct bide_redis_receiver *receiver, bide_error *error)
{
    bide_error why = {0};
    bide_code code = bide_redis_link_read(receiver->links.work, &why);
    while (code == BIDE_OK && receiver->links.work) {
        redisReply *reply = NULL;
        code = bide_redis_link_next(receiver->links.work, &reply, &why);
        if (code != BIDE_OK || !reply)
            break;
        code = act_on(receiver, reply, &why);
        freeReplyObject(reply);
    }
    if (code == BIDE_E_NOMEM)
        return bide_fail(error, code, "%s", why.text);
    if (code != BIDE_OK)
        link_failed(receiver, &why);
    return BIDE_OK;
}

static void read_wake(struct bide_redis_receiver *receiver)
{
    bide_error why = {0};
    bide_code code = bide_redis_link_read(receiver->links.wake, &why);
    while (code == BIDE_OK) {
        redisReply *reply = NULL;
        code = bide_redis_link_next(receiver->links.wake, &reply, &why);
        if (code != BIDE_OK || !reply)
            break;
        bide_redis_claims_wake(receiver, reply);
        freeReplyObject(reply);
    }
    if (code != BIDE_OK)
        link_failed(receiver, &why);
}

/* ---- one call of receive ---- */

static void adopt(struct bide_redis_receiver *receiver, const struct bide_redis_links *links)
{
    bool first = !*receiver->links.worker;
    if (links->renamed && !first)
        lose_all(receiver);
    receiver->links = *links;
    receiver->stats.connected = true;
    receiver->stats.reconnects += !first;
    for (size_t i = 0; i < receiver->n_queues; i++) {
        bide_redis_claims_reset(&receiver->queues[i]);
        receiver->queues[i].audited = first;
        receiver->queues[i].audits = first ? 0 : 2;
        receiver->queues[i].audit_us = bide_mono_us(receiver->settings->clock);
    }
}

static void heed_keeper(struct bide_redis_receiver *receiver)
{
    struct bide_redis_links links;
    if (bide_redis_keeper_take(receiver->keeper, &links))
        adopt(receiver, &links);
    else if (bide_redis_keeper_doubts(receiver->keeper) && receiver->links.work)
        disconnect(receiver, false);
}

static void check_deadline(struct bide_redis_receiver *receiver)
{
    bide_error why = {0};
    if (!receiver->commands || bide_mono_us(receiver->settings->clock) < receiver->commands->deadline_us)
        return;
    bide_fail(&why, BIDE_E_TIMEOUT, "%s: no answer within %lld ms", receiver->settings->shown,
        (long long)receiver->settings->timeout_ms);
    link_failed(receiver, &why);
}

static bide_code send_all(struct bide_redis_receiver *receiver, bide_error *error)
{
    bide_error why = {0};
    bide_code code = bide_redis_audit_send(receiver, error);
    if (code == BIDE_OK)
        code = bide_redis_settles_send(receiver, error);
    if (code == BIDE_OK)
        code = bide_redis_claims_send(receiver, error);
    if (code == BIDE_OK && receiver->unsent &&
        bide_redis_link_flush(receiver->links.work, &receiver->unsent, &why) != BIDE_OK)
        link_failed(receiver, &why);
    return code;
}

static bide_code receiver_receive(struct bide_receiver *base, struct bide_delivery **deliveries, size_t max,
    size_t *ret_n, bide_error *error)
{
    struct bide_redis_receiver *receiver = (struct bide_redis_receiver *)base;
    uint64_t final_before = receiver->stats.settled + receiver->stats.lost;
    bide_code code = BIDE_OK;
    heed_keeper(receiver);
    bide_redis_claims_land(receiver);
    if (receiver->links.work)
        code = read_work(receiver, error);
    if (code == BIDE_OK && receiver->links.work)
        read_wake(receiver);
    if (code == BIDE_OK && receiver->links.work)
        check_deadline(receiver);
    if (code == BIDE_OK && receiver->links.work)
        code = send_all(receiver, error);
    if (code != BIDE_OK)
        return code;
    receiver->news = receiver->stats.settled + receiver->stats.lost != final_before;
    size_t n = 0;
    while (n < max && receiver->ready.first)
        deliveries[n++] = &bide_redis_chain_take(&receiver->ready)->base;
    *ret_n = n;
    return BIDE_OK;
}

/* ---- the other calls ---- */

static void receiver_settle(struct bide_receiver *base, const struct bide_settlement *settlements, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bide_redis_settles_add((struct bide_redis_receiver *)base, &settlements[i]);
}

static void receiver_limit(struct bide_receiver *base, size_t queue, size_t limit)
{
    struct bide_redis_receiver *receiver = (struct bide_redis_receiver *)base;
    if (queue < receiver->n_queues)
        receiver->queues[queue].limit = limit;
}

/* Is there something receive would do at once? */
static bool has_work(const struct bide_redis_receiver *receiver)
{
    if (receiver->ready.first || receiver->news)
        return true;
    if (!receiver->links.work)
        return false;
    for (size_t i = 0; i < receiver->n_queues; i++) {
        const struct bide_redis_queue *queue = &receiver->queues[i];
        if (bide_redis_claims_wanted(receiver, queue) || bide_redis_settles_wait(receiver, queue))
            return true;
    }
    return false;
}

static void shorten(int64_t *wait_us, int64_t left_us)
{
    left_us = left_us > 0 ? left_us : 0;
    if (*wait_us == -1 || left_us < *wait_us)
        *wait_us = left_us;
}

/* A pause or an audit to come is measured on the monotonic clock; 0: there is none. */
static void shorten_until(int64_t *wait_us, int64_t until_us, int64_t now_us)
{
    if (until_us)
        shorten(wait_us, until_us - now_us);
}

static int64_t soonest(const struct bide_redis_receiver *receiver)
{
    int64_t soonest_us = -1, now_us = bide_mono_us(receiver->settings->clock);
    int64_t alarm_ms = bide_redis_claims_alarm(receiver);
    if (alarm_ms != BIDE_REDIS_NO_ALARM)
        shorten(&soonest_us, alarm_ms * 1000 - bide_wall_us(receiver->settings->clock));
    if (receiver->commands)
        shorten(&soonest_us, receiver->commands->deadline_us - now_us);
    for (size_t i = 0; i < receiver->n_queues; i++) {
        const struct bide_redis_queue *queue = &receiver->queues[i];
        shorten_until(&soonest_us, queue->rests_until_us, now_us);
        shorten_until(&soonest_us, queue->refused_until_us, now_us);
        if (queue->audits > 0 && !bide_redis_claiming_is_asked(queue->claiming))
            shorten(&soonest_us, queue->audit_us - now_us);
    }
    return soonest_us;
}

static void receiver_wait(struct bide_receiver *base, struct bide_wait *ret_wait)
{
    struct bide_redis_receiver *receiver = (struct bide_redis_receiver *)base;
    *ret_wait = (struct bide_wait){.n_fds = 1, .timeout_us = -1};
    ret_wait->fds[0] = (struct pollfd){.fd = bide_redis_keeper_fd(receiver->keeper), .events = POLLIN};
    if (receiver->links.work) {
        short out = receiver->unsent ? POLLOUT : 0;
        ret_wait->fds[1] =
            (struct pollfd){.fd = bide_redis_link_fd(receiver->links.work), .events = (short)(POLLIN | out)};
        ret_wait->fds[2] = (struct pollfd){.fd = bide_redis_link_fd(receiver->links.wake), .events = POLLIN};
        ret_wait->n_fds = 3;
        ret_wait->timeout_us = soonest(receiver);
    }
    if (has_work(receiver))
        ret_wait->timeout_us = 0;
}

static void receiver_stop(struct bide_receiver *base)
{
    struct bide_redis_receiver *receiver = (struct bide_redis_receiver *)base;
    struct bide_redis_delivery *delivery;
    receiver->stopped = true;
    while ((delivery = bide_redis_chain_take(&receiver->ready)))
        bide_redis_settles_add(receiver,
            &(struct bide_settlement){.delivery = &delivery->base, .verdict = BIDE_VERDICT_RELEASE});
}

static void receiver_stats(const struct bide_receiver *base, struct bide_receiver_stats *ret_stats)
{
    *ret_stats = ((const struct bide_redis_receiver *)base)->stats;
}

static void receiver_forget(struct bide_receiver *base, struct bide_delivery *delivery)
{
    bide_redis_delivery_uncount((struct bide_redis_receiver *)base, (struct bide_redis_delivery *)delivery);
    bide_redis_delivery_free((struct bide_redis_delivery *)delivery);
}

static void receiver_destroy(struct bide_receiver *base)
{
    struct bide_redis_receiver *receiver = (struct bide_redis_receiver *)base;
    struct bide_redis_delivery *delivery;
    bide_redis_link_destroy(receiver->links.work);
    bide_redis_link_destroy(receiver->links.wake);
    take_back_commands(receiver);
    bide_redis_keeper_destroy(receiver->keeper);
    while ((delivery = bide_redis_chain_take(&receiver->ready)))
        bide_redis_delivery_free(delivery);
    for (size_t i = 0; i < receiver->n_queues; i++) {
        bide_redis_settles_lose(receiver, &receiver->queues[i].refused);
        for (enum bide_redis_list list = 0; list < BIDE_REDIS_N_LISTS; list++)
            bide_redis_settles_lose(receiver, &receiver->queues[i].settles[list]);
    }
    bide_heap_release(&receiver->landing);
    bide_redis_args_release(&receiver->args);
    bide_buffer_release(&receiver->text);
    bide_redis_settings_destroy(receiver->settings);
    bide_free(receiver->queues);
    bide_free(receiver);
}

/* ---- opening ---- */

static bide_code set_up(
    struct bide_redis_receiver *receiver, const struct bide_broker_options *options, bide_error *error)
{
    receiver->commands_end = &receiver->commands;
    bide_redis_chain_init(&receiver->ready);
    bide_heap_init(&receiver->landing);
    bide_redis_args_init(&receiver->args);
    bide_buffer_init(&receiver->text);
    bide_code code = bide_redis_settings_create(options, &receiver->settings, error);
    if (code != BIDE_OK)
        return code;
    receiver->settings->joins = bide_joins(options);
    if (!receiver->settings->joins)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    receiver->queues = bide_calloc(receiver->settings->n_queues + 1, sizeof *receiver->queues);
    if (!receiver->queues)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    receiver->n_queues = receiver->settings->n_queues;
    for (size_t i = 0; i < receiver->n_queues; i++) {
        receiver->queues[i].name = receiver->settings->queues[i];
        bide_redis_claims_reset(&receiver->queues[i]);
        bide_redis_chain_init(&receiver->queues[i].refused);
        for (enum bide_redis_list list = 0; list < BIDE_REDIS_N_LISTS; list++)
            bide_redis_chain_init(&receiver->queues[i].settles[list]);
    }
    return bide_redis_keeper_create(receiver->settings, &receiver->keeper, error);
}

bide_code bide_redis_open_receiver(
    const struct bide_broker_options *options, struct bide_receiver **ret_receiver, bide_error *error)
{
    static const struct bide_receiver_ops ops = {
        .receive = receiver_receive,
        .settle = receiver_settle,
        .limit = receiver_limit,
        .wait = receiver_wait,
        .stop = receiver_stop,
        .stats = receiver_stats,
        .destroy = receiver_destroy,
        .forget = receiver_forget,
    };
    struct bide_redis_receiver *receiver = bide_calloc(1, sizeof *receiver);
    if (!receiver)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    receiver->base.ops = &ops;
    bide_code code = set_up(receiver, options, error);
    if (code == BIDE_OK)
        *ret_receiver = &receiver->base;
    else
        receiver_destroy(&receiver->base);
    return code;
}
