/* tests/simulation/world.h: one worker, its broker and what befalls them, all from one seed.
 *
 * A world sends messages, runs a worker on them, lets things go wrong, heals them (or stops the worker in the
 * middle), and ends. What must hold is looked at on the way; the first thing that does not is printed with
 * the seed, and ends the program. One thread. */
#ifndef TESTS_SIMULATION_WORLD_H
#define TESTS_SIMULATION_WORLD_H

#include "broker/broker.h"
#include "broker/memory/receiver.h"
#include "dispatch/pool_inside.h"
#include "shared/memory.h"
#include "simulation/virtual.h"
#include "worker/intake.h"

enum {
    WORLD_QUEUES = 2,
    WORLD_THREADS = 8,
    WORLD_MESSAGES = 400,
    WORLD_IN_HAND = 2048,
};

/* What the handlers of each type are like. */
enum world_type { PLAIN, NARROW, FLAKY, SHAKY, WORLD_TYPES };

struct world_message {
    enum world_type type;
    int acked; /* acknowledgements that the broker has */
};

/* A delivery in the worker's hands. */
struct in_hand {
    struct bide_delivery *delivery;
    size_t message;
    bool early, begun, returned, obeys;
    int64_t stalled_us; /* when it was handed out */
};

struct world {
    uint64_t seed;
    struct bide_config config;
    struct bide_queue_config queues[WORLD_QUEUES];
    struct bide_handler_config handler_configs[WORLD_TYPES];
    struct bide_plugin plugins[WORLD_TYPES];
    struct bide_handler rows[WORLD_TYPES];
    struct bide_handlers handlers;
    struct bide_supervised supervised;
    struct bide_shared *shared;
    struct bide_intake *intake;

    struct bide_url url;
    struct bide_broker_options options;
    struct bide_sender *sender;
    struct bide_receiver *inner; /* the broker's own; the worker has one with faults around it */

    struct world_message messages[WORLD_MESSAGES];
    size_t sent;
    bool sending; /* a message is counted as sent and may not be in the broker yet */
    struct in_hand in_hand[WORLD_IN_HAND];
    size_t n_in_hand;
    int running[WORLD_TYPES];

    uint64_t rounds;    /* of the intake */
    uint64_t paused_in; /* the round in which the present pause was said */
    int paused;         /* 1 + a type; 1 + WORLD_TYPES + a queue; 0: nothing */
    bool down;          /* what FLAKY calls */
    bool healed;        /* nothing goes wrong any more */
    bool abandoned;     /* the worker left before everything had returned */
    bool over;          /* handlers are to return, whatever they wanted */
    int64_t stopped_us, stopped_stalled_us;
    int64_t cancelled_stalled_us; /* when the worker began to cancel; -1: it has not */
};

extern struct world *the_world;

/* Prints what is wrong, where and with which seed, and ends the program. */
_Noreturn void world_fails(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Lives through the world of this seed. */
void world_run(uint64_t seed);

/* ---- between the files of a world ---- */

/* SHAKY has just crashed again, somewhere: all of it is suspect. */
void world_suspect(void);

/* The broker, with faults: what the worker gets. */
struct bide_receiver *faulty_receiver(void);
void faulty_lose_connection(void);
void faulty_connect(void);

/* What must hold, at each step and at the end. */
void rules_each_step(void);
void rules_before_run(const struct in_hand *hand);
void rules_after_round(void);
struct in_hand *rules_find(const struct bide_delivery *delivery, const struct bide_message *message);

#endif
