#include "keys/slot.h"

#include <string.h>

/* ---- what a slot says ---- */

static bool is_spared(const struct bide_key_slot *slot, uint64_t count)
{
    for (unsigned i = 0; i < slot->n_spared; i++)
        if (slot->spared[i] == count)
            return true;
    return false;
}

/* The state without regard to a reservation. */
static enum bide_key_state standing(const struct bide_key_slot *slot)
{
    return slot->state == BIDE_KEY_RESERVED ? slot->was : slot->state;
}

static bool is_held(const struct bide_key_slot *slot)
{
    enum bide_key_state state = standing(slot);
    return state == BIDE_KEY_WAITING || state == BIDE_KEY_RUNNING;
}

static bool holds(const struct bide_key_slot *slot, uint64_t count)
{
    return is_held(slot) && slot->holder == count;
}

static bool is_superseded(const struct bide_key_slot *slot, uint64_t count)
{
    return count < slot->floor && !holds(slot, count) && !is_spared(slot, count);
}

/* Whose slot it is: a copy of another life, or of none, is a stranger. */
static bool is_of(const struct bide_key_slot *slot, const struct bide_message *message, uint64_t *ret_count)
{
    struct bide_generation own;
    if (slot->state == BIDE_KEY_FREE || !bide_generation_read(message->generation, &own) ||
        own.life != slot->life || own.count > slot->last)
        return false;
    *ret_count = own.count;
    return true;
}

/* ---- changes ---- */

static void set_id(struct bide_key_slot *slot, const char *id)
{
    size_t size = strnlen(id, BIDE_ID_MAX);
    memcpy(slot->id, id, size);
    slot->id[size] = '\0';
}

static void leave_reservation(struct bide_key_slot *slot, enum bide_key_state state)
{
    slot->state = state;
    slot->was = BIDE_KEY_FREE;
    slot->token = 0;
    slot->lease_ms = 0;
}

static void forget_spared(struct bide_key_slot *slot, uint64_t count)
{
    unsigned n = 0;
    for (unsigned i = 0; i < slot->n_spared; i++)
        if (slot->spared[i] != count)
            slot->spared[n++] = slot->spared[i];
    slot->n_spared = n;
}

/* The oldest one gives way. */
static void spare(struct bide_key_slot *slot, uint64_t count)
{
    forget_spared(slot, count);
    if (slot->n_spared == BIDE_KEY_SPARED_MAX)
        forget_spared(slot, slot->spared[0]);
    slot->spared[slot->n_spared++] = count;
}

static void set_due(struct bide_key_slot *slot, int64_t due_ms)
{
    slot->due_ms = due_ms;
    slot->not_before_ms = 0;
    if (due_ms > slot->last_due_ms)
        slot->last_due_ms = due_ms;
}

/* The copy holds the key from now on, and no other copy that was ever sent runs instead of it. */
static void make_holder(struct bide_key_slot *slot, uint64_t count, const char *id, int64_t due_ms)
{
    slot->holder = count;
    slot->floor = slot->last + 1;
    set_due(slot, due_ms);
    if (id != slot->id)
        set_id(slot, id);
    forget_spared(slot, count);
}

/* ---- senders ---- */

static int64_t standing_hold_ms(const struct bide_key_slot *slot)
{
    return slot->state == BIDE_KEY_RESERVED ? slot->was_hold_ms : slot->hold_ms;
}

/* The key was taken for a time, and that is over. */
static bool has_lapsed(const struct bide_key_slot *slot)
{
    return standing_hold_ms(slot) == 0;
}

static bool is_taken(const struct bide_key_slot *slot)
{
    return standing_hold_ms(slot) > 0 || (is_held(slot) && !has_lapsed(slot));
}

/* Would a claim push away a message that waits? */
static bool pushes(const struct bide_key_slot *slot)
{
    return standing(slot) == BIDE_KEY_WAITING && !has_lapsed(slot);
}

static int64_t first_ms(const struct bide_key_slot *slot, const struct bide_key_claim *claim)
{
    return pushes(slot) ? slot->first_ms : claim->sent_ms;
}

