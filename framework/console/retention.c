#include "console/retention.h"

#include <time.h>

#include "bide/log.h"
#include "console/serving.h"

enum {
    FIRST_MS = 1000,
    ROUND_MS = 60 * 1000,
    STEP_MS = 1000,
    STEP_LETTERS = 5000,
    STEPS = 20,     /* of a round */
    PAUSE_MS = 200, /* between steps */
    JUMP_MS = 5 * 60 * 1000,
    DISTRUST_MS = 24 * 3600 * 1000,
};

/* Returns false where the console stops. */
static bool wait_ms(struct bide_retention *retention, int64_t ms)
{
    int64_t until_ms = bide_mono_ms(retention->console->clock) + ms;
    const struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
    pthread_mutex_lock(&retention->lock);
    while (!retention->stopping &&
           pthread_cond_clockwait(&retention->change, &retention->lock, CLOCK_MONOTONIC, &until) == 0)
        ;
    bool goes_on = !retention->stopping;
    pthread_mutex_unlock(&retention->lock);
    return goes_on;
}

/* ---- a step ---- */

struct step {
    struct bide_retention *retention;
    int64_t ends_ms; /* 0: nothing has been dropped yet */
    bool is_cut;     /* it was ended early: there may be more to drop */
};

/* The bound on time counts from the first letter that was dropped: on Redis, finding that one may take long,
 * and would not become shorter in another step. */
static bool go_on(void *user, uint64_t done, uint64_t total)
{
    struct step *step = user;
    int64_t now_ms = bide_mono_ms(step->retention->console->clock);
    (void)total;
    if (done > 0 && step->ends_ms == 0)
        step->ends_ms = now_ms + STEP_MS;
    bool is_long = done >= STEP_LETTERS || (done > 0 && now_ms >= step->ends_ms);
    step->is_cut = is_long || !wait_ms(step->retention, 0);
    return !step->is_cut;
}

int64_t bide_retention_died_before_ms(
    struct bide_retention *retention, int64_t max_age_ms, int64_t wall_ms, int64_t mono_ms)
{
    int64_t jump_ms = retention->has_offset ? wall_ms - mono_ms - retention->offset_ms : 0;
    retention->has_offset = true;
    retention->offset_ms = wall_ms - mono_ms;
    if (max_age_ms == 0)
        return 0;
    if (jump_ms > JUMP_MS || jump_ms < -JUMP_MS) {
        retention->distrust_ms = mono_ms + DISTRUST_MS;
        bide_log(BIDE_LOG_WARN, "the clock has jumped: for a day no dead letter is dropped for its age",
            BIDE_INT("by_ms", jump_ms));
    }
    return mono_ms >= retention->distrust_ms ? wall_ms - max_age_ms : 0;
}

static bide_code trim(struct bide_console *console, struct step *step, uint64_t *ret_n, bide_error *error)
{
    const struct bide_console_options *options = console->options;
    const struct bide_dead_config *config = &options->config->dead;
    const struct bide_dead_bounds bounds = {
        .died_before_ms = bide_retention_died_before_ms(
            step->retention, config->max_age_ms, bide_wall_ms(console->clock), bide_mono_ms(console->clock)),
        .max_count = config->max_count,
    };
    struct bide_admin *admin;
    bide_code code = options->adapter->open_admin(options->broker, &admin, error);
    if (code != BIDE_OK)
        return code;
    code = admin->ops->dead_trim(admin, &bounds, go_on, step, ret_n, error);
    bide_admin_destroy(admin);
    return code;
}

static bide_code take_step(
    struct bide_retention *retention, bool *ret_is_cut, uint64_t *total, bide_error *error)
{
    struct bide_console *console = retention->console;
    struct step step = {.retention = retention};
    uint64_t n = 0;
    pthread_mutex_lock(&console->letters); /* one thread at a time works on dead letters */
    bide_code code = trim(console, &step, &n, error);
    pthread_mutex_unlock(&console->letters);
    bide_metrics_add(&console->options->shared->dead_dropped, n);
    *total += n;
    *ret_is_cut = step.is_cut;
    return code;
}

/* ---- rounds ---- */

static bide_code take_round(struct bide_retention *retention, uint64_t *ret_n, bide_error *error)
{
    bool is_cut = true;
    bide_code code = BIDE_OK;
    *ret_n = 0;
    for (int i = 0; i < STEPS && is_cut && code == BIDE_OK; i++) {
        if (i > 0 && !wait_ms(retention, PAUSE_MS))
            break;
        code = take_step(retention, &is_cut, ret_n, error);
    }
    return code;
}

/* A failure is logged once, not each minute. */
static void *work(void *user)
{
    struct bide_retention *retention = user;
    bool failed = false;
    for (int64_t ms = FIRST_MS; wait_ms(retention, ms); ms = ROUND_MS) {
        bide_error error = {0};
        uint64_t n;
        bide_code code = take_round(retention, &n, &error);
        if (n > 0)
            bide_log(BIDE_LOG_INFO, "old dead letters dropped", BIDE_INT("letters", (int64_t)n));
        if (code != BIDE_OK && !failed)
            bide_log(BIDE_LOG_WARN, "old dead letters cannot be dropped: trying again every minute",
                BIDE_STR("error", error.text));
        failed = code != BIDE_OK;
    }
    return NULL;
}

bide_code bide_retention_start(struct bide_console *console, bide_error *error)
{
    struct bide_retention *retention = &console->retention;
    const struct bide_dead_config *config = &console->options->config->dead;
    if (config->max_age_ms == 0 && config->max_count == 0)
        return BIDE_OK;
    pthread_mutex_init(&retention->lock, NULL);
    pthread_cond_init(&retention->change, NULL);
    retention->console = console;
    if (pthread_create(&retention->thread, NULL, work, retention) == 0)
        return BIDE_OK;
    retention->console = NULL;
    return bide_fail(error, BIDE_E_INTERNAL, "cannot start the thread that drops old dead letters");
}

void bide_retention_stop(struct bide_retention *retention)
{
    if (!retention->console)
        return;
    pthread_mutex_lock(&retention->lock);
    retention->stopping = true;
    pthread_cond_signal(&retention->change);
    pthread_mutex_unlock(&retention->lock);
    pthread_join(retention->thread, NULL);
    pthread_cond_destroy(&retention->change);
    pthread_mutex_destroy(&retention->lock);
}
