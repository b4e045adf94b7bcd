/* tests/unit/states_world.h: a world for supervisor/states in place of fork, kill, waitpid and the clock.
 *
 * Its processes may do at any moment whatever real ones may; the supervisor looks when it looks (ROUND),
 * perhaps long after. After each round the promises are checked: see check_round. A broken promise prints the
 * events that led to it. A world is copied by copy_world. */
#ifndef BIDE_TESTS_STATES_WORLD_H
#define BIDE_TESTS_STATES_WORLD_H

#include "supervisor/states.h"

#include <signal.h>

#include "unit/unit.h"

enum { PLACES = 24, DRAIN_MS = 30000, LATE_MS = 120 * 1000, STATUS = 69, TRAIL = 16 };

/* What really is the case with the process in a place. */
struct process {
    bool alive, zombie; /* neither: nobody */
    bool serving, told, killed, stuck, candidate;
    enum bide_leaving leaving;
    struct bide_end end; /* of a zombie */
    int generation;
};

struct world {
    struct bide_states states;
    struct bide_place places[PLACES];
    struct process processes[PLACES];
    int64_t now_ms;
    int next_processes; /* what a reload reads; 0: a bad file */
    bool fork_fails;    /* the next one */
    bool prepared;      /* and neither accepted nor refused yet */
    bool ever_served, failed;
    int stops, generation, idle, steps, accepted, refused, deaths;
};

static void copy_world(struct world *to, const struct world *from)
{
    *to = *from;
    to->states.places = to->places;
}

/* ---- checking ---- */

enum event_kind {
    ROUND,
    SERVE,
    HANG,
    IDLE,
    TERM_BY_STRANGER,
    RETURN_0,
    FAIL,
    CRASH,
    STICK,
    STOP,
    RELOAD,
    RELOAD_BAD,
    FORK_FAILS,
    WAIT,
    BE_LATE,
    EVENT_KINDS
};

static const char *const event_names[] = {"round", "serve", "hang", "idle", "term-by-stranger", "return-0",
    "fail", "crash", "stick", "stop", "reload", "reload-bad", "fork-fails", "wait", "be-late"};

struct event {
    enum event_kind kind;
    int place;
};

static struct event trail[TRAIL];
static int trail_length;

static void promise(bool kept, const char *text)
{
    if (kept)
        return;
    fprintf(stderr, "broken: %s; after:", text);
    for (int i = 0; i < trail_length; i++)
        fprintf(stderr, " %s(%d)", event_names[trail[i].kind], trail[i].place);
    fprintf(stderr, "\n");
    fail();
}

static int count_role(const struct world *world, enum bide_role role)
{
    int n = 0;
    for (size_t i = 0; i < world->states.n_places; i++)
        n += world->places[i].role == role;
    return n;
}

/* ---- the world performs the steps ---- */

static void start(struct world *world, size_t place)
{
    struct process *process = &world->processes[place];
    bool candidate = world->places[place].role == BIDE_ROLE_CANDIDATE;
    promise(world->stops == 0, "nothing is started after a stop");
    promise(!process->alive && !process->zombie, "a place holds one process");
    if (world->fork_fails) {
        world->fork_fails = false;
        bide_states_not_started(&world->states, place, world->now_ms);
        return;
    }
    *process =
        (struct process){.alive = true, .candidate = candidate, .generation = world->generation + candidate};
}

static void end(struct process *process, struct bide_end how)
{
    process->alive = false;
    process->zombie = true;
    process->end = how;
}

static void send(struct world *world, size_t place, int number)
{
    struct process *process = &world->processes[place];
    bool old = process->generation < world->generation;
    promise(process->alive || process->zombie, "a signal goes to a process");
    promise(world->states.phase != BIDE_PHASE_ON || old || number == SIGKILL,
        "only processes of an earlier configuration are told to stop while the worker goes on");
    process->told = true;
    process->killed |= number == SIGKILL;
    if (number == SIGKILL && process->alive && !process->stuck)
        end(process, (struct bide_end){.signal = SIGKILL});
}

static void prepare(struct world *world)
{
    const struct bide_workforce force = {.processes = world->next_processes, .drain_ms = DRAIN_MS};
    promise(!world->prepared, "one reload at a time");
    world->prepared = world->next_processes > 0;
    bide_states_prepared(&world->states, world->prepared ? &force : NULL);
}

