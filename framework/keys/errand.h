/* keys/errand.h: what operators' tools do to slots: many at once, in batches, each until its step is taken.
 * One thread at a time; it waits for the store. */
#ifndef BIDE_KEYS_ERRAND_H
#define BIDE_KEYS_ERRAND_H

#include "base/arena.h"
#include "broker/broker.h"
#include "keys/slot.h"
#include "store/store.h"

/* One slot, and what is wanted of it. key and message are borrowed; the rest is the step's own. */
struct bide_key_errand {
    const char *key;
    const struct bide_message *message; /* the copy it is about; may be NULL where the step needs none */
    int64_t due_ms;
    bool can_move;            /* reschedule: also to an earlier time */
    enum bide_key_says says;  /* answer: WRITE (done), or what the step said instead */
    char id[BIDE_ID_MAX + 1]; /* answer: who held the key before, or "" */
};

/* A step of slot.h. WRITE and BUSY make it go on; anything else ends the errand. */
typedef enum bide_key_says bide_key_step(
    const struct bide_key_slot *slot, const struct bide_key_errand *errand, struct bide_key_slot *next);

/* Takes the step for each. A key that a sender has reserved is waited for, at most 10 s. After a failure some
 * may have been taken: all steps may be taken again. store NULL: BIDE_E_CONFIG, there is none. */
bide_code bide_key_run_errands(struct bide_store *store, bide_key_step *step, struct bide_key_errand *errands,
    size_t n, bide_error *error);

/* A growing list; zeroed: empty. */
struct bide_key_errands {
    struct bide_key_errand *items;
    size_t n, room;
    struct bide_arena arena; /* owns what the items point to */
};
/* Copies what is given. False: no memory. */
bool bide_key_errands_add(struct bide_key_errands *errands, const struct bide_copy *copy, int64_t due_ms);
void bide_key_errands_clear(struct bide_key_errands *errands);

/* A slot as it is; FREE where there is none. */
bide_code bide_key_see(
    struct bide_store *store, const char *key, struct bide_key_slot *ret_slot, bide_error *error);

#endif
