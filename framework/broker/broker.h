/* broker/broker.h: the adapter contract. One contract suite (tests/contract/) runs against every adapter.
 *
 * An adapter offers three objects, each used by one thread at a time and independent of the others:
 *
 *   sender    takes messages into the broker            (producers; `bide send`)
 *   receiver  hands out deliveries and settles them     (a worker's intake thread)
 *   admin     looks, and works on dead letters          (`bide status`, `bide dead`, `bide check`)
 *
 * An adapter holds no policy: whether and when to retry is decided by outcome/. It moves messages along the
 * arrows of docs/message-lifecycle.md, and each arrow is one call here.
 *
 * Time: due times are Unix ms. A message is never handed out as *ready* before it is due; one that is handed
 * out early (at most the adapter's landing_ms before) is to be kept by the receiver's user until its due
 * millisecond.
 */
#ifndef BIDE_BROKER_BROKER_H
#define BIDE_BROKER_BROKER_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/url.h"
#include "bide/admin.h"
#include "bide/error.h"
#include "bide/producer.h"
#include "message/message.h"

/* How early a delivery is handed out at most, where the broker finds messages by their due time. Other
 * adapters say their own `landing_ms`, which is at most the other one. */
enum { BIDE_LANDING_MS = 500, BIDE_LANDING_MAX_MS = 2000 };

/* What all three objects are opened with. All is borrowed until open returns, except `clock`: for ever. */
struct bide_broker_options {
    const struct bide_url *url;
    const char *name_space;    /* valid by bide_namespace_valid */
    const char *base_dir;      /* where relative paths in the URL start */
    const char *const *queues; /* the configured queues; declared by whoever opens first. A receiver serves */
    size_t n_queues;           /* exactly these, in this order; a sender and an admin may know none */
    const char *const *subscriptions; /* others that a receiver joins when it is opened, and that an admin */
    size_t n_subscriptions;           /* knows of (docs/topics.md) */
    const char *client_name;          /* shown by the broker, e.g. "bide worker host:1234" */
    int64_t timeout_ms;               /* for one send or admin call, reconnecting included */
    size_t max_body;                  /* of a message taken in; larger ones are handed out as oversized */
    size_t
        max_in_flight; /* receiver: bytes of bodies in the user's hands and unsettled, one message that is */
                       /* larger excepted; 0: no bound */
    size_t early_max;  /* receiver: of a queue, what is handed out early to be landed, at most; 0: as the */
                       /* adapter thinks. It may be less, by the limit */
    bool ahead; /* receiver: hands out what waits however far off its due time is, not only what is nearly */
                /* due. SQLite; other adapters leave it in the broker */
    const struct bide_clock *clock;
};

/* ---- why a message is a dead letter ------------------------------------------------------------------- */

/* One row a reason: constant, its name for people and scripts. */
#define BIDE_REASONS(ROW)                                                                                    \
    ROW(BIDE_REASON_NONE, "")                                                                                \
    ROW(BIDE_REASON_EXHAUSTED, "exhausted")                                                                  \
    ROW(BIDE_REASON_REJECTED, "rejected")                                                                    \
    ROW(BIDE_REASON_NO_TYPE, "no-type")                                                                      \
    ROW(BIDE_REASON_UNKNOWN_TYPE, "unknown-type")                                                            \
    ROW(BIDE_REASON_CRASHED, "crashed")                                                                      \
    ROW(BIDE_REASON_TIMEOUT, "timeout")                                                                      \
    ROW(BIDE_REASON_OVERSIZED, "oversized")                                                                  \
    ROW(BIDE_REASON_MALFORMED, "malformed")                                                                  \
    ROW(BIDE_REASON_UNROUTED, "unrouted")                                                                    \
    ROW(BIDE_REASON_UNRESOLVED, "unresolved")

enum bide_reason {
#define BIDE_REASON_ENUM(name, text) name,
    BIDE_REASONS(BIDE_REASON_ENUM)
#undef BIDE_REASON_ENUM
};

const char *bide_reason_name(enum bide_reason reason);
bool bide_reason_parse(const char *name, enum bide_reason *ret_reason);

/* ---- sending ------------------------------------------------------------------------------------------ */

