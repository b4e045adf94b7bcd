/* Finding, cancelling and rescheduling what waits. Rows are visited by their serial numbers: so a walk goes
 * on where it was, whatever was added or removed meanwhile. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/memory/admin.h"
#include "broker/memory/receiver.h"

/* A row, and where it is. */
struct spot {
    struct bide_memory_row *row;
    bide_message_state state;
};

static void consider(
    struct spot *best, struct bide_memory_rows *rows, bide_message_state state, uint64_t after)
{
    struct bide_memory_row *row;
    TAILQ_FOREACH(row, rows, link)
    if (row->serial > after && (!best->row || row->serial < best->row->serial))
        *best = (struct spot){row, state};
}

/* The next row after this serial number; its row is NULL at the end. */
static struct spot next_spot(struct bide_memory_admin *admin, uint64_t after)
{
    struct spot best = {0};
    struct bide_memory_queue *queue;
    struct bide_memory_receiver *receiver;
    TAILQ_FOREACH(queue, &admin->store->queues, link)
    {
        bide_memory_promote(admin->store, queue, bide_wall_ms(admin->clock));
        consider(&best, &queue->ready, BIDE_STATE_READY, after);
        consider(&best, &queue->delayed, BIDE_STATE_DELAYED, after);
    }
    TAILQ_FOREACH(receiver, &admin->store->receivers, link)
    consider(&best, &receiver->held, BIDE_STATE_RUNNING, after);
    return best;
}

static bool is_meant(const bide_selection *selection, const struct spot *spot)
{
    return (selection->states & spot->state) && bide_selection_has(selection, spot->row->message, NULL);
}

/* ---- finding ---- */

static bool read_cursor(const char *cursor, uint64_t *ret_after)
{
    char *end;
    *ret_after = strtoull(cursor, &end, 10);
    return *end == '\0';
}

/* The visitor may call the broker: it sees a copy, without the lock. */
static bide_code visit_copy(struct bide_message *copy, bide_message_state state, bide_found_visit *visit,
    void *user, bool *ret_more, bide_error *error)
{
    if (!copy)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    const bide_found found = {
        .message = copy, .body_size = copy->body_size, .state = state, .worker = "", .reason = ""};
    *ret_more = visit(user, &found);
    bide_message_destroy(copy);
    return BIDE_OK;
}

bide_code bide_memory_find(struct bide_admin *base, const bide_selection *selection,
    char cursor[BIDE_CURSOR_SIZE], bide_found_visit *visit, void *user, bide_error *error)
{
    struct bide_memory_admin *admin = (struct bide_memory_admin *)base;
    bide_code code = BIDE_OK;
    uint64_t after = 0;
    if (!read_cursor(cursor, &after))
        return bide_fail(error, BIDE_E_DATA, "'%.100s' is no cursor of this broker", cursor);
    for (bool more = true; code == BIDE_OK && more;) {
        struct bide_message *copy = NULL;
        bide_memory_lock();
        struct spot spot = next_spot(admin, after);
        bool meant = spot.row && is_meant(selection, &spot);
        if (meant)
            copy = bide_message_copy(spot.row->message);
        after = spot.row ? spot.row->serial : 0;
        bide_memory_unlock();
        if (meant)
            code = visit_copy(copy, spot.state, visit, user, &more, error);
        more = more && after != 0;
    }
    cursor[0] = '\0';
    if (after != 0)
        snprintf(cursor, BIDE_CURSOR_SIZE, "%" PRIu64, after);
    return code;
}

/* ---- changing ---- */

static void leave(struct bide_memory_row *row, bide_message_state state)
{
    TAILQ_REMOVE(state == BIDE_STATE_READY ? &row->queue->ready : &row->queue->delayed, row, link);
}

static bide_fate change_row(
    struct bide_memory_admin *admin, const struct spot *spot, const struct bide_change *change)
{
    struct bide_memory_row *row = spot->row;
    struct bide_message *message = row->message;
    if (spot->state == BIDE_STATE_RUNNING)
        return BIDE_FATE_RUNNING;
    if (!change->cancel && spot->state == BIDE_STATE_READY && change->due_ms <= bide_wall_ms(admin->clock))
        return BIDE_FATE_RESCHEDULED; /* it may run already */
    leave(row, spot->state);
    if (change->cancel) {
        row->queue->cancelled++;
        bide_memory_row_destroy(row);
        return BIDE_FATE_CANCELLED;
    }
    message->expires_ms = bide_changed_expiry_ms(message->expires_ms, message->due_ms, change->due_ms);
    message->due_ms = change->due_ms;
    row->order = 0;
    bide_memory_put(admin->store, row, bide_wall_ms(admin->clock));
    return BIDE_FATE_RESCHEDULED;
}

bide_code bide_memory_change(struct bide_admin *base, const bide_selection *selection,
    const struct bide_change *change, bide_error *error)
{
    struct bide_memory_admin *admin = (struct bide_memory_admin *)base;
    uint64_t after = 0, seen = 0;
    for (;;) {
        struct bide_message *copy = NULL;
        bide_memory_lock();
        struct spot spot = next_spot(admin, after);
        bool meant = spot.row && is_meant(selection, &spot);
        bide_fate fate = BIDE_FATE_UNKNOWN;
        if (spot.row)
            after = spot.row->serial;
        if (meant) {
            copy = bide_message_copy(spot.row->message);
            if (copy)
                fate = change_row(admin, &spot, change);
        }
        bide_memory_unlock();
        if (meant && !copy)
            return bide_fail(error, BIDE_E_NOMEM, "out of memory");
        if (copy)
            change->report(change->user, &(struct bide_copy){copy->id, copy->unique, copy->generation}, fate);
        bide_message_destroy(copy);
        if (!spot.row || (change->progress && !change->progress(change->user, ++seen, 0)))
            return BIDE_OK;
    }
}
