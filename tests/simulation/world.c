#include "simulation/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum {
    TIMEOUT_MS = 400,
    KILL_AFTER_MS = 300,
    EVENTS = 300,
    HEALED_S = 300, /* for everything to end, once nothing goes wrong any more */
    CANCEL_SPARE_US = 300 * 1000,
};

struct world *the_world;

static const char *const type_names[] = {"a-plain", "b-narrow", "c-flaky", "d-shaky"};
static const char *const queue_names[] = {"first", "second"};

static void must(bide_code code)
{
    if (code != BIDE_OK)
        world_fails("the world cannot be set up: %s", bide_code_name(code));
}

/* ---- handlers ---- */

/* How a run goes is decided when it begins. */
struct manner {
    int64_t takes_us;
    bool obeys; /* returns soon when it is cancelled */
    bide_outcome outcome;
};

static struct manner choose_manner(enum world_type type)
{
    struct manner manner = {.obeys = true, .outcome = BIDE_DONE};
    const struct world *world = the_world;
    manner.takes_us = (int64_t)virtual_random(virtual_chance(8) ? 300000 : 3000);
    if (type == FLAKY && world->down)
        manner.outcome = BIDE_RETRY;
    if (world->healed)
        return manner;
    if (virtual_chance(100))
        manner.takes_us = 2 * TIMEOUT_MS * 1000;
    if (virtual_chance(1000)) {
        manner.takes_us = 20 * 1000 * 1000;
        manner.obeys = false;
    }
    if (virtual_chance(20))
        manner.outcome = virtual_chance(5) ? BIDE_DEAD : BIDE_RETRY;
    return manner;
}

static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    struct world *world = the_world;
    struct in_hand *hand = rules_find(NULL, message);
    (void)state;
    if (!hand)
        world_fails("%s is run, and is not in hand", message->id);
    rules_before_run(hand);
    enum world_type type = world->messages[hand->message].type;
    struct manner manner = choose_manner(type);
    hand->begun = true;
    hand->obeys = manner.obeys;
    world->running[type]++;
    int64_t end_us = virtual_now_us() + manner.takes_us;
    bool cancelled = false;
    while (virtual_now_us() < end_us && !world->over && !(cancelled && manner.obeys)) {
        int64_t left_us = end_us - virtual_now_us();
        virtual_sleep(left_us < 10000 ? left_us : 10000);
        cancelled = bide_cancelled(context);
    }
    world->running[type]--;
    if ((hand = rules_find(NULL, message)))
        hand->returned = true;
    return cancelled && manner.obeys ? bide_retry(context, BIDE_BY_POLICY, "as you wish") : manner.outcome;
}

/* ---- a worker without its processes ---- */

static void set_up_config(struct world *world)
{
    static const int prefetches[] = {0, 1, 2, 3, 4, 8}, drains_ms[] = {0, 50, 2000};
    world->config = (struct bide_config){.queues = world->queues,
        .n_queues = WORLD_QUEUES,
        .handlers = world->handler_configs,
        .n_handlers = WORLD_TYPES,
        .worker = {.threads = 1 + (int)virtual_random(WORLD_THREADS),
            .order = virtual_chance(2) ? BIDE_ORDER_STRICT : BIDE_ORDER_WEIGHTED,
            .prefetch = prefetches[virtual_random(6)],
            .drain_ms = drains_ms[virtual_random(3)]}};
    for (size_t i = 0; i < WORLD_QUEUES; i++)
        world->queues[i] =
            (struct bide_queue_config){.name = (char *)(uintptr_t)queue_names[i], .weight = 1 + (int)i};
    for (size_t i = 0; i < WORLD_TYPES; i++) {
        char *type = (char *)(uintptr_t)type_names[i];
        world->handler_configs[i] = (struct bide_handler_config){.type = type,
            .plugin = type,
            .queue = world->queues[i / 2].name,
            .concurrency = i == NARROW ? 1 + (int)virtual_random(2) : 0,
            .timeout_ms = TIMEOUT_MS,
            .kill_after_ms = KILL_AFTER_MS,
            .retry = {.attempts = 50, .base_ms = 5, .cap_ms = 200, .crash_attempts = 3}};
    }
    world->handler_configs[FLAKY].breaker = (struct bide_breaker_config){
        .failure_rate = 0.5, .window_ms = 1000, .min_runs = 4, .pause_ms = 100, .max_pause_ms = 400};
}

static void set_up_handlers(struct world *world)
{
    static void *no_state;
    for (size_t i = 0; i < WORLD_TYPES; i++) {
        world->plugins[i] = (struct bide_plugin){.name = world->handler_configs[i].plugin,
            .descriptor = {.name = type_names[i], .handle = handle}};
        world->rows[i] = (struct bide_handler){.runner = &bide_thread_runner,
            .config = &world->handler_configs[i],
            .plugin = &world->plugins[i],
            .states = &no_state,
            .mean_us = 1000};
    }
    world->handlers = (struct bide_handlers){.rows = world->rows, .n = WORLD_TYPES};
}

