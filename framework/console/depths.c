#include "console/serving.h"

enum { FRESH_MS = 1000 };

static void ask(struct bide_console *console)
{
    const struct bide_console_options *options = console->options;
    struct bide_depths *depths = &console->depths;
    struct bide_admin *admin = NULL;
    bide_broker_stats_clear(&depths->stats);
    depths->error = (bide_error){0};
    depths->code = options->adapter->open_admin(options->broker, &admin, &depths->error);
    if (depths->code == BIDE_OK) {
        depths->code = admin->ops->stats(admin, &depths->stats, &depths->error);
        bide_admin_destroy(admin);
    }
    depths->taken_ms = bide_mono_ms(console->clock);
}

bide_code bide_depths_borrow(
    struct bide_console *console, const struct bide_broker_stats **ret_stats, bide_error *error)
{
    struct bide_depths *depths = &console->depths;
    pthread_mutex_lock(&depths->lock);
    if (depths->taken_ms == 0 || bide_mono_ms(console->clock) - depths->taken_ms >= FRESH_MS)
        ask(console);
    if (depths->code == BIDE_OK) {
        *ret_stats = &depths->stats;
        return BIDE_OK;
    }
    bide_code code = bide_fail(error, depths->code, "%s", depths->error.text);
    pthread_mutex_unlock(&depths->lock);
    return code;
}

void bide_depths_give_back(struct bide_console *console)
{
    pthread_mutex_unlock(&console->depths.lock);
}
