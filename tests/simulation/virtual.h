/* tests/simulation/virtual.h: threads and time that a seed decides.
 *
 * The program is linked so that the worker's pthread calls and ppoll arrive here (tests/CMakeLists.txt,
 * --wrap). A thread is a fiber: one runs at a time, until it waits, sleeps, or is about to take a lock; then
 * the seed says who goes on. Time is virtual: it passes a little with each look at the clock, now and then
 * for longer (a busy machine), and at once to the next moment somebody waits for when nobody can run. So the
 * worker's own code runs unchanged, and a seed does the same each time.
 *
 * Thread-safety: there is one real thread. */
#ifndef TESTS_SIMULATION_VIRTUAL_H
#define TESTS_SIMULATION_VIRTUAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

/* Begins anew: no fibers, a fixed time. */
void virtual_begin(uint64_t seed);
/* Runs `body` as the first fiber until it returns; calls each_step before each choice. Frees all fibers. */
void virtual_run(void (*body)(void), void (*each_step)(void));

/* Another fiber. */
void virtual_spawn(void *(*body)(void *), void *user);

const struct bide_clock *virtual_clock(void);
int64_t virtual_now_us(void); /* monotonic, without letting time pass */
int64_t virtual_wall_us(void);
uint64_t virtual_steps(void); /* choices so far, of all runs */
/* Time in which nobody could run although somebody wanted to: what lateness is allowed for. */
int64_t virtual_stalled_us(void);
void virtual_stall(int64_t us);
void virtual_excuse(int64_t us); /* counts as such, and has passed already */

/* In [0, n). */
uint64_t virtual_random(uint64_t n);
static inline bool virtual_chance(uint64_t one_in)
{
    return virtual_random(one_in) == 0;
}

/* Nobody else comes in between, until `false`. */
void virtual_alone(bool alone);

/* A fiber's. */
void virtual_sleep(int64_t us);

#endif
