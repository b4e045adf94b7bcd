/* bench/timers/store.h: a structure that keeps timers, as the measurement sees it. One thread. */
#ifndef BENCH_TIMERS_STORE_H
#define BENCH_TIMERS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/heap.h"

enum { TICK_US = 1000 }; /* due times are whole milliseconds, as messages' are */

/* Intrusive, as a job in the landing heap is; each structure uses the part it needs. */
struct timer {
    struct bide_heap_node node; /* due_us; place: the heaps' */
    struct timer *next;         /* the wheel's */
    struct timer **link;        /* what points here; NULL: not in the wheel */
};

struct store {
    const char *name;
    void *(*create)(void);
    void (*insert)(void *self, struct timer *timer);
    void (*cancel)(void *self, struct timer *timer);
    /* The earliest due time, exactly: what the lander sleeps until. INT64_MAX: empty. */
    int64_t (*next_due)(void *self);
    /* One that is due at `now_us`, taken out; NULL: none. Time does not go back. */
    struct timer *(*fire)(void *self, int64_t now_us);
    void (*destroy)(void *self);
};

extern const struct store heap2_store, heap4_store, wheel_store;

void *must(void *memory);

#endif
