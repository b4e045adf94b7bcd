#include "keys/view.h"

#include <string.h>

void bide_key_view_free(struct bide_key_view *view)
{
    view->slot = (struct bide_key_slot){.hold_ms = -1, .was_hold_ms = -1};
    view->size = 0;
}

bool bide_key_view_guess(const struct bide_message *message, bool ran, struct bide_key_view *view)
{
    int64_t lasts_ms;
    if (!bide_key_guess(message, &view->slot))
        return false;
    if (ran)
        view->slot.state = BIDE_KEY_RUNNING;
    bide_key_write(&view->slot, message->due_ms, view->text, &view->size, &lasts_ms);
    return true;
}

bool bide_key_view_read(const struct bide_store_answer *answer, struct bide_key_view *view)
{
    struct bide_key_slot slot;
    size_t size = answer->state == BIDE_KEY_FREE ? 0 : answer->size;
    const struct bide_slice data = {answer->data, size};
    if (size > BIDE_KEY_TEXT || !bide_key_read(data, answer->state, answer->lasts_ms, &slot))
        return false;
    view->slot = slot;
    view->size = size;
    if (size)
        memcpy(view->text, answer->data, size);
    return true;
}

void bide_key_turn(const struct bide_key_view *view, struct bide_key_slot *next, const char *key,
    int64_t now_ms, char text[BIDE_KEY_TEXT], struct bide_store_operation *ret_operation)
{
    size_t size;
    int64_t lasts_ms;
    bide_key_write(next, now_ms, text, &size, &lasts_ms);
    *ret_operation = (struct bide_store_operation){.kind = BIDE_STORE_TURN,
        .scope = BIDE_KEYS,
        .key = key,
        .lasts_ms = lasts_ms,
        .turn = {.from = 1u << view->slot.state,
            .to = next->state,
            .expect = {view->text, view->size},
            .data = {text, size}}};
}
