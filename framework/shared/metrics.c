#include "shared/metrics.h"

#include <string.h>

#include "outcome/breaker.h"

/* ---- the supervisor ---- */

void bide_metrics_begin(struct bide_metrics *metrics, int threads, int64_t now_ms)
{
    bide_metrics_end(metrics);
    atomic_store(&metrics->threads, threads);
    atomic_store(&metrics->started_ms, now_ms);
    atomic_store(&metrics->state, BIDE_PROCESS_STARTING);
}

void bide_metrics_end(struct bide_metrics *metrics)
{
    _Atomic int *const gauges[] = {&metrics->state, &metrics->connected, &metrics->threads, &metrics->busy,
        &metrics->in_flight, &metrics->landing, &metrics->store.away};
    atomic_store(&metrics->pid, 0);
    for (size_t i = 0; i < sizeof gauges / sizeof gauges[0]; i++)
        atomic_store(gauges[i], 0);
    for (uint32_t i = 0, n = atomic_load(&metrics->n_types); i < n; i++) {
        atomic_store(&metrics->types[i].running, 0);
        atomic_store(&metrics->types[i].circuit, BIDE_CIRCUIT_CLOSED);
    }
    for (uint32_t i = 0, n = atomic_load(&metrics->n_programs); i < n; i++)
        for (size_t at = 0; at < BIDE_METRICS_PROGRAM_PIDS; at++)
            atomic_store(&metrics->programs[i].pids[at], 0);
}

/* ---- a worker process ---- */

static struct bide_type_metrics *add_row(struct bide_metrics *metrics, uint32_t n, const char *type)
{
    struct bide_type_metrics *row = &metrics->types[n];
    size_t size = strlen(type) + 1;
    if (n >= BIDE_METRICS_TYPES || size > sizeof row->type)
        return &metrics->types[0];
    memcpy(row->type, type, size);
    atomic_store_explicit(&metrics->n_types, n + 1, memory_order_release);
    return row;
}

struct bide_type_metrics *bide_metrics_type(struct bide_metrics *metrics, const char *type)
{
    if (!metrics)
        return NULL;
    uint32_t n = atomic_load(&metrics->n_types);
    if (n == 0) {
        add_row(metrics, 0, BIDE_METRICS_OTHER);
        n = 1;
    }
    for (uint32_t i = 0; i < n; i++)
        if (!type || strcmp(metrics->types[i].type, type) == 0)
            return &metrics->types[i];
    return add_row(metrics, n, type);
}

struct bide_program_metrics *bide_metrics_program(struct bide_metrics *metrics, const char *name)
{
    size_t size = strlen(name) + 1;
    uint32_t n = metrics ? atomic_load(&metrics->n_programs) : BIDE_METRICS_PROGRAMS;
    for (uint32_t i = 0; metrics && i < n; i++)
        if (strcmp(metrics->programs[i].name, name) == 0)
            return &metrics->programs[i];
    if (n >= BIDE_METRICS_PROGRAMS || size > sizeof metrics->programs[n].name)
        return NULL;
    memcpy(metrics->programs[n].name, name, size);
    atomic_store_explicit(&metrics->n_programs, n + 1, memory_order_release);
    return &metrics->programs[n];
}

struct bide_limit_metrics *bide_metrics_limit(struct bide_metrics *metrics, const char *name)
{
    size_t size = strlen(name) + 1;
    uint32_t n = metrics ? atomic_load(&metrics->n_limits) : BIDE_METRICS_LIMITS;
    for (uint32_t i = 0; metrics && i < n; i++)
        if (strcmp(metrics->limits[i].name, name) == 0)
            return &metrics->limits[i];
    if (n >= BIDE_METRICS_LIMITS || size > sizeof metrics->limits[n].name)
        return NULL;
    memcpy(metrics->limits[n].name, name, size);
    atomic_store_explicit(&metrics->n_limits, n + 1, memory_order_release);
    return &metrics->limits[n];
}

void bide_metrics_describe(
    struct bide_type_metrics *row, const char *plugin, const char *version, const char *build)
{
    if (!row)
        return;
    bide_event_text(row->plugin, sizeof row->plugin, plugin);
    bide_event_text(row->version, sizeof row->version, version);
    bide_event_text(row->build, sizeof row->build, build);
}

void bide_metrics_count(struct bide_type_metrics *row, enum bide_outcome_kind kind)
{
    if (row)
        bide_metrics_add(&row->counts[kind], 1);
}

void bide_metrics_run(struct bide_type_metrics *row, int64_t took_us, int64_t waited_us, int64_t lateness_us)
{
    if (!row)
        return;
    bide_histogram_add(&row->duration, took_us);
    bide_histogram_add(&row->wait, waited_us);
    if (lateness_us >= 0)
        bide_histogram_add(&row->lateness, lateness_us);
}
