#include "base/alloc.h"
#include "base/bug.h"
#include "broker/sqlite/receiver.h"
#include "broker/sqlite/row.h"
#include "broker/sqlite/sqlite.h"

#define AHEAD_MS (2 * BIDE_DELAY_MAX_MS)

/* ---- counting ---- */

static struct bide_sqlite_delivery *of_node(struct bide_heap_node *node)
{
    return (struct bide_sqlite_delivery *)((char *)node - offsetof(struct bide_sqlite_delivery, early));
}

static void leave_early(struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery *delivery)
{
    struct bide_sqlite_queue *queue = &receiver->queues[delivery->base.queue];
    BIDE_BUG(queue->early == 0 || receiver->early_bytes < delivery->base.message->body_size);
    bide_heap_remove(&receiver->early, &delivery->early);
    queue->early--;
    receiver->early_bytes -= delivery->base.message->body_size;
}

void bide_sqlite_claim_land(struct bide_sqlite_receiver *receiver)
{
    int64_t now_us = bide_wall_us(receiver->file.clock);
    struct bide_heap_node *first;
    while ((first = bide_heap_first(&receiver->early)) && first->due_us <= now_us) {
        struct bide_sqlite_delivery *delivery = of_node(first);
        leave_early(receiver, delivery);
        receiver->queues[delivery->base.queue].held++;
    }
}

static void hand_out(
    struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery *delivery, int64_t now_ms)
{
    const struct bide_message *message = delivery->base.message;
    delivery->early.due_us = message->due_ms * 1000;
    receiver->in_flight += message->body_size;
    /* Without memory for the heap the delivery counts as held: the worker claims less, which does no harm. */
    struct bide_sqlite_queue *queue = &receiver->queues[delivery->base.queue];
    if (message->due_ms > now_ms && bide_heap_insert(&receiver->early, &delivery->early)) {
        receiver->early_bytes += message->body_size;
        queue->early++;
    } else {
        queue->held++;
    }
}

void bide_sqlite_claim_hand_out(
    struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery **deliveries, size_t n)
{
    int64_t now_ms = bide_wall_ms(receiver->file.clock);
    for (size_t i = 0; i < n; i++)
        hand_out(receiver, deliveries[i], now_ms);
}

void bide_sqlite_claim_take_back(struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery *delivery)
{
    struct bide_sqlite_queue *queue = &receiver->queues[delivery->base.queue];
    BIDE_BUG(receiver->in_flight < delivery->base.message->body_size);
    receiver->in_flight -= delivery->base.message->body_size;
    if (delivery->early.place != 0) {
        leave_early(receiver, delivery);
        return;
    }
    BIDE_BUG(queue->held == 0);
    queue->held--;
}

void bide_sqlite_delivery_destroy(struct bide_sqlite_delivery *delivery)
{
    bide_message_destroy(delivery->base.message);
    bide_free(delivery);
}

/* ---- whether and when to claim ---- */

static bool has_room(const struct bide_sqlite_receiver *receiver, const struct bide_sqlite_queue *queue)
{
    return !receiver->stopped && queue->held < queue->limit && receiver->in_flight < receiver->max_in_flight;
}

static bool may_be_early(const struct bide_sqlite_receiver *receiver)
{
    return receiver->early.size < BIDE_SQLITE_EARLY_MAX && receiver->early_bytes < BIDE_SQLITE_EARLY_BYTES;
}

static size_t early_room(const struct bide_sqlite_queue *queue)
{
    size_t in_hand = queue->held + queue->early;
    return in_hand < queue->limit ? queue->limit - in_hand : 0;
}

static int64_t lead_ms(const struct bide_sqlite_receiver *receiver, const struct bide_sqlite_queue *queue)
{
    if (!may_be_early(receiver) || early_room(queue) == 0)
        return 0;
    return receiver->ahead ? AHEAD_MS : BIDE_SQLITE_LEAD_MIN_MS;
}

