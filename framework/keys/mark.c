#include "keys/mark.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK_MET_MS (INT64_C(7) * 86400 * 1000)
enum { BATCH = 100 };

void bide_mark_write(const char *id, enum bide_mark mark, int64_t marked_ms, char text[BIDE_MARK_TEXT],
    struct bide_store_operation *ret_operation)
{
    int size = snprintf(text, BIDE_MARK_TEXT, "%" PRId64, marked_ms);
    *ret_operation = (struct bide_store_operation){.kind = BIDE_STORE_TURN,
        .scope = BIDE_MARKS,
        .key = id,
        .lasts_ms = mark == BIDE_MARK_MET ? MARK_MET_MS : BIDE_STORE_LASTS_MAX_MS,
        .turn = {.from = BIDE_STORE_ANY, .to = mark, .data = {text, (size_t)size}}};
}

enum bide_mark bide_mark_read(const struct bide_store_answer *answer, int64_t *ret_marked_ms)
{
    char text[BIDE_MARK_TEXT] = "";
    *ret_marked_ms = 0;
    if (!answer->ok || answer->size >= sizeof text)
        return BIDE_MARK_NONE;
    memcpy(text, answer->data ? answer->data : "", answer->size);
    *ret_marked_ms = strtoll(text, NULL, 10);
    return answer->state == BIDE_MARK_MET ? BIDE_MARK_MET : BIDE_MARK_SET;
}

bool bide_mark_may_be(const struct bide_message *message)
{
    return message->due_ms > message->sent_ms && *message->id && strlen(message->id) <= BIDE_ID_MAX;
}

static bide_code put_some(struct bide_store *store, const char *const *ids, size_t n, enum bide_mark mark,
    int64_t marked_ms, bide_error *error)
{
    char texts[BATCH][BIDE_MARK_TEXT];
    struct bide_store_operation operations[BATCH];
    struct bide_store_letter letters[BATCH];
    for (size_t i = 0; i < n; i++) {
        bide_mark_write(ids[i], mark, marked_ms, texts[i], &operations[i]);
        letters[i] = (struct bide_store_letter){.operations = &operations[i], .n = 1};
    }
    bide_code code = bide_store_apply(store, letters, n, error);
    for (size_t i = 0; i < n; i++)
        bide_store_letter_clear(&letters[i]);
    return code;
}

bide_code bide_marks_put(struct bide_store *store, const char *const *ids, size_t n, enum bide_mark mark,
    int64_t marked_ms, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (size_t at = 0; at < n && code == BIDE_OK; at += BATCH)
        code = put_some(store, ids + at, n - at < BATCH ? n - at : BATCH, mark, marked_ms, error);
    return code;
}

bide_code bide_mark_see(struct bide_store *store, const char *id, enum bide_mark *ret_mark,
    int64_t *ret_marked_ms, bide_error *error)
{
    struct bide_store_operation get = {.kind = BIDE_STORE_GET, .scope = BIDE_MARKS, .key = id};
    struct bide_store_letter letter = {.operations = &get, .n = 1};
    bide_code code = bide_store_apply(store, &letter, 1, error);
    if (code == BIDE_OK)
        *ret_mark = bide_mark_read(&get.answer, ret_marked_ms);
    bide_store_letter_clear(&letter);
    return code;
}