static void set_up_supervised(struct world *world)
{
    must(bide_shared_map(1, 1, &world->shared, NULL));
    world->supervised = bide_shared_view(world->shared, 0, false);
    world->supervised.supervisor = -1;
}

void world_suspect(void)
{
    while (bide_crashes_type_trouble(&the_world->shared->crashes, type_names[SHAKY]) < 4)
        bide_crashes_type_died(&the_world->shared->crashes, type_names[SHAKY]);
}

static void set_up_broker(struct world *world)
{
    const struct bide_adapter *adapter;
    must(bide_url_parse("memory:", &world->url, NULL));
    must(bide_adapter_find(&world->url, &adapter, NULL));
    world->options = (struct bide_broker_options){.url = &world->url,
        .name_space = "world",
        .queues = queue_names,
        .n_queues = WORLD_QUEUES,
        .max_body = 1000,
        .clock = virtual_clock()};
    must(adapter->open_sender(&world->options, &world->sender, NULL));
    must(adapter->open_receiver(&world->options, &world->inner, NULL));
}

static void start_worker(struct world *world)
{
    struct bide_intake *intake = bide_calloc(1, sizeof *intake);
    must(bide_intake_init(intake, &world->config, &world->handlers, virtual_clock(), NULL));
    unsigned short *random = intake->passage.site.random;
    random[0] = (unsigned short)world->seed;
    random[1] = random[2] = 0;
    bide_intake_supervised_by(intake, &world->supervised);
    intake->passage.settling.receiver = faulty_receiver();
    const struct bide_pool_options options = {.threads = (size_t)world->config.worker.threads,
        .order = world->config.worker.order,
        .queues = world->queues,
        .n_queues = WORLD_QUEUES,
        .handlers = &world->handlers,
        .wakeup = &intake->wakeup,
        .clock = virtual_clock(),
        .metrics = world->supervised.metrics,
        .slots = world->supervised.process->slots};
    must(bide_pool_create(&options, &intake->passage.pool, NULL));
    world->intake = intake;
}

/* Who obeys has had half a second, unless the process stood still meanwhile. */
static void those_that_obey_had_time(const struct world *world)
{
    bool cancelled = world->cancelled_stalled_us >= 0;
    int64_t stalled_us = cancelled ? virtual_stalled_us() - world->cancelled_stalled_us : 0;
    bool hung = bide_pool_find_hung(world->intake->passage.pool) > 0;
    for (size_t i = 0; i < world->n_in_hand; i++) {
        const struct in_hand *hand = &world->in_hand[i];
        if (hand->begun && hand->obeys && !hand->returned && !hung && stalled_us < CANCEL_SPARE_US)
            world_fails("%s obeys its cancellation, and was given no time to", hand->delivery->message->id);
    }
}

/* As worker/worker.c does it; and then the handlers that did not return do so after all. */
static void end_worker(struct world *world)
{
    struct bide_passage *passage = &world->intake->passage;
    those_that_obey_had_time(world);
    world->over = true;
    bide_pool_cancel(passage->pool);
    while (!bide_pool_stop(passage->pool, 1000))
        ;
    world->abandoned = bide_passage_forget(passage) > 0;
    bide_pool_destroy(passage->pool);
}

/* ---- what befalls it ---- */

static void send_some(struct world *world)
{
    static const int64_t longest_ms[] = {1, 6, 6, 400, 3000};
    size_t n = 1 + virtual_random(6);
    int64_t most_ms = longest_ms[virtual_random(5)];
    for (size_t i = 0; i < n && world->sent < WORLD_MESSAGES; i++) {
        struct bide_message *message = NULL;
        enum bide_sent result = BIDE_SENT_UNKNOWN;
        char id[24];
        enum world_type type = virtual_chance(10) ? SHAKY : (enum world_type)virtual_random(SHAKY);
        snprintf(id, sizeof id, "%zu", world->sent);
        must(bide_message_create(type_names[type], &message, NULL));
        must(bide_message_set_id(message, id, NULL));
        must(bide_message_set_delay_ms(message, (int64_t)virtual_random((uint64_t)most_ms), NULL));
        must(bide_message_set_queue(message, queue_names[virtual_chance(10) ? type < 2 : type / 2], NULL));
        must(bide_message_stamp(message, "first", virtual_clock(), NULL));
        world->messages[world->sent++] = (struct world_message){.type = type};
        world->sending = true;
        must(bide_sender_send(world->sender, &message, 1, &result, NULL));
        world->sending = false;
        bide_message_destroy(message);
    }
}

static void wake_intake(const struct world *world)
{
    bide_wakeup_signal(&world->intake->wakeup); /* as SIGURG does */
}

static void resume(struct world *world)
{
    int which = world->paused - 1;
    if (world->paused > 0)
        bide_controls_resume(&world->shared->controls,
            which < WORLD_TYPES ? type_names[which] : queue_names[which - WORLD_TYPES]);
    world->paused = 0;
    wake_intake(world);
}