struct bide_sender {
    const struct bide_sender_ops *ops; /* first member of the adapter's own struct */
    int64_t timeout_us; /* for one send, reconnecting included: the options', until its user sets another */
};

struct bide_sender_ops {
    /* Returns when the broker has taken responsibility for all n, or with what became of each in results (n
     * entries, all BIDE_SENT_UNKNOWN on entry). The messages are stamped (bide_message_stamp) and borrowed. A
     * lost connection is made again within `timeout_us`; what was not confirmed is then sent again,
     * so that a duplicate is possible and a loss is not. BIDE_OK only if every result is BIDE_SENT_OK. */
    bide_code (*send)(struct bide_sender *sender, struct bide_message *const *messages, size_t n,
        enum bide_sent *results, bide_error *error);
    void (*destroy)(struct bide_sender *sender);
};

/* ---- receiving and settling --------------------------------------------------------------------------- */

/* One message in this worker's hands; settled exactly once. First member of the adapter's own struct, in
 * which the adapter keeps what it needs to settle it. Owned by whoever holds it; given back by settle. */
struct bide_delivery {
    struct bide_message *message; /* owned; `queue` is where it will go back to, `attempt` that of this run */
    size_t queue;                 /* index of the queue it arrived on, in the options' queues */
    enum bide_reason defect;      /* NONE, or MALFORMED/OVERSIZED: not to be run, only to be settled DEAD */
    const char *defect_text;      /* static or owned by the message's arena; NULL without a defect */
    bool id_is_new;               /* its sender gave it no id: it has this one in this delivery alone */
    bool is_done; /* this receiver has settled it ACK before, and the broker did not get to know: need not run
                   */
};

enum bide_verdict {
    BIDE_VERDICT_ACK,   /* done (or expired): gone for good */
    BIDE_VERDICT_RETRY, /* run again at due_ms with `attempt` and `error`. The attempt that it had: it did not
                           run, and does not come again at once if that is more than 500 ms ahead */
    BIDE_VERDICT_DEAD,  /* to the dead letters with `reason` and `error` */
    BIDE_VERDICT_RELEASE, /* back to the broker untouched: for any worker at once, or when it is due */
};

/* What shall become of a delivery. */
struct bide_settlement {
    struct bide_delivery *delivery;
    enum bide_verdict verdict;
    enum bide_reason reason;     /* DEAD */
    int attempt;                 /* RETRY: of the next run; DEAD: how many runs there were */
    int64_t due_ms;              /* RETRY */
    char *error;                 /* RETRY, DEAD: what went wrong, or NULL (no change); owned (bide_free) */
    char *failures;              /* likewise: that, and what went wrong before (message/failures.h) */
    struct bide_message **sends; /* ACK, DEAD: stamped messages, to be sent before or with the settlement; */
    size_t n_sends;              /* owned: each message and the array (bide_free). Else none */
};

/* What the intake waits for, beside its own wake-up. */
enum { BIDE_WAIT_FDS = 8 };
struct bide_wait {
    struct pollfd fds[BIDE_WAIT_FDS];
    size_t n_fds;
    int64_t timeout_us; /* call receive again by then even if no descriptor is ready; -1: no such need */
};

struct bide_receiver_stats {
    bool connected; /* and consuming, as far as can be seen */
    uint64_t reconnects;
    uint64_t settled; /* settlements that are final in the broker */
    uint64_t lost;    /* settlements that could not be made: the broker will hand those messages out again */
    size_t unsettled; /* handed over by settle, not yet final; but, before stop, for those that the broker
                         refuses to take */
    int64_t
        patience_us; /* what has not begun to run so long after it was handed out should be released, or */
                     /* the broker takes it away; 0: it may wait */
};

struct bide_receiver {
    const struct bide_receiver_ops *ops;
};

struct bide_receiver_ops {
    /* All of the adapter's work that is due: reads, writes, heartbeats, settlements handed over before,
     * reconnecting, claiming. Hands out up to max deliveries (the caller's from then on). Does not wait for
     * messages; what is slow on a broker's side (a blocked publish, a reconnect) does not make it wait
     * either. 0 deliveries and BIDE_OK while disconnected (the adapter reconnects by itself and logs it). An
     * error is one that trying again will not mend; everything in hand is then lost to this receiver. */
    bide_code (*receive)(struct bide_receiver *receiver, struct bide_delivery **deliveries, size_t max,
        size_t *ret_n, bide_error *error);

