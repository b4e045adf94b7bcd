#include "shared/histogram.h"

#define MS INT64_C(1000)
#define S (1000 * MS)

static const int64_t bounds_us[BIDE_HISTOGRAM_BOUNDS] = {10, 25, 50, 100, 250, 500, 1 * MS, 5 * MS / 2,
    5 * MS, 10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS, 1 * S, 5 * S / 2, 5 * S, 10 * S, 30 * S,
    60 * S, 120 * S, 300 * S, 600 * S, 3600 * S};

int64_t bide_histogram_bound_us(size_t index)
{
    return bounds_us[index];
}

/* The first bound that is not below `us`. */
static size_t find_bucket(int64_t us)
{
    size_t low = 0, high = BIDE_HISTOGRAM_BOUNDS;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (bounds_us[middle] < us)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void add(_Atomic uint64_t *to, uint64_t n)
{
    atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + n, memory_order_relaxed);
}

void bide_histogram_add(struct bide_histogram *histogram, int64_t us)
{
    if (us < 0)
        us = 0;
    add(&histogram->counts[find_bucket(us)], 1);
    add(&histogram->sum_us, (uint64_t)us);
}

void bide_histogram_read(const struct bide_histogram *histogram, struct bide_histogram_sum *sum)
{
    for (size_t i = 0; i <= BIDE_HISTOGRAM_BOUNDS; i++) {
        uint64_t n = atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
        sum->counts[i] += n;
        sum->n += n;
    }
    sum->sum_us += atomic_load_explicit(&histogram->sum_us, memory_order_relaxed);
}

void bide_histogram_subtract(struct bide_histogram_sum *later, const struct bide_histogram_sum *earlier)
{
    for (size_t i = 0; i <= BIDE_HISTOGRAM_BOUNDS; i++)
        later->counts[i] -= earlier->counts[i];
    later->n -= earlier->n;
    later->sum_us -= earlier->sum_us;
}

double bide_histogram_quantile_us(const struct bide_histogram_sum *sum, double q)
{
    double wanted = q * (double)sum->n, below = 0;
    if (sum->n == 0)
        return -1;
    for (size_t i = 0; i < BIDE_HISTOGRAM_BOUNDS; i++) {
        double here = (double)sum->counts[i];
        if (here > 0 && below + here >= wanted) {
            double from = i ? (double)bounds_us[i - 1] : 0;
            return from + ((double)bounds_us[i] - from) * (wanted - below) / here;
        }
        below += here;
    }
    return (double)bounds_us[BIDE_HISTOGRAM_BOUNDS - 1];
}
