/* keys/mark.h: what was cancelled by id where the broker cannot search its queues (RabbitMQ). The id gets a
 * mark in the store; a worker looks for it when a delayed message lands, and acknowledges what has one.
 *
 * A mark is about what was sent before it, so that an id may be used again. It lasts longer than any message
 * can wait, and MARK_MET_MS once a message has met it: a copy of that may be handed out again. One thread at
 * a time. */
#ifndef BIDE_KEYS_MARK_H
#define BIDE_KEYS_MARK_H

#include "message/message.h"
#include "store/store.h"

#define BIDE_MARKS "cancelled" /* the scope of all marks; the key is the id */

enum bide_mark { BIDE_MARK_NONE, BIDE_MARK_SET, BIDE_MARK_MET };
enum { BIDE_MARK_TEXT = 24 };

/* ---- pure ---- */

/* The operation that gives an id a mark of this time. Borrows the id and `text`, which it fills. */
void bide_mark_write(const char *id, enum bide_mark mark, int64_t marked_ms, char text[BIDE_MARK_TEXT],
    struct bide_store_operation *ret_operation);
/* What a GET has found. Returns its time; NONE: 0. */
enum bide_mark bide_mark_read(const struct bide_store_answer *answer, int64_t *ret_marked_ms);
/* May a mark stand against it? What was sent to run at once is not looked for. */
bool bide_mark_may_be(const struct bide_message *message);

/* ---- they wait for the store ---- */

/* Gives each id a mark of this time, or (NONE) takes it away. After a failure some have got theirs. */
bide_code bide_marks_put(struct bide_store *store, const char *const *ids, size_t n, enum bide_mark mark,
    int64_t marked_ms, bide_error *error);
bide_code bide_mark_see(struct bide_store *store, const char *id, enum bide_mark *ret_mark,
    int64_t *ret_marked_ms, bide_error *error);

#endif
