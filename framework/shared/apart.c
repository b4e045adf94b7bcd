#include "shared/apart.h"

#include "base/hash.h"

/* Never 0, which marks a free cell. */
static uint32_t hash(const char *key)
{
    uint32_t value = bide_hash_text(key);
    return value ? value : 1;
}

static uint64_t cell_of(uint32_t hash, int pid)
{
    return (uint64_t)hash << 32 | (uint32_t)pid;
}

static _Atomic uint64_t *set_of(const struct bide_apart *apart, uint32_t hash)
{
    return ((struct bide_apart *)(uintptr_t)apart)->cells[hash % BIDE_APART_SETS];
}

void bide_apart_add(struct bide_apart *apart, const char *key, int pid)
{
    uint32_t wanted = hash(key);
    _Atomic uint64_t *set = set_of(apart, wanted);
    for (int i = 0; i < BIDE_APART_WAYS; i++) {
        uint64_t found = 0;
        if (atomic_compare_exchange_strong(&set[i], &found, cell_of(wanted, pid)) ||
            found == cell_of(wanted, pid))
            return;
    }
    atomic_store(&set[atomic_fetch_add(&apart->next, 1) % BIDE_APART_WAYS], cell_of(wanted, pid));
}

static void drop(_Atomic uint64_t *cell, uint64_t found)
{
    atomic_compare_exchange_strong(cell, &found, 0);
}

void bide_apart_remove(struct bide_apart *apart, const char *key, int pid)
{
    uint32_t wanted = hash(key);
    _Atomic uint64_t *set = set_of(apart, wanted);
    for (int i = 0; i < BIDE_APART_WAYS; i++) {
        uint64_t found = atomic_load_explicit(&set[i], memory_order_relaxed);
        if (found >> 32 == wanted && (pid == BIDE_APART_ANYBODY || found == cell_of(wanted, pid)))
            drop(&set[i], found);
    }
}

bool bide_apart_has(const struct bide_apart *apart, const char *key)
{
    uint32_t wanted = hash(key);
    const _Atomic uint64_t *set = set_of(apart, wanted);
    for (int i = 0; i < BIDE_APART_WAYS; i++)
        if (atomic_load_explicit(&set[i], memory_order_relaxed) >> 32 == wanted)
            return true;
    return false;
}

void bide_apart_forget(struct bide_apart *apart, int pid)
{
    for (int i = 0; i < BIDE_APART_SETS; i++)
        for (int j = 0; j < BIDE_APART_WAYS; j++) {
            uint64_t found = atomic_load_explicit(&apart->cells[i][j], memory_order_relaxed);
            if (found && (uint32_t)found == (uint32_t)pid)
                drop(&apart->cells[i][j], found);
        }
}
