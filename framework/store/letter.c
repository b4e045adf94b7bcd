#include <string.h>

#include "base/alloc.h"
#include "store/store.h"

void bide_store_letter_clear(struct bide_store_letter *letter)
{
    for (size_t i = 0; i < letter->n; i++) {
        bide_free(letter->operations[i].answer.data);
        letter->operations[i].answer = (struct bide_store_answer){0};
    }
}

/* ---- is a letter one that a store can apply? ---- */

static const char *name_defect(const char *name)
{
    if (!name || !*name)
        return "a scope, key or holder is empty";
    return strnlen(name, BIDE_STORE_KEY_MAX + 1) > BIDE_STORE_KEY_MAX ? "a scope, key or holder is too long"
                                                                      : NULL;
}

static const char *turn_defect(const struct bide_store_operation *operation)
{
    if (operation->turn.data.size > BIDE_STORE_DATA_MAX)
        return "the data of a fact are more than 1 MiB";
    return operation->turn.to >= BIDE_STORE_STATES ? "a fact has no such state" : NULL;
}

static const char *arrive_defect(const struct bide_store_operation *operation)
{
    const struct bide_store_arrive *arrive = &operation->arrive;
    bool fine = arrive->member >= BIDE_STORE_NO_MEMBER && arrive->member < BIDE_STORE_MEMBERS_MAX &&
                arrive->total >= 0 && arrive->total <= BIDE_STORE_MEMBERS_MAX;
    if (fine && arrive->unless)
        return name_defect(arrive->unless);
    return fine ? NULL : "a set has no such member or total";
}

static const char *meter_defect(const struct bide_store_operation *operation)
{
    const struct bide_store_meter *meter = &operation->meter;
    const int64_t longest_us = BIDE_STORE_LASTS_MAX_MS * 1000;
    bool fine = meter->n >= 0 && meter->n <= INT32_MAX && meter->interval_us > 0 &&
                meter->interval_us <= longest_us && meter->within_us >= 0 && meter->within_us <= longest_us;
    return fine ? NULL : "a rate is out of range";
}

static const char *acquire_defect(const struct bide_store_operation *operation)
{
    bool acquires = operation->kind == BIDE_STORE_ACQUIRE;
    if (acquires && operation->acquire.n == 0) /* looks */
        return NULL;
    if (operation->acquire.n < 0 || operation->acquire.n > BIDE_STORE_HOLDERS_MAX ||
        (acquires && operation->lasts_ms == 0))
        return "a semaphore's number or time is out of range";
    return name_defect(operation->acquire.holder);
}

static const char *no_defect(const struct bide_store_operation *operation)
{
    (void)operation;
    return NULL;
}

typedef const char *defect_of(const struct bide_store_operation *operation);
static defect_of *const judges[] = {
    [BIDE_STORE_TURN] = turn_defect,
    [BIDE_STORE_ARRIVE] = arrive_defect,
    [BIDE_STORE_METER] = meter_defect,
    [BIDE_STORE_ACQUIRE] = acquire_defect,
    [BIDE_STORE_RELEASE] = acquire_defect,
    [BIDE_STORE_GET] = no_defect,
    [BIDE_STORE_CLOSE] = no_defect,
};

static const char *operation_defect(const struct bide_store_operation *operation)
{
    const char *defect = name_defect(operation->scope);
    if (!defect && operation->kind != BIDE_STORE_CLOSE)
        defect = name_defect(operation->key);
    if (!defect && (operation->lasts_ms < 0 || operation->lasts_ms > BIDE_STORE_LASTS_MAX_MS))
        defect = "a time to last is out of range";
    return defect ? defect : judges[operation->kind](operation);
}

static const char *letter_defect(const struct bide_store_letter *letter)
{
    const char *defect = letter->n > BIDE_STORE_OPERATIONS_MAX ? "a letter has too many operations" : NULL;
    for (size_t i = 0; i < letter->n && !defect; i++)
        defect = operation_defect(&letter->operations[i]);
    return defect;
}

bide_code bide_store_apply(
    struct bide_store *store, struct bide_store_letter *letters, size_t n, bide_error *error)
{
    bide_code refused = BIDE_OK;
    for (size_t i = 0; i < n; i++) {
        const char *defect = letter_defect(&letters[i]);
        bide_store_letter_clear(&letters[i]);
        letters[i].code = defect ? BIDE_E_DATA : BIDE_OK;
        if (defect && refused == BIDE_OK)
            refused = bide_fail(error, BIDE_E_DATA, "the store was asked for the impossible: %s", defect);
    }
    bide_code code = store->ops->apply(store, letters, n, error);
    return code == BIDE_OK ? refused : code;
}
