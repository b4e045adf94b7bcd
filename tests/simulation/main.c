/* simulation [FIRST_SEED [SEEDS [SECONDS]]]: so many worlds from this seed on, at most so long. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "bide/log.h"
#include "simulation/world.h"

enum { SEEDS = 1000000, SECONDS = 60 };

/* A BIDE_BUG. */
static void on_abort(int number)
{
    signal(number, SIG_DFL);
    world_fails("aborted; SIMULATION_LOG=1 shows why");
}

int main(int argc, char **argv)
{
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    uint64_t seeds = argc > 2 ? strtoull(argv[2], NULL, 10) : SEEDS;
    int64_t seconds = argc > 3 ? strtoll(argv[3], NULL, 10) : SECONDS;
    int64_t begin_us = bide_mono_us(bide_clock_system()), took_us = 0;
    uint64_t done = 0;
    signal(SIGABRT, on_abort);
    if (!getenv("SIMULATION_LOG"))
        bide_log_set_level(BIDE_LOG_OFF);
    for (; done < seeds && took_us < seconds * 1000000; done++) {
        world_run(first + done);
        took_us = bide_mono_us(bide_clock_system()) - begin_us;
    }
    printf("%llu worlds, %llu steps, %.0f a second\n", (unsigned long long)done,
        (unsigned long long)virtual_steps(), (double)virtual_steps() * 1e6 / (double)(took_us + 1));
    return 0;
}
