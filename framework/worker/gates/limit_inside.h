/* worker/gates/limit_inside.h: the limit gate's own, for its files (docs/limits.md says what it promises).
 *
 * A message's way past its limits is a row of steps, each one letter:
 *
 *   TICKET   it may have been moved before: has it a ticket? Its permit is used up by looking
 *   TAKE     places (concurrency), then permits (rates): all, or none from the first that is refused
 *   RESERVE  several rates, and one of them is used up: a permit of that one, for later
 *   ISSUE    the permit begins later: a ticket, and the places back; then the message moves to that time
 *   LINE     no place: when is its turn? Then the message moves to that time
 *
 * Each letter first compares the terms with those that this worker knows, so that what an operator sets holds
 * at once, everywhere.
 *
 * Thread-safety: the intake thread's. Ownership: the pass belongs to its job from the first look until the
 * job leaves the gate; its letters are the clerk's while the job waits. */
#ifndef BIDE_WORKER_GATES_LIMIT_INSIDE_H
#define BIDE_WORKER_GATES_LIMIT_INSIDE_H

#include "limits/limit.h"
#include "worker/gates/gate.h"

enum { LIMIT_STOCK = 128, LIMIT_DESKS = 128, LIMIT_ROLES = 8 * BIDE_LIMITED_BY_MAX };
#define LIMIT_MARGIN_US INT64_C(2000) /* what may pass between the last look at the clock and the run */
#define LIMIT_LONGEST_US (INT64_C(366) * 86400 * 1000 * 1000)

/* Where messages of one key that are in hand together get their permits. One of them asks the store for all
 * that wait then; the others are parked until its answer is here. Only of handlers with a rate alone. */
struct limit_desk {
    char name[BIDE_LIMIT_NAME_TEXT]; /* of the key; an idle desk is given to another key */
    int64_t permits_us[LIMIT_STOCK]; /* reserved and not used yet; ascending, by the store's clock */
    size_t first, n;
    size_t parked; /* messages that wait for the answer */
    bool asking;
};

struct limit {
    const struct bide_shared_limit_config *config;
    struct bide_limit_terms terms;     /* as this worker knows them, */
    char text[BIDE_LIMIT_TERMS_TEXT];  /* by this fact */
    size_t text_size;                  /* 0: there is none */
    char prefix[BIDE_LIMIT_NAME_TEXT]; /* of its keys' names */
    size_t prefix_size;
    struct bide_limit_metrics *metrics;
    int64_t mean_us; /* of recent runs */
};

struct limited { /* a handler */
    struct limit *limits[BIDE_LIMITED_BY_MAX];
    size_t n, n_rates;
    struct bide_limit_pass *spare; /* passes that nobody uses, linked by `next` */
    bool simple;                   /* one limit, a rate without a concurrency */
    bool keyless; /* … without a key, and the queue is its own: nothing stands behind a message that could run
                     before it, so that it waits in hand however long that is, and nothing moves */
    bool slow;    /* its runs take long: what had no thread would only lose its permit */
};

struct limit_gate {
    struct bide_gate gate;
    struct limit *limits;
    size_t n_limits;
    struct limited *handlers; /* by row */
    struct limit_desk *desks; /* LIMIT_DESKS */
    struct bide_limit_clock clock;
    char holder[BIDE_ID_TEXT]; /* of this process: no other has it */
    uint64_t passes;           /* numbers them */
    bool slow;                 /* it was said that the store is too slow */
};

enum limit_step { LIMIT_TICKET, LIMIT_TAKE, LIMIT_RESERVE, LIMIT_ISSUE, LIMIT_LINE };

/* What an operation of a letter is for. */
enum limit_role { ROLE_TERMS, ROLE_HAS, ROLE_USE, ROLE_CLOCK, ROLE_PLACE, ROLE_LOOK, ROLE_PERMIT, ROLE_REST };

struct limit_part {                   /* one a limit */
    char name[BIDE_LIMIT_NAME_TEXT];  /* bide_limit_name */
    char place[BIDE_LIMIT_NAME_TEXT]; /* NAME/KEY */
    char terms[BIDE_LIMIT_TERMS_TEXT];
    size_t terms_size;
};

