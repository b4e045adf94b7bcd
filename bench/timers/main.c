/* timers SIZE SPAN_MS: nanoseconds an operation of three structures that hold SIZE timers within SPAN_MS.
 *
 * insert: SIZE timers at random milliseconds. cancel: half of them, at random. fire: all others in order, the
 * next due time looked up before each as the lander does. hold: one fires and one comes in its place, SIZE
 * held all the time. Small sizes are done again until about a million operations are timed. Prints a JSON
 * line a structure. Every store has to fire the same timers in the order of their due times, or it ends
 * with 70. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store.h"

enum { ENOUGH = 1000000 };

static const struct store *const stores[] = {&heap2_store, &heap4_store, &wheel_store};

/* Sums of nanoseconds and operations. */
struct figure {
    double ns;
    size_t n;
};

struct figures {
    struct figure insert, cancel, fire, hold;
};

struct load {
    size_t size;
    int64_t span_us;
    struct timer *timers;
    uint32_t *shuffled; /* the order of cancelling */
    uint64_t random;
};

void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static void fail(const struct store *store, const char *what)
{
    fprintf(stderr, "timers: %s: %s\n", store->name, what);
    exit(70);
}

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* xorshift64*: the same for every store. */
static uint64_t draw(struct load *load)
{
    load->random ^= load->random >> 12;
    load->random ^= load->random << 25;
    load->random ^= load->random >> 27;
    return load->random * UINT64_C(2685821657736338717);
}

static int64_t random_due(struct load *load, int64_t from_us)
{
    int64_t ticks = load->span_us / TICK_US;
    return (from_us / TICK_US + 1 + (int64_t)(draw(load) % (uint64_t)ticks)) * TICK_US;
}

static void add(struct figure *figure, double started_ns, size_t n)
{
    figure->ns += now_ns() - started_ns;
    figure->n += n;
}

static void prepare(struct load *load)
{
    load->random = 88172645463325252U;
    for (size_t i = 0; i < load->size; i++) {
        load->timers[i] = (struct timer){.node.due_us = random_due(load, 0)};
        load->shuffled[i] = (uint32_t)i;
    }
    for (size_t i = load->size - 1; i > 0; i--) {
        size_t other = draw(load) % (i + 1);
        uint32_t kept = load->shuffled[i];
        load->shuffled[i] = load->shuffled[other];
        load->shuffled[other] = kept;
    }
}

static void insert_all(const struct store *store, void *self, struct load *load, struct figure *figure)
{
    double started_ns = now_ns();
    for (size_t i = 0; i < load->size; i++)
        store->insert(self, &load->timers[i]);
    add(figure, started_ns, load->size);
}

static void cancel_half(const struct store *store, void *self, struct load *load, struct figure *figure)
{
    double started_ns = now_ns();
    for (size_t i = 0; i < load->size / 2; i++)
        store->cancel(self, &load->timers[load->shuffled[i]]);
    add(figure, started_ns, load->size / 2);
}

/* The next due timer, whose due time is checked against what was said before. */
static struct timer *fire_next(const struct store *store, void *self)
{
    int64_t due_us = store->next_due(self);
    struct timer *timer = due_us == INT64_MAX ? NULL : store->fire(self, due_us);
    if (due_us != INT64_MAX && (!timer || timer->node.due_us != due_us))
        fail(store, "fires another one than the next");
    return timer;
}

static void fire_all(const struct store *store, void *self, struct load *load, struct figure *figure)
{
    size_t left = load->size - load->size / 2, n = 0;
    int64_t before_us = 0;
    struct timer *timer;
    double started_ns = now_ns();
    while ((timer = fire_next(store, self))) {
        if (timer->node.due_us < before_us)
            fail(store, "fires out of order");
        before_us = timer->node.due_us;
        n++;
    }
    add(figure, started_ns, left);
    if (n != left)
        fail(store, "lost timers");
}

static void hold(const struct store *store, void *self, struct load *load, struct figure *figure)
{
    size_t n = load->size < ENOUGH ? load->size : ENOUGH;
    double started_ns = now_ns();
    for (size_t i = 0; i < n; i++) {
        struct timer *timer = fire_next(store, self);
        timer->node.due_us = random_due(load, timer->node.due_us);
        store->insert(self, timer);
    }
    add(figure, started_ns, n);
}

static void measure(const struct store *store, struct load *load, struct figures *figures)
{
    size_t rounds = load->size < ENOUGH ? ENOUGH / load->size : 1;
    for (size_t round = 0; round < rounds; round++) {
        prepare(load);
        void *self = store->create();
        insert_all(store, self, load, &figures->insert);
        cancel_half(store, self, load, &figures->cancel);
        fire_all(store, self, load, &figures->fire);
        store->destroy(self);
        self = store->create();
        prepare(load);
        struct figure ignored = {0};
        insert_all(store, self, load, &ignored);
        hold(store, self, load, &figures->hold);
        store->destroy(self);
    }
}

static double each(const struct figure *figure)
{
    return figure->n ? figure->ns / (double)figure->n : 0;
}

int main(int argc, char **argv)
{
    struct load load = {.size = argc == 3 ? strtoul(argv[1], NULL, 10) : 0};
    if (argc == 3)
        load.span_us = strtoll(argv[2], NULL, 10) * 1000;
    if (load.size < 2 || load.size > UINT32_MAX || load.span_us < TICK_US) {
        fputs("usage: timers SIZE SPAN_MS\n", stderr);
        return 64;
    }
    load.timers = must(calloc(load.size, sizeof *load.timers));
    load.shuffled = must(calloc(load.size, sizeof *load.shuffled));
    for (size_t i = 0; i < sizeof stores / sizeof stores[0]; i++) {
        struct figures figures = {0};
        measure(stores[i], &load, &figures);
        printf(
            "{\"store\": \"%s\", \"size\": %zu, \"span_ms\": %lld, \"insert_ns\": %.1f, \"cancel_ns\": %.1f, "
            "\"fire_ns\": %.1f, \"hold_ns\": %.1f}\n",
            stores[i]->name, load.size, (long long)(load.span_us / 1000), each(&figures.insert),
            each(&figures.cancel), each(&figures.fire), each(&figures.hold));
        fflush(stdout);
    }
    free(load.timers);
    free(load.shuffled);
    return 0;
}
