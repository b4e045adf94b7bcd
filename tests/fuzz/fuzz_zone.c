/* Zone files: whatever is in one, it is refused, or its offsets are, and slots ascend. */
#include "fuzz/fuzz.h"

#include "calendar/recurrence.h"

static void check_zone(const struct bide_zone *zone)
{
    for (int64_t at_s = INT64_C(-3000000000); at_s < INT64_C(8000000000); at_s += INT64_C(99999999)) {
        int64_t change_s = bide_zone_change(zone, at_s);
        int offset_s = bide_zone_offset(zone, at_s);
        HOLDS(offset_s > -25 * 3600 && offset_s < 26 * 3600);
        HOLDS(change_s > at_s);
        HOLDS(bide_zone_offset(zone, change_s - 1) == offset_s);
        int64_t again_s = bide_zone_instant(zone, at_s + offset_s);
        HOLDS(again_s <= at_s); /* of two, the first */
    }
}

static void check_slots(struct bide_zone *zone, const char *text)
{
    struct bide_recurrence recurrence = {.zone = zone};
    HOLDS(bide_cron_parse(text, &recurrence.cron, NULL) == BIDE_OK);
    int64_t slot_ms = INT64_C(1767225600000);
    for (int i = 0; i < 10; i++) {
        int64_t next_ms = bide_recurrence_next(&recurrence, slot_ms);
        HOLDS(next_ms > slot_ms);
        if (next_ms == BIDE_NEVER)
            break;
        slot_ms = next_ms;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct bide_zone *zone;
    if (bide_zone_read("fuzzed", bytes, size, &zone, NULL) != BIDE_OK)
        return 0;
    check_zone(zone);
    check_slots(zone, "30 2 * * *");
    check_slots(zone, "*/30 * * * *");
    bide_zone_destroy(zone);
    return 0;
}
