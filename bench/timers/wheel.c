/* A hierarchical timing wheel (Varghese and Lauck): six levels of 64 slots, a millisecond a tick, which reach
 * two years; a bitmap a level finds the next slot that holds something. A slot of level l is 64^l ticks wide
 * and is spread over the level below when its time begins. */
#include <stdlib.h>

#include "store.h"

enum { BITS = 6, SLOTS = 1 << BITS, LEVELS = 6 };

struct wheel {
    struct timer *slots[LEVELS][SLOTS];
    uint64_t filled[LEVELS]; /* a bit a slot */
    int64_t now;             /* tick: all before it have been fired */
    size_t size;
};

static void *create(void)
{
    return must(calloc(1, sizeof(struct wheel)));
}

static int level_of(int64_t distance)
{
    int level = 0;
    while (level < LEVELS - 1 && distance >> (BITS * (level + 1)))
        level++;
    return level;
}

/* The highest digit in which due and now differ says the level. */
static void place(struct wheel *wheel, struct timer *timer)
{
    int64_t tick = timer->node.due_us / TICK_US;
    tick = tick < wheel->now ? wheel->now : tick;
    int level = level_of(tick ^ wheel->now);
    size_t slot = (size_t)(tick >> (BITS * level)) % SLOTS;
    struct timer **head = &wheel->slots[level][slot];
    timer->next = *head;
    timer->link = head;
    if (*head)
        (*head)->link = &timer->next;
    *head = timer;
    wheel->filled[level] |= UINT64_C(1) << slot;
}

static void unlink_timer(struct wheel *wheel, struct timer *timer)
{
    struct timer **first = &wheel->slots[0][0], **link = timer->link;
    *link = timer->next;
    if (timer->next)
        timer->next->link = link;
    timer->link = NULL;
    if (!*link && link >= first && link < first + LEVELS * SLOTS) { /* the last of its slot */
        size_t at = (size_t)(link - first);
        wheel->filled[at / SLOTS] &= ~(UINT64_C(1) << at % SLOTS);
    }
}

static void insert(void *self, struct timer *timer)
{
    place(self, timer);
    ((struct wheel *)self)->size++;
}

static void cancel(void *self, struct timer *timer)
{
    unlink_timer(self, timer);
    ((struct wheel *)self)->size--;
}

/* The first slot at or behind the present one that holds something; -1: none on this level. */
static int next_slot(const struct wheel *wheel, int level)
{
    int present = (int)((wheel->now >> (BITS * level)) % SLOTS);
    uint64_t ahead = wheel->filled[level] >> present << present;
    return ahead ? __builtin_ctzll(ahead) : -1;
}

/* The tick at which that slot begins. */
static int64_t begins(const struct wheel *wheel, int level, int slot)
{
    int64_t above = wheel->now >> (BITS * (level + 1)) << (BITS * (level + 1));
    int64_t tick = above + ((int64_t)slot << (BITS * level));
    return tick < wheel->now ? wheel->now : tick;
}

/* A slot of a higher level is no instant: the earliest of its timers has to be looked for. */
static int64_t next_due(void *self)
{
    const struct wheel *wheel = self;
    int64_t due_us = INT64_MAX;
    for (int level = 0; level < LEVELS && due_us == INT64_MAX; level++) {
        int slot = next_slot(wheel, level);
        for (const struct timer *timer = slot < 0 ? NULL : wheel->slots[level][slot]; timer;
             timer = timer->next)
            due_us = timer->node.due_us < due_us ? timer->node.due_us : due_us;
    }
    return due_us;
}

static void spread(struct wheel *wheel, int level, int slot)
{
    struct timer *timer;
    while ((timer = wheel->slots[level][slot])) {
        unlink_timer(wheel, timer);
        place(wheel, timer);
    }
}

static struct timer *fire(void *self, int64_t now_us)
{
    struct wheel *wheel = self;
    while (wheel->size > 0) {
        int level = 0, slot = -1;
        while (level < LEVELS && (slot = next_slot(wheel, level)) < 0)
            level++;
        if (level == LEVELS || begins(wheel, level, slot) > now_us / TICK_US)
            break;
        wheel->now = begins(wheel, level, slot);
        if (level > 0) {
            spread(wheel, level, slot);
            continue;
        }
        struct timer *timer = wheel->slots[0][slot];
        cancel(wheel, timer);
        return timer;
    }
    return NULL;
}

static void destroy(void *self)
{
    free(self);
}

const struct store wheel_store = {"timing wheel", create, insert, cancel, next_due, fire, destroy};
