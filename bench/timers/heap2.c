/* A binary heap of the same nodes, order and growth as framework/base/heap.c. */
#include <stdlib.h>

#include "store.h"

struct heap {
    struct bide_heap_node **nodes; /* from 1 */
    size_t size, capacity;
    uint64_t next_order;
};

static bool before(const struct bide_heap_node *a, const struct bide_heap_node *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void put(struct heap *heap, size_t index, struct bide_heap_node *node)
{
    heap->nodes[index] = node;
    node->place = index;
}

static void sift_up(struct heap *heap, size_t index, struct bide_heap_node *node)
{
    while (index > 1 && before(node, heap->nodes[index / 2])) {
        put(heap, index, heap->nodes[index / 2]);
        index /= 2;
    }
    put(heap, index, node);
}

static void sift_down(struct heap *heap, size_t index, struct bide_heap_node *node)
{
    for (;;) {
        size_t child = index * 2;
        if (child < heap->size && before(heap->nodes[child + 1], heap->nodes[child]))
            child++;
        if (child > heap->size || !before(heap->nodes[child], node))
            break;
        put(heap, index, heap->nodes[child]);
        index = child;
    }
    put(heap, index, node);
}

static void *create(void)
{
    return must(calloc(1, sizeof(struct heap)));
}

static void insert(void *self, struct timer *timer)
{
    struct heap *heap = self;
    if (heap->size + 1 >= heap->capacity) {
        heap->capacity = heap->capacity ? heap->capacity * 2 : 64;
        heap->nodes = must(realloc(heap->nodes, heap->capacity * sizeof(struct bide_heap_node *)));
    }
    timer->node.order = heap->next_order++;
    sift_up(heap, ++heap->size, &timer->node);
}

static void take_out(struct heap *heap, struct bide_heap_node *node)
{
    size_t index = node->place;
    struct bide_heap_node *last = heap->nodes[heap->size--];
    node->place = 0;
    if (last == node)
        return;
    if (index > 1 && before(last, heap->nodes[index / 2]))
        sift_up(heap, index, last);
    else
        sift_down(heap, index, last);
}

static void cancel(void *self, struct timer *timer)
{
    take_out(self, &timer->node);
}

static int64_t next_due(void *self)
{
    const struct heap *heap = self;
    return heap->size ? heap->nodes[1]->due_us : INT64_MAX;
}

static struct timer *fire(void *self, int64_t now_us)
{
    struct heap *heap = self;
    if (heap->size == 0 || heap->nodes[1]->due_us > now_us)
        return NULL;
    struct bide_heap_node *first = heap->nodes[1];
    take_out(heap, first);
    return (struct timer *)first; /* `node` is the first member */
}

static void destroy(void *self)
{
    free(((struct heap *)self)->nodes);
    free(self);
}

const struct store heap2_store = {"binary heap", create, insert, cancel, next_due, fire, destroy};
