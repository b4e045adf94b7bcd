/* keys/slot.h: what the store remembers about one unique key, and what each step makes of it.
 *
 * A slot says which message holds the key. Each message that is sent for a key, each *copy*, has a generation
 * of its own, which travels with it. A step (a sender reserves the key, a worker runs a copy, …) looks at the
 * slot, and says what to do and what the slot becomes. Whoever takes the step writes the new slot only if the
 * stored one is still the one that was looked at; else it takes the step again. So each step happens at one
 * moment, whatever others do, and a process that dies between two steps leaves a slot that all others know
 * how to go on from. docs/decisions/0039-slots-of-unique-keys.md has the states and the reasons.
 *
 * Everything here is pure: no store, no clock, no lock. Any thread. */
#ifndef BIDE_KEYS_SLOT_H
#define BIDE_KEYS_SLOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buffer.h"
#include "bide/message.h"
#include "message/message.h"

/* The state of the fact in the store (store/store.h). */
enum bide_key_state {
    BIDE_KEY_FREE,     /* there is no slot */
    BIDE_KEY_RESERVED, /* a sender is about to send `last` for it; `was` is the state before */
    BIDE_KEY_WAITING,  /* the broker has confirmed the holder */
    BIDE_KEY_RUNNING,  /* a worker has taken the holder, to run it */
    BIDE_KEY_ENDED,    /* nobody holds the key, but for `hold_ms`; copies may still be on their way */
};

const char *bide_key_state_name(enum bide_key_state state); /* "waiting" */

enum {
    BIDE_KEY_SPARED_MAX = 8,
    BIDE_KEY_TEXT = 640, /* bytes of a slot as text */
    BIDE_GENERATION_TEXT = 32,
};
/* So much longer than its last copy is due, a slot is remembered. */
#define BIDE_KEY_SLACK_MS (INT64_C(7) * 86400 * 1000)

/* Which copy: the count within a life of the slot. A slot that is made anew has another life, and knows
 * nothing of the copies of earlier ones: they run. */
struct bide_generation {
    uint32_t life;
    uint64_t count; /* 1 …; 0: none */
};

void bide_generation_write(struct bide_generation generation, char to[BIDE_GENERATION_TEXT]);
bool bide_generation_read(const char *text, struct bide_generation *ret_generation);

struct bide_key_slot {
    enum bide_key_state state;
    enum bide_key_state was; /* RESERVED: before */
    uint32_t life;
    uint64_t holder; /* the count of the copy that holds the key, or held it last; 0: none yet */
    uint64_t last;   /* the highest count given out */
    uint64_t floor;  /* copies below it are superseded, but for the holder and those spared */
    uint64_t spared[BIDE_KEY_SPARED_MAX]; /* run although they are below the floor, the oldest first: the
                                              holders whose key lapsed or that died */
    unsigned n_spared;
    uint64_t cancelled;       /* the count that was cancelled last */
    uint64_t token;           /* RESERVED: the sender's */
    int64_t lease_ms;         /* RESERVED: so much longer it is the sender's */
    int64_t hold_ms;          /* so much longer the key is taken, whatever happens; -1: until the holder ends.
                                 RESERVED: of the copy to be sent */
    int64_t was_hold_ms;      /* RESERVED: of the holder */
    int64_t due_ms;           /* the holder's, Unix ms, as all of these */
    int64_t last_due_ms;      /* the latest of all copies */
    int64_t not_before_ms;    /* to when the holder was moved in the slot alone; 0: it was not */
    int64_t first_ms;         /* since when the holder is pushed away: max_wait counts from here */
    char id[BIDE_ID_MAX + 1]; /* the holder's */
};

/* The slot as data of a fact, and how long it lasts from now_ms on. A slot that nobody needs any more is
 * FREE then. */
void bide_key_write(struct bide_key_slot *slot, int64_t now_ms, char to[BIDE_KEY_TEXT], size_t *ret_size,
    int64_t *ret_lasts_ms);
/* False where the data are not a slot's, or that of a newer version. lasts_ms: how much longer the fact
 * lasts. */
bool bide_key_read(struct bide_slice data, unsigned state, int64_t lasts_ms, struct bide_key_slot *ret_slot);

