#include "support/sandbox_rig.h"

void sandbox_rig_init(
    struct sandbox_rig *rig, bide_outcome (*handle)(void *, const bide_message *, bide_context *))
{
    static char name[] = "test";
    *rig = (struct sandbox_rig){
        .config = {.type = name, .plugin = name, .kill_after_ms = 5000},
        .plugin = {.name = name, .descriptor = {.name = name, .handle = handle}},
    };
    rig->config.isolation = BIDE_ISOLATION_PROCESS;
}

bide_code sandbox_open(struct sandbox_rig *rig, bide_error *error)
{
    rig->handler = (struct bide_handler){.runner = &bide_sandbox_runner,
        .config = &rig->config,
        .plugin = &rig->plugin,
        .batches = rig->plugin.descriptor.handle_batch != NULL};
    bide_code code = bide_zygote_start(&rig->zygote, error);
    if (code == BIDE_OK)
        code =
            bide_sandbox_runner.open(&(struct bide_handlers){.zygote = rig->zygote}, &rig->handler, 1, error);
    return code;
}

void sandbox_close(struct sandbox_rig *rig)
{
    bide_sandbox_runner.close(&rig->handler);
    bide_zygote_stop(rig->zygote);
}

struct bide_run sandbox_run(
    struct sandbox_rig *rig, struct bide_context *context, struct bide_message *message)
{
    const struct bide_clock *clock = bide_clock_system();
    struct bide_delivery delivery = {.message = message};
    struct bide_job job = {.delivery = &delivery, .handler = &rig->handler, .ready_us = bide_mono_us(clock)};
    bide_context_begin(context, &job, bide_wall_us(clock), bide_mono_us(clock));
    bide_context_end(context, &job, bide_sandbox_runner.run(&rig->handler, 0, message, context, NULL));
    return job.run;
}
