/* broker/redis/receiver.h: the receiver of the Redis adapter, its inside.
 *
 * A file calls those below it only:
 *
 *   receiver.c    life, waiting, answers
 *   claims.c      getting messages; claiming.h: when
 *   arrivals.c    what was read becomes deliveries
 *   settles.c     settlements become commands
 *   audit.c       after a lost connection: what does this worker have?
 *   under_way.c   commands that were sent and are not answered yet
 *   delivery.c    one delivery, and chains of them
 *
 * Commands are sent without waiting and answered in order; `commands` lists those not yet answered. All by
 * the intake thread; the keeper's thread shares nothing with it but the keeper. */
#ifndef BIDE_REDIS_RECEIVER_H
#define BIDE_REDIS_RECEIVER_H

#include <stdbool.h>

#include "base/heap.h"
#include "broker/broker.h"
#include "broker/redis/claiming.h"
#include "broker/redis/keeper.h"
#include "broker/redis/keys.h"
#include "broker/redis/wire.h"

/* Claimed up to LEAD_MS before due; the alarm goes off ALARM_MS before: so that a steady flow of delayed
 * messages is claimed in handfuls. One worker holds the alarm, the others look BACKUP_MS after due in case it
 * died. */
enum { BIDE_REDIS_LEAD_MS = 200, BIDE_REDIS_ALARM_MS = 100, BIDE_REDIS_BACKUP_MS = 250 };
enum { BIDE_REDIS_EARLY_MAX = 1024 }; /* early messages in hand of a queue, whatever its limit */
enum { BIDE_REDIS_CLAIM_MAX = 128 };  /* messages of one claim */
#define BIDE_REDIS_NO_ALARM INT64_MAX

enum bide_redis_list {
    BIDE_REDIS_LIST_ACK,
    BIDE_REDIS_LIST_FOLLOW,
    BIDE_REDIS_LIST_MOVE,
    BIDE_REDIS_LIST_RELEASE,
    BIDE_REDIS_N_LISTS
};

struct bide_redis_delivery {
    struct bide_delivery base;
    struct bide_redis_delivery *next;                 /* in a chain */
    struct bide_redis_delivery *all_next, **all_link; /* in the receiver's `all` */
    struct bide_heap_node landing;                    /* in `landing` while it is early */
    struct bide_settlement settlement;
    size_t *in_flight; /* the receiver's, while it is in `all`; its share: */
    size_t charge;
    unsigned incarnation; /* of the receiver, when it was claimed */
    bool sent;            /* its settlement was, at least once */
    bool alone;           /* and refused, among others: now by itself */
    unsigned refusals;    /* by itself */
    bool disowned;        /* the server says that it is not this worker's (any more) */
    char source[48];      /* stream id ("123-0") or token */
};

struct bide_redis_chain {
    struct bide_redis_delivery *first, **end;
    size_t n;
};

struct bide_redis_queue {
    const char *name;
    size_t limit;
    size_t in_hand; /* claimed, not settled, due */
    size_t early;   /* claimed, not settled, not due yet: in `landing` */
    size_t asked;   /* by the claim under way */
    enum bide_redis_claiming claiming;
    unsigned turn; /* of claims: the odd place goes to delayed and ready in turn */
    int64_t alarm_ms;
    int64_t rests_until_us; /* monotonic: a claim was refused; 0: it does not rest */
    bool audited;           /* since the connection was made: nothing is settled before the answer */
    int audits;             /* still to be made after a reconnect: what is claimed that we do not know of? */
    int64_t audit_us;       /* monotonic: when */
    size_t mean_size;       /* of messages, a moving average: bounds the bytes of a claim; 0: none came yet */
    struct bide_redis_chain settles[BIDE_REDIS_N_LISTS]; /* to be sent */
    struct bide_redis_chain refused;                     /* to be sent after a pause, */
    int64_t refused_until_us;                            /* monotonic; 0: there are none */
};

enum bide_redis_command_kind {
    BIDE_REDIS_COMMAND_CLAIM,
    BIDE_REDIS_COMMAND_READ,
    BIDE_REDIS_COMMAND_SETTLE,
    BIDE_REDIS_COMMAND_KEEP
};

struct bide_redis_command {
    struct bide_redis_command *next;
    enum bide_redis_command_kind kind;
    struct bide_redis_queue *queue;
    enum bide_redis_kind fault_kind; /* what is done about an error answer */
    bool full_claim;                 /* CLAIM: the stream was read too; READ: always */
    size_t room;                     /* READ: how many were asked for */
    enum bide_redis_list list;       /* SETTLE */
    struct bide_redis_chain chain;   /* SETTLE: what becomes final with the answer */
    int64_t deadline_us;
};

struct bide_redis_receiver {
    struct bide_receiver base;
    struct bide_redis_settings *settings;
    struct bide_redis_keeper *keeper;
    struct bide_redis_links links; /* work is NULL: disconnected */
    struct bide_redis_queue *queues;
    size_t n_queues;
    struct bide_redis_command *commands, **commands_end;
    size_t settles_under_way;
    size_t settle_turn;              /* which queue's which list is next */
    struct bide_redis_delivery *all; /* every delivery that is not freed */
    size_t in_flight;                /* bytes of their bodies */
    struct bide_redis_chain ready;   /* claimed, not handed out */
    struct bide_heap landing;        /* early ones, claimed and not settled */
    struct bide_redis_args args;
    struct bide_buffer text;
    struct bide_redis_wire wire;
    unsigned incarnation;
    bool stopped;
    bool unsent; /* something waits for the socket */
    bool news;   /* the last receive made settlements final: the caller may want to look before it sleeps */
    struct bide_receiver_stats stats;
};

