#include "console/totals.h"

#include <string.h>

#include "base/alloc.h"

static uint64_t value(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* `hint` is the index to try first: the rows of each place mostly have the same order. */
static struct bide_type_total *find(struct bide_totals *totals, const char *type, size_t hint)
{
    if (hint < totals->n_types && strcmp(totals->types[hint].row->type, type) == 0)
        return &totals->types[hint];
    for (size_t i = 0; i < totals->n_types; i++)
        if (strcmp(totals->types[i].row->type, type) == 0)
            return &totals->types[i];
    return NULL;
}

static void add_row(struct bide_type_total *total, const struct bide_type_metrics *row)
{
    for (size_t i = 0; i < BIDE_COUNTS; i++)
        total->counts[i] += value(&row->counts[i]);
    bide_histogram_read(&row->duration, &total->duration);
    bide_histogram_read(&row->wait, &total->wait);
    bide_histogram_read(&row->lateness, &total->lateness);
    total->running += atomic_load_explicit(&row->running, memory_order_relaxed);
    int circuit = atomic_load_explicit(&row->circuit, memory_order_relaxed);
    total->circuit = circuit > total->circuit ? circuit : total->circuit;
}

static void add_store(struct bide_totals *totals, const struct bide_store_metrics *metrics)
{
    for (size_t i = 0; i < BIDE_METRICS_STORE_KINDS; i++)
        totals->store.operations[i] += value(&metrics->operations[i]);
    totals->store.letters += value(&metrics->letters);
    totals->store.batches += value(&metrics->batches);
    totals->store.errors += value(&metrics->errors);
    bide_histogram_read(&metrics->latency, &totals->store.latency);
    totals->store.away += atomic_load_explicit(&metrics->away, memory_order_relaxed);
}

static struct bide_limit_total *limit_of(struct bide_totals *totals, const char *name)
{
    for (size_t i = 0; i < totals->n_limits; i++)
        if (strcmp(totals->limits[i].name, name) == 0)
            return &totals->limits[i];
    if (totals->n_limits == BIDE_METRICS_LIMITS)
        return NULL;
    totals->limits[totals->n_limits] = (struct bide_limit_total){.name = name};
    return &totals->limits[totals->n_limits++];
}

static void add_limits(struct bide_totals *totals, const struct bide_metrics *metrics)
{
    size_t n = atomic_load_explicit(&metrics->n_limits, memory_order_acquire);
    for (size_t i = 0; i < n; i++) {
        const struct bide_limit_metrics *row = &metrics->limits[i];
        struct bide_limit_total *total = limit_of(totals, row->name);
        if (!total)
            continue;
        total->allowed += value(&row->allowed);
        total->moved += value(&row->moved);
        total->throttled += value(&row->throttled);
        bide_histogram_read(&row->wait, &total->wait);
    }
}

static void add_gauges(struct bide_totals *totals, const struct bide_metrics *metrics)
{
    int connected = atomic_load(&metrics->connected);
    totals->received += value(&metrics->received);
    totals->reconnects += value(&metrics->reconnects);
    totals->lost += value(&metrics->lost);
    add_store(totals, &metrics->store);
    add_limits(totals, metrics);
    if (atomic_load(&metrics->pid) == 0)
        return;
    totals->processes++;
    totals->ready += connected && atomic_load(&metrics->state) == BIDE_PROCESS_SERVING;
    totals->threads += atomic_load(&metrics->threads);
    totals->busy += atomic_load(&metrics->busy);
    totals->in_flight += atomic_load(&metrics->in_flight);
    totals->landing += atomic_load(&metrics->landing);
    totals->connected += connected;
}

static size_t count_rows(const struct bide_shared *shared)
{
    size_t n = 0;
    for (size_t i = 0; i < shared->n_places; i++)
        n += atomic_load_explicit(&shared->places[i].n_types, memory_order_acquire);
    return n;
}

bide_code bide_totals_take(
    const struct bide_shared *shared, struct bide_totals *ret_totals, bide_error *error)
{
    size_t room = count_rows(shared);
    *ret_totals = (struct bide_totals){.types = bide_calloc(room + 1, sizeof *ret_totals->types)};
    if (!ret_totals->types)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < shared->n_places; i++) {
        const struct bide_metrics *metrics = &shared->places[i];
        size_t n = atomic_load_explicit(&metrics->n_types, memory_order_acquire);
        add_gauges(ret_totals, metrics);
        for (size_t j = 0; j < n; j++) {
            struct bide_type_total *total = find(ret_totals, metrics->types[j].type, j);
            if (!total && ret_totals->n_types < room) {
                total = &ret_totals->types[ret_totals->n_types++];
                total->row = &metrics->types[j];
            }
            if (total)
                add_row(total, &metrics->types[j]);
        }
    }
    return BIDE_OK;
}

bide_code bide_totals_copy(const struct bide_totals *totals, struct bide_totals *ret_copy, bide_error *error)
{
    struct bide_totals copy = *totals;
    copy.types = bide_calloc(totals->n_types + 1, sizeof *copy.types);
    if (!copy.types)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    memcpy(copy.types, totals->types, totals->n_types * sizeof *copy.types);
    *ret_copy = copy;
    return BIDE_OK;
}

void bide_totals_clear(struct bide_totals *totals)
{
    bide_free(totals->types);
    totals->types = NULL;
}

static void add_sum(struct bide_histogram_sum *to, const struct bide_histogram_sum *from)
{
    for (size_t i = 0; i <= BIDE_HISTOGRAM_BOUNDS; i++)
        to->counts[i] += from->counts[i];
    to->n += from->n;
    to->sum_us += from->sum_us;
}

struct bide_type_total bide_totals_sum(const struct bide_totals *totals)
{
    struct bide_type_total sum = {0};
    for (size_t i = 0; i < totals->n_types; i++) {
        const struct bide_type_total *type = &totals->types[i];
        for (size_t j = 0; j < BIDE_COUNTS; j++)
            sum.counts[j] += type->counts[j];
        add_sum(&sum.duration, &type->duration);
        add_sum(&sum.wait, &type->wait);
        add_sum(&sum.lateness, &type->lateness);
        sum.running += type->running;
    }
    return sum;
}
