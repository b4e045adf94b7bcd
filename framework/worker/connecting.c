#include "worker/connecting.h"

#include <poll.h>

#include "broker/reconnect.h"

/* What somebody else may mend while this worker waits; a configuration does not mend itself. */
static bool may_pass(bide_code code)
{
    return code == BIDE_E_BROKER || code == BIDE_E_TIMEOUT;
}

static void pause_or_be_stopped(struct bide_intake *intake, const struct bide_reconnect *reconnect)
{
    const struct bide_clock *clock = intake->passage.site.clock;
    struct pollfd wakeup = {.fd = intake->wakeup.fd, .events = POLLIN};
    int64_t wait_us = bide_reconnect_wait_us(reconnect, bide_mono_us(clock));
    if (poll(&wakeup, 1, (int)(wait_us / 1000) + 1) > 0)
        bide_wakeup_drain(&intake->wakeup);
}

static bide_code open_receiver(
    struct bide_intake *intake, const struct bide_configured_broker *broker, bide_error *error)
{
    return broker->adapter->open_receiver(&broker->options, &intake->passage.settling.receiver, error);
}

bide_code bide_worker_connect(
    struct bide_intake *intake, const struct bide_configured_broker *broker, bool wait, bide_error *error)
{
    const struct bide_clock *clock = intake->passage.site.clock;
    const struct bide_supervised *supervised = intake->passage.site.supervised;
    struct bide_reconnect reconnect = {0};
    bide_error failure = {0};
    bide_code code;
    while ((code = open_receiver(intake, broker, &failure)) != BIDE_OK && wait && may_pass(code)) {
        int64_t now_us = bide_mono_us(clock);
        if (reconnect.failures == 0)
            bide_log(BIDE_LOG_WARN, "broker out of reach: the worker waits for it",
                BIDE_STR("broker", broker->url.redacted), BIDE_STR("error", failure.text));
        bide_reconnect_failed(&reconnect, now_us);
        if (supervised)
            atomic_store_explicit(&supervised->process->beat_ms, now_us / 1000, memory_order_relaxed);
        while (!bide_reconnect_is_due(&reconnect, bide_mono_us(clock)) &&
               atomic_load(&intake->ending.stops) == 0)
            pause_or_be_stopped(intake, &reconnect);
        if (atomic_load(&intake->ending.stops) > 0)
            return BIDE_OK;
    }
    return code == BIDE_OK ? BIDE_OK : bide_fail(error, code, "%s", failure.text);
}
