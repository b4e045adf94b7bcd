#include "base/suggest.h"

#include <stdio.h>
#include <string.h>

enum { LONGEST = 64 };

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Levenshtein distance (V. I. Levenshtein 1966), one row at a time; names over LONGEST count as far away. */
static size_t distance(const char *a, const char *b)
{
    size_t row[LONGEST + 1], a_size = strlen(a), b_size = strlen(b);
    if (a_size > LONGEST || b_size > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= b_size; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_size];
}

const char *bide_suggest(const char *given, const char *const known[], char to[BIDE_SUGGEST_TEXT])
{
    const char *best = NULL;
    size_t best_distance = 3;
    for (size_t i = 0; known[i]; i++) {
        size_t far = distance(given, known[i]);
        if (far < best_distance && far < strlen(known[i])) {
            best_distance = far;
            best = known[i];
        }
    }
    to[0] = '\0';
    if (best)
        snprintf(to, BIDE_SUGGEST_TEXT, " (did you mean '%s'?)", best);
    return to;
}
