/* What must hold, whatever the seed. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "simulation/world.h"

enum {
    LANDED_MAX_US =
        200 * 1000, /* after due, a landed message has begun or goes back (README, "Honest limits") */
    QUIET_US =
        600 * 1000, /* … and may be held back before for a suspect's turn (worker/gates/quarantine.h) */
    SLACK_US = 30 * 1000,      /* for what virtual threads and the broker take */
    NEVER_SO_MANY = 1000000,   /* a counter that has wrapped has more */
    ENDS_US = 7 * 1000 * 1000, /* beyond drain: cancelling, leaving */
};

void world_fails(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(
        stderr, "seed %llu, at %lld us: ", (unsigned long long)the_world->seed, (long long)virtual_now_us());
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    _Exit(1);
}

struct in_hand *rules_find(const struct bide_delivery *delivery, const struct bide_message *message)
{
    for (size_t i = 0; i < the_world->n_in_hand; i++) {
        struct in_hand *hand = &the_world->in_hand[i];
        if (hand->delivery == delivery || (message && hand->delivery->message == message))
            return hand;
    }
    return NULL;
}

/* ---- before a run ---- */

static bool is_paused(const struct in_hand *hand)
{
    const struct world *world = the_world;
    if (world->paused == 0)
        return false;
    int which = world->paused - 1;
    return which < WORLD_TYPES ? which == (int)world->messages[hand->message].type
                               : which - WORLD_TYPES == (int)hand->delivery->queue;
}

void rules_before_run(const struct in_hand *hand)
{
    const struct world *world = the_world;
    const struct bide_message *message = hand->delivery->message;
    enum world_type type = world->messages[hand->message].type;
    if (message->due_ms * 1000 > virtual_wall_us())
        world_fails(
            "%s is run %lld us early", message->id, (long long)(message->due_ms * 1000 - virtual_wall_us()));
    if (hand->begun)
        world_fails("%s is run twice by one delivery", message->id);
    if (is_paused(hand) && world->rounds >= world->paused_in + 2)
        world_fails("%s begins %llu rounds after its pause", message->id,
            (unsigned long long)(world->rounds - world->paused_in));
    int most = world->handler_configs[type].concurrency;
    if (most > 0 && world->running[type] >= most)
        world_fails("%d of type %d run at once", world->running[type] + 1, (int)type);
}

/* ---- at each step ---- */

static void counters_have_not_wrapped(const struct bide_intake *intake)
{
    size_t in_hand = the_world->n_in_hand;
    if (intake->passage.out > in_hand)
        world_fails("%zu are in the pool's hands, %zu in the worker's", intake->passage.out, in_hand);
    for (size_t i = 0; i < WORLD_QUEUES; i++)
        if (intake->passage.prefetch[i].held > NEVER_SO_MANY)
            world_fails("the prefetch of queue %zu counts %zd", i, (ssize_t)intake->passage.prefetch[i].held);
    const struct bide_board *board = &intake->passage.pool->board;
    if (board->n_ready > in_hand || board->n_blocked > in_hand || intake->passage.pool->running > in_hand)
        world_fails("the pool counts %zu ready, %zu blocked, %zu running; %zu are in hand", board->n_ready,
            board->n_blocked, intake->passage.pool->running, in_hand);
}

static void landed_ones_do_not_wait(const struct bide_intake *intake)
{
    const struct world *world = the_world;
    const struct bide_quarantine *quarantine = &intake->passage.gates.quarantine;
    bool quarantined = quarantine->waiting.n > 0 || quarantine->held.n > 0 || quarantine->runs ||
                       quarantine->turn_us > virtual_now_us();
    int64_t most_us = LANDED_MAX_US + SLACK_US + (quarantined ? QUIET_US : 0);
    for (size_t i = 0; i < world->n_in_hand; i++) {
        const struct in_hand *hand = &world->in_hand[i];
        int64_t late_us = virtual_wall_us() - hand->delivery->message->due_ms * 1000;
        int64_t allowed_us = most_us + virtual_stalled_us() - hand->stalled_us;
        if (hand->early && !hand->begun && late_us > allowed_us &&
            world->messages[hand->message].type != SHAKY)
            world_fails("%s was landed and has been waiting for %lld us since it was due",
                hand->delivery->message->id, (long long)late_us);
    }
}

/* Who is given up has been told to return. */
static void hung_ones_were_told(const struct bide_intake *intake)
{
    for (size_t i = 0; i < intake->passage.pool->n_threads; i++) {
        struct bide_pool_thread *thread = &intake->passage.pool->threads[i];
        if (thread->inside && atomic_load(&thread->slot->state) == BIDE_SLOT_HUNG &&
            !atomic_load(&thread->context.cancelled))
            world_fails("thread %zu is given up as hung, and nobody has told it to return", i);
    }
}

static void the_end_comes(const struct bide_intake *intake)
{
    struct world *world = the_world;
    if (intake->ending.stage == BIDE_STAGE_CANCELLING && world->cancelled_stalled_us < 0)
        world->cancelled_stalled_us = virtual_stalled_us();
    if (atomic_load(&intake->ending.stops) == 0 || intake->ending.stage == BIDE_STAGE_ENDED)
        return;
    if (world->stopped_us == 0) {
        world->stopped_us = virtual_now_us();
        world->stopped_stalled_us = virtual_stalled_us();
    }
    int64_t since_us =
        virtual_now_us() - world->stopped_us - (virtual_stalled_us() - world->stopped_stalled_us);
    if (since_us > world->config.worker.drain_ms * 1000 + ENDS_US)
        world_fails(
            "stopped %lld us ago, and still in stage %d", (long long)since_us, (int)intake->ending.stage);
}

void rules_each_step(void)
{
    const struct bide_intake *intake = the_world->intake;
    if (!intake || !intake->passage.pool || the_world->over)
        return;
    counters_have_not_wrapped(intake);
    hung_ones_were_told(intake);
    the_end_comes(intake);
}

/* ---- after each round of the intake ---- */

static void suspects_leave_room(const struct bide_intake *intake)
{
    const struct world *world = the_world;
    size_t suspects[WORLD_QUEUES] = {0};
    if (world->config.worker.prefetch == 0)
        return;
    for (size_t i = 0; i < world->n_in_hand; i++)
        if (world->messages[world->in_hand[i].message].type == SHAKY)
            suspects[world->in_hand[i].delivery->queue]++;
    for (size_t i = 0; i < WORLD_QUEUES; i++) {
        size_t limit = intake->passage.prefetch[i].limit, most = limit > 2 ? limit / 2 : 1;
        if (suspects[i] > most)
            world_fails("%zu suspects in hand of queue %zu, whose prefetch is %zu", suspects[i], i, limit);
    }
}

void rules_after_round(void)
{
    const struct bide_intake *intake = the_world->intake;
    suspects_leave_room(intake);
    if (intake->ending.stage == BIDE_STAGE_SERVING)
        landed_ones_do_not_wait(intake);
}