static void pause_one(struct world *world)
{
    resume(world);
    int which = (int)virtual_random(WORLD_TYPES + WORLD_QUEUES);
    bide_controls_pause(
        &world->shared->controls, which < WORLD_TYPES ? type_names[which] : queue_names[which - WORLD_TYPES]);
    world->paused = which + 1;
    world->paused_in = world->rounds;
    wake_intake(world);
}

static void something_happens(struct world *world)
{
    switch (virtual_random(24)) {
    case 0:
        pause_one(world);
        break;
    case 1:
    case 2:
        resume(world);
        break;
    case 3:
        world->down = virtual_chance(2);
        break;
    case 4:
        faulty_lose_connection();
        virtual_sleep((int64_t)virtual_random(300000));
        faulty_connect();
        break;
    case 5:
        if (virtual_chance(4))
            virtual_stall((int64_t)virtual_random(2500000)); /* the whole process stands still */
        break;
    default:
        send_some(world);
    }
}

static bool everything_has_ended(const struct world *world)
{
    const struct bide_memory_receiver *broker = (struct bide_memory_receiver *)world->inner;
    const struct bide_memory_queue *queue;
    TAILQ_FOREACH(queue, &broker->store->queues, link)
    if (!TAILQ_EMPTY(&queue->ready) || !TAILQ_EMPTY(&queue->delayed) || queue->held > 0)
        return false;
    return world->n_in_hand == 0;
}

static void heal(struct world *world)
{
    world->healed = true;
    world->down = false;
    resume(world);
    for (int64_t end_us = virtual_now_us() + INT64_C(1000000) * HEALED_S; !everything_has_ended(world);) {
        if (virtual_now_us() > end_us)
            world_fails("%zu in hand, and not everything has ended %d s after all was well", world->n_in_hand,
                HEALED_S);
        if (atomic_load(&world->intake->ending.stops) > 0)
            return; /* a handler hung: its process makes way */
        virtual_sleep(50000);
    }
}

static void *befall(void *user)
{
    struct world *world = user;
    size_t events = virtual_chance(3) ? virtual_random(EVENTS) : EVENTS;
    for (size_t i = 0; i < events; i++) {
        virtual_sleep((int64_t)virtual_random(20000));
        something_happens(world);
    }
    if (events == EVENTS)
        heal(world);
    bide_intake_stop(world->intake);
    if (virtual_chance(3))
        bide_intake_stop(world->intake);
    return NULL;
}

/* ---- the books ---- */

static void close_books(struct world *world)
{
    struct bide_memory_store *store = ((struct bide_memory_receiver *)world->inner)->store;
    struct bide_memory_queue *queue;
    const struct bide_memory_row *row;
    size_t left = 0, acked = 0;
    if (world->n_in_hand > 0)
        world_fails("%zu deliveries were neither settled nor given back", world->n_in_hand);
    bide_receiver_destroy(world->intake->passage.settling.receiver);
    TAILQ_FOREACH(queue, &store->queues, link)
    {
        TAILQ_FOREACH(row, &queue->ready, link)
        left++;
        TAILQ_FOREACH(row, &queue->delayed, link)
        left++;
    }
    TAILQ_FOREACH(row, &store->dead, link)
    left++;
    for (size_t i = 0; i < world->sent; i++)
        acked += (size_t)world->messages[i].acked;
    if (acked + left != world->sent)
        world_fails("%zu sent, %zu acknowledged, %zu there", world->sent, acked, left);
    const struct bide_circuit_row *circuit = bide_circuits_find(&world->shared->circuits, type_names[FLAKY]);
    if (circuit->breaker.probing && !world->abandoned)
        world_fails("the circuit waits for a probe that nobody has");
}

static void tear_down(struct world *world)
{
    const struct bide_adapter *adapter;
    struct bide_admin *admin;
    must(bide_adapter_find(&world->url, &adapter, NULL));
    must(adapter->open_admin(&world->options, &admin, NULL));
    must(admin->ops->erase(admin, NULL));
    bide_admin_destroy(admin);
    bide_sender_destroy(world->sender);
    bide_intake_clear(world->intake);
    bide_free(world->intake);
    bide_shared_unmap(world->shared);
    bide_url_clear(&world->url);
}

static void live(void)
{
    struct world *world = the_world;
    bide_error error = {0};
    start_worker(world);
    virtual_spawn(befall, world);
    if (bide_intake_run(world->intake, &error) != BIDE_OK)
        world_fails("the intake ends: %s", error.text);
    end_worker(world);
    while (world->sending) /* the worker may end by itself just then */
        virtual_sleep(1);
}

void world_run(uint64_t seed)
{
    static struct world world;
    memset(&world, 0, sizeof world);
    the_world = &world;
    world.seed = seed;
    world.cancelled_stalled_us = -1;
    virtual_begin(seed);
    set_up_config(&world);
    set_up_handlers(&world);
    set_up_supervised(&world);
    set_up_broker(&world);
    virtual_run(live, rules_each_step);
    close_books(&world);
    tear_down(&world);
}
