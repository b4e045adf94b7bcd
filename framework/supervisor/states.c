#include "supervisor/states.h"

#include <signal.h>

enum {
    FIRST_PAUSE_MS = 100,  /* pause after a death that no message explains; doubled after each further one */
    STEADY_MS = 60 * 1000, /* after a process that lived so long the pauses begin anew */
};

void bide_states_init(
    struct bide_states *states, struct bide_workforce force, struct bide_place *places, size_t n_places)
{
    *states = (struct bide_states){.force = force, .places = places, .n_places = n_places};
}

static int count(const struct bide_states *states, enum bide_role role)
{
    int n = 0;
    for (size_t i = 0; i < states->n_places; i++)
        n += states->places[i].role == role;
    return n;
}

static int count_missing(const struct bide_states *states)
{
    int there = count(states, BIDE_ROLE_MEMBER) + states->idle;
    return states->phase == BIDE_PHASE_ON ? states->force.processes - there : 0;
}

/* ---- leaving ---- */

static void answer_reload(struct bide_states *states, enum bide_reload_answer answer, const char *why)
{
    states->candidate_wanted = false;
    states->answer = answer;
    states->why = why;
}

static void let_go(struct bide_place *place, int64_t until_ms)
{
    place->role = BIDE_ROLE_LEAVING;
    if (!place->killed && until_ms < place->until_ms)
        place->until_ms = until_ms;
}

bool bide_states_is_reloading(const struct bide_states *states)
{
    return states->candidate_wanted || count(states, BIDE_ROLE_CANDIDATE) > 0;
}

static void dismiss_all(struct bide_states *states, int signal, int64_t now_ms)
{
    if (bide_states_is_reloading(states))
        answer_reload(states, BIDE_RELOAD_REFUSED, "the worker stops");
    for (size_t i = 0; i < states->n_places; i++) {
        struct bide_place *place = &states->places[i];
        if (place->role == BIDE_ROLE_FREE)
            continue;
        if (place->role == BIDE_ROLE_CANDIDATE)
            place->until_ms = INT64_MAX; /* the limit was the reload's */
        place->unhurried = false;
        place->signal = signal;
        let_go(place, now_ms + (signal == SIGTERM ? place->drain_ms : 0) + BIDE_AFTER_DRAIN_MS);
    }
}

void bide_states_stop(struct bide_states *states, int64_t now_ms)
{
    bool first = states->phase == BIDE_PHASE_ON;
    states->phase = first ? BIDE_PHASE_STOPPING : BIDE_PHASE_HURRYING;
    dismiss_all(states, first ? SIGTERM : SIGUSR2, now_ms);
}

/* A process ended by itself with an error before any has served: trying again will not help. */
static void give_up(struct bide_states *states, int status, int64_t now_ms)
{
    states->phase = BIDE_PHASE_STOPPING;
    states->status = status;
    dismiss_all(states, SIGTERM, now_ms);
}

static void pause_before_restart(struct bide_states *states, bool steady, int64_t now_ms)
{
    if (steady)
        states->pause_ms = 0;
    states->start_again_ms = now_ms + states->pause_ms;
    states->pause_ms = states->pause_ms ? states->pause_ms * 2 : FIRST_PAUSE_MS;
    if (states->pause_ms > BIDE_LONGEST_PAUSE_MS)
        states->pause_ms = BIDE_LONGEST_PAUSE_MS;
}

static bool was_steady(const struct bide_place *place, int64_t now_ms)
{
    return now_ms - place->started_ms > STEADY_MS;
}

bool bide_states_leaves(struct bide_states *states, size_t number, enum bide_leaving leaving, int64_t now_ms)
{
    struct bide_place *place = &states->places[number];
    if (leaving == BIDE_STAYS || place->role != BIDE_ROLE_MEMBER)
        return false;
    let_go(place, now_ms + place->drain_ms + BIDE_AFTER_DRAIN_MS);
    states->idle += leaving == BIDE_LEAVES_IDLE;
    if (leaving == BIDE_LEAVES) /* whoever told it to leave may tell the next one too */
        pause_before_restart(states, was_steady(place, now_ms), now_ms);
    return leaving != BIDE_LEAVES_IDLE;
}