int64_t bide_key_due_ms(const struct bide_key_slot *slot, const struct bide_key_claim *claim)
{
    int64_t latest_ms = first_ms(slot, claim) + claim->max_wait_ms;
    if (claim->max_wait_ms == 0 || latest_ms >= claim->due_ms)
        return claim->due_ms;
    return latest_ms > claim->sent_ms ? latest_ms : claim->sent_ms;
}

static enum bide_key_says extend(
    const struct bide_key_slot *slot, const struct bide_key_claim *claim, struct bide_key_slot *next)
{
    int64_t due_ms = bide_key_due_ms(slot, claim);
    return due_ms > slot->due_ms && bide_key_reschedule(slot, due_ms, next) == BIDE_KEY_WRITE
               ? BIDE_KEY_EXTEND
               : BIDE_KEY_TAKEN;
}

/* The slot as it stands beside a reservation. A slot that has no room for one more that lapsed begins another
 * life: it forgets its copies, so that they run if they land. */
static void begin_reservation(
    const struct bide_key_slot *slot, const struct bide_key_claim *claim, struct bide_key_slot *next)
{
    bool lapses = is_held(slot) && has_lapsed(slot);
    bool full = lapses && slot->n_spared == BIDE_KEY_SPARED_MAX && !is_spared(slot, slot->holder);
    if (slot->state == BIDE_KEY_FREE || full) {
        *next = (struct bide_key_slot){.life = claim->new_life, .was_hold_ms = -1};
        return;
    }
    *next = *slot;
    next->was = standing(slot);
    next->was_hold_ms = standing_hold_ms(slot);
    if (lapses) /* it waits or runs as before, beside the one that takes the key */
        spare(next, slot->holder);
}

static void reserve(
    const struct bide_key_slot *slot, const struct bide_key_claim *claim, struct bide_key_slot *next)
{
    int64_t due_ms = bide_key_due_ms(slot, claim);
    begin_reservation(slot, claim, next);
    next->state = BIDE_KEY_RESERVED;
    next->last++;
    next->token = claim->token;
    next->lease_ms = claim->lease_ms;
    next->hold_ms = claim->hold_ms;
    if (due_ms > next->last_due_ms)
        next->last_due_ms = due_ms;
}

enum bide_key_says bide_key_take(
    const struct bide_key_slot *slot, const struct bide_key_claim *claim, struct bide_key_slot *next)
{
    if (slot->state == BIDE_KEY_RESERVED && slot->token == claim->token) {
        *next = *slot;
        return BIDE_KEY_GO_ON;
    }
    if (slot->state == BIDE_KEY_RESERVED && slot->lease_ms > 0)
        return BIDE_KEY_BUSY;
    if (claim->on_conflict == BIDE_ON_CONFLICT_SKIP && is_taken(slot))
        return BIDE_KEY_TAKEN;
    if (claim->on_conflict == BIDE_ON_CONFLICT_EXTEND && pushes(slot))
        return extend(slot, claim, next);
    reserve(slot, claim, next);
    return BIDE_KEY_WRITE;
}

/* A worker or a second try was faster, or its life is over: is the copy as good as confirmed? One that ran
 * and was followed by others is not known any more. */
static bool is_known(const struct bide_key_slot *slot, struct bide_generation mine)
{
    return slot->state == BIDE_KEY_FREE || slot->life != mine.life || slot->holder == mine.count ||
           is_spared(slot, mine.count);
}

enum bide_key_says bide_key_confirm(const struct bide_key_slot *slot, const struct bide_key_claim *claim,
    struct bide_generation mine, struct bide_key_slot *next)
{
    if (slot->state != BIDE_KEY_RESERVED || slot->token != claim->token)
        return is_known(slot, mine) ? BIDE_KEY_GO_ON : BIDE_KEY_LOST;
    int64_t began_ms = first_ms(slot, claim);
    *next = *slot;
    next->hold_ms = claim->hold_ms;
    next->first_ms = began_ms;
    leave_reservation(next, BIDE_KEY_WAITING);
    make_holder(next, mine.count, claim->id, claim->due_ms);
    return BIDE_KEY_WRITE;
}

