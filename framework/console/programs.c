#include "console/totals.h"

#include <string.h>

#include "base/resident.h"

/* Finds or adds a row; NULL without room for one more. */
static struct bide_program_total *find(struct bide_program_total *totals, size_t *n, const char *name)
{
    for (size_t i = 0; i < *n; i++)
        if (strcmp(totals[i].name, name) == 0)
            return &totals[i];
    if (*n == BIDE_METRICS_PROGRAMS)
        return NULL;
    totals[*n] = (struct bide_program_total){.name = name};
    return &totals[(*n)++];
}

static void add_row(struct bide_program_total *total, const struct bide_program_metrics *row)
{
    total->runs += atomic_load_explicit(&row->runs, memory_order_relaxed);
    total->restarts += atomic_load_explicit(&row->restarts, memory_order_relaxed);
    for (size_t i = 0; i < BIDE_METRICS_PROGRAM_PIDS; i++) {
        pid_t pid = atomic_load_explicit(&row->pids[i], memory_order_relaxed);
        if (pid == 0)
            break;
        total->processes++;
        total->memory += bide_resident_bytes(pid);
    }
}

size_t bide_program_totals(
    const struct bide_shared *shared, struct bide_program_total ret_totals[BIDE_METRICS_PROGRAMS])
{
    size_t n = 0;
    for (size_t i = 0; i < shared->n_places; i++) {
        const struct bide_metrics *metrics = &shared->places[i];
        size_t rows = atomic_load_explicit(&metrics->n_programs, memory_order_acquire);
        for (size_t j = 0; j < rows; j++) {
            struct bide_program_total *total = find(ret_totals, &n, metrics->programs[j].name);
            if (total)
                add_row(total, &metrics->programs[j]);
        }
    }
    return n;
}
