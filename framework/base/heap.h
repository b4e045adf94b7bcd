/* base/heap.h: a 4-ary min-heap of intrusive nodes, ordered by due time, then by order of insertion.
 *
 * With four children a node, the heap has half the levels of a binary heap, and the children share a cache
 * line or two: a removal has fewer cache misses. A node knows its place, so it can be removed from the middle
 * in O(log n). Ownership: the heap borrows nodes; a node is in one heap at most. Thread-safety: one thread at
 * a time. */
#ifndef BIDE_BASE_HEAP_H
#define BIDE_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bide_heap_node {
    int64_t due_us;
    uint64_t order; /* set by insert */
    size_t place;   /* 1-based while in a heap, 0 outside: a zeroed node is outside */
};

struct bide_heap {
    struct bide_heap_node **nodes;
    size_t size;
    size_t capacity;
    uint64_t next_order;
};

void bide_heap_init(struct bide_heap *heap);
void bide_heap_release(struct bide_heap *heap); /* does not touch the nodes */
/* The node's due_us must be set. False without memory: the node is not in the heap then. */
bool bide_heap_insert(struct bide_heap *heap, struct bide_heap_node *node);
/* The earliest node, or NULL. */
struct bide_heap_node *bide_heap_first(const struct bide_heap *heap);
/* Takes the node out; it must be in this heap. */
void bide_heap_remove(struct bide_heap *heap, struct bide_heap_node *node);

#endif
