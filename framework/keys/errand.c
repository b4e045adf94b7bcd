#include "keys/errand.h"

#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "keys/view.h"
#include "store/configured.h"

enum { BATCH = 100, PATIENCE_MS = 10 * 1000, PAUSE_MS = 20 };

struct row {
    struct bide_key_errand *errand;
    bool known; /* the view is what the store said last */
    struct bide_key_view view;
    struct bide_key_slot next;
    char text[BIDE_KEY_TEXT];
};

struct batch {
    struct bide_store *store;
    bide_key_step *step;
    struct row rows[BATCH];
    size_t n; /* rows that are not done */
    struct bide_store_operation operations[BATCH];
    struct bide_store_letter letters[BATCH];
};

/* ---- lists ---- */

static const char *keep_text(struct bide_key_errands *errands, const char *text)
{
    return bide_arena_copy(&errands->arena, text, strlen(text));
}

bool bide_key_errands_add(struct bide_key_errands *errands, const struct bide_copy *copy, int64_t due_ms)
{
    if (errands->n == errands->room) {
        size_t room = errands->room ? 2 * errands->room : 64;
        struct bide_key_errand *grown = bide_realloc(errands->items, room * sizeof *grown);
        if (!grown)
            return false;
        errands->items = grown;
        errands->room = room;
    }
    struct bide_message *message = bide_arena_alloc(&errands->arena, sizeof *message);
    if (!message)
        return false;
    *message = (struct bide_message){.id = keep_text(errands, copy->id),
        .unique = keep_text(errands, copy->unique),
        .generation = keep_text(errands, copy->generation)};
    if (!message->id || !message->unique || !message->generation)
        return false;
    errands->items[errands->n++] =
        (struct bide_key_errand){.key = message->unique, .message = message, .due_ms = due_ms};
    return true;
}

void bide_key_errands_clear(struct bide_key_errands *errands)
{
    bide_free(errands->items);
    bide_arena_release(&errands->arena);
    *errands = (struct bide_key_errands){0};
}

/* ---- one row ---- */

static void keep_holder(struct row *row)
{
    memcpy(row->errand->id, row->view.slot.id, sizeof row->errand->id);
}

/* What is to be asked of the store; false: the row is done. *ret_busy: not before a pause. */
static bool ask(struct batch *batch, struct row *row, struct bide_store_operation *operation, bool *ret_busy)
{
    struct bide_key_errand *errand = row->errand;
    *operation =
        (struct bide_store_operation){.kind = BIDE_STORE_GET, .scope = BIDE_KEYS, .key = errand->key};
    if (!row->known)
        return true;
    errand->says = batch->step(&row->view.slot, errand, &row->next);
    if (errand->says == BIDE_KEY_WRITE)
        bide_key_turn(
            &row->view, &row->next, errand->key, bide_wall_ms(bide_clock_system()), row->text, operation);
    else if (errand->says == BIDE_KEY_BUSY)
        *ret_busy = true;
    else
        keep_holder(row);
    return errand->says == BIDE_KEY_WRITE || errand->says == BIDE_KEY_BUSY;
}

static bide_code hear(
    struct row *row, const struct bide_store_operation *operation, bool *ret_done, bide_error *error)
{
    *ret_done = operation->kind == BIDE_STORE_TURN && operation->answer.ok;
    if (*ret_done)
        keep_holder(row);
    else if (!bide_key_view_read(&operation->answer, &row->view))
        return bide_fail(error, BIDE_E_CONFIG,
            "the store's slot of the unique key '%s' was written by a newer version of bide: upgrade this "
            "one",
            row->errand->key);
    row->known = true;
    return BIDE_OK;
}

/* ---- a batch ---- */

/* Asks all rows, and leaves those that are not done. */
static void ask_all(struct batch *batch, bool *ret_busy)
{
    size_t n = 0;
    *ret_busy = false;
    for (size_t i = 0; i < batch->n; i++) {
        if (n != i) /* before it is asked: operations point into rows */
            batch->rows[n] = batch->rows[i];
        if (!ask(batch, &batch->rows[n], &batch->operations[n], ret_busy))
            continue;
        batch->letters[n] = (struct bide_store_letter){.operations = &batch->operations[n], .n = 1};
        n++;
    }
    batch->n = n;
}

static bide_code hear_all(struct batch *batch, bide_error *error)
{
    bide_code code = BIDE_OK;
    size_t n = 0;
    for (size_t i = 0; i < batch->n && code == BIDE_OK; i++) {
        bool done;
        code = hear(&batch->rows[i], &batch->operations[i], &done, error);
        if (!done && n != i)
            batch->rows[n] = batch->rows[i];
        n += !done;
    }
    batch->n = n;
    return code;
}

static bide_code run_batch(struct batch *batch, bide_error *error)
{
    int64_t until_ms = bide_mono_ms(bide_clock_system()) + PATIENCE_MS;
    for (;;) {
        bool busy;
        ask_all(batch, &busy);
        if (batch->n == 0)
            return BIDE_OK;
        if (bide_mono_ms(bide_clock_system()) > until_ms)
            return bide_fail(error, BIDE_E_TIMEOUT,
                "the unique key '%s' is changed again and again by others", batch->rows[0].errand->key);
        if (busy)
            nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
        size_t n = batch->n;
        bide_code code = bide_store_apply(batch->store, batch->letters, n, error);
        if (code == BIDE_OK)
            code = hear_all(batch, error);
        for (size_t i = 0; i < n; i++)
            bide_store_letter_clear(&batch->letters[i]);
        if (code != BIDE_OK)
            return code;
    }
}

bide_code bide_key_run_errands(struct bide_store *store, bide_key_step *step, struct bide_key_errand *errands,
    size_t n, bide_error *error)
{
    if (!store)
        return bide_store_refuse("a unique key", error);
    struct batch *batch = bide_calloc(1, sizeof *batch);
    bide_code code = batch ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t at = 0; at < n && code == BIDE_OK; at += BATCH) {
        batch->store = store;
        batch->step = step;
        batch->n = n - at < BATCH ? n - at : BATCH;
        for (size_t i = 0; i < batch->n; i++)
            batch->rows[i] = (struct row){.errand = &errands[at + i]};
        code = run_batch(batch, error);
    }
    bide_free(batch);
    return code;
}

bide_code bide_key_see(
    struct bide_store *store, const char *key, struct bide_key_slot *ret_slot, bide_error *error)
{
    struct bide_key_errand errand = {.key = key};
    struct bide_store_operation get = {.kind = BIDE_STORE_GET, .scope = BIDE_KEYS, .key = key};
    struct bide_store_letter letter = {.operations = &get, .n = 1};
    struct row row = {.errand = &errand};
    bool done;
    if (!store)
        return bide_store_refuse("a unique key", error);
    bide_code code = bide_store_apply(store, &letter, 1, error);
    if (code == BIDE_OK)
        code = hear(&row, &get, &done, error);
    bide_store_letter_clear(&letter);
    *ret_slot = row.view.slot;
    return code;
}
