#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "broker/redis/receiver.h"

#include "base/killpoint.h"

/* A claim is expected to bring at most so many bytes. Below STREAM_ROOM the script reads the stream as well;
 * above, the stream is read by a command of its own, which is faster: handing entries through Lua costs half
 * as much again. */
enum { CLAIM_BYTES = 2 * 1024 * 1024, STREAM_ROOM = 16 };
/* While so many settlements are not final, nothing more is claimed: memory is bounded where handlers are
 * quicker than the way to the server. */
enum { UNSETTLED_MOST = 4096 };
/* A worker that nobody wakes looks by itself: somebody may have deleted the set of those that wait. */
enum { LOOK_MS = 30 * 1000 };
/* A queue rests for so long when the server refuses a claim. */
enum { REST_MS = 3000 };

struct plan {
    size_t room;  /* most that may be run now, claimed by the script */
    size_t late;  /* most of these from `delayed` */
    size_t early; /* most that are nearly due */
    size_t read;  /* asked of the stream by a command of its own; 0: the script reads it */
};

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t bide_redis_claims_room(
    const struct bide_redis_receiver *receiver, const struct bide_redis_queue *queue)
{
    size_t held = queue->in_hand + queue->asked;
    bool shut = receiver->stopped || receiver->stats.unsettled >= UNSETTLED_MOST ||
                receiver->in_flight >= receiver->settings->max_in_flight;
    return shut || queue->limit <= held ? 0 : queue->limit - held;
}

/* A worker that asks for one message gets one early; one that asks for 32 may hold 1024, which is what a busy
 * one needs ahead. */
static size_t early_room(const struct bide_redis_queue *queue)
{
    size_t most = smaller(BIDE_REDIS_EARLY_MAX, queue->limit * queue->limit);
    return most > queue->early ? most - queue->early : 0;
}

static struct bide_redis_delivery *delivery_of_node(struct bide_heap_node *node)
{
    return (
        struct bide_redis_delivery *)(void *)((char *)node - offsetof(struct bide_redis_delivery, landing));
}

void bide_redis_claims_land(struct bide_redis_receiver *receiver)
{
    int64_t now_us = bide_wall_us(receiver->settings->clock);
    struct bide_heap_node *node;
    while ((node = bide_heap_first(&receiver->landing)) && node->due_us <= now_us) {
        bide_heap_remove(&receiver->landing, node);
        struct bide_redis_queue *queue = &receiver->queues[delivery_of_node(node)->base.queue];
        queue->early--;
        queue->in_hand++;
        if (early_room(queue) > queue->early)
            queue->claiming = bide_redis_claiming_after(queue->claiming, BIDE_REDIS_EARLY_ROOM);
    }
}

static struct plan make_plan(const struct bide_redis_receiver *receiver, struct bide_redis_queue *queue)
{
    size_t in_flight = receiver->in_flight, most_in_flight = receiver->settings->max_in_flight;
    size_t bytes = in_flight < most_in_flight ? smaller(CLAIM_BYTES, most_in_flight - in_flight) : 0;
    size_t most = bytes / ((queue->mean_size ? queue->mean_size : receiver->settings->max_body) + 1);
    most = most < 1 ? 1 : smaller(most, BIDE_REDIS_CLAIM_MAX);
    struct plan plan = {.room = smaller(bide_redis_claims_room(receiver, queue), most)};
    if (plan.room == 0)
        return plan;
    plan.early = smaller(early_room(queue), most);
    if (queue->claiming == BIDE_REDIS_FLOWING && plan.room >= STREAM_ROOM) {
        size_t total = plan.room;
        plan.room = plan.late = total / 8;
        plan.read = total - plan.room;
        return plan;
    }
    plan.late = (plan.room + ++queue->turn % 2) / 2;
    return plan;
}

/* ---- sending ---- */

static bide_code send_script(struct bide_redis_receiver *receiver, struct bide_redis_queue *queue,
    const struct plan *plan, bide_error *error)
{
    struct bide_redis_args *args = &receiver->args;
    int64_t now_ms = bide_wall_ms(receiver->settings->clock);
    bide_redis_receiver_begin_script(receiver, BIDE_REDIS_CLAIM, queue);
    bide_redis_args_int(args, (int64_t)plan->room);
    bide_redis_args_int(args, (int64_t)plan->late);
    bide_redis_args_int(args, (int64_t)plan->early);
    bide_redis_args_int(args, now_ms);
    bide_redis_args_int(args, now_ms + BIDE_REDIS_LEAD_MS);
    bide_redis_args_text(args, plan->read ? "0" : "1");
    return bide_redis_link_append(receiver->links.work, args, error);
}

