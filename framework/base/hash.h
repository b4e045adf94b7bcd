/* base/hash.h: FNV-1a, 32 bits. For tables and marks; it does not resist deliberate collisions. */
#ifndef BIDE_BASE_HASH_H
#define BIDE_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define BIDE_HASH_BEGIN 2166136261u

/* Continues the hash `value` of the bytes before; begin with BIDE_HASH_BEGIN. */
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