    /* Takes over the deliveries, errors and sends of n settlements (the array itself stays the caller's),
     * whatever happens. Does not wait: they become final in later calls of receive, in batches (see
     * bide_receiver_stats). */
    void (*settle)(struct bide_receiver *receiver, const struct bide_settlement *settlements, size_t n);

    /* How many unsettled deliveries of a queue the user wants to hold at most; 0: none now. Before the first
     * call: 0. What is handed out early to be landed does not count; `early_max` and the adapter bound it.
     * May be exceeded by what is already under way. */
    void (*limit)(struct bide_receiver *receiver, size_t queue, size_t limit);

    /* What to wait for before the next receive. */
    void (*wait)(struct bide_receiver *receiver, struct bide_wait *ret_wait);

    /* Nothing new from now on (limit 0 for all queues, no more early deliveries); what was handed out can be
     * settled. What the adapter holds itself, not handed out, goes back to the broker. */
    void (*stop)(struct bide_receiver *receiver);

    void (*stats)(const struct bide_receiver *receiver, struct bide_receiver_stats *ret_stats);

    /* Deliveries not settled become available to other workers again. Those still in the user's hands must be
     * freed by forget before this. */
    void (*destroy)(struct bide_receiver *receiver);

    /* Frees a delivery without settling it (the broker will hand it out again). */
    void (*forget)(struct bide_receiver *receiver, struct bide_delivery *delivery);
};

/* ---- looking and mending ------------------------------------------------------------------------------ */

enum { BIDE_UNKNOWN_COUNT = -1 }; /* "what a broker cannot tell per queue": null in JSON, "-" in tables */

struct bide_queue_stats {
    char name[BIDE_NAME_MAX + 1];
    int64_t ready, delayed, in_flight, dead;
    int64_t cancelled;       /* ever, as far as the broker has counted them; RabbitMQ: BIDE_UNKNOWN_COUNT */
    int64_t landing;         /* RabbitMQ; else BIDE_UNKNOWN_COUNT */
    int64_t oldest_ready_ms; /* for how long the oldest ready message has been due and not taken; 0: none is
                                ready; RabbitMQ cannot tell */
    int64_t workers; /* that take from it now (RabbitMQ: consumers). SQLite: 0 without any worker, else
                        BIDE_UNKNOWN_COUNT */
};

/* Something is ready, and nobody takes it: no worker serves the queue, or it is paused. */
static inline bool bide_queue_is_unserved(const struct bide_queue_stats *queue)
{
    return queue->ready > 0 && queue->workers == 0;
}

/* A holding queue of the ladder, or another named part of the delay store. */
struct bide_rung_stats {
    char name[160];
    int64_t ms; /* nominal holding time; 0: each message has its own */
    int64_t messages;
};

struct bide_worker_stats {
    char name[256]; /* host:pid or as the broker knows it */
    int64_t in_flight;
    int64_t seen_ms; /* last sign of life, Unix ms; 0: unknown */
};

struct bide_broker_stats {
    struct bide_queue_stats *queues;
    size_t n_queues;
    struct bide_rung_stats *rungs;
    size_t n_rungs;
    struct bide_worker_stats *workers;
    size_t n_workers;
    int64_t delayed_total; /* never unknown */
    int64_t unrouted;      /* RabbitMQ; else 0 */
};

void bide_broker_stats_clear(struct bide_broker_stats *stats);

/* A dead letter. The message is owned by whoever hands it out and lives until the callback returns. */
struct bide_dead_letter {
    const struct bide_message *message; /* attempt: how many runs there were */
    enum bide_reason reason;
    int64_t died_ms;
};

/* Spreads replays evenly over time: the k-th of n, counted from 0, is due at from_ms + over_ms × k / n. */
struct bide_dead_spread {
    int64_t from_ms; /* Unix ms */
    int64_t over_ms; /* 0: all are due at once */
    uint64_t n;      /* how many there are; what comes beyond begins at from_ms again */
};
/* Due time of the k-th; not before now_ms. */
int64_t bide_dead_due_ms(const struct bide_dead_spread *spread, uint64_t k, int64_t now_ms);