static bide_code send_read(
    struct bide_redis_receiver *receiver, struct bide_redis_queue *queue, size_t most, bide_error *error)
{
    struct bide_redis_args *args = &receiver->args;
    bide_redis_args_begin(args, BIDE_REDIS_XREADGROUP);
    bide_redis_args_texts(args, (const char *[]){"GROUP", "bide", receiver->links.worker, "COUNT", NULL});
    bide_redis_args_int(args, (int64_t)most);
    bide_redis_args_text(args, "STREAMS");
    bide_redis_args_format(args, "{%s}:q:%s:ready", receiver->settings->name_space, queue->name);
    bide_redis_args_text(args, ">");
    return bide_redis_link_append(receiver->links.work, args, error);
}

static bide_code claim(
    struct bide_redis_receiver *receiver, struct bide_redis_queue *queue, bide_error *error)
{
    struct plan plan = make_plan(receiver, queue);
    bide_code code = send_script(receiver, queue, &plan, error);
    struct bide_redis_command *command = NULL, *read = NULL;
    if (code == BIDE_OK && !(command = bide_redis_receiver_note(receiver, BIDE_REDIS_COMMAND_CLAIM, queue)))
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (code == BIDE_OK && plan.read)
        code = send_read(receiver, queue, plan.read, error);
    if (code == BIDE_OK && plan.read &&
        !(read = bide_redis_receiver_note(receiver, BIDE_REDIS_COMMAND_READ, queue)))
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (code != BIDE_OK)
        return code;
    command->full_claim = plan.read == 0;
    if (read)
        read->room = plan.read;
    queue->asked = plan.room + plan.read;
    queue->claiming = bide_redis_claiming_after(queue->claiming, BIDE_REDIS_ASKED);
    queue->alarm_ms = BIDE_REDIS_NO_ALARM;
    return BIDE_OK;
}

bool bide_redis_claims_wanted(
    const struct bide_redis_receiver *receiver, const struct bide_redis_queue *queue)
{
    bool wants = queue->claiming == BIDE_REDIS_WANTING || queue->claiming == BIDE_REDIS_FLOWING;
    if (queue->rests_until_us)
        return false;
    return queue->claiming == BIDE_REDIS_PASSING_ON || (wants && bide_redis_claims_room(receiver, queue) > 0);
}

static void wake(const struct bide_redis_receiver *receiver, struct bide_redis_queue *queue)
{
    bool full = bide_redis_claims_room(receiver, queue) == 0;
    queue->claiming =
        bide_redis_claiming_after(queue->claiming, full ? BIDE_REDIS_WOKEN_FULL : BIDE_REDIS_WOKEN);
}

bide_code bide_redis_claims_send(struct bide_redis_receiver *receiver, bide_error *error)
{
    int64_t now_ms = bide_wall_ms(receiver->settings->clock);
    int64_t now_us = bide_mono_us(receiver->settings->clock);
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < receiver->n_queues; i++) {
        struct bide_redis_queue *queue = &receiver->queues[i];
        if (queue->rests_until_us <= now_us)
            queue->rests_until_us = 0;
        if (queue->alarm_ms <= now_ms) {
            queue->alarm_ms = BIDE_REDIS_NO_ALARM;
            wake(receiver, queue);
        }
        if (bide_redis_claims_wanted(receiver, queue))
            code = claim(receiver, queue, error);
    }
    return code;
}

/* ---- answers ---- */

/* Nothing is left: sets the alarm. Returns the state to be in. */
static enum bide_redis_claiming rest(struct bide_redis_queue *queue, const redisReply *reply, int64_t now_ms)
{
    const redisReply *first = reply->element[1];
    bool primary = reply->element[2]->integer == 1;
    int64_t due_ms = first->len ? (int64_t)strtod(first->str, NULL) : BIDE_REDIS_NO_ALARM;
    bool crowded = early_room(queue) == 0;
    queue->alarm_ms = now_ms + LOOK_MS;
    if (due_ms >= queue->alarm_ms)
        return BIDE_REDIS_QUIET;
    if (!primary)
        queue->alarm_ms = due_ms + BIDE_REDIS_BACKUP_MS;
    else
        queue->alarm_ms = crowded ? due_ms : due_ms - BIDE_REDIS_ALARM_MS;
    return crowded ? BIDE_REDIS_CROWDED : BIDE_REDIS_QUIET;
}

static void end(
    struct bide_redis_receiver *receiver, struct bide_redis_queue *queue, enum bide_redis_claiming state)
{
    queue->asked = 0;
    queue->claiming =
        bide_redis_claiming_ended(queue->claiming, state, bide_redis_claims_room(receiver, queue) == 0);
}

