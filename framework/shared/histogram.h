/* shared/histogram.h: how often something took how long, in memory shared between processes.
 *
 * Fixed bounds from 10 µs to an hour, the same for all histograms. Thread-safety: one thread of one process
 * adds (relaxed, no locked instruction); any thread of any process reads meanwhile, and may then see a sum
 * that is one observation ahead of the counts. A zeroed histogram is empty. */
#ifndef BIDE_SHARED_HISTOGRAM_H
#define BIDE_SHARED_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { BIDE_HISTOGRAM_BOUNDS = 25 };

struct bide_histogram {
    _Atomic uint64_t counts[BIDE_HISTOGRAM_BOUNDS + 1]; /* the last: above every bound */
    _Atomic uint64_t sum_us;
};

/* What was read of one or of several. */
struct bide_histogram_sum {
    uint64_t counts[BIDE_HISTOGRAM_BOUNDS + 1];
    uint64_t n;
    uint64_t sum_us;
};

/* us: below 0 counts as 0. */
void bide_histogram_add(struct bide_histogram *histogram, int64_t us);

/* Upper bounds, inclusive, ascending; index below BIDE_HISTOGRAM_BOUNDS. */
int64_t bide_histogram_bound_us(size_t index);

/* Adds what is in there now to `sum`. */
void bide_histogram_read(const struct bide_histogram *histogram, struct bide_histogram_sum *sum);
/* later - earlier, of the same histograms. */
void bide_histogram_subtract(struct bide_histogram_sum *later, const struct bide_histogram_sum *earlier);

/* The value below which the fraction `q` (0 … 1) of the observations lies, interpolated within its bucket; -1
 * without any. Above the last bound: that bound. */
double bide_histogram_quantile_us(const struct bide_histogram_sum *sum, double q);

#endif
