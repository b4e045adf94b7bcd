/* What a process that died tells: who is to blame, why it died, and whether another is started. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/ending.h"
#include "bide/log.h"
#include "supervisor/oom.h"
#include "supervisor/supervising.h"

enum {
    FIRST_PAUSE_MS = 100,  /* after a death that no message explains; the next one's is twice as long */
    STEADY_MS = 60 * 1000, /* a process that lived so long starts the pauses anew */
    SUSPICIONS = 3,        /* deaths a message may have been near, by chance */
    END_TEXT = 96,
};

static void blame(struct supervisor *supervisor, const struct bide_slot *slot, const char *what)
{
    char text[BIDE_CRASH_TEXT];
    snprintf(text, sizeof text, "%s while plugin '%s' ran it", what, slot->plugin);
    bide_crashes_note(supervisor->crashes, slot->id, slot->attempt, false, text);
    bide_log(BIDE_LOG_ERROR, "handler crashed", BIDE_STR("id", slot->id), BIDE_STR("type", slot->type),
        BIDE_STR("plugin", slot->plugin), BIDE_STR("build", slot->build), BIDE_INT("attempt", slot->attempt),
        BIDE_STR("how", what));
    if (bide_crashes_type_died(supervisor->crashes, slot->type))
        bide_log(BIDE_LOG_ERROR, "handler keeps crashing: its messages run one at a time, with pauses",
            BIDE_STR("type", slot->type), BIDE_STR("plugin", slot->plugin));
}

static void suspect(struct supervisor *supervisor, const struct bide_slot *slot, const char *what)
{
    char text[BIDE_CRASH_TEXT];
    snprintf(
        text, sizeof text, "%s, again, while plugin '%s' ran it (one of those that ran)", what, slot->plugin);
    bide_crashes_suspect(supervisor->crashes, slot->id, slot->attempt, SUSPICIONS, text);
    bide_log(BIDE_LOG_WARN, "message was running when its process died", BIDE_STR("id", slot->id),
        BIDE_STR("type", slot->type), BIDE_STR("plugin", slot->plugin), BIDE_STR("build", slot->build),
        BIDE_INT("attempt", slot->attempt));
}

/* What a wild pointer may have left unterminated ends all the same. */
static struct bide_slot read_slot(const struct bide_slot *slot)
{
    struct bide_slot copy;
    memcpy(&copy, slot, sizeof copy);
    copy.build[sizeof copy.build - 1] = copy.id[sizeof copy.id - 1] = copy.type[sizeof copy.type - 1] =
        copy.plugin[sizeof copy.plugin - 1] = '\0';
    return copy;
}

static size_t count_slots(const struct place *place, int state)
{
    size_t n = 0;
    for (int i = 0; i < place->threads; i++)
        n += atomic_load(&place->slots[i].state) == state;
    return n;
}

/* Who did it? Those that faulted; else all that ran are suspects, also one alone: the process may have been
 * killed for no fault of its own. What hung was noted by the worker itself before the broker could hand it to
 * its successor, unless the process died before it came to that. */
static bool find_guilty(struct supervisor *supervisor, const struct place *place, const char *what)
{
    size_t faulted = count_slots(place, BIDE_SLOT_FAULTED);
    size_t running = count_slots(place, BIDE_SLOT_RUNNING);
    for (int i = 0; i < place->threads; i++) {
        const struct bide_slot slot = read_slot(&place->slots[i]);
        int state = atomic_load(&slot.state);
        if (state == BIDE_SLOT_FAULTED)
            blame(supervisor, &slot, what);
        else if (state == BIDE_SLOT_RUNNING && faulted == 0)
            suspect(supervisor, &slot, what);
        else if (state == BIDE_SLOT_HUNG && !atomic_load(place->returned))
            bide_crashes_note(supervisor->crashes, slot.id, slot.attempt, true, BIDE_CRASH_HUNG);
    }
    return faulted > 0 || running > 0;
}

static void pause_before_restart(struct supervisor *supervisor, const struct place *place, bool explained)
{
    int64_t now_ms = bide_mono_ms(supervisor->clock);
    if (explained || now_ms - place->started_ms > STEADY_MS)
        supervisor->pause_ms = 0;
    supervisor->start_again_ms = now_ms + supervisor->pause_ms;
    supervisor->pause_ms = supervisor->pause_ms ? supervisor->pause_ms * 2 : FIRST_PAUSE_MS;
    if (supervisor->pause_ms > BIDE_LONGEST_PAUSE_MS)
        supervisor->pause_ms = BIDE_LONGEST_PAUSE_MS;
}

/* Ended by itself with an error before any ever served: trying again will not help. */
static void give_up(struct supervisor *supervisor, int status)
{
    supervisor->status = status;
    supervisor->stops++;
    bide_supervisor_pass_on_stop(supervisor, SIGTERM);
}

/* As bide_ending says it, and of a SIGKILL also why. */
static void describe_end(struct supervisor *supervisor, int status, char what[END_TEXT])
{
    char ending[BIDE_ENDING_TEXT];
    bide_ending(status, ending);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        snprintf(what, END_TEXT, "%s", ending);
        return;
    }
    int64_t kills = bide_oom_kills();
    snprintf(what, END_TEXT, "%s (%s)", ending, bide_oom_verdict(supervisor->oom_kills, kills));
    supervisor->oom_kills = kills;
}

static void bury(struct supervisor *supervisor, struct place *place, int status)
{
    char what[END_TEXT];
    pid_t pid = place->pid;
    place->pid = 0;
    bide_metrics_end(place->metrics);
    describe_end(supervisor, status, what);
    if (place == supervisor->candidate && bide_supervisor_candidate_ended(supervisor, what))
        return;
    supervisor->ever_served |= atomic_load(place->serving) != 0;
    bool returned = WIFEXITED(status) && atomic_load(place->returned);
    bool explained = find_guilty(supervisor, place, what);
    if (returned && WEXITSTATUS(status) == 0)
        return; /* it left as it was told to, or its successor serves */
    if ((supervisor->stops > 0 || place->replaced) && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM)
        return; /* it was told to before it listened */
    bool stays_ended = supervisor->stops > 0 || place->replaced;
    if (returned && !supervisor->ever_served && !stays_ended) {
        give_up(supervisor, WEXITSTATUS(status)); /* it has said itself what is wrong */
        return;
    }
    bide_shared_count_death(supervisor->shared, status);
    bide_log(BIDE_LOG_ERROR, "worker process died", BIDE_INT("pid", pid), BIDE_STR("how", what));
    if (stays_ended)
        return;
    supervisor->missing++;
    pause_before_restart(supervisor, place, explained);
}

void bide_supervisor_bury_the_dead(struct supervisor *supervisor)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (bide_attendant_bury(&supervisor->attendant, pid, status, supervisor->clock))
            continue;
        for (size_t i = 0; i < supervisor->n_places; i++)
            if (supervisor->places[i].pid == pid)
                bury(supervisor, &supervisor->places[i], status);
    }
}

void bide_supervisor_start_successors(struct supervisor *supervisor)
{
    for (size_t i = 0; i < supervisor->n_places; i++) {
        struct place *place = &supervisor->places[i];
        if (place->pid == 0 || place->replaced || !atomic_load(place->wants_successor))
            continue;
        place->replaced = true;
        bide_metrics_add(&supervisor->shared->deaths.hung, 1);
        supervisor->missing++;
        bide_log(BIDE_LOG_WARN, "worker process is replaced: a handler does not return",
            BIDE_INT("pid", place->pid));
    }
}
