/* The heap of due times against a sorted list; the arena. */
#include "unit/unit.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/heap.h"

enum { NODES = 2000, OPERATIONS = 100000 };

/* The model: nodes in the order in which the heap must give them. */
struct model {
    struct bide_heap_node *sorted[NODES];
    size_t size;
};

static size_t model_find(const struct model *model, const struct bide_heap_node *node)
{
    size_t i = 0;
    while (model->sorted[i] != node)
        i++;
    return i;
}

/* Behind all that are due at the same time or earlier: order of insertion. */
static void model_insert(struct model *model, struct bide_heap_node *node)
{
    size_t i = model->size++;
    for (; i > 0 && model->sorted[i - 1]->due_us > node->due_us; i--)
        model->sorted[i] = model->sorted[i - 1];
    model->sorted[i] = node;
}

static void model_remove(struct model *model, struct bide_heap_node *node)
{
    size_t i = model_find(model, node);
    for (model->size--; i < model->size; i++)
        model->sorted[i] = model->sorted[i + 1];
}

static void assert_sound(const struct bide_heap *heap)
{
    for (size_t i = 0; i < heap->size; i++) {
        assert_int_equal(heap->nodes[i]->place, i + 1);
        if (i)
            assert_true(heap->nodes[(i - 1) / 4]->due_us <= heap->nodes[i]->due_us);
    }
}

static void against_a_sorted_list(void **state)
{
    (void)state;
    static struct bide_heap_node nodes[NODES];
    static struct model model;
    struct bide_heap heap;
    uint64_t random = 5;
    bide_heap_init(&heap);
    for (int i = 0; i < OPERATIONS; i++) {
        struct bide_heap_node *node = &nodes[next_random(&random) % NODES];
        if (next_random(&random) % 4 == 0 && model.size)
            node = bide_heap_first(&heap);
        if (node->place) {
            bide_heap_remove(&heap, node);
            model_remove(&model, node);
            assert_int_equal(node->place, 0);
        } else {
            node->due_us = (int64_t)(next_random(&random) % 300) - 100; /* many alike, some negative */
            assert_true(bide_heap_insert(&heap, node));
            model_insert(&model, node);
        }
        assert_int_equal(heap.size, model.size);
        assert_ptr_equal(bide_heap_first(&heap), model.size ? model.sorted[0] : NULL);
        if (i % 1000 == 0)
            assert_sound(&heap);
    }
    for (size_t i = 0; i < model.size; i++) {
        struct bide_heap_node *first = bide_heap_first(&heap);
        assert_ptr_equal(first, model.sorted[i]);
        bide_heap_remove(&heap, first);
    }
    assert_null(bide_heap_first(&heap));
    bide_heap_release(&heap);
}

static void extremes_of_time(void **state)
{
    (void)state;
    struct bide_heap_node late = {.due_us = INT64_MAX}, early = {.due_us = INT64_MIN}, now = {0};
    struct bide_heap heap;
    bide_heap_init(&heap);
    assert_true(
        bide_heap_insert(&heap, &late) && bide_heap_insert(&heap, &now) && bide_heap_insert(&heap, &early));
    assert_ptr_equal(bide_heap_first(&heap), &early);
    bide_heap_remove(&heap, &early);
    assert_ptr_equal(bide_heap_first(&heap), &now);
    bide_heap_release(&heap);
}

static bool fill(void *user)
{
    static struct bide_heap_node nodes[300];
    struct bide_heap heap;
    (void)user;
    memset(nodes, 0, sizeof nodes);
    bide_heap_init(&heap);
    for (size_t i = 0; i < COUNT_OF(nodes); i++)
        if (!bide_heap_insert(&heap, &nodes[i])) {
            assert_int_equal(nodes[i].place, 0);
            assert_int_equal(heap.size, i);
            assert_sound(&heap);
            bide_heap_release(&heap);
            return false;
        }
    bide_heap_release(&heap);
    return true;
}

static void each_allocation_fails(void **state)
{
    (void)state;
    assert_int_equal(fail_each_allocation(fill, NULL), 4); /* 64, 128, 256, 512 */
}

static void arena_pieces_are_apart(void **state)
{
    (void)state;
    struct bide_arena arena;
    uint64_t lent[8], random = 6;
    struct {
        unsigned char *bytes;
        size_t size;
    } pieces[500];
    bide_arena_init(&arena);
    bide_arena_lend(&arena, lent, sizeof lent);
    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        pieces[i].size = next_random(&random) % (i % 10 ? 60 : 3000);
        pieces[i].bytes = bide_arena_alloc(&arena, pieces[i].size);
        assert_non_null(pieces[i].bytes);
        assert_int_equal((uintptr_t)pieces[i].bytes % 8, 0);
        memset(pieces[i].bytes, (int)i & 0xFF, pieces[i].size);
    }
    for (size_t i = 0; i < COUNT_OF(pieces); i++)
        for (size_t j = 0; j < pieces[i].size; j++)
            assert_int_equal(pieces[i].bytes[j], i & 0xFF);
    bide_arena_release(&arena);
}

static void arena_edges(void **state)
{
    (void)state;
    struct bide_arena arena;
    struct alloc_count count = {0};
    bide_arena_init(&arena);
    assert_non_null(bide_arena_alloc(&arena, 0));
    assert_null(bide_arena_alloc(&arena, SIZE_MAX));
    assert_null(bide_arena_copy(&arena, "x", SIZE_MAX));
    char *copy = bide_arena_copy(&arena, "a\0b", 3);
    assert_memory_equal(copy, "a\0b\0", 4);
    assert_string_equal(bide_arena_copy(&arena, NULL, 0), "");
    bide_alloc_set_hook(count_allocation, &count);
    bide_arena_alloc(&arena, 100000);
    bide_arena_alloc(&arena, 100); /* from the block that was open before the large one */
    bide_alloc_set_hook(NULL, NULL);
    assert_int_equal(count.asked, 1);
    bide_arena_release(&arena);
    assert_null(arena.blocks);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(against_a_sorted_list),
    cmocka_unit_test(extremes_of_time),
    cmocka_unit_test(each_allocation_fails),
    cmocka_unit_test(arena_pieces_are_apart),
    cmocka_unit_test(arena_edges),
};

UNIT_MAIN(tests)
