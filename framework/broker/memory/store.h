/* broker/memory/store.h: a broker in this process's memory: what the other adapters have a server or a file
 * for.
 *
 * A store is known by its name and its namespace, and lives as long as the process. Each message is a row
 * that is in one list at a time:
 *
 *   delayed (by due) ──promote──> ready ──receive──> held by a receiver ──> gone, or back into one of these
 *                                                             └──────────> dead (newest first)
 *
 * Thread-safety: open from any thread; all others want the store locked, which one lock does for all of them.
 * Inside broker/memory alone. */
#ifndef BIDE_BROKER_MEMORY_STORE_H
#define BIDE_BROKER_MEMORY_STORE_H

#include <sys/queue.h>

#include "base/wakeup.h"
#include "broker/broker.h"

struct bide_memory_delivery;
struct bide_memory_receiver;

TAILQ_HEAD(bide_memory_rows, bide_memory_row);

struct bide_memory_row {
    TAILQ_ENTRY(bide_memory_row) link;
    struct bide_memory_queue *queue;
    struct bide_message *message;          /* owned; who is handed it out gets a copy */
    struct bide_memory_delivery *delivery; /* held: by whom; NULL: the user forgot it */
    uint64_t serial;                       /* no other row has it */
    uint64_t order;          /* ready: when it became so, as a number that grows; 0: it has not been yet */
    enum bide_reason reason; /* dead */
    int64_t died_ms;         /* dead */
};

struct bide_memory_queue {
    TAILQ_ENTRY(bide_memory_queue) link;
    char name[BIDE_NAME_MAX + 1];
    struct bide_memory_rows ready;   /* by order */
    struct bide_memory_rows delayed; /* by due */
    int64_t held;
    int64_t cancelled;
    bool is_joined; /* as a subscription of its topic */
};

struct bide_memory_store {
    TAILQ_ENTRY(bide_memory_store) link;
    char *name;
    char *name_space;
    TAILQ_HEAD(, bide_memory_queue) queues;
    struct bide_memory_rows dead;
    TAILQ_HEAD(, bide_memory_receiver) receivers; /* to be woken */
    uint64_t next_order, next_serial;
};

/* The store that the options name, with their queues. */
bide_code bide_memory_store_open(
    const struct bide_broker_options *options, struct bide_memory_store **ret_store, bide_error *error);

void bide_memory_lock(void);
void bide_memory_unlock(void);

/* Added where it is not there; NULL where there is no memory. */
struct bide_memory_queue *bide_memory_queue(struct bide_memory_store *store, const char *name);

/* A row in no list, for a copy of the message; NULL where there is no memory. */
struct bide_memory_row *bide_memory_row(struct bide_memory_store *store, const struct bide_message *message);
/* It is in no list. */
void bide_memory_row_destroy(struct bide_memory_row *row);

/* From no list to where its due time says; wakes the receivers. */
void bide_memory_put(struct bide_memory_store *store, struct bide_memory_row *row, int64_t now_ms);
/* From no list to the dead letters. */
void bide_memory_bury(
    struct bide_memory_store *store, struct bide_memory_row *row, enum bide_reason reason, int64_t died_ms);
/* Copies of the messages, all or none of them: to their queues, and of what is addressed to a topic one to
 * each subscription, or to the dead letters. False where there is no memory. */
bool bide_memory_send(
    struct bide_memory_store *store, const struct bide_message *const *messages, size_t n, int64_t now_ms);
bool bide_memory_has_subscription(const struct bide_memory_store *store, const char *topic);
bide_code bide_memory_join(struct bide_admin *admin, const char *subscription, bide_error *error);
bide_code bide_memory_leave(struct bide_admin *admin, const char *subscription, bide_error *error);
bide_code bide_memory_subscriptions(
    struct bide_admin *admin, bide_subscription_visit *visit, void *user, bide_error *error);

/* What has fallen due becomes ready. */
void bide_memory_promote(struct bide_memory_store *store, struct bide_memory_queue *queue, int64_t now_ms);

bide_code bide_memory_open_sender(
    const struct bide_broker_options *options, struct bide_sender **ret_sender, bide_error *error);
bide_code bide_memory_open_receiver(
    const struct bide_broker_options *options, struct bide_receiver **ret_receiver, bide_error *error);
bide_code bide_memory_open_admin(
    const struct bide_broker_options *options, struct bide_admin **ret_admin, bide_error *error);

#endif