static bide_code answer_script(struct bide_redis_receiver *receiver, const struct bide_redis_command *command,
    const redisReply *reply, bide_error *error)
{
    struct bide_redis_queue *queue = command->queue;
    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 5)
        return bide_fail(error, BIDE_E_BROKER, "%s: claiming: unexpected answer", receiver->settings->shown);
    BIDE_KILL_POINT("worker/redis-claimed");
    bide_code code = bide_redis_arrivals_tokens(receiver, queue, reply->element[3], error);
    if (code == BIDE_OK)
        code = bide_redis_arrivals_entries(receiver, queue, reply->element[4], error);
    if (!command->full_claim)
        return code;
    bool passed_on = queue->asked == 0;
    if (reply->element[0]->integer != 1)
        end(receiver, queue, rest(queue, reply, bide_wall_ms(receiver->settings->clock)));
    else
        end(receiver, queue, passed_on ? BIDE_REDIS_WANTING : BIDE_REDIS_FLOWING);
    return code;
}

static bide_code answer_read(struct bide_redis_receiver *receiver, const struct bide_redis_command *command,
    const redisReply *reply, bide_error *error)
{
    struct bide_redis_queue *queue = command->queue;
    size_t got = 0;
    bide_code code = BIDE_OK;
    if (reply->type == REDIS_REPLY_ARRAY && reply->elements == 1 && reply->element[0]->elements == 2) {
        got = reply->element[0]->element[1]->elements;
        code = bide_redis_arrivals_entries(receiver, queue, reply->element[0]->element[1], error);
    }
    /* Only the script can say that nothing is left. */
    end(receiver, queue, got == command->room ? BIDE_REDIS_FLOWING : BIDE_REDIS_WANTING);
    return code;
}

/* Of a claim of two commands the second one ends it. Who answers with an error (a proxy) may have carried the
 * claim out: the audit hands that back. */
void bide_redis_claims_refused(struct bide_redis_receiver *receiver, const struct bide_redis_command *command)
{
    struct bide_redis_queue *queue = command->queue;
    bool is_audit = command->kind == BIDE_REDIS_COMMAND_KEEP;
    queue->rests_until_us = bide_mono_us(receiver->settings->clock) + REST_MS * 1000;
    bide_redis_audit_in(receiver, queue, is_audit ? REST_MS * 1000 : 0);
    if (is_audit || (!command->full_claim && command->kind == BIDE_REDIS_COMMAND_CLAIM))
        return;
    end(receiver, queue, BIDE_REDIS_WANTING);
}

bide_code bide_redis_claims_answer(struct bide_redis_receiver *receiver,
    const struct bide_redis_command *command, const redisReply *reply, bide_error *error)
{
    return command->kind == BIDE_REDIS_COMMAND_READ ? answer_read(receiver, command, reply, error)
                                                    : answer_script(receiver, command, reply, error);
}

/* ["message", channel, queue] */
void bide_redis_claims_wake(struct bide_redis_receiver *receiver, const redisReply *message)
{
    if (message->type != REDIS_REPLY_ARRAY || message->elements != 3 ||
        message->element[2]->type != REDIS_REPLY_STRING)
        return;
    for (size_t i = 0; i < receiver->n_queues; i++) {
        struct bide_redis_queue *queue = &receiver->queues[i];
        if (strcmp(queue->name, message->element[2]->str) == 0)
            wake(receiver, queue);
    }
}

void bide_redis_claims_reset(struct bide_redis_queue *queue)
{
    queue->claiming = BIDE_REDIS_WANTING;
    queue->asked = 0;
    queue->alarm_ms = BIDE_REDIS_NO_ALARM;
    queue->rests_until_us = 0;
}

int64_t bide_redis_claims_alarm(const struct bide_redis_receiver *receiver)
{
    int64_t alarm_ms = BIDE_REDIS_NO_ALARM;
    for (size_t i = 0; i < receiver->n_queues; i++) {
        const struct bide_redis_queue *queue = &receiver->queues[i];
        if (queue->alarm_ms < alarm_ms)
            alarm_ms = queue->alarm_ms;
        if (queue->claiming == BIDE_REDIS_CROWDED && bide_heap_first(&receiver->landing)) {
            int64_t landed_ms = bide_heap_first(&receiver->landing)->due_us / 1000 + 1;
            alarm_ms = landed_ms < alarm_ms ? landed_ms : alarm_ms;
        }
    }
    return alarm_ms;
}
