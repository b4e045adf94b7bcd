#include "base/base64.h"

#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void bide_base64_encode(struct bide_buffer *to, const void *bytes, size_t size)
{
    const unsigned char *from = bytes;
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t group = (uint32_t)from[i] << 16;
        group |= left > 1 ? (uint32_t)from[i + 1] << 8 : 0;
        group |= left > 2 ? from[i + 2] : 0;
        char text[4] = {digits[group >> 18], digits[group >> 12 & 63],
            left > 1 ? digits[group >> 6 & 63] : '=', left > 2 ? digits[group & 63] : '='};
        bide_buffer_add(to, text, sizeof text);
    }
}

static int value_of(char c)
{
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Decodes four characters, of which the last `padding` are '=', into out. */
static bool decode_group(const char *text, int padding, unsigned char out[3])
{
    uint32_t group = 0;
    for (int i = 0; i < 4; i++) {
        int value = i < 4 - padding ? value_of(text[i]) : 0;
        if (value < 0)
            return false;
        group = group << 6 | (uint32_t)value;
    }
    out[0] = (unsigned char)(group >> 16);
    out[1] = (unsigned char)(group >> 8);
    out[2] = (unsigned char)group;
    return padding == 0 || (group & (padding == 1 ? 0xFFu : 0xFFFFu)) == 0;
}

bool bide_base64_decode(struct bide_buffer *to, const char *text, size_t size)
{
    size_t before = to->size;
    if (size % 4 != 0)
        return false;
    for (size_t i = 0; i < size; i += 4) {
        unsigned char out[3];
        int padding = i + 4 < size || text[i + 3] != '=' ? 0 : text[i + 2] == '=' ? 2 : 1;
        if (!decode_group(text + i, padding, out)) {
            to->size = before;
            if (to->capacity)
                to->bytes[before] = '\0';
            return false;
        }
        bide_buffer_add(to, out, (size_t)(3 - padding));
    }
    return true;
}
