/* SIGHUP: a candidate tries the new configuration, and takes over or is forgotten. */
#include <stdio.h>

#include "bide/log.h"
#include "supervisor/supervising.h"

enum { CANDIDATE_MS = 60 * 1000 }; /* to connect and to open its handlers */

static void refuse(const char *why)
{
    bide_log(BIDE_LOG_ERROR, "new configuration refused: the old one stays in use", BIDE_STR("error", why));
}

static void drop(struct supervisor *supervisor, const char *why)
{
    supervisor->candidate = NULL;
    supervisor->options->conclude(supervisor->options->user, false);
    refuse(why);
}

/* The places were counted out when the supervisor started. */
static bool has_places(const struct supervisor *supervisor)
{
    return 2 * (size_t)supervisor->next_force.processes <= supervisor->n_places;
}

static void begin(struct supervisor *supervisor, struct place *place)
{
    const struct bide_supervisor_options *options = supervisor->options;
    bide_error error = {0};
    supervisor->reload_wanted = false;
    bide_log(BIDE_LOG_INFO, "reading the configuration again");
    if (options->prepare(options->user, &supervisor->next_force, &error) != BIDE_OK) {
        refuse(error.text);
        return;
    }
    if (!has_places(supervisor)) {
        drop(supervisor, "worker.processes: so many more need a restart");
        return;
    }
    supervisor->candidate = place;
    supervisor->candidate_ends_ms = bide_mono_ms(supervisor->clock) + CANDIDATE_MS;
    if (!bide_supervisor_start(supervisor, place, supervisor->next_force.threads))
        drop(supervisor, "its first process could not be started");
}

/* They leave by themselves; the candidate and those that join it are all that counts from here on. */
static void retire_the_old(struct supervisor *supervisor, const struct place *candidate)
{
    for (size_t i = 0; i < supervisor->n_places; i++) {
        struct place *place = &supervisor->places[i];
        if (place == candidate || place->pid == 0 || place->replaced)
            continue;
        place->replaced = true;
        atomic_store(place->unhurried, 1);
        kill(place->pid, SIGTERM);
    }
}

static void take_over(struct supervisor *supervisor)
{
    const struct bide_supervisor_options *options = supervisor->options;
    struct place *candidate = supervisor->candidate;
    supervisor->candidate = NULL;
    supervisor->force = supervisor->next_force;
    supervisor->missing = supervisor->force.processes - 1;
    supervisor->start_again_ms = supervisor->pause_ms = 0;
    options->conclude(options->user, true);
    bide_attendant_renew(&supervisor->attendant);
    retire_the_old(supervisor, candidate);
    bide_supervisor_start_missing(supervisor);
}

bool bide_supervisor_candidate_ended(struct supervisor *supervisor, const char *how)
{
    const char *said = supervisor->candidate->failure;
    if (atomic_load(supervisor->candidate->serving)) {
        take_over(supervisor);
        return false;
    }
    if (supervisor->stops > 0)
        how = "the worker stops";
    drop(supervisor, *said ? said : how);
    return true;
}

static void give_up_waiting(const struct place *candidate)
{
    snprintf(candidate->failure, BIDE_ERROR_SIZE, "its first process did not begin to serve within %d s",
        CANDIDATE_MS / 1000);
    kill(candidate->pid, SIGKILL);
}

void bide_supervisor_reload(struct supervisor *supervisor)
{
    struct place *place;
    if (supervisor->stops > 0)
        return;
    if (supervisor->candidate && atomic_load(supervisor->candidate->serving))
        take_over(supervisor);
    else if (supervisor->candidate && bide_mono_ms(supervisor->clock) >= supervisor->candidate_ends_ms)
        give_up_waiting(supervisor->candidate);
    /* No place: so many still finish that the next one to end makes room. */
    if (!supervisor->candidate && supervisor->reload_wanted &&
        (place = bide_supervisor_free_place(supervisor)))
        begin(supervisor, place);
}

int64_t bide_supervisor_reload_wait_ms(const struct supervisor *supervisor)
{
    if (!supervisor->candidate || supervisor->stops > 0)
        return -1;
    int64_t left_ms = supervisor->candidate_ends_ms - bide_mono_ms(supervisor->clock);
    return left_ms > 0 ? left_ms : 1;
}
