#include "cli/commands/key.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "keys/view.h"
#include "store/configured.h"

enum { PATIENCE_MS = 10 * 1000, PAUSE_MS = 20 };

/* One key in an open store. */
struct place {
    struct bide_store *store;
    const char *key;
    struct bide_key_view view;
    char text[BIDE_KEY_TEXT];
};

static bide_code open_store(
    const struct bide_config *config, struct bide_store **ret_store, bide_error *error)
{
    struct bide_configured_store store;
    bide_code code = bide_store_configure(config, "admin", &store, error);
    if (code != BIDE_OK)
        return code;
    code = store.type ? bide_store_open(&store.options, ret_store, error) : bide_store_refuse("--key", error);
    bide_configured_store_clear(&store);
    return code;
}

/* Applies one operation, and keeps what it says of the slot. */
static bide_code apply(
    struct place *place, struct bide_store_operation *operation, bool *ret_written, bide_error *error)
{
    struct bide_store_letter letter = {.operations = operation, .n = 1};
    bide_code code = bide_store_apply(place->store, &letter, 1, error);
    *ret_written = code == BIDE_OK && operation->kind == BIDE_STORE_TURN && operation->answer.ok;
    if (code == BIDE_OK && !*ret_written && !bide_key_view_read(&operation->answer, &place->view))
        code = bide_fail(error, BIDE_E_CONFIG,
            "the store's slot of this key was written by a newer version of bide: upgrade this one");
    bide_store_letter_clear(&letter);
    return code;
}

static bide_code look(struct place *place, bide_error *error)
{
    bool written;
    struct bide_store_operation get = {.kind = BIDE_STORE_GET, .scope = BIDE_KEYS, .key = place->key};
    return apply(place, &get, &written, error);
}

bide_code bide_cli_key_look(
    const struct bide_config *config, const char *key, struct bide_key_slot *ret_slot, bide_error *error)
{
    struct place place = {.key = key};
    bide_code code = open_store(config, &place.store, error);
    if (code == BIDE_OK)
        code = look(&place, error);
    bide_store_destroy(place.store);
    *ret_slot = place.view.slot;
    return code;
}

static enum bide_key_says judge(const struct bide_key_slot *slot, int64_t due_ms, struct bide_key_slot *next)
{
    return due_ms < 0 ? bide_key_cancel(slot, next) : bide_key_reschedule(slot, due_ms, next);
}

/* The copy in the broker becomes due when it was to, and a worker holds it then; it cannot be fetched
 * earlier. */
static bide_code refuse_earlier(bide_error *error)
{
    return bide_fail(error, BIDE_E_CONFIG,
        "this broker cannot bring a message forward, only move it to a later time: send it again with "
        "--on-conflict replace");
}

static bide_code take_step(
    struct place *place, int64_t due_ms, bool can_move, bide_fate *ret_fate, bide_error *error)
{
    int64_t until_ms = bide_mono_ms(bide_clock_system()) + PATIENCE_MS;
    for (;;) {
        struct bide_key_slot next;
        struct bide_store_operation turn;
        bool written = false;
        enum bide_key_says says = judge(&place->view.slot, due_ms, &next);
        if (says == BIDE_KEY_TAKEN || says == BIDE_KEY_UNKNOWN) {
            *ret_fate = says == BIDE_KEY_TAKEN ? BIDE_FATE_RUNNING : BIDE_FATE_UNKNOWN;
            return BIDE_OK;
        }
        if (says == BIDE_KEY_WRITE && due_ms >= 0 && !can_move && due_ms < place->view.slot.due_ms)
            return refuse_earlier(error);
        if (says == BIDE_KEY_WRITE)
            bide_key_turn(
                &place->view, &next, place->key, bide_wall_ms(bide_clock_system()), place->text, &turn);
        else if (bide_mono_ms(bide_clock_system()) > until_ms)
            return bide_fail(error, BIDE_E_TIMEOUT, "senders reserve this key again and again");
        else
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
        bide_code code = says == BIDE_KEY_WRITE ? apply(place, &turn, &written, error) : look(place, error);
        if (code != BIDE_OK)
            return code;
        if (written) {
            *ret_fate = due_ms < 0 ? BIDE_FATE_CANCELLED : BIDE_FATE_RESCHEDULED;
            return BIDE_OK;
        }
    }
}

bide_code bide_cli_key_change(const struct bide_config *config, const char *key, int64_t due_ms,
    bool can_move, bide_fate *ret_fate, char id[BIDE_ID_MAX + 1], bide_error *error)
{
    struct place place = {.key = key};
    bide_code code = open_store(config, &place.store, error);
    if (code == BIDE_OK)
        code = look(&place, error);
    if (code == BIDE_OK)
        code = take_step(&place, due_ms, can_move, ret_fate, error);
    bide_store_destroy(place.store);
    if (code == BIDE_OK)
        memcpy(id, place.view.slot.id, BIDE_ID_MAX + 1);
    return code;
}