bide_code bide_redis_open_receiver(
    const struct bide_broker_options *options, struct bide_receiver **ret_receiver, bide_error *error);

/* ---- delivery.c ---- */

void bide_redis_chain_init(struct bide_redis_chain *chain);
void bide_redis_chain_add(struct bide_redis_chain *chain, struct bide_redis_delivery *delivery);
struct bide_redis_delivery *bide_redis_chain_take(struct bide_redis_chain *chain); /* NULL: empty */
void bide_redis_chain_prepend(struct bide_redis_chain *chain, struct bide_redis_chain *front);

void bide_redis_delivery_free(struct bide_redis_delivery *delivery);
/* No longer in hand (settled, forgotten or lost). */
void bide_redis_delivery_uncount(struct bide_redis_receiver *receiver, struct bide_redis_delivery *delivery);

/* ---- under_way.c ---- */

/* Begins, in `args`, a script that works on what this worker has claimed of a queue: its keys, and the first
 * three arguments (worker, queue, wake channel). */
void bide_redis_receiver_begin_script(struct bide_redis_receiver *receiver, enum bide_redis_script script,
    const struct bide_redis_queue *queue);
/* Notes a command that was appended; NULL where there is no memory. */
struct bide_redis_command *bide_redis_receiver_note(
    struct bide_redis_receiver *receiver, enum bide_redis_command_kind kind, struct bide_redis_queue *queue);

/* ---- audit.c: does the server agree on what this worker has? ---- */

/* Makes an audit due so much later. */
void bide_redis_audit_in(
    const struct bide_redis_receiver *receiver, struct bide_redis_queue *queue, int64_t us);
/* Makes the audits that are due: asks the server to take back what this worker does not know it has. */
bide_code bide_redis_audit_send(struct bide_redis_receiver *receiver, bide_error *error);
/* Its answer: marks the deliveries that are not this worker's as disowned. */
void bide_redis_audit_answer(
    struct bide_redis_receiver *receiver, struct bide_redis_queue *queue, const redisReply *reply);

/* ---- settles.c ---- */

/* Takes over a settlement, to be sent later. */
void bide_redis_settles_add(struct bide_redis_receiver *receiver, const struct bide_settlement *settlement);
/* Appends commands for what was added. */
bide_code bide_redis_settles_send(struct bide_redis_receiver *receiver, bide_error *error);
/* The command was carried out. */
void bide_redis_settles_final(
    struct bide_redis_receiver *receiver, struct bide_redis_command *command, const redisReply *reply);
/* The command was refused: its settlements go one by one, and one that is alone goes again after a pause. In
 * the end it is given up; the next audit hands its message back. */
void bide_redis_settles_refused(
    struct bide_redis_receiver *receiver, struct bide_redis_command *command, const char *why);
/* All of a chain is lost: counted and freed. */
void bide_redis_settles_lose(struct bide_redis_receiver *receiver, struct bide_redis_chain *chain);
/* Drops what is disowned of what was added to a queue. */
void bide_redis_settles_drop_disowned(struct bide_redis_receiver *receiver, struct bide_redis_queue *queue);
/* Is there something to be sent, and nothing under way whose answer would cause it? */
bool bide_redis_settles_wait(
    const struct bide_redis_receiver *receiver, const struct bide_redis_queue *queue);

/* ---- arrivals.c ---- */

/* Entries of a stream, or token/due/message triples: into `ready`. Counts them as in hand or as early. */
bide_code bide_redis_arrivals_entries(struct bide_redis_receiver *receiver, struct bide_redis_queue *queue,
    const redisReply *entries, bide_error *error);
bide_code bide_redis_arrivals_tokens(struct bide_redis_receiver *receiver, struct bide_redis_queue *queue,
    const redisReply *tokens, bide_error *error);

/* ---- claims.c ---- */

/* How many more of a queue may be claimed. */
size_t bide_redis_claims_room(
    const struct bide_redis_receiver *receiver, const struct bide_redis_queue *queue);
/* Early ones whose time has come count as in hand. */
void bide_redis_claims_land(struct bide_redis_receiver *receiver);
/* Appends the claims for which there is reason and room. */
bide_code bide_redis_claims_send(struct bide_redis_receiver *receiver, bide_error *error);
/* The answer to a CLAIM or READ: its messages into `ready`. */
bide_code bide_redis_claims_answer(struct bide_redis_receiver *receiver,
    const struct bide_redis_command *command, const redisReply *reply, bide_error *error);
/* A CLAIM, READ or KEEP was refused, and another will be as well: the queue rests for a while. */
void bide_redis_claims_refused(
    struct bide_redis_receiver *receiver, const struct bide_redis_command *command);
/* Is there reason and room for a claim? */
bool bide_redis_claims_wanted(
    const struct bide_redis_receiver *receiver, const struct bide_redis_queue *queue);
/* A message of the wake channel: the queue that it names is to be claimed from. */
void bide_redis_claims_wake(struct bide_redis_receiver *receiver, const redisReply *message);
/* The connection is new: nothing is under way, there may be anything. */
void bide_redis_claims_reset(struct bide_redis_queue *queue);
/* Wall ms of the next claim, or settlement, that time causes, or BIDE_REDIS_NO_ALARM. */
int64_t bide_redis_claims_alarm(const struct bide_redis_receiver *receiver);

#endif