/* A guess that is right for most messages: what the slot is while the only message of its key waits. */
bool bide_key_guess(const struct bide_message *message, struct bide_key_slot *ret_slot);

/* ---- steps ---- */

enum bide_key_says {
    BIDE_KEY_WRITE,      /* write *next; then go on. If the slot is another by then: again */
    BIDE_KEY_GO_ON,      /* nothing has to be written */
    BIDE_KEY_BUSY,       /* a sender has reserved it and may still live: ask again a little later */
    BIDE_KEY_TAKEN,      /* no: another message holds the key; slot->id */
    BIDE_KEY_EXTEND,     /* no: but write *next, which gives the holder a new due time */
    BIDE_KEY_LOST,       /* another took the key meanwhile: begin again */
    BIDE_KEY_LATER,      /* the copy is due at slot->not_before_ms only */
    BIDE_KEY_SUPERSEDED, /* a newer copy stands in for it, or it has run */
    BIDE_KEY_CANCELLED,
    BIDE_KEY_UNKNOWN, /* nobody holds the key */
};

/* What a sender wants. */
struct bide_key_claim {
    const char *id;
    bide_on_conflict on_conflict;
    int64_t sent_ms, due_ms;
    int64_t hold_ms;     /* as in the slot: from now on, or -1 */
    int64_t max_wait_ms; /* 0: no bound */
    int64_t lease_ms;
    uint64_t token;    /* this message's, not 0 */
    uint32_t new_life; /* random */
};

/* When it is due, which max_wait_ms may bring forward: what take and confirm are told in the claim. */
int64_t bide_key_due_ms(const struct bide_key_slot *slot, const struct bide_key_claim *claim);
/* A sender, before it sends. WRITE, and GO_ON (it is reserved already): the copy to be sent is next->last of
 * next->life. BUSY, TAKEN, EXTEND. */
enum bide_key_says bide_key_take(
    const struct bide_key_slot *slot, const struct bide_key_claim *claim, struct bide_key_slot *next);
/* The broker has confirmed that copy. WRITE, GO_ON (that is known already), LOST. */
enum bide_key_says bide_key_confirm(const struct bide_key_slot *slot, const struct bide_key_claim *claim,
    struct bide_generation mine, struct bide_key_slot *next);
/* The broker has refused it, for good. WRITE, GO_ON. */
enum bide_key_says bide_key_undo(
    const struct bide_key_slot *slot, const struct bide_key_claim *claim, struct bide_key_slot *next);

/* A worker has a copy in hand. GO_ON and WRITE: it may run. LATER, SUPERSEDED, CANCELLED. */
enum bide_key_says bide_key_look(
    const struct bide_key_slot *slot, const struct bide_message *message, struct bide_key_slot *next);

enum bide_key_end {
    BIDE_KEY_END_DONE, /* or expired */
    BIDE_KEY_END_DEAD, /* kept as a dead letter: it may run again */
    BIDE_KEY_END_RETRY,
};
/* What became of a copy, before that is settled. due_ms: RETRY. WRITE, GO_ON. */
enum bide_key_says bide_key_end(const struct bide_key_slot *slot, const struct bide_message *message,
    enum bide_key_end end, int64_t due_ms, struct bide_key_slot *next);

/* An operator has removed a copy that waited. WRITE, BUSY (its sender may not have confirmed it yet), GO_ON:
 * it did not hold the key. */
enum bide_key_says bide_key_removed(
    const struct bide_key_slot *slot, const struct bide_message *message, struct bide_key_slot *next);
/* An operator is about to queue a dead letter again, due at due_ms or earlier. WRITE, GO_ON (it has the key,
 * or runs without, as its slot has another life by now), BUSY, TAKEN. */
enum bide_key_says bide_key_retake(const struct bide_key_slot *slot, const struct bide_message *message,
    int64_t due_ms, struct bide_key_slot *next);

/* An operator: WRITE, BUSY, TAKEN (it runs), UNKNOWN. */
enum bide_key_says bide_key_cancel(const struct bide_key_slot *slot, struct bide_key_slot *next);
enum bide_key_says bide_key_reschedule(
    const struct bide_key_slot *slot, int64_t due_ms, struct bide_key_slot *next);

#endif
