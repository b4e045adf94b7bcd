#include "console/recent.h"

#include <string.h>

void bide_recent_init(struct bide_recent *recent)
{
    memset(recent, 0, sizeof *recent);
    pthread_mutex_init(&recent->lock, NULL);
}

void bide_recent_clear(struct bide_recent *recent)
{
    for (size_t i = 0; i < BIDE_RECENT_STEPS; i++)
        bide_totals_clear(&recent->taken[i]);
    pthread_mutex_destroy(&recent->lock);
}

bool bide_recent_keep(struct bide_recent *recent, struct bide_totals *totals, int64_t now_ms)
{
    size_t newest = (recent->n + BIDE_RECENT_STEPS - 1) % BIDE_RECENT_STEPS,
           at = recent->n % BIDE_RECENT_STEPS;
    if (recent->n > 0 && now_ms - recent->taken_ms[newest] < BIDE_RECENT_STEP_MS)
        return false;
    pthread_mutex_lock(&recent->lock);
    bide_totals_clear(&recent->taken[at]);
    recent->taken[at] = *totals;
    recent->taken_ms[at] = now_ms;
    recent->n++;
    pthread_mutex_unlock(&recent->lock);
    return true;
}

/* Searches by name: types may stand in another order now. A type never disappears. */
static const struct bide_type_total *find(const struct bide_totals *totals, const char *type)
{
    for (size_t i = 0; i < totals->n_types; i++)
        if (strcmp(totals->types[i].row->type, type) == 0)
            return &totals->types[i];
    return NULL;
}

static void subtract(struct bide_type_total *later, const struct bide_type_total *earlier)
{
    for (size_t i = 0; i < BIDE_COUNTS; i++)
        later->counts[i] -= earlier->counts[i];
    bide_histogram_subtract(&later->duration, &earlier->duration);
    bide_histogram_subtract(&later->wait, &earlier->wait);
    bide_histogram_subtract(&later->lateness, &earlier->lateness);
}

int64_t bide_recent_reduce(struct bide_recent *recent, struct bide_totals *totals, int64_t now_ms)
{
    pthread_mutex_lock(&recent->lock);
    size_t oldest = recent->n > BIDE_RECENT_STEPS ? recent->n % BIDE_RECENT_STEPS : 0;
    int64_t window_ms = recent->n ? now_ms - recent->taken_ms[oldest] : 0;
    for (size_t i = 0; recent->n && i < totals->n_types; i++) {
        const struct bide_type_total *earlier = find(&recent->taken[oldest], totals->types[i].row->type);
        if (earlier)
            subtract(&totals->types[i], earlier);
    }
    pthread_mutex_unlock(&recent->lock);
    return window_ms;
}
