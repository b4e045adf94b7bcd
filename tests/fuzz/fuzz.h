/* tests/fuzz/fuzz.h: what the fuzz targets share. A property that does not hold is a crash: that is what both
 * libFuzzer and standalone.c look for. */
#ifndef BIDE_TESTS_FUZZ_H
#define BIDE_TESTS_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define HOLDS(property)                                                                                      \
    do {                                                                                                     \
        if (!(property)) {                                                                                   \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #property);                    \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* The input as a string of its own; free it. */
static inline char *text_of_input(const uint8_t *bytes, size_t size)
{
    char *text = malloc(size + 1);
    HOLDS(text);
    if (size)
        memcpy(text, bytes, size);
    text[size] = '\0';
    return text;
}

#endif
