/* bide/admin.h: the message that waits with a unique key. */
#include <string.h>

#include "bide/admin.h"
#include "keys/errand.h"

static enum bide_key_says cancel_step(
    const struct bide_key_slot *slot, const struct bide_key_errand *errand, struct bide_key_slot *next)
{
    (void)errand;
    return bide_key_cancel(slot, next);
}

/* LATER: the copy in the broker becomes due when it was to, and a worker holds it then; it cannot be fetched
 * earlier. */
static enum bide_key_says reschedule_step(
    const struct bide_key_slot *slot, const struct bide_key_errand *errand, struct bide_key_slot *next)
{
    enum bide_key_says says = bide_key_reschedule(slot, errand->due_ms, next);
    bool earlier = says == BIDE_KEY_WRITE && errand->due_ms < slot->due_ms;
    return earlier && !errand->can_move ? BIDE_KEY_LATER : says;
}

/* In the broker, too, where that is possible: it need not wait any longer. */
static bide_code change_by_id(
    struct bide_admin *admin, const char *id, bool cancel, int64_t due_ms, bide_error *error)
{
    const bide_selection selection = {.ids = &id, .n_ids = 1};
    if (!admin->ops->change)
        return BIDE_OK;
    return cancel ? bide_admin_cancel(admin, &selection, NULL, error)
                  : bide_admin_reschedule(admin, &selection, due_ms, NULL, error);
}

/* The slot comes first: what a program that was killed has not changed in the broker, a worker does when the
 * message lands. */
static bide_code change_by_key(bide_admin *admin, const char *key, bool cancel, int64_t due_ms,
    const bide_account *account, bide_error *error)
{
    struct bide_key_errand errand = {.key = key, .due_ms = due_ms, .can_move = admin->ops->change != NULL};
    if (!*key || strlen(key) > BIDE_UNIQUE_MAX)
        return bide_fail(error, BIDE_E_DATA, "a unique key has 1 to %d bytes", BIDE_UNIQUE_MAX);
    bide_code code =
        bide_key_run_errands(admin->store, cancel ? cancel_step : reschedule_step, &errand, 1, error);
    if (code == BIDE_OK && errand.says == BIDE_KEY_LATER)
        code = bide_fail(error, BIDE_E_CONFIG,
            "this broker cannot bring a message forward, only move it to a later time: send it again with "
            "--on-conflict replace");
    if (code == BIDE_OK && errand.says == BIDE_KEY_WRITE)
        code = change_by_id(admin, errand.id, cancel, due_ms, error);
    if (code != BIDE_OK || !account)
        return code;
    bide_fate done = cancel ? BIDE_FATE_CANCELLED : BIDE_FATE_RESCHEDULED;
    if (account->fate)
        account->fate(account->user, errand.says == BIDE_KEY_UNKNOWN ? key : errand.id,
            errand.says == BIDE_KEY_WRITE   ? done
            : errand.says == BIDE_KEY_TAKEN ? BIDE_FATE_RUNNING
                                            : BIDE_FATE_UNKNOWN);
    return BIDE_OK;
}

bide_code bide_admin_cancel_key(
    bide_admin *admin, const char *key, const bide_account *account, bide_error *error)
{
    return change_by_key(admin, key, true, 0, account, error);
}

bide_code bide_admin_reschedule_key(
    bide_admin *admin, const char *key, int64_t due_ms, const bide_account *account, bide_error *error)
{
    return change_by_key(admin, key, false, due_ms, account, error);
}
