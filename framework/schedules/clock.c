#include "schedules/clock.h"

#include "base/alloc.h"
#include "schedules/inside.h"

enum { LOOK_MS = 1000 };

bide_code bide_schedules_create(
    const struct bide_schedules_options *options, struct bide_schedules **ret_schedules, bide_error *error)
{
    struct bide_schedules *schedules = bide_calloc(1, sizeof *schedules);
    if (!schedules)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    schedules->options = *options;
    *ret_schedules = schedules;
    return BIDE_OK;
}

void bide_schedules_destroy(struct bide_schedules *schedules)
{
    if (!schedules)
        return;
    bide_schedules_forget(schedules);
    bide_free(schedules);
}

static bide_code look(struct bide_schedules *schedules, bide_error *error)
{
    int64_t now_ms = bide_mono_ms(schedules->options.clock);
    bide_code code = now_ms < schedules->declare_ms ? BIDE_OK : bide_schedules_declare(schedules, error);
    if (code != BIDE_OK || (schedules->is_loaded && now_ms < schedules->look_ms))
        return code;
    code = bide_schedules_look(schedules, error);
    schedules->is_loaded = code == BIDE_OK;
    schedules->look_ms = now_ms + LOOK_MS;
    return code;
}

bide_code bide_schedules_step(struct bide_schedules *schedules, int64_t *ret_wait_ms, bide_error *error)
{
    int64_t wait_ms = LOOK_MS;
    bide_code code = look(schedules, error);
    if (code == BIDE_OK)
        code = bide_schedules_fire(schedules, &wait_ms, error);
    if (code != BIDE_OK)
        schedules->is_loaded = false; /* what was written is not known */
    *ret_wait_ms = wait_ms < LOOK_MS && code == BIDE_OK ? wait_ms : LOOK_MS;
    return code;
}
