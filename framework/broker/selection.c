/* What bide/admin.h means by its names, and which messages a selection means: for every adapter, so that all
 * agree. */
#include <stdlib.h>
#include <string.h>

#include "broker/broker.h"

static const char *const fate_names[] = {
    [BIDE_FATE_UNKNOWN] = "unknown",
    [BIDE_FATE_CANCELLED] = "cancelled",
    [BIDE_FATE_RESCHEDULED] = "rescheduled",
    [BIDE_FATE_MARKED] = "marked",
    [BIDE_FATE_DEAD] = "dead",
    [BIDE_FATE_RUNNING] = "running",
};

const char *bide_fate_name(bide_fate fate)
{
    size_t i = (size_t)fate;
    return i < sizeof fate_names / sizeof fate_names[0] ? fate_names[i] : "unknown";
}

const char *bide_message_state_name(bide_message_state state)
{
    return state == BIDE_STATE_DELAYED   ? "delayed"
           : state == BIDE_STATE_READY   ? "ready"
           : state == BIDE_STATE_RUNNING ? "running"
                                         : "dead";
}

/* ---- for adapters ---- */

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

bool bide_selection_find(const bide_selection *selection, const char *id, size_t *ret_place)
{
    const char *const *at = bsearch(&id, selection->ids, selection->n_ids, sizeof *selection->ids, by_text);
    if (at && ret_place)
        *ret_place = (size_t)(at - selection->ids);
    return at != NULL;
}

bool bide_selection_has(const bide_selection *selection, const struct bide_message *message, size_t *ret_id)
{
    if (selection->type && strcmp(selection->type, message->type) != 0)
        return false;
    if (selection->queue && strcmp(selection->queue, message->queue) != 0)
        return false;
    return selection->n_ids == 0 || bide_selection_find(selection, message->id, ret_id);
}

int64_t bide_changed_expiry_ms(int64_t expires_ms, int64_t due_ms, int64_t new_due_ms)
{
    if (expires_ms <= 0)
        return 0;
    int64_t moved_ms = expires_ms + (new_due_ms - due_ms);
    return moved_ms > 0 ? moved_ms : 1;
}
