/* The landing's own: framework/base/heap.c. */
#include <stdlib.h>

#include "store.h"

static void *create(void)
{
    struct bide_heap *heap = must(malloc(sizeof *heap));
    bide_heap_init(heap);
    return heap;
}

static void insert(void *self, struct timer *timer)
{
    if (!bide_heap_insert(self, &timer->node))
        abort();
}

static void cancel(void *self, struct timer *timer)
{
    bide_heap_remove(self, &timer->node);
}

static int64_t next_due(void *self)
{
    const struct bide_heap_node *first = bide_heap_first(self);
    return first ? first->due_us : INT64_MAX;
}

static struct timer *fire(void *self, int64_t now_us)
{
    struct bide_heap_node *first = bide_heap_first(self);
    if (!first || first->due_us > now_us)
        return NULL;
    bide_heap_remove(self, first);
    return (struct timer *)first; /* `node` is the first member */
}

static void destroy(void *self)
{
    bide_heap_release(self);
    free(self);
}

const struct store heap4_store = {"4-ary heap", create, insert, cancel, next_due, fire, destroy};
