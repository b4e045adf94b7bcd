/* base/visible.h: text from elsewhere (ids, errors, bodies, file names) as people may see it: on a terminal,
 * in a log, in JSON that somebody prints.
 *
 * Unseen are the characters that a terminal obeys instead of showing them: C0, DEL, C1 (as UTF-8, too), and
 * those that turn the direction of writing, with which a text shows something else than it says. Everything
 * that writes foreign text goes through here (tests/fuzz/fuzz_visible.c). Thread-safety: as the buffer. */
#ifndef BIDE_BASE_VISIBLE_H
#define BIDE_BASE_VISIBLE_H

#include "base/buffer.h"

/* The first character of a text: its bytes, where it can be shown as it is; 0: it is unseen, or not UTF-8.
 * Sets *ret_size to how many bytes it takes either way (at least 1). */
size_t bide_visible_character(const char *text, size_t size, size_t *ret_size);

/* Adds a text with '?' for each unseen character (but newlines and tabs where `lines`) and each broken byte.
 */
void bide_visible_add(struct bide_buffer *to, const char *text, size_t size, bool lines);
/* The same in place, with ' ' for unseen characters; the text gets shorter, never longer. */
void bide_visible_line(char *text);
/* Adds an unseen character as JSON's escape, U+FFFD for a broken byte. */
void bide_visible_escape(struct bide_buffer *to, const char *at, size_t size);
/* What the buffer holds from `from` on is JSON: puts escapes in place of unseen characters in its strings,
 * and U+FFFD for broken bytes. */
void bide_visible_json(struct bide_buffer *json, size_t from);

#endif
