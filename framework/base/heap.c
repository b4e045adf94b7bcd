#include "base/heap.h"

#include "base/alloc.h"
#include "base/bug.h"

enum { CHILDREN = 4 };

void bide_heap_init(struct bide_heap *heap)
{
    *heap = (struct bide_heap){0};
}

void bide_heap_release(struct bide_heap *heap)
{
    bide_free(heap->nodes);
    bide_heap_init(heap);
}

static bool before(const struct bide_heap_node *a, const struct bide_heap_node *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->order < b->order;
}

static void put(struct bide_heap *heap, size_t index, struct bide_heap_node *node)
{
    heap->nodes[index] = node;
    node->place = index + 1;
}

static void sift_up(struct bide_heap *heap, size_t index, struct bide_heap_node *node)
{
    while (index > 0) {
        size_t parent = (index - 1) / CHILDREN;
        if (!before(node, heap->nodes[parent]))
            break;
        put(heap, index, heap->nodes[parent]);
        index = parent;
    }
    put(heap, index, node);
}

static size_t earliest_child(const struct bide_heap *heap, size_t index)
{
    size_t first = index * CHILDREN + 1;
    size_t end = first + CHILDREN < heap->size ? first + CHILDREN : heap->size;
    size_t best = first;
    for (size_t child = first + 1; child < end; child++)
        if (before(heap->nodes[child], heap->nodes[best]))
            best = child;
    return best; /* at least heap->size if there is no child */
}

static void sift_down(struct bide_heap *heap, size_t index, struct bide_heap_node *node)
{
    for (;;) {
        size_t child = earliest_child(heap, index);
        if (child >= heap->size || !before(heap->nodes[child], node))
            break;
        put(heap, index, heap->nodes[child]);
        index = child;
    }
    put(heap, index, node);
}

bool bide_heap_insert(struct bide_heap *heap, struct bide_heap_node *node)
{
    if (heap->size == heap->capacity) {
        size_t capacity = heap->capacity ? heap->capacity * 2 : 64;
        struct bide_heap_node **nodes = bide_realloc(heap->nodes, capacity * sizeof *nodes);
        if (!nodes)
            return false;
        heap->nodes = nodes;
        heap->capacity = capacity;
    }
    node->order = heap->next_order++;
    sift_up(heap, heap->size++, node);
    return true;
}

struct bide_heap_node *bide_heap_first(const struct bide_heap *heap)
{
    return heap->size ? heap->nodes[0] : NULL;
}

void bide_heap_remove(struct bide_heap *heap, struct bide_heap_node *node)
{
    size_t index = node->place - 1;
    BIDE_BUG(index >= heap->size || heap->nodes[index] != node);
    struct bide_heap_node *last = heap->nodes[--heap->size];
    node->place = 0;
    if (last == node)
        return;
    if (index > 0 && before(last, heap->nodes[(index - 1) / CHILDREN]))
        sift_up(heap, index, last);
    else
        sift_down(heap, index, last);
}
