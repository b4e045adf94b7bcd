/* Finds out why a process has died and which message is to blame, from its status and its shared memory. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/ending.h"
#include "bide/log.h"
#include "supervisor/supervising.h"

enum { END_TEXT = 96 };

static void note_crash(struct supervisor *supervisor, const struct bide_slot *slot, const char *what)
{
    char text[BIDE_CRASH_TEXT];
    snprintf(text, sizeof text, "%s while plugin '%s' ran it", what, slot->plugin);
    bide_crashes_note(&supervisor->shared->crashes, slot->key, slot->attempt, false, text);
    bide_dying_remove(&supervisor->shared->crashes.dying, slot->key);
    bide_log(BIDE_LOG_ERROR, "handler crashed", BIDE_STR("id", slot->id), BIDE_STR("type", slot->type),
        BIDE_STR("plugin", slot->plugin), BIDE_STR("build", slot->build), BIDE_INT("attempt", slot->attempt),
        BIDE_STR("how", what));
}

static void blame(struct supervisor *supervisor, const struct bide_slot *slot, const char *what)
{
    if (slot->n == 1)
        note_crash(supervisor, slot, what);
    else
        bide_log(BIDE_LOG_ERROR, "handler crashed in a batch: each of its messages runs again apart",
            BIDE_STR("first", slot->id), BIDE_INT("messages", slot->n), BIDE_STR("type", slot->type),
            BIDE_STR("plugin", slot->plugin), BIDE_STR("build", slot->build), BIDE_STR("how", what));
    if (bide_crashes_type_died(&supervisor->shared->crashes, slot->type))
        bide_log(BIDE_LOG_ERROR, "handler keeps crashing: its messages run one at a time, with pauses",
            BIDE_STR("type", slot->type), BIDE_STR("plugin", slot->plugin));
}

static void suspect(struct supervisor *supervisor, const struct bide_slot *slot, bool alone, const char *what)
{
    char text[BIDE_CRASH_TEXT];
    if (slot->n > 1) /* its messages run again apart, unless a person has killed the process */
        return;
    snprintf(
        text, sizeof text, "%s, again, while plugin '%s' ran it and nothing else ran", what, slot->plugin);
    bide_crashes_suspect(&supervisor->shared->crashes, slot->key, slot->attempt, alone, text);
    bide_log(BIDE_LOG_WARN, "message was running when its process died", BIDE_STR("id", slot->id),
        BIDE_STR("type", slot->type), BIDE_STR("plugin", slot->plugin), BIDE_STR("build", slot->build),
        BIDE_INT("attempt", slot->attempt));
}

/* Terminates the texts: a stray pointer of a handler may have overwritten the ends. */
static struct bide_slot read_slot(const struct bide_slot *slot)
{
    struct bide_slot copy;
    memcpy(&copy, slot, sizeof copy);
    copy.build[sizeof copy.build - 1] = copy.id[sizeof copy.id - 1] = copy.key[sizeof copy.key - 1] =
        copy.type[sizeof copy.type - 1] = copy.plugin[sizeof copy.plugin - 1] = '\0';
    return copy;
}

static size_t count_slots(const struct child *child, int state)
{
    size_t n = 0;
    for (int i = 0; i < child->threads; i++)
        n += atomic_load(&child->process->slots[i].state) == state;
    return n;
}

/* Blames or suspects the messages that ran. Returns true if a message explains the death. Messages are not
 * suspects if the process left by itself (its handlers were given up) or if the supervisor killed it.
 * by_hand: a person has killed the process. */