struct bide_limit_pass {
    struct bide_limit_pass *next;
    struct limited *handler;
    const struct bide_message *message; /* its job's */
    enum limit_step step;
    bool looked; /* for a ticket */
    bool waits;  /* it lands to ask then, not to run */
    bool parked; /* at `desk`; or it asks for that one; else NULL: */
    struct limit_desk *desk;
    unsigned places;   /* bits of the limits whose places it holds */
    unsigned tries;    /* letters without a result that is of use */
    int64_t began_us;  /* monotonic: when it came in */
    int64_t more;      /* permits beyond one that it asks for, as the store answers slowly */
    int64_t asked_us;  /* store: when it asked first; 0: it did not */
    int64_t permit_us; /* store: of its ticket, or reserved; 0: none */
    size_t permit_of;
    char ticket[BIDE_LIMIT_TICKET_TEXT], data[64];
    char holder[BIDE_HOLDER_MAX];
    size_t n_operations;
    uint8_t roles[LIMIT_ROLES], of[LIMIT_ROLES];
    struct bide_store_operation *operations; /* behind the parts */
    struct limit_part parts[];
};

/* ---- limit_letters.c ---- */

/* A pass with the names of its keys. NULL: no memory. */
struct bide_limit_pass *limit_pass_create(
    struct limit_gate *gate, struct limited *handler, const struct bide_message *message);
/* After the terms have changed. */
void limit_name_keys(struct limit *limit);
/* The letter of its step, in an errand; NULL: no memory. */
struct bide_errand *limit_letter(struct limit_gate *gate, struct bide_limit_pass *pass);
/* An operation of the last letter by its role, from the index on; NULL: none. */
const struct bide_store_operation *limit_answer(
    const struct bide_limit_pass *pass, enum limit_role role, size_t *at);
/* False: the terms that some limit has are others than this worker knew; it knows them now. */
bool limit_terms_hold(struct bide_limit_pass *pass);
/* Its places go back; nobody waits for the answer. */
void limit_give_back(struct limit_gate *gate, struct bide_limit_pass *pass);
/* The key has to wait for so long, and what was reserved and issued before is void. */
void limit_throttle(struct limit_gate *gate, const struct bide_limit_pass *pass, size_t of, int64_t wait_ms);

/* ---- limit_desk.c ---- */

/* The desk of its key. NULL: the handler has none, or another key uses the place. */
struct limit_desk *limit_desk_of(struct limit_gate *gate, const struct bide_limit_pass *pass);
void limit_desk_put(struct limit_desk *desk, const struct bide_store_operation *permits);
/* The next permit that can still be used (store); 0: none. */
int64_t limit_desk_take(struct limit_gate *gate, struct limit_desk *desk);
/* All permits are void. */
void limit_desks_void(struct limit_gate *gate);

/* ---- limit_steps.c: what the gate says; the job has a pass ---- */

/* At the first look. */
enum bide_gate_says limit_start(
    struct limit_gate *gate, struct bide_job *job, struct bide_gate_answer *answer);
/* Places and permits, from its key's desk or from the store. */
enum bide_gate_says limit_take(
    struct limit_gate *gate, struct bide_job *job, struct bide_gate_answer *answer);
/* The answer is in job->errand. */
enum bide_gate_says limit_judge(
    struct limit_gate *gate, struct bide_job *job, struct bide_gate_answer *answer);
/* Its permits were over when they came, or the run could not begin in time. */
enum bide_gate_says limit_try_again(
    struct limit_gate *gate, struct bide_job *job, struct bide_gate_answer *answer);
/* The pass ends; its places go back. */
void limit_leave(struct limit_gate *gate, struct bide_job *job);

static inline int64_t limit_now_us(const struct limit_gate *gate)
{
    return bide_mono_us(gate->gate.site->clock);
}

/* May a run by this permit begin, in time? */
static inline bool limit_can_begin(const struct limit_gate *gate, int64_t permit_us, int64_t now_us)
{
    return bide_limit_span(&gate->clock, permit_us).to_us - LIMIT_MARGIN_US > now_us;
}

#endif