static bide_code look_at(
    struct bide_sqlite_receiver *receiver, struct bide_sqlite_queue *queue, bide_error *error)
{
    sqlite3_stmt *next;
    bool row = false;
    bide_code code = bide_sqlite_use(&receiver->file, BIDE_SQL_NEXT_DUE, &next, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_text(next, 1, queue->name, -1, SQLITE_STATIC);
    code = bide_sqlite_step(&receiver->file, next, &row, error);
    if (code != BIDE_OK)
        return code;
    queue->next_due_ms = row ? sqlite3_column_int64(next, 0) : BIDE_SQLITE_NEVER;
    queue->stale = false;
    sqlite3_reset(next);
    return BIDE_OK;
}

bide_code bide_sqlite_claim_look(struct bide_sqlite_receiver *receiver, bool *ret_any, bide_error *error)
{
    int64_t now_ms = bide_wall_ms(receiver->file.clock);
    bool any = false;
    for (size_t i = 0; i < receiver->n_queues; i++) {
        struct bide_sqlite_queue *queue = &receiver->queues[i];
        if (!has_room(receiver, queue))
            continue;
        bide_code code = queue->stale ? look_at(receiver, queue, error) : BIDE_OK;
        if (code != BIDE_OK)
            return code;
        any = any || queue->next_due_ms <= now_ms + lead_ms(receiver, queue);
    }
    *ret_any = any;
    return BIDE_OK;
}

int64_t bide_sqlite_claim_wait_us(const struct bide_sqlite_receiver *receiver, int64_t longest_us)
{
    int64_t now_us = bide_wall_us(receiver->file.clock);
    int64_t wait_us = longest_us;
    for (size_t i = 0; i < receiver->n_queues; i++) {
        const struct bide_sqlite_queue *queue = &receiver->queues[i];
        if (!has_room(receiver, queue))
            continue;
        if (queue->stale)
            return 0;
        if (queue->next_due_ms == BIDE_SQLITE_NEVER ||
            queue->next_due_ms - lead_ms(receiver, queue) > (now_us + wait_us) / 1000 + BIDE_LANDING_MS)
            continue;
        int64_t left_us = (queue->next_due_ms - lead_ms(receiver, queue)) * 1000 - now_us;
        if (left_us < wait_us)
            wait_us = left_us > 0 ? left_us : 0;
    }
    return wait_us;
}

void bide_sqlite_claim_forget_queues(struct bide_sqlite_receiver *receiver)
{
    for (size_t i = 0; i < receiver->n_queues; i++)
        receiver->queues[i].stale = true;
}

/* ---- claiming ---- */

/* How much one call of receive may still claim. */
struct claim {
    struct bide_sqlite_delivery **deliveries;
    size_t max, n;
    int64_t now_ms, last_ms; /* what is due later is not claimed */
    size_t bytes;            /* room for so many bytes of bodies; the last message may exceed it */
    size_t early;            /* room for so many early messages, and bytes of their bodies */
    size_t early_bytes;
    size_t room;       /* room in the present queue for messages that are due */
    size_t early_room; /* and for early ones */
};

static struct bide_sqlite_delivery *make_delivery(
    struct bide_sqlite_receiver *receiver, size_t queue, sqlite3_stmt *statement)
{
    struct bide_sqlite_delivery *delivery = bide_calloc(1, sizeof *delivery);
    if (!delivery)
        return NULL;
    struct bide_delivery *base = &delivery->base;
    base->message = bide_sqlite_read(statement, &base->defect, &base->defect_text);
    if (!base->message) {
        bide_free(delivery);
        return NULL;
    }
    base->queue = queue;
    delivery->seq = sqlite3_column_int64(statement, BIDE_SQLITE_SEQ);
    delivery->generation = receiver->generation;
    return delivery;
}

/* May a message with this due time be claimed? */
static bool fits(const struct claim *claim, int64_t due_ms)
{
    if (claim->n == claim->max || claim->bytes == 0)
        return false;
    if (due_ms <= claim->now_ms)
        return claim->room > 0;
    return due_ms <= claim->last_ms && claim->early > 0 && claim->early_bytes > 0 && claim->early_room > 0;
}

static void count(struct claim *claim, const struct bide_message *message)
{
    claim->bytes -= message->body_size < claim->bytes ? message->body_size : claim->bytes;
    if (claim->early_room > 0)
        claim->early_room--;
    if (message->due_ms <= claim->now_ms) {
        claim->room--;
        return;
    }
    claim->early--;
    claim->early_bytes -= message->body_size < claim->early_bytes ? message->body_size : claim->early_bytes;
}

/* Reads messages from the front of the queue's line while they fit. They stay in the line until
 * move_claimed. */
static bide_code read_line(
    struct bide_sqlite_receiver *receiver, size_t index, struct claim *claim, bide_error *error)
{
    struct bide_sqlite_queue *queue = &receiver->queues[index];
    sqlite3_stmt *line;
    bide_code code = bide_sqlite_use(&receiver->file, BIDE_SQL_CLAIM_READ, &line, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_text(line, 1, queue->name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(line, 2, (int64_t)receiver->max_body);
    queue->next_due_ms = BIDE_SQLITE_NEVER;
    queue->stale = false;
    claim->room = queue->limit - queue->held;
    claim->early_room = early_room(queue);
    bool row;
    while ((code = bide_sqlite_step(&receiver->file, line, &row, error)) == BIDE_OK && row) {
        int64_t due_ms = sqlite3_column_int64(line, 1);
        bool wanted = fits(claim, due_ms);
        struct bide_sqlite_delivery *delivery = wanted ? make_delivery(receiver, index, line) : NULL;
        if (!delivery) {
            queue->next_due_ms = due_ms;
            sqlite3_reset(line);
            return wanted && claim->n == 0 ? bide_fail(error, BIDE_E_NOMEM, "out of memory") : BIDE_OK;
        }
        claim->deliveries[claim->n++] = delivery;
        count(claim, delivery->base.message);
    }
    return code;
}

/* Moves the first n messages of the line to the claims; `last` is the n-th. */
static bide_code move_claimed(struct bide_sqlite_receiver *receiver, const struct bide_sqlite_queue *queue,
    size_t n, const struct bide_sqlite_delivery *last, bide_error *error)
{
    static const enum bide_sql steps[] = {BIDE_SQL_CLAIM_INSERT, BIDE_SQL_CLAIM_DELETE};
    bide_code code = BIDE_OK;
    for (size_t i = 0; code == BIDE_OK && i < 2; i++) {
        sqlite3_stmt *statement;
        code = bide_sqlite_use(&receiver->file, steps[i], &statement, error);
        if (code != BIDE_OK)
            return code;
        sqlite3_bind_text(statement, 1, queue->name, -1, SQLITE_STATIC);
        sqlite3_bind_int64(statement, 2, last->base.message->due_ms);
        sqlite3_bind_int64(statement, 3, last->seq);
        if (steps[i] == BIDE_SQL_CLAIM_INSERT)
            sqlite3_bind_int64(statement, 4, receiver->worker);
        code = bide_sqlite_run(&receiver->file, statement, error);
    }
    if (code != BIDE_OK)
        return code;
    return bide_sqlite_count_claimed(&receiver->file, queue->name, n, queue->next_due_ms == BIDE_SQLITE_NEVER,
        last->base.message->due_ms, last->seq, error);
}

bide_code bide_sqlite_claim(struct bide_sqlite_receiver *receiver, struct bide_sqlite_delivery **deliveries,
    size_t max, size_t *ret_n, bide_error *error)
{
    bool early = may_be_early(receiver);
    int64_t now_ms = bide_wall_ms(receiver->file.clock);
    struct claim claim = {
        .deliveries = deliveries,
        .max = max,
        .now_ms = now_ms,
        .last_ms = now_ms + (receiver->ahead ? AHEAD_MS : BIDE_SQLITE_LEAD_MAX_MS),
        .bytes =
            receiver->in_flight < receiver->max_in_flight ? receiver->max_in_flight - receiver->in_flight : 0,
        .early = early ? BIDE_SQLITE_EARLY_MAX - receiver->early.size : 0,
        .early_bytes = early ? BIDE_SQLITE_EARLY_BYTES - receiver->early_bytes : 0,
    };
    bide_code code = BIDE_OK;
    size_t first =
        receiver->turn++; /* so that one with much room, for batches, leaves the others their turn */
    for (size_t k = 0; code == BIDE_OK && k < receiver->n_queues && claim.n < max; k++) {
        size_t i = (first + k) % receiver->n_queues;
        struct bide_sqlite_queue *queue = &receiver->queues[i];
        if (!has_room(receiver, queue) ||
            (!queue->stale && queue->next_due_ms > claim.now_ms + lead_ms(receiver, queue)))
            continue;
        size_t before = claim.n;
        code = read_line(receiver, i, &claim, error);
        if (code == BIDE_OK && claim.n > before)
            code = move_claimed(receiver, queue, claim.n - before, deliveries[claim.n - 1], error);
    }
    *ret_n = claim.n;
    return code;
}
