#include "shared/memory.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

size_t bide_shared_size(size_t n_places)
{
    return sizeof(struct bide_shared) + n_places * sizeof(struct bide_metrics);
}

bide_code bide_shared_map(size_t n_places, int64_t now_ms, struct bide_shared **ret_shared, bide_error *error)
{
    size_t size = bide_shared_size(n_places);
    struct bide_shared *shared =
        mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (shared == MAP_FAILED)
        return bide_fail(error, BIDE_E_NOMEM, "cannot share %zu bytes of memory: %s", size, strerror(errno));
    bide_controls_init(&shared->controls);
    bide_crashes_init(&shared->crashes);
    bide_circuits_init(&shared->circuits);
    shared->started_ms = now_ms;
    shared->supervisor = getpid();
    shared->n_places = n_places;
    *ret_shared = shared;
    return BIDE_OK;
}

void bide_shared_unmap(struct bide_shared *shared)
{
    if (!shared)
        return;
    pthread_mutex_destroy(&shared->controls.lock);
    munmap(shared, bide_shared_size(shared->n_places));
}

void bide_shared_wake(const struct bide_shared *shared)
{
    for (size_t i = 0; i < shared->n_places; i++) {
        pid_t pid = atomic_load(&shared->places[i].pid);
        if (pid > 0)
            kill(pid, SIGURG);
    }
}

void bide_shared_count_death(struct bide_shared *shared, int wait_status)
{
    int number = WIFSIGNALED(wait_status) ? WTERMSIG(wait_status) : 0;
    if (number >= 0 && number < BIDE_DEATH_SIGNALS)
        bide_metrics_add(&shared->deaths.by_signal[number], 1);
}

struct bide_supervised bide_shared_view(struct bide_shared *shared, size_t place, bool candidate)
{
    return (struct bide_supervised){.shared = shared,
        .metrics = &shared->places[place],
        .process = &shared->places[place].process,
        .crashes = &shared->crashes,
        .circuits = &shared->circuits,
        .supervisor = shared->supervisor,
        .candidate = candidate};
}
