/* Durations, sizes, instants, numbers: what is taken is in range, and what is written reads as the same. */
#include "fuzz/fuzz.h"

#include "base/units.h"
#include "bide/message.h"

#define LAST_INSTANT_MS INT64_C(253402300800000) /* the year 10000 */

static void check_duration(const char *text)
{
    int64_t ms, back;
    char written[BIDE_DURATION_TEXT];
    if (bide_parse_duration(text, &ms, NULL) != BIDE_OK)
        return;
    HOLDS(ms >= 0 && ms <= BIDE_DELAY_MAX_MS);
    HOLDS(bide_parse_duration(bide_format_duration(ms, written), &back, NULL) == BIDE_OK && back == ms);
}

static void check_instant(const char *text)
{
    int64_t ms, back;
    char written[BIDE_INSTANT_TEXT];
    if (bide_parse_instant(text, &ms, NULL) != BIDE_OK)
        return;
    HOLDS(strspn(text, "0123456789-+:.TtZz ") == strlen(text));
    bide_format_instant(ms, written);
    if (ms < LAST_INSTANT_MS && *written != '-') /* an offset leads a few hours out of the four-digit years */
        HOLDS(bide_parse_instant(written, &back, NULL) == BIDE_OK && back == ms);
}

static void check_size_and_number(const char *text)
{
    int64_t value, back;
    char written[32];
    if (bide_parse_size(text, &value, NULL) == BIDE_OK) {
        snprintf(written, sizeof written, "%lld", (long long)value);
        HOLDS(value >= 0 && bide_parse_size(written, &back, NULL) == BIDE_OK && back == value);
    }
    if (bide_parse_int(text, -1000, INT64_MAX, &value, NULL) == BIDE_OK) {
        snprintf(written, sizeof written, "%lld", (long long)value);
        HOLDS(value >= -1000 && bide_parse_int(written, -1000, INT64_MAX, &back, NULL) == BIDE_OK &&
              back == value);
    }
}

/* The first eight bytes as a number, whatever it is: formatting takes all. */
static void check_any_number(const uint8_t *bytes, size_t size)
{
    int64_t ms = 0, back;
    char duration[BIDE_DURATION_TEXT], instant[BIDE_INSTANT_TEXT];
    memcpy(&ms, bytes, size < sizeof ms ? size : sizeof ms);
    HOLDS(strlen(bide_format_instant(ms, instant)) < sizeof instant);
    HOLDS(strlen(bide_format_duration(ms, duration)) < sizeof duration);
    if (ms >= 0 && ms <= BIDE_DELAY_MAX_MS)
        HOLDS(bide_parse_duration(duration, &back, NULL) == BIDE_OK && back == ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = text_of_input(bytes, size);
    check_duration(text);
    check_instant(text);
    check_size_and_number(text);
    if (size)
        check_any_number(bytes, size);
    free(text);
    return 0;
}