/* A reservation is over that came to nothing. What may have been sent for it does not run. */
static void give_up_reservation(struct bide_key_slot *slot)
{
    slot->hold_ms = slot->was_hold_ms;
    slot->floor = slot->last + 1;
    leave_reservation(slot, slot->was == BIDE_KEY_FREE ? BIDE_KEY_ENDED : slot->was);
}

enum bide_key_says bide_key_undo(
    const struct bide_key_slot *slot, const struct bide_key_claim *claim, struct bide_key_slot *next)
{
    if (slot->state != BIDE_KEY_RESERVED || slot->token != claim->token)
        return BIDE_KEY_GO_ON;
    *next = *slot;
    give_up_reservation(next);
    return BIDE_KEY_WRITE;
}

/* ---- workers ---- */

/* The copy runs: it holds the key, and no reservation stands against it. */
static void run(const struct bide_key_slot *slot, const struct bide_message *message, uint64_t count,
    struct bide_key_slot *next)
{
    bool held = holds(slot, count);
    *next = *slot;
    if (slot->state == BIDE_KEY_RESERVED && count != slot->last)
        next->hold_ms = held ? slot->was_hold_ms : -1;
    if (!held)
        next->first_ms = message->sent_ms;
    leave_reservation(next, BIDE_KEY_RUNNING);
    make_holder(next, count, message->id, message->due_ms);
}

enum bide_key_says bide_key_look(
    const struct bide_key_slot *slot, const struct bide_message *message, struct bide_key_slot *next)
{
    uint64_t count;
    if (!is_of(slot, message, &count))
        return BIDE_KEY_GO_ON;
    if (is_superseded(slot, count))
        return slot->cancelled == count ? BIDE_KEY_CANCELLED : BIDE_KEY_SUPERSEDED;
    if (holds(slot, count) && standing(slot) == BIDE_KEY_WAITING && slot->not_before_ms > message->due_ms)
        return BIDE_KEY_LATER;
    if (slot->state == BIDE_KEY_RUNNING || (is_spared(slot, count) && !holds(slot, count)))
        return BIDE_KEY_GO_ON;
    run(slot, message, count, next);
    return BIDE_KEY_WRITE;
}

/* The slot as its sender is about to write it: the copy came to a worker, so the broker has it. */
static void arrive(const struct bide_key_slot *slot, const struct bide_message *message, uint64_t count,
    struct bide_key_slot *next)
{
    *next = *slot;
    next->first_ms = message->sent_ms;
    leave_reservation(next, BIDE_KEY_WAITING);
    make_holder(next, count, message->id, message->due_ms);
}

enum bide_key_says bide_key_end(const struct bide_key_slot *slot, const struct bide_message *message,
    enum bide_key_end end, int64_t due_ms, struct bide_key_slot *next)
{
    uint64_t count;
    struct bide_key_slot arrived;
    if (!is_of(slot, message, &count))
        return BIDE_KEY_GO_ON;
    if (slot->state == BIDE_KEY_RESERVED && count == slot->last && end != BIDE_KEY_END_RETRY) {
        arrive(slot, message, count, &arrived); /* it ends unrun: a duplicate, expired, of no type */
        slot = &arrived;
    }
    bool held = holds(slot, count);
    bool kept = end == BIDE_KEY_END_DEAD && slot->last > 1 && (held || is_superseded(slot, count));
    if (!held && !kept)
        return BIDE_KEY_GO_ON;
    *next = *slot;
    if (held && end == BIDE_KEY_END_RETRY)
        set_due(next, due_ms);
    if (held) {
        enum bide_key_state after = end == BIDE_KEY_END_RETRY ? BIDE_KEY_WAITING : BIDE_KEY_ENDED;
        *(slot->state == BIDE_KEY_RESERVED ? &next->was : &next->state) = after;
    }
    if (kept)
        spare(next, count);
    return BIDE_KEY_WRITE;
}

/* ---- operators ---- */

