/* keys/view.h: a slot as it was seen in the store, and the letter that changes it if it is still so. Pure;
 * any thread. */
#ifndef BIDE_KEYS_VIEW_H
#define BIDE_KEYS_VIEW_H

#include "keys/slot.h"
#include "store/store.h"

#define BIDE_KEYS "unique" /* the scope of all slots */

struct bide_key_view {
    struct bide_key_slot slot;
    size_t size; /* of `text` */
    char text[BIDE_KEY_TEXT];
};

/* Before anything is known: free. */
void bide_key_view_free(struct bide_key_view *view);
/* While, or (ran) just after, the only message of its key waits: false where that is no good guess. */
bool bide_key_view_guess(const struct bide_message *message, bool ran, struct bide_key_view *view);
/* As a GET or a TURN that was not `ok` has answered. A slot that cannot be read is one of a newer version:
 * false, and the view is unchanged. */
bool bide_key_view_read(const struct bide_store_answer *answer, struct bide_key_view *view);

/* The operation that puts *next in the place of what was seen. Borrows key, view and text, which it fills. */
void bide_key_turn(const struct bide_key_view *view, struct bide_key_slot *next, const char *key,
    int64_t now_ms, char text[BIDE_KEY_TEXT], struct bide_store_operation *ret_operation);

#endif
