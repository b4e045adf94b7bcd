/* base/arena.h: many small copies that are freed together, in few allocations.
 *
 * Overwriting a value leaves its old bytes in the arena until the end: for objects that are built once.
 * Thread-safety: one thread at a time. */
#ifndef BIDE_BASE_ARENA_H
#define BIDE_BASE_ARENA_H

#include <stddef.h>

struct bide_arena_block;

struct bide_arena {
    struct bide_arena_block *blocks; /* newest first; each from bide_malloc */
    char *next;
    size_t left;
};

void bide_arena_init(struct bide_arena *arena);
/* Gives the arena `size` bytes at `memory` (aligned to 8) to hand out first; they stay the caller's. */
void bide_arena_lend(struct bide_arena *arena, void *memory, size_t size);
void bide_arena_release(struct bide_arena *arena);
/* Aligned for pointers and 64-bit integers; NULL only without memory, also for size 0. */
void *bide_arena_alloc(struct bide_arena *arena, size_t size);
/* A copy of `size` bytes followed by a NUL. */
char *bide_arena_copy(struct bide_arena *arena, const void *bytes, size_t size);

#endif