static void conclude(struct world *world, bool accepted)
{
    promise(world->prepared, "one answer to one reload");
    world->prepared = false;
    world->generation += accepted;
    world->accepted += accepted;
    world->refused += !accepted;
}

static void perform(struct world *world, const struct bide_step *step)
{
    if (step->kind == BIDE_STEP_START)
        start(world, step->place);
    else if (step->kind == BIDE_STEP_SIGNAL)
        send(world, step->place, step->signal);
    else if (step->kind == BIDE_STEP_PREPARE)
        prepare(world);
    else
        conclude(world, step->kind == BIDE_STEP_ACCEPT);
}

static void look_at(struct world *world, size_t place)
{
    const struct process *process = &world->processes[place];
    enum bide_role before = world->places[place].role;
    if (process->serving)
        bide_states_serves(&world->states, place);
    world->ever_served |= process->serving && world->states.phase == BIDE_PHASE_ON;
    if (before == BIDE_ROLE_CANDIDATE && world->places[place].role == BIDE_ROLE_MEMBER)
        world->idle = 0; /* those of the configuration before */
    world->idle += world->places[place].role == BIDE_ROLE_MEMBER && process->leaving == BIDE_LEAVES_IDLE;
    bide_states_leaves(&world->states, place, process->leaving, world->now_ms);
}

/* As the loop in supervisor.c. */
static void go_round(struct world *world)
{
    struct bide_step step;
    world->steps = 0;
    for (size_t i = 0; i < world->states.n_places; i++)
        if (world->processes[i].alive || world->processes[i].zombie)
            look_at(world, i);
    for (size_t i = 0; i < world->states.n_places; i++) {
        struct process *process = &world->processes[i];
        if (!process->zombie)
            continue;
        world->failed |= process->end.status == STATUS;
        world->deaths += bide_states_ended(&world->states, i, &process->end, world->now_ms);
        *process = (struct process){0};
    }
    while (bide_states_next(&world->states, world->now_ms, &step)) {
        promise(++world->steps < 100, "the steps come to an end");
        perform(world, &step);
    }
}

/* ---- the promises ---- */

static bool is_over(const struct world *world)
{
    return bide_states_over(&world->states, world->now_ms);
}

static void check_end(const struct world *world)
{
    bool all_idle = world->idle >= world->states.force.processes;
    if (world->states.status == 0)
        promise(world->stops > 0 || all_idle, "status 0: told to stop, or idle");
    else
        promise(world->states.status == STATUS && world->failed && !world->ever_served,
            "another status: what a process said before any served");
    for (size_t i = 0; i < world->states.n_places; i++)
        promise(!world->processes[i].alive || (world->processes[i].stuck && world->processes[i].killed),
            "nobody is left behind but who cannot be killed");
    promise(!world->prepared, "a reload has its answer at the end");
}

static void check_members(const struct world *world)
{
    for (size_t i = 0; i < world->states.n_places; i++) {
        const struct process *process = &world->processes[i];
        if (world->places[i].role == BIDE_ROLE_MEMBER)
            promise(process->alive && !process->told && process->leaving == BIDE_STAYS &&
                        process->generation == world->generation,
                "who counts as a member works, with the configuration that holds");
    }
}

/* Each wait ends in something to do: nothing spins, and nothing sleeps through its time. */
static void check_wait(const struct world *before)
{
    struct world world;
    copy_world(&world, before);
    int64_t wait_ms = bide_states_wait_ms(&world.states, world.now_ms);
    promise(wait_ms != 0, "there is nothing to do after a round");
    if (wait_ms < 0)
        return;
    world.now_ms += wait_ms;
    go_round(&world);
    bool waits_on = bide_states_wait_ms(&world.states, world.now_ms) > 0; /* for one that cannot be killed */
    promise(world.steps > 0 || is_over(&world) || (world.states.phase != BIDE_PHASE_ON && waits_on),
        "a wait ends in a step");
}

static void check_stop(const struct world *before)
{
    struct world world;
    copy_world(&world, before);
    int64_t ends_ms = world.now_ms + DRAIN_MS + BIDE_AFTER_DRAIN_MS + BIDE_AFTER_KILL_MS;
    for (int i = 0; !is_over(&world) && i < 3 * PLACES; i++) {
        int64_t wait_ms = bide_states_wait_ms(&world.states, world.now_ms);
        promise(wait_ms > 0, "who was told to stop waits for something");
        world.now_ms += wait_ms;
        go_round(&world);
    }
    promise(is_over(&world) && world.now_ms <= ends_ms, "who was told to stop ends within its bounds");
    check_end(&world);
}

