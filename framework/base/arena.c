#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include "base/alloc.h"

enum { BLOCK_SIZE = 1024, ALIGNMENT = 8 };

struct bide_arena_block {
    struct bide_arena_block *older;
    uint64_t bytes[];
};

void bide_arena_init(struct bide_arena *arena)
{
    *arena = (struct bide_arena){0};
}

void bide_arena_lend(struct bide_arena *arena, void *memory, size_t size)
{
    arena->next = memory;
    arena->left = size;
}

void bide_arena_release(struct bide_arena *arena)
{
    while (arena->blocks) {
        struct bide_arena_block *block = arena->blocks;
        arena->blocks = block->older;
        bide_free(block);
    }
    bide_arena_init(arena);
}

static char *add_block(struct bide_arena *arena, size_t room)
{
    struct bide_arena_block *block = bide_malloc(sizeof *block + room);
    if (!block)
        return NULL;
    block->older = arena->blocks;
    arena->blocks = block;
    return (char *)block->bytes;
}

void *bide_arena_alloc(struct bide_arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2)
        return NULL;
    size_t whole = size ? (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1) : ALIGNMENT;
    if (whole > arena->left) {
        if (whole > BLOCK_SIZE / 2) /* a block of its own: the rest of the present block stays in use */
            return add_block(arena, whole);
        char *block = add_block(arena, BLOCK_SIZE);
        if (!block)
            return NULL;
        arena->next = block;
        arena->left = BLOCK_SIZE;
    }
    void *memory = arena->next;
    arena->next += whole;
    arena->left -= whole;
    return memory;
}

char *bide_arena_copy(struct bide_arena *arena, const void *bytes, size_t size)
{
    char *copy = size < SIZE_MAX ? bide_arena_alloc(arena, size + 1) : NULL;
    if (!copy)
        return NULL;
    if (size)
        memcpy(copy, bytes, size);
    copy[size] = '\0';
    return copy;
}