/* Which dead letters: all conditions hold together; NULL or 0 means any. */
struct bide_dead_filter {
    const char *const *ids; /* every copy of each id */
    size_t n_ids;
    const char *type;
    const char *queue;
    enum bide_reason reason;
    const char *search;     /* stands in the id, type or error; capital letters or not */
    int64_t died_from_ms;   /* died then or later, Unix ms */
    int64_t died_before_ms; /* died earlier than then */
    size_t limit;           /* the newest so many */
    bool without_bodies;    /* dead_each: nobody looks at the bodies; an adapter may leave them out, size 0 */
    struct bide_dead_spread spread; /* dead_retry: when each is due; the adapter chooses their order */
};

/* For adapters: the one judge of a filter's conditions, all but `limit`. Only the id, type, queue and error
 * of the letter's message are looked at. */
bool bide_dead_matches(const struct bide_dead_filter *filter, const struct bide_dead_letter *letter);
/* What `search` asks. */
bool bide_dead_mentions(const struct bide_message *message, const char *text);

/* What may stay among the dead letters. */
struct bide_dead_bounds {
    int64_t died_before_ms; /* what died earlier than then, Unix ms, goes; 0: it may be of any age */
    int64_t max_count;      /* of each queue the oldest beyond so many go; 0: any number may stay */
};

/* Called for each; false ends the walk. */
typedef bool bide_dead_visit(void *user, const struct bide_dead_letter *letter);
/* Called now and then while many are worked on; false interrupts between two messages. */
typedef bool bide_progress(void *user, uint64_t done, uint64_t total);

/* ---- what waits and what runs (bide/admin.h) ---- */

/* For adapters: does the selection mean this message? The ids of a selection that an adapter gets ascend,
 * each once, and its `states` are not 0. *ret_id (may be NULL): which of the ids it has. */
bool bide_selection_has(const bide_selection *selection, const struct bide_message *message, size_t *ret_id);

/* Which of the ids: a selection as adapters get it. ret_place may be NULL. */
bool bide_selection_find(const bide_selection *selection, const char *id, size_t *ret_place);

/* A message that was to be changed, as the broker has it; borrowed. unique "": it has no key. */
struct bide_copy {
    const char *id, *unique, *generation;
};
/* Reports what became of one message, once that is final. Nothing in the broker is locked meanwhile. */
typedef void bide_fate_report(void *user, const struct bide_copy *copy, bide_fate fate);

/* What is to become of those that wait, and whom to tell. */
struct bide_change {
    bool cancel;    /* else: reschedule */
    int64_t due_ms; /* reschedule: not earlier than now */
    bide_fate_report *report;
    bide_progress *progress; /* may be NULL */
    void *user;              /* of both */
};

/* The expiry of a message whose due time is changed: as long behind it as before; 0: none. */
int64_t bide_changed_expiry_ms(int64_t expires_ms, int64_t due_ms, int64_t new_due_ms);

/* ---- carrying a backlog elsewhere ---- */

/* A message on its way out, not in circulation meanwhile. */
struct bide_export {
    struct bide_message *message; /* the adapter's; dead: `attempt` is how many runs there were */
    bool dead;                    /* also what a worker would find malformed */
    enum bide_reason reason;      /* dead */
    int64_t died_ms;              /* dead */
    bool carried;                 /* set by the visitor: it is safe elsewhere and may be deleted here */
};

enum { BIDE_EXPORT_BATCH = 500 };

/* Takes up to BIDE_EXPORT_BATCH messages elsewhere and marks those that have arrived, also when it fails. A
 * failure ends the export; what is not marked although it succeeds stays behind, and may be offered again. */
typedef bide_code bide_export_visit(void *user, struct bide_export *batch, size_t n, bide_error *error);

enum bide_severity { BIDE_FINDING_OK, BIDE_FINDING_WARNING, BIDE_FINDING_ERROR, BIDE_FINDING_NOT_CHECKED };

/* What verify found: borrowed texts. remedy: NULL, or what to do (NOT_CHECKED: the command that shows it). */
struct bide_finding {
    enum bide_severity severity;
    const char *subject; /* "queue bide.mail" */
    const char *text;
    const char *remedy;
};
typedef void bide_finding_sink(void *user, const struct bide_finding *finding);

