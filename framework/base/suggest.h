/* base/suggest.h: "did you mean …?" Any thread. */
#ifndef BIDE_BASE_SUGGEST_H
#define BIDE_BASE_SUGGEST_H

enum { BIDE_SUGGEST_TEXT = 160 };

/* " (did you mean 'threads'?)" for the nearest name of `known` (ended by NULL) within two edits, else "".
 * Returns `to`. */
const char *bide_suggest(const char *given, const char *const known[], char to[BIDE_SUGGEST_TEXT]);

#endif
