/* base/hash.h: FNV-1a, 32 bits. For tables and marks, not against somebody who wants collisions. */
#ifndef BIDE_BASE_HASH_H
#define BIDE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BIDE_HASH_BEGIN 2166136261u

/* Goes on from the hash of what stands before: BIDE_HASH_BEGIN where nothing does. */
static inline uint32_t bide_hash_more(uint32_t value, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        value = (value ^ ((const uint8_t *)bytes)[i]) * 16777619u;
    return value;
}

static inline uint32_t bide_hash_text(const char *text)
{
    return bide_hash_more(BIDE_HASH_BEGIN, text, strlen(text));
}

#endif