/* Called for each, in the order of topics; false ends the walk. */
typedef bool bide_subscription_visit(void *user, const char *subscription);

struct bide_store;
struct bide_admin {
    const struct bide_admin_ops *ops;
    struct bide_store *store; /* where unique keys are kept; NULL: nowhere. Not the adapter's: bide_admin_open
                                 and bide_admin_take_store (keys/admin.h) open it, bide_admin_close ends it */
};

struct bide_admin_ops {
    bide_code (*stats)(struct bide_admin *admin, struct bide_broker_stats *ret_stats, bide_error *error);
    /* Newest first; never changes what it lists. */
    bide_code (*dead_each)(struct bide_admin *admin, const struct bide_dead_filter *filter,
        bide_dead_visit *visit, void *user, bide_error *error);
    /* Queues them again, due at once or as the filter's `spread` says, with attempt 1, no error and no
     * expiry that is over by then (bide_message_replay); each is never in neither place. ret_n: how many. */
    bide_code (*dead_retry)(struct bide_admin *admin, const struct bide_dead_filter *filter,
        bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error);
    bide_code (*dead_drop)(struct bide_admin *admin, const struct bide_dead_filter *filter,
        bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error);
    /* Drops what the bounds do not allow to stay, in small steps and from the oldest on; progress is asked
     * after each. Reads no more than that takes: a letter that came after younger ones (moved here from
     * elsewhere) may stay until those go. Several may do this at once: no queue is left with fewer than
     * max_count because of its number. ret_n: how many were dropped, also before an interruption. */
    bide_code (*dead_trim)(struct bide_admin *admin, const struct bide_dead_bounds *bounds,
        bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error);
    /* As bide_admin_list; of dead letters it knows nothing. NULL, like the next: this broker cannot search
     * its queues. */
    bide_code (*find)(struct bide_admin *admin, const bide_selection *selection,
        char cursor[BIDE_CURSOR_SIZE], bide_found_visit *visit, void *user, bide_error *error);
    /* Cancels or reschedules all that the selection means and no worker has, in small steps; reports each
     * message that it cancelled, rescheduled or found running. An id that is reported not at all was nowhere,
     * however messages moved meanwhile. Workers that wait notice an earlier due time at once. */
    bide_code (*change)(struct bide_admin *admin, const bide_selection *selection,
        const struct bide_change *change, bide_error *error);
    /* Takes everything that is in nobody's hands, ready, delayed and dead, out of circulation, batch by
     * batch, and deletes what the visitor marks; the rest goes back at the end, as it was, and so does the
     * batch of an export that was killed (at the latest when the next one looks for it). queue: of this one
     * only, or NULL. Ends when nothing more is found. No dead letters may be replayed or dropped meanwhile.
     */
    bide_code (*export_each)(
        struct bide_admin *admin, const char *queue, bide_export_visit *visit, void *user, bide_error *error);
    /* Do both work on the same messages, whatever their URLs say? Asks the broker (`other` is of the same
     * adapter): two spellings, aliases and proxies of one server are one place. */
    bide_code (*same_place)(
        struct bide_admin *admin, struct bide_admin *other, bool *ret_same, bide_error *error);
    /* Stores dead letters with all that they say; returns when the broker has them (else perhaps some). */
    bide_code (*dead_add)(
        struct bide_admin *admin, const struct bide_dead_letter *letters, size_t n, bide_error *error);
    /* Is the broker as a worker needs it? Changes nothing. BIDE_OK also when findings are errors. */
    bide_code (*verify)(struct bide_admin *admin, bide_finding_sink *sink, void *user, bide_error *error);
    /* From now on the subscription gets what is sent to its topic; where it does so already, nothing
     * happens. */
    bide_code (*join)(struct bide_admin *admin, const char *subscription, bide_error *error);
    /* The subscription gets nothing more. RabbitMQ: deletes its queue with what is in it; else what waits
     * there stays, and a queue in which nothing waits is forgotten. Where it is no subscription, nothing
     * happens. */
    bide_code (*leave)(struct bide_admin *admin, const char *subscription, bide_error *error);
    /* Calls visit for each subscription that somebody has joined. NULL: this broker cannot list them. */
    bide_code (*subscriptions)(
        struct bide_admin *admin, bide_subscription_visit *visit, void *user, bide_error *error);
    /* Deletes the namespace: messages, dead letters, queues (those of the options and those the broker can
     * list), and whatever keeps them. Nobody else may be using it. Nothing there is no failure; whoever opens
     * next makes it anew. */
    bide_code (*erase)(struct bide_admin *admin, bide_error *error);
    void (*destroy)(struct bide_admin *admin);
};

