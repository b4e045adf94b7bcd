/* schedules/clock.h: fires schedules: those that its configuration declares, and those that `bide cron add`
 * has added.
 *
 * Each supervisor with schedules has a process with one clock (supervisor/attendant.c). Clocks do not know
 * each other; the store decides who fires a slot: schedule.h. A clock that finds a slot claimed by another
 * takes it over after BIDE_CLAIM_MS, by its own monotonic time. So clocks of hosts that differ do no harm
 * there; slots are those of the wall clock, and one that is set back fires nothing again.
 *
 * Thread-safety: one thread. */
#ifndef BIDE_SCHEDULES_CLOCK_H
#define BIDE_SCHEDULES_CLOCK_H

#include "base/clock.h"
#include "bide/producer.h"
#include "config/config.h"
#include "store/store.h"

enum { BIDE_CLAIM_MS = 2000 };

/* As bide_producer_send_many. */
typedef bide_code bide_schedules_send(
    void *user, bide_message *const *messages, size_t n, bide_sent *results, bide_error *error);

struct bide_schedules_options {
    const struct bide_config *config;
    struct bide_store *store;
    const struct bide_clock *clock;
    bide_schedules_send *send;
    void *user;
    const char *host; /* for `bide cron list`, where files differ */
};

struct bide_schedules;

/* The options are borrowed until destroy. BIDE_E_NOMEM. */
bide_code bide_schedules_create(
    const struct bide_schedules_options *options, struct bide_schedules **ret_schedules, bide_error *error);
void bide_schedules_destroy(struct bide_schedules *schedules); /* NULL is fine */

/* Writes what the configuration declares into the store (the first time), reads what has changed, and fires
 * what is due. *ret_wait_ms: until the next step, at most a second; also after a failure, which is the
 * store's or the broker's: another step tries again. */
bide_code bide_schedules_step(struct bide_schedules *schedules, int64_t *ret_wait_ms, bide_error *error);

#endif
