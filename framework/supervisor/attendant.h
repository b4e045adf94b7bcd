/* supervisor/attendant.h: the console's process, which the supervisor keeps alive beside the workers.
 *
 * It serves HTTP (console/), touches no message, and its death is nobody's trouble: it is started again after
 * a second, at once where it ended by itself with 0 (SIGUSR2 makes it do that). Thread-safety: the
 * supervisor's. */
#ifndef BIDE_SUPERVISOR_ATTENDANT_H
#define BIDE_SUPERVISOR_ATTENDANT_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/clock.h"
#include "shared/memory.h"

/* Runs in the child, until SIGUSR2, which is blocked: returns its exit status. What a terminal or a service
 * manager sends to every process of a group is ignored: the supervisor decides when this one ends. */
typedef int bide_attendant_main(void *user, struct bide_shared *shared);

struct bide_attendant {
    bide_attendant_main *run; /* NULL: there is none */
    void *user;
    pid_t pid;              /* 0: it does not run */
    int64_t start_again_ms; /* monotonic, not before */
    int64_t renew_ends_ms;  /* told to make way for another one: killed then; 0: not told */
};

/* Starts it where it does not run and may; kills it where it does not make way. Returns how soon (ms) to call
 * this again, -1: not by itself. */
int64_t bide_attendant_tend(
    struct bide_attendant *attendant, struct bide_shared *shared, const struct bide_clock *clock);
/* True where it was this one that ended. */
bool bide_attendant_bury(
    struct bide_attendant *attendant, pid_t pid, int status, const struct bide_clock *clock);
/* Has it end and start again, with the configuration that holds now. */
void bide_attendant_renew(struct bide_attendant *attendant, const struct bide_clock *clock);
/* Ends it: after a second by force, after two without it. */
void bide_attendant_end(struct bide_attendant *attendant);

#endif