/* Not told to stop: the processes that are missing are started after the pause at the latest. */
static void check_service(const struct world *world)
{
    int wanted = world->states.force.processes - world->idle;
    int members = count_role(world, BIDE_ROLE_MEMBER);
    int64_t wait_ms = bide_states_wait_ms(&world->states, world->now_ms);
    if (members < wanted && count_role(world, BIDE_ROLE_FREE) > 0)
        promise(wait_ms > 0 && wait_ms <= BIDE_LONGEST_PAUSE_MS,
            "not without worker processes for longer than the pause");
    promise(members <= world->states.force.processes, "not more processes than are wanted");
    promise(world->prepared == bide_states_is_reloading(&world->states), "a reload has its answer");
    if (world->states.reload_wanted)
        promise(world->prepared || bide_states_is_crowded(&world->states), "a SIGHUP is answered");
}

static void check_round(const struct world *world)
{
    check_members(world);
    if (is_over(world)) {
        check_end(world);
        return;
    }
    check_wait(world);
    if (world->states.phase == BIDE_PHASE_ON)
        check_service(world);
    else
        check_stop(world);
}

static void begin(struct world *world, int processes, size_t n_places)
{
    const struct bide_workforce force = {.processes = processes, .drain_ms = DRAIN_MS};
    *world = (struct world){.now_ms = 1000 * 1000};
    bide_states_init(&world->states, force, world->places, n_places);
    trail_length = 0;
    go_round(world);
    check_round(world);
}

/* ---- events ---- */

/* Can this be done by a process (or to it) now? */
static bool is_possible(const struct process *process, enum event_kind kind)
{
    if (!process->alive)
        return false;
    if (kind == SERVE || kind == TERM_BY_STRANGER)
        return !process->serving || (kind == TERM_BY_STRANGER && process->leaving == BIDE_STAYS);
    if (kind == HANG || kind == IDLE)
        return process->serving && process->leaving == BIDE_STAYS;
    if (kind == RETURN_0)
        return process->told || process->leaving != BIDE_STAYS;
    return kind != STICK || !process->stuck;
}

static void do_to_process(struct process *process, enum event_kind kind)
{
    if (kind == SERVE)
        process->serving = true;
    else if (kind == HANG)
        process->leaving = BIDE_LEAVES_HUNG;
    else if (kind == IDLE)
        process->leaving = BIDE_LEAVES_IDLE;
    else if (kind == TERM_BY_STRANGER && process->serving)
        process->leaving = BIDE_LEAVES;
    else if (kind == STICK)
        process->stuck = true;
    else
        end(process, (struct bide_end){.returned = kind == RETURN_0 || kind == FAIL,
                         .status = kind == FAIL ? STATUS : 0,
                         .signal = kind == CRASH              ? SIGSEGV
                                   : kind == TERM_BY_STRANGER ? SIGTERM
                                                              : 0});
}

static bool may_happen(const struct world *world, struct event event)
{
    if (event.kind > ROUND && event.kind < STOP)
        return is_possible(&world->processes[event.place], event.kind);
    if (event.kind == FORK_FAILS)
        return !world->fork_fails;
    return event.kind != WAIT || bide_states_wait_ms(&world->states, world->now_ms) > 0;
}

static void happen(struct world *world, struct event event)
{
    if (trail_length < TRAIL)
        trail[trail_length++] = event;
    if (event.kind == ROUND) {
        go_round(world);
        check_round(world);
    } else if (event.kind < STOP) {
        do_to_process(&world->processes[event.place], event.kind);
    } else if (event.kind == STOP) {
        world->stops++;
        bide_states_stop(&world->states, world->now_ms);
    } else if (event.kind == RELOAD || event.kind == RELOAD_BAD) {
        world->next_processes = event.kind == RELOAD_BAD ? 0 : world->states.force.processes % 2 + 1;
        bide_states_reload(&world->states);
    } else if (event.kind == FORK_FAILS) {
        world->fork_fails = true;
    } else {
        int64_t wait_ms = bide_states_wait_ms(&world->states, world->now_ms);
        world->now_ms += event.kind == WAIT ? wait_ms : LATE_MS;
    }
}

#endif