/* ---- explain ------------------------------------------------------------------------------------------ */

enum { BIDE_PLAN_HOPS = 72 };

struct bide_plan_hop {
    char where[160]; /* a queue, or what holds the message */
    int64_t ms;      /* how long it stays there */
};

/* How the broker would hold a message. */
struct bide_plan {
    struct bide_plan_hop hops[BIDE_PLAN_HOPS];
    size_t n_hops;
    int passes;            /* rounds through the ladder; 1 elsewhere */
    int64_t resolution_ms; /* of the holding; landing does the rest to the millisecond */
    const char *method;    /* one sentence, static */
};

/* ---- the adapters ------------------------------------------------------------------------------------- */

/* One row of the registry. open_*: connects (or opens the file) and declares what is missing. */
struct bide_adapter {
    const char *name;       /* "sqlite" */
    const char *schemes[4]; /* of URLs, NULL-terminated */
    const char *const
        *beside_url;     /* options of its URLs that may be given beside the URL, too; NULL-terminated */
    bool creates_queues; /* sending to a queue nobody declared works (else: parked as unrouted) */
    bool one_process;    /* what is sent can be received in the same process alone, and ends with it */
    bool marks;          /* what waits cannot be searched: who cancels it by id leaves a mark (keys/mark.h) */
    int landing_ms;      /* the landing window: how early a delivery may be handed out */
    bide_code (*open_sender)(
        const struct bide_broker_options *options, struct bide_sender **ret_sender, bide_error *error);
    bide_code (*open_receiver)(
        const struct bide_broker_options *options, struct bide_receiver **ret_receiver, bide_error *error);
    bide_code (*open_admin)(
        const struct bide_broker_options *options, struct bide_admin **ret_admin, bide_error *error);
    bide_code (*explain)(const struct bide_broker_options *options, int64_t delay_ms,
        struct bide_plan *ret_plan, bide_error *error);
    const char *(*risk)(const struct bide_url *url); /* broker/risk.h; NULL: there is none */
};

/* The adapter of an URL's scheme; the error of an unknown one lists those there are. */
bide_code bide_adapter_find(
    const struct bide_url *url, const struct bide_adapter **ret_adapter, bide_error *error);
/* An option that somebody names beside the URL; value: NULL where it is not given. It becomes one of the
 * URL's where the adapter has such an option, else it has no meaning. BIDE_E_CONFIG where the URL says
 * something else. */
bide_code bide_adapter_take_option(const struct bide_adapter *adapter, struct bide_url *url, const char *name,
    const char *value, bide_error *error);
/* Every adapter, NULL-terminated. */
const struct bide_adapter *const *bide_adapters(void);

/* ---- calls (thin: they only follow `ops`) ------------------------------------------------------------- */

static inline bide_code bide_sender_send(struct bide_sender *sender, struct bide_message *const *messages,
    size_t n, enum bide_sent *results, bide_error *error)
{
    return sender->ops->send(sender, messages, n, results, error);
}

static inline void bide_sender_destroy(struct bide_sender *sender)
{
    if (sender)
        sender->ops->destroy(sender);
}

static inline void bide_receiver_destroy(struct bide_receiver *receiver)
{
    if (receiver)
        receiver->ops->destroy(receiver);
}

static inline void bide_admin_destroy(struct bide_admin *admin)
{
    if (admin)
        admin->ops->destroy(admin);
}

/* For adapters: the delivery's message as the settlement leaves it (RETRY, DEAD; else as it is). Borrows from
 * both, and lives as long as they do. */
void bide_settlement_apply(const struct bide_settlement *settlement, struct bide_message *ret_after);
/* For adapters: frees what a settlement carries besides its delivery. */
void bide_settlement_release(const struct bide_settlement *settlement);

#endif
