#include "broker/rabbitmq/envelope/marks.h"

/* The year 9999. A later time is a mistake (most often microseconds). */
#define LATEST_MS INT64_C(253402300800000)

#define TIME_MAX LATEST_MS
#define TIME_UNIT "Unix milliseconds before the year 9999"
#define COUNT_MAX 1000000000
#define COUNT_UNIT "attempts"

#define NUMBER(member, kind, part, header, ...)                                                              \
    {header, &bide_fields[BIDE_FIELD_##member], 0, false, kind##_MAX,                                        \
        "header " header " is not a whole number of " kind##_UNIT},
#define TEXT(member, part, header, ...)                                                                      \
    {header, &bide_fields[BIDE_FIELD_##member], 0, true, 0, "header " header " is not a text"},
#define DEATH(header, member, max, unit)                                                                     \
    {header, NULL, offsetof(struct bide_rmq_death, member), false, max,                                      \
        "header " header " is not a whole number of " unit},

const struct bide_rmq_mark_row bide_rmq_mark_rows[BIDE_RMQ_MARKS] = {
    BIDE_FIELDS(NUMBER, BIDE_FIELD_NONE)                    /* */
    DEATH("bide-attempts", attempts, COUNT_MAX, COUNT_UNIT) /* */
    DEATH("bide-died", died_ms, TIME_MAX, TIME_UNIT)        /* */
    DEATH("bide-cut", cut, INT64_MAX, "bytes")              /* */
    BIDE_FIELDS(BIDE_FIELD_NONE, TEXT)                      /* */
    {"bide-reason", NULL, offsetof(struct bide_rmq_death, reason), true, 0,
        "header bide-reason is not a text"},
};

bool bide_rmq_header_is_own(amqp_bytes_t name)
{
    static const char *const whole[] = {"x-death", "x-delivery-count", "CC", "BCC"};
    static const char *const beginnings[] = {"bide-", "x-first-death-", "x-last-death-"};
    if (bide_rmq_bytes_begin(name, BIDE_RMQ_KEPT))
        return false;
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++)
        if (bide_rmq_bytes_are(name, whole[i]))
            return true;
    for (size_t i = 0; i < sizeof beginnings / sizeof beginnings[0]; i++)
        if (bide_rmq_bytes_begin(name, beginnings[i]))
            return true;
    return false;
}

int64_t bide_rmq_id_ms(struct bide_slice id)
{
    enum { DASH = 8, VERSION = 14, MS_END = 13 };
    int64_t ms = 0;
    if (id.size != BIDE_ID_TEXT - 1 || id.bytes[VERSION] != '7')
        return 0;
    for (int i = 0; i < MS_END; i++) {
        const char *digits = "0123456789abcdef", *digit;
        if (i == DASH)
            continue;
        if (!id.bytes[i] || !(digit = strchr(digits, id.bytes[i])))
            return 0;
        ms = ms * 16 + (digit - digits);
    }
    return ms;
}