/* A leaving process may end with 0, or by a signal that told it to end. */
static bool is_orderly(const struct bide_end *end, bool killed)
{
    bool told = end->signal == SIGTERM || end->signal == SIGUSR2; /* before it had its handlers */
    return (end->returned && end->status == 0) || told || (killed && end->signal == SIGKILL);
}

bool bide_states_ended(struct bide_states *states, size_t number, const struct bide_end *end, int64_t now_ms)
{
    const struct bide_place was = states->places[number];
    states->places[number] = (struct bide_place){0};
    if (was.role == BIDE_ROLE_CANDIDATE) {
        answer_reload(states, BIDE_RELOAD_REFUSED, end->how);
        return false;
    }
    if (was.role == BIDE_ROLE_LEAVING)
        return !is_orderly(end, was.killed);
    bool hopeless = end->returned && end->status != 0 && !states->ever_served;
    if (hopeless && !bide_states_is_reloading(states) && !states->reload_wanted) {
        give_up(states, end->status, now_ms); /* the process has reported what is wrong */
        return false;
    }
    pause_before_restart(states, end->explained || was_steady(&was, now_ms), now_ms);
    return true;
}

/* ---- starting ---- */

static struct bide_place *find_free(const struct bide_states *states)
{
    for (size_t i = 0; i < states->n_places; i++)
        if (states->places[i].role == BIDE_ROLE_FREE)
            return &states->places[i];
    return NULL;
}

/* Bounds the number of hanging processes beside the members. Processes that finish after a reload do not
 * count: see is_crowded. */
static bool has_room(const struct bide_states *states)
{
    int members = count(states, BIDE_ROLE_MEMBER), hurried = 0;
    for (size_t i = 0; i < states->n_places; i++)
        hurried += states->places[i].role == BIDE_ROLE_LEAVING && !states->places[i].unhurried;
    return find_free(states) &&
           (members == 0 || members + hurried < BIDE_PLACES_EACH * states->force.processes);
}

/* Are half of the places in use? The other half is for a new configuration's processes and for hanging
 * ones. */
bool bide_states_is_crowded(const struct bide_states *states)
{
    return 2 * (states->n_places - (size_t)count(states, BIDE_ROLE_FREE)) >= states->n_places;
}

static bool start(struct bide_states *states, enum bide_role role, int64_t now_ms, struct bide_step *ret_step)
{
    bool candidate = role == BIDE_ROLE_CANDIDATE;
    struct bide_place *place = find_free(states);
    *place = (struct bide_place){
        .role = role,
        .started_ms = now_ms,
        .drain_ms = candidate ? states->next_force.drain_ms : states->force.drain_ms,
        .until_ms = candidate ? now_ms + BIDE_CANDIDATE_MS : INT64_MAX,
    };
    *ret_step = (struct bide_step){BIDE_STEP_START, .place = (size_t)(place - states->places)};
    return true;
}

void bide_states_not_started(struct bide_states *states, size_t number, int64_t now_ms)
{
    if (states->places[number].role == BIDE_ROLE_CANDIDATE)
        answer_reload(states, BIDE_RELOAD_REFUSED, "its first process could not be started");
    else
        states->start_again_ms = now_ms + BIDE_LONGEST_PAUSE_MS;
    states->places[number] = (struct bide_place){0};
}

/* ---- a reload ---- */

void bide_states_reload(struct bide_states *states)
{
    states->reload_wanted = true;
}

/* The number of places was fixed when the supervisor started. Half of them must stay free for processes
 * beside the members: see is_crowded. */
void bide_states_prepared(struct bide_states *states, const struct bide_workforce *force)
{
    if (!force)
        return;
    states->next_force = *force;
    if (2 * (size_t)force->processes >= states->n_places)
        answer_reload(states, BIDE_RELOAD_REFUSED, "worker.processes: so many more need a restart");
    else
        states->candidate_wanted = true;
}

/* The candidate becomes a member, and the members before it are told to leave. From now on only the new
 * members count. */
static void take_over(struct bide_states *states, struct bide_place *candidate)
{
    for (size_t i = 0; i < states->n_places; i++) {
        struct bide_place *place = &states->places[i];
        if (place->role != BIDE_ROLE_MEMBER)
            continue;
        place->unhurried = true;
        place->signal = SIGTERM;
        let_go(place, INT64_MAX);
    }
    candidate->role = BIDE_ROLE_MEMBER;
    candidate->until_ms = INT64_MAX;
    states->force = states->next_force;
    states->idle = 0;
    states->start_again_ms = states->pause_ms = 0;
    answer_reload(states, BIDE_RELOAD_ACCEPTED, NULL);
}

