#include "schedules/facts.h"

#include <string.h>

enum { THERE = 1, TRIES = 50 };

/* ---- one change ---- */

void bide_schedule_change_init(struct bide_schedule_change *change)
{
    *change = (struct bide_schedule_change){0};
    bide_buffer_init(&change->text);
}

void bide_schedule_change_clear(struct bide_schedule_change *change)
{
    bide_store_letter_clear(&change->letter);
    bide_buffer_release(&change->text);
    *change = (struct bide_schedule_change){0};
}

static void write_mark(struct bide_schedule_change *change)
{
    bide_schedule_token(change->mark);
    change->operations[1] = (struct bide_store_operation){.kind = BIDE_STORE_TURN,
        .scope = BIDE_SCHEDULES_CHANGED,
        .key = "mark",
        .lasts_ms = BIDE_STORE_LASTS_MAX_MS,
        .turn = {.from = BIDE_STORE_ANY, .to = THERE, .data = {change->mark, BIDE_REVISION_TEXT - 1}}};
}

bide_code bide_schedule_change_write(struct bide_schedule_change *change, const char *name,
    const char before[BIDE_REVISION_TEXT], struct bide_schedule *next, bool tells, bide_error *error)
{
    memcpy(change->before, before, sizeof change->before);
    bide_store_letter_clear(&change->letter);
    bide_buffer_clear(&change->text);
    if (next) {
        bide_schedule_token(next->revision);
        bide_schedule_write(next, &change->text);
    }
    if (change->text.failed)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    change->operations[0] = (struct bide_store_operation){.kind = BIDE_STORE_TURN,
        .scope = BIDE_SCHEDULES,
        .key = name,
        .stop = true,
        .lasts_ms = next ? BIDE_STORE_LASTS_MAX_MS : 0,
        .turn = {.from = *before ? 1 << THERE : 1 << 0,
            .to = next ? THERE : 0,
            .expect = {change->before, strlen(change->before)},
            .data = {change->text.bytes, change->text.size}}};
    write_mark(change);
    change->letter = (struct bide_store_letter){.operations = change->operations, .n = tells ? 2 : 1};
    return BIDE_OK;
}

bool bide_schedule_changed(const struct bide_schedule_change *change)
{
    return change->letter.code == BIDE_OK && change->operations[0].answer.ok;
}

/* ---- looking ---- */

bide_code bide_schedule_of_answer(const char *name, const struct bide_store_answer *answer,
    struct bide_schedule *ret_schedule, bide_error *error)
{
    if (answer->state == 0)
        return bide_fail(error, BIDE_E_NOT_FOUND, "there is no schedule '%.100s'", name);
    return bide_schedule_read(name, (struct bide_slice){answer->data, answer->size}, ret_schedule, error);
}

bide_code bide_schedule_get(
    struct bide_store *store, const char *name, struct bide_schedule *ret_schedule, bide_error *error)
{
    struct bide_store_operation get = {.kind = BIDE_STORE_GET, .scope = BIDE_SCHEDULES, .key = name};
    struct bide_store_letter letter = {.operations = &get, .n = 1};
    bide_code code = bide_store_apply(store, &letter, 1, error);
    if (code == BIDE_OK)
        code = bide_schedule_of_answer(name, &get.answer, ret_schedule, error);
    bide_store_letter_clear(&letter);
    return code;
}

bide_code bide_schedule_erase(struct bide_store *store, const char *name, bide_error *error)
{
    static const char whatever[BIDE_REVISION_TEXT];
    struct bide_schedule_change change;
    bide_schedule_change_init(&change);
    bide_code code = bide_schedule_change_write(&change, name, whatever, NULL, true, error);
    change.operations[0].turn.from = BIDE_STORE_ANY;
    if (code == BIDE_OK)
        code = bide_store_apply(store, &change.letter, 1, error);
    bide_schedule_change_clear(&change);
    return code;
}

/* ---- an operator's step ---- */

static bide_code look(struct bide_store *store, const char *name, const struct bide_schedule_config *declared,
    int64_t now_ms, struct bide_schedule *ret_schedule, bide_error *error)
{
    bide_code code = bide_schedule_get(store, name, ret_schedule, error);
    return code == BIDE_E_NOT_FOUND && declared ? bide_schedule_declare(declared, now_ms, ret_schedule, error)
                                                : code;
}

static bide_code take_once(struct bide_store *store, struct bide_schedule *schedule, bide_schedule_step *step,
    void *user, bool *ret_taken, bide_error *error)
{
    char name[BIDE_NAME_MAX + 1], before[BIDE_REVISION_TEXT];
    struct bide_schedule_change change;
    enum bide_schedule_wish wish = BIDE_SCHEDULE_WRITE;
    memcpy(name, schedule->is.name, strlen(schedule->is.name) + 1);
    memcpy(before, schedule->revision, sizeof before);
    bide_code code = step(user, schedule, &wish, error);
    *ret_taken = wish == BIDE_SCHEDULE_LEAVE;
    if (code != BIDE_OK || wish == BIDE_SCHEDULE_LEAVE)
        return code;
    bide_schedule_change_init(&change);
    code = bide_schedule_change_write(
        &change, name, before, wish == BIDE_SCHEDULE_REMOVE ? NULL : schedule, true, error);
    if (code == BIDE_OK)
        code = bide_store_apply(store, &change.letter, 1, error);
    *ret_taken = code == BIDE_OK && bide_schedule_changed(&change);
    bide_schedule_change_clear(&change);
    return code;
}

bide_code bide_schedule_take(struct bide_store *store, const char *name,
    const struct bide_schedule_config *declared, int64_t now_ms, bide_schedule_step *step, void *user,
    bide_error *error)
{
    for (int i = 0; i < TRIES; i++) {
        struct bide_schedule schedule;
        bool taken = false;
        bide_code code = look(store, name, declared, now_ms, &schedule, error);
        if (code != BIDE_OK)
            return code;
        code = take_once(store, &schedule, step, user, &taken, error);
        bide_schedule_clear(&schedule);
        if (code != BIDE_OK || taken)
            return code;
    }
    return bide_fail(error, BIDE_E_TIMEOUT, "schedule '%.100s' was changed by others again and again", name);
}
