#include "shared/controls.h"

#include <string.h>

#include "base/process_lock.h"

void bide_controls_init(struct bide_controls *controls)
{
    bide_process_lock_init(&controls->lock);
}

/* A process that died inside left at worst a name half written in a place that does not count as used. */
static void lock(struct bide_controls *controls)
{
    bide_process_lock(&controls->lock);
}

static void unlock_changed(struct bide_controls *controls, bool changed)
{
    if (changed)
        atomic_fetch_add(&controls->changes, 1);
    bide_process_unlock(&controls->lock);
}

void bide_controls_set_quiet(struct bide_controls *controls, bool quiet)
{
    lock(controls);
    unlock_changed(controls, atomic_exchange(&controls->quiet, quiet) != quiet);
}

/* BIDE_PAUSED_MAX: nowhere. */
static size_t find(const struct bide_controls *controls, const char *name)
{
    size_t place = 0;
    for (; place < BIDE_PAUSED_MAX; place++)
        if (atomic_load_explicit(&controls->paused[place].used, memory_order_acquire) &&
            strcmp(controls->paused[place].name, name) == 0)
            break;
    return place;
}

static size_t find_free(const struct bide_controls *controls)
{
    size_t place = 0;
    while (place < BIDE_PAUSED_MAX && atomic_load(&controls->paused[place].used))
        place++;
    return place;
}

bool bide_controls_pause(struct bide_controls *controls, const char *name)
{
    size_t size = strlen(name) + 1;
    if (size == 1 || size > sizeof controls->paused[0].name)
        return false;
    lock(controls);
    bool is_new = find(controls, name) == BIDE_PAUSED_MAX;
    size_t place = is_new ? find_free(controls) : BIDE_PAUSED_MAX;
    bool adds = is_new && place < BIDE_PAUSED_MAX;
    if (adds) {
        memcpy(controls->paused[place].name, name, size);
        atomic_store_explicit(&controls->paused[place].used, 1, memory_order_release);
        atomic_fetch_add(&controls->n_paused, 1);
    }
    unlock_changed(controls, adds);
    return adds || !is_new;
}

bool bide_controls_resume(struct bide_controls *controls, const char *name)
{
    lock(controls);
    size_t place = find(controls, name);
    if (place < BIDE_PAUSED_MAX) {
        atomic_store(&controls->paused[place].used, 0);
        atomic_fetch_sub(&controls->n_paused, 1);
    }
    unlock_changed(controls, place < BIDE_PAUSED_MAX);
    return place < BIDE_PAUSED_MAX;
}

bool bide_controls_is_paused(const struct bide_controls *controls, const char *name)
{
    return atomic_load_explicit(&controls->n_paused, memory_order_relaxed) > 0 &&
           find(controls, name) < BIDE_PAUSED_MAX;
}

bool bide_controls_paused_name(
    const struct bide_controls *controls, size_t place, char to[BIDE_HANDLER_NAME_MAX + 1])
{
    if (!atomic_load_explicit(&controls->paused[place].used, memory_order_acquire))
        return false;
    memcpy(to, controls->paused[place].name, BIDE_HANDLER_NAME_MAX + 1);
    to[BIDE_HANDLER_NAME_MAX] = '\0';
    return true;
}