/* May a step change what waits? If so, *next is the slot without the reservation of a sender that is gone. */
static enum bide_key_says open_for_change(const struct bide_key_slot *slot, struct bide_key_slot *next)
{
    if (slot->state == BIDE_KEY_RESERVED && slot->lease_ms > 0)
        return BIDE_KEY_BUSY;
    if (!is_held(slot))
        return BIDE_KEY_UNKNOWN;
    if (standing(slot) == BIDE_KEY_RUNNING)
        return BIDE_KEY_TAKEN;
    *next = *slot;
    if (slot->state == BIDE_KEY_RESERVED)
        give_up_reservation(next);
    return BIDE_KEY_WRITE;
}

enum bide_key_says bide_key_removed(
    const struct bide_key_slot *slot, const struct bide_message *message, struct bide_key_slot *next)
{
    uint64_t count;
    if (!is_of(slot, message, &count))
        return BIDE_KEY_GO_ON;
    if (!holds(slot, count))
        return slot->state == BIDE_KEY_RESERVED && slot->lease_ms > 0 && count == slot->last ? BIDE_KEY_BUSY
                                                                                             : BIDE_KEY_GO_ON;
    *next = *slot;
    if (slot->state == BIDE_KEY_RESERVED) {
        next->was = BIDE_KEY_ENDED;
        next->was_hold_ms = -1;
    } else {
        next->state = BIDE_KEY_ENDED;
        next->hold_ms = -1;
    }
    return BIDE_KEY_WRITE;
}

/* The slot of a dead letter that is alone with its key. */
static void make_slot(struct bide_generation own, struct bide_key_slot *next)
{
    *next = (struct bide_key_slot){.life = own.life, .last = own.count, .hold_ms = -1, .was_hold_ms = -1};
}

/* Is the key another copy's? One that lapsed gives way, unless there is no room to spare it. */
static bool is_anothers(const struct bide_key_slot *slot, uint64_t count)
{
    bool full = slot->n_spared == BIDE_KEY_SPARED_MAX && !is_spared(slot, slot->holder);
    bool own = slot->holder == count && !is_held(slot);
    return !own && (is_taken(slot) || (is_held(slot) && full));
}

enum bide_key_says bide_key_retake(const struct bide_key_slot *slot, const struct bide_message *message,
    int64_t due_ms, struct bide_key_slot *next)
{
    struct bide_generation own;
    uint64_t count = 0;
    if (!bide_generation_read(message->generation, &own))
        return BIDE_KEY_GO_ON;
    if (slot->state == BIDE_KEY_RESERVED && slot->lease_ms > 0)
        return BIDE_KEY_BUSY;
    if (slot->state != BIDE_KEY_FREE && !is_of(slot, message, &count))
        return is_taken(slot) ? BIDE_KEY_TAKEN : BIDE_KEY_GO_ON;
    if (holds(slot, own.count))
        return BIDE_KEY_GO_ON;
    if (is_anothers(slot, own.count))
        return BIDE_KEY_TAKEN;
    *next = *slot;
    if (slot->state == BIDE_KEY_FREE)
        make_slot(own, next);
    else if (slot->state == BIDE_KEY_RESERVED)
        give_up_reservation(next);
    if (is_held(next))
        spare(next, next->holder);
    if (next->hold_ms <= 0)
        next->hold_ms = -1;
    next->state = BIDE_KEY_WAITING;
    next->first_ms = due_ms;
    make_holder(next, own.count, message->id, due_ms);
    return BIDE_KEY_WRITE;
}

enum bide_key_says bide_key_cancel(const struct bide_key_slot *slot, struct bide_key_slot *next)
{
    enum bide_key_says says = open_for_change(slot, next);
    if (says != BIDE_KEY_WRITE)
        return says;
    next->state = BIDE_KEY_ENDED;
    next->cancelled = slot->holder;
    next->hold_ms = -1;
    return BIDE_KEY_WRITE;
}

enum bide_key_says bide_key_reschedule(
    const struct bide_key_slot *slot, int64_t due_ms, struct bide_key_slot *next)
{
    enum bide_key_says says = open_for_change(slot, next);
    if (says == BIDE_KEY_WRITE) {
        set_due(next, due_ms);
        next->not_before_ms = due_ms;
    }
    return says;
}
