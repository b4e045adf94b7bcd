/* base/visible.h: makes foreign text (ids, errors, bodies, file names) safe to show on a terminal, in a log,
 * or in JSON that somebody prints.
 *
 * Unseen characters are those that a terminal obeys instead of showing: C0, DEL, C1 (as UTF-8, too), and
 * those that change the direction of writing, with which a text looks different from what it says. All output
 * of foreign text goes through here (tests/fuzz/fuzz_visible.c). Thread-safety: as the buffer. */
#ifndef BIDE_BASE_VISIBLE_H
#define BIDE_BASE_VISIBLE_H

#include "base/buffer.h"

/* Returns the size of the first character of a text if it can be shown as it is; 0 if it is unseen or not
 * UTF-8. Sets *ret_size to its size in both cases (at least 1). */
size_t bide_visible_character(const char *text, size_t size, size_t *ret_size);

/* Adds a text with '?' for each unseen character (except newlines and tabs if `lines`) and each invalid
 * byte. */
void bide_visible_add(struct bide_buffer *to, const char *text, size_t size, bool lines);
/* The same in place, with ' ' for unseen characters; the text never gets longer. */
void bide_visible_line(char *text);
/* Adds an unseen character as JSON's escape, and an invalid byte as U+FFFD. */
void bide_visible_escape(struct bide_buffer *to, const char *at, size_t size);
/* Treats the buffer's content after `from` as JSON: replaces unseen characters in its strings by escapes, and
 * invalid bytes by U+FFFD. */
void bide_visible_json(struct bide_buffer *json, size_t from);

#endif