static bool find_guilty(
    struct supervisor *supervisor, const struct child *child, const char *what, bool by_hand)
{
    size_t faulted = count_slots(child, BIDE_SLOT_FAULTED);
    size_t running = count_slots(child, BIDE_SLOT_RUNNING);
    bool returned = atomic_load(&child->process->returned);
    bool expected = returned || supervisor->places[child - supervisor->children].killed;
    for (int i = 0; i < child->threads; i++) {
        const struct bide_slot slot = read_slot(&child->process->slots[i]);
        int state = atomic_load(&slot.state);
        if (state == BIDE_SLOT_FAULTED)
            blame(supervisor, &slot, what);
        else if (state == BIDE_SLOT_RUNNING && faulted == 0 && !expected)
            suspect(supervisor, &slot, running == 1 && !by_hand, what);
        else if (state == BIDE_SLOT_HUNG && !returned && slot.n == 1)
            bide_crashes_note(&supervisor->shared->crashes, slot.key, slot.attempt, true, BIDE_CRASH_HUNG);
    }
    return faulted > 0 || (running > 0 && !expected && !by_hand);
}

/* Describes the end as bide_ending does, and for a SIGKILL also why. Returns true if it was certainly sent by
 * hand. */
static bool describe_end(struct supervisor *supervisor, int status, char what[END_TEXT])
{
    char ending[BIDE_ENDING_TEXT];
    bide_ending(status, ending);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        snprintf(what, END_TEXT, "%s", ending);
        return false;
    }
    int64_t before = supervisor->oom_kills, after = bide_oom_kills();
    snprintf(what, END_TEXT, "%s (%s)", ending, bide_oom_verdict(before, after));
    supervisor->oom_kills = after;
    return before >= 0 && after == before;
}

static void log_leaving(struct supervisor *supervisor, pid_t pid, enum bide_leaving leaving)
{
    if (leaving != BIDE_LEAVES_HUNG) {
        bide_log(
            BIDE_LOG_WARN, "worker process is replaced: somebody else told it to stop", BIDE_INT("pid", pid));
        return;
    }
    bide_metrics_add(&supervisor->shared->deaths.hung, 1);
    bide_log(BIDE_LOG_WARN, "worker process is replaced: a handler does not return", BIDE_INT("pid", pid));
}

void bide_supervisor_look_at(struct supervisor *supervisor, size_t place)
{
    const struct child *child = &supervisor->children[place];
    enum bide_leaving leaving = (enum bide_leaving)atomic_load(&child->process->leaving);
    if (atomic_load(&child->process->serving))
        bide_states_serves(&supervisor->states, place);
    if (bide_states_leaves(&supervisor->states, place, leaving, bide_mono_ms(supervisor->clock)))
        log_leaving(supervisor, child->pid, leaving);
}

static void bury(struct supervisor *supervisor, size_t place, int status)
{
    char what[END_TEXT];
    struct child *child = &supervisor->children[place];
    pid_t pid = child->pid;
    bide_supervisor_look_at(supervisor, place);
    child->pid = 0;
    bide_metrics_end(child->metrics);
    bool by_hand = describe_end(supervisor, status, what);
    if (by_hand && count_slots(child, BIDE_SLOT_HUNG) == 0) /* its batches run again as batches */
        bide_apart_forget(&supervisor->shared->crashes.apart, pid);
    if (!*child->process->failure)
        snprintf(child->process->failure, BIDE_ERROR_SIZE, "%s", what);
    const struct bide_end end = {
        .returned = WIFEXITED(status) && atomic_load(&child->process->returned),
        .status = WIFEXITED(status) ? WEXITSTATUS(status) : 0,
        .signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0,
        .explained = find_guilty(supervisor, child, what, by_hand),
        .how = child->process->failure,
    };
    if (!bide_states_ended(&supervisor->states, place, &end, bide_mono_ms(supervisor->clock)))
        return;
    bide_shared_count_death(supervisor->shared, status);
    bide_log(BIDE_LOG_ERROR, "worker process died", BIDE_INT("pid", pid), BIDE_STR("how", what));
}

void bide_supervisor_bury_the_dead(struct supervisor *supervisor)
{
    int status;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < BIDE_ATTENDANTS_MAX; i++)
            bide_attendant_bury(&supervisor->attendants[i], pid, status, supervisor->clock);
        for (size_t i = 0; i < supervisor->states.n_places; i++)
            if (supervisor->children[i].pid == pid)
                bury(supervisor, i, status);
    }
}
