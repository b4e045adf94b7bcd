/* Cron expressions: what is taken fires, at times that match it and ascend. */
#include "fuzz/fuzz.h"

#include "calendar/civil.h"
#include "calendar/cron.h"

static void check_match(const struct bide_cron *cron, int64_t local_s)
{
    int64_t days = bide_floor_div(local_s, BIDE_DAY_S), second = local_s - days * BIDE_DAY_S;
    struct bide_date date = bide_date_of(days);
    HOLDS(cron->seconds >> second % 60 & 1);
    HOLDS(cron->minutes >> second / 60 % 60 & 1);
    HOLDS(cron->hours >> second / 3600 & 1);
    HOLDS(cron->months >> date.month & 1);
    HOLDS((cron->days >> date.day & 1) || (cron->weekdays >> bide_weekday_of(days) & 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *text = text_of_input(bytes, size);
    struct bide_cron cron;
    bide_error error;
    if (bide_cron_parse(text, &cron, &error) != BIDE_OK) {
        HOLDS(strstr(error.text, "cron \"") && strlen(error.text) < sizeof error.text);
        free(text);
        return 0;
    }
    int64_t local_s = INT64_C(1767225600) + (int64_t)size, found_s; /* 2026 */
    for (int i = 0; i < 20 && bide_cron_next(&cron, local_s, &found_s); i++) {
        HOLDS(found_s >= local_s);
        check_match(&cron, found_s);
        local_s = found_s + 1;
    }
    free(text);
    return 0;
}