void bide_states_serves(struct bide_states *states, size_t number)
{
    struct bide_place *place = &states->places[number];
    place->serves = true;
    states->ever_served = true;
    if (place->role == BIDE_ROLE_CANDIDATE)
        take_over(states, place);
}

/* ---- steps ---- */

static bool tell_answer(struct bide_states *states, struct bide_step *ret_step)
{
    enum bide_reload_answer answer = states->answer;
    *ret_step = (struct bide_step){
        .kind = answer == BIDE_RELOAD_ACCEPTED ? BIDE_STEP_ACCEPT : BIDE_STEP_REFUSE, .why = states->why};
    states->answer = BIDE_RELOAD_NONE;
    return answer != BIDE_RELOAD_NONE;
}

static void look_at_limits(struct bide_states *states, int64_t now_ms)
{
    for (size_t i = 0; i < states->n_places; i++) {
        struct bide_place *place = &states->places[i];
        if (place->role == BIDE_ROLE_FREE || place->killed || now_ms < place->until_ms)
            continue;
        if (place->role == BIDE_ROLE_CANDIDATE)
            answer_reload(
                states, BIDE_RELOAD_REFUSED, "its first process did not begin to serve within 60 s");
        place->role = BIDE_ROLE_LEAVING;
        place->killed = true;
        place->signal = SIGKILL;
        place->until_ms = now_ms + BIDE_AFTER_KILL_MS;
    }
}

static bool send_signal(struct bide_states *states, struct bide_step *ret_step)
{
    for (size_t i = 0; i < states->n_places; i++) {
        *ret_step = (struct bide_step){BIDE_STEP_SIGNAL, .place = i, .signal = states->places[i].signal};
        states->places[i].signal = 0;
        if (ret_step->signal)
            return true;
    }
    return false;
}

static bool begin_reload(struct bide_states *states, int64_t now_ms, struct bide_step *ret_step)
{
    if (states->candidate_wanted) {
        states->candidate_wanted = false;
        return start(states, BIDE_ROLE_CANDIDATE, now_ms, ret_step);
    }
    if (!states->reload_wanted || bide_states_is_reloading(states) || bide_states_is_crowded(states))
        return false;
    states->reload_wanted = false;
    *ret_step = (struct bide_step){.kind = BIDE_STEP_PREPARE};
    return true;
}

static bool start_missing(struct bide_states *states, int64_t now_ms, struct bide_step *ret_step)
{
    return count_missing(states) > 0 && now_ms >= states->start_again_ms && has_room(states) &&
           start(states, BIDE_ROLE_MEMBER, now_ms, ret_step);
}

bool bide_states_next(struct bide_states *states, int64_t now_ms, struct bide_step *ret_step)
{
    look_at_limits(states, now_ms);
    if (tell_answer(states, ret_step) || send_signal(states, ret_step))
        return true;
    return states->phase == BIDE_PHASE_ON &&
           (begin_reload(states, now_ms, ret_step) || start_missing(states, now_ms, ret_step));
}

int64_t bide_states_wait_ms(const struct bide_states *states, int64_t now_ms)
{
    int64_t at_ms = INT64_MAX;
    if (count_missing(states) > 0 && has_room(states))
        at_ms = states->start_again_ms;
    for (size_t i = 0; i < states->n_places; i++) {
        const struct bide_place *place = &states->places[i];
        bool past = place->killed && (states->phase == BIDE_PHASE_ON || place->until_ms <= now_ms);
        if (place->role != BIDE_ROLE_FREE && !past && place->until_ms < at_ms)
            at_ms = place->until_ms;
    }
    if (at_ms == INT64_MAX)
        return -1;
    return at_ms > now_ms ? at_ms - now_ms : 0;
}

bool bide_states_over(const struct bide_states *states, int64_t now_ms)
{
    for (size_t i = 0; i < states->n_places; i++) {
        const struct bide_place *place = &states->places[i];
        bool lost = states->phase != BIDE_PHASE_ON && place->killed && now_ms >= place->until_ms;
        if (place->role != BIDE_ROLE_FREE && !lost)
            return false;
    }
    return count_missing(states) <= 0;
}
