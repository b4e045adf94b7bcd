#include "broker/rabbitmq/envelope/marks.h"

/* The year 9999. A later time is a mistake (most often microseconds). */
#define LATEST_MS INT64_C(253402300800000)

#define NUMBER(name, field, max, unit)                                                                       \
    {                                                                                                        \
        name, false, offsetof(struct bide_rmq_marks, field), max,                                            \
            "header " name " is not a whole number of " unit                                                 \
    }
#define TEXT(name, field)                                                                                    \
    {                                                                                                        \
        name, true, offsetof(struct bide_rmq_marks, field), 0, "header " name " is not a text"               \
    }

const struct bide_rmq_mark_row bide_rmq_mark_rows[BIDE_RMQ_MARKS] = {
    NUMBER("bide-due", due_ms, LATEST_MS, "Unix milliseconds before the year 9999"),
    NUMBER("bide-sent", sent_ms, LATEST_MS, "Unix milliseconds before the year 9999"),
    NUMBER("bide-expires", expires_ms, LATEST_MS, "Unix milliseconds before the year 9999"),
    NUMBER("bide-attempt", attempt, 1000000000, "attempts"),
    NUMBER("bide-attempts", attempts, 1000000000, "attempts"),
    NUMBER("bide-died", died_ms, LATEST_MS, "Unix milliseconds before the year 9999"),
    NUMBER("bide-cut", cut, INT64_MAX, "bytes"),
    TEXT("bide-queue", queue),
    TEXT("bide-error", error),
    TEXT("bide-failures", failures),
    TEXT("bide-reason", reason),
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
