/* store/store.h: the contract of a store, which remembers facts about messages when no process does. One
 * suite (tests/contract_store/) runs against every store. docs/store.md tells operators what lies where.
 *
 * Work is handed over in letters. A letter holds the operations that belong together, such as those for one
 * message: they are applied in order, all or none of them. A batch of letters is one round trip and one
 * commit; letters of one batch are applied in order, each after the one before it.
 *
 *   TURN     a fact changes its state, if it is in one of the states named
 *   ARRIVE   a member of a set has arrived; is the set complete?
 *   METER    permits of a rate, reserved one after the other (GCRA)
 *   ACQUIRE  a permit of a semaphore; RELEASE gives it back, and so does the end of the holder's session
 *   GET      looks at a fact
 *   CLOSE    says when a whole scope lapses
 *
 * Applying a letter twice does no harm: the answer was lost, the process died, the message was redelivered.
 * Only METER reserves once more then, so that less is allowed than the rate, never more. For this reason a
 * caller that got no answer applies the letter again.
 *
 * A fact that is missing or has lapsed is in state 0: whoever finds it so runs the message. Losing the store,
 * or a part of it, may run a message twice; it never loses one.
 *
 * Time: the store's clock decides. Callers say durations (`lasts_ms`: from now on) and get durations.
 *
 * Names: a fact is known by scope and key, both 1 … BIDE_STORE_KEY_MAX bytes without NUL. A scope is made by
 * the first operation that gives it a time to last, and lasts at least as long as each fact in it that has a
 * time of its own. What has none (`lasts_ms` 0) lasts as long as its scope.
 *
 * Threads: a store object is used by one thread at a time, and may be handed to another. In a worker the
 * clerk thread owns it; a producer opens one of its own and applies letters itself. It waits: never call it
 * from an intake thread. */
#ifndef BIDE_STORE_STORE_H
#define BIDE_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/url.h"
#include "bide/error.h"
#include "broker/broker.h"

enum {
    BIDE_STORE_KEY_MAX = 512, /* bytes of a scope, key or holder (queue, type and id fit together). Keys that
                                 users choose: */
    BIDE_STORE_USER_KEY_MAX = 200,
    BIDE_STORE_DATA_MAX = 1024 * 1024, /* bytes of one fact's data */
    BIDE_STORE_OPERATIONS_MAX = 256,   /* in a letter; who has more writes several letters */
    BIDE_STORE_LETTERS_MAX = 1000,     /* in a batch */
    BIDE_STORE_STATES = 8,             /* 0: absent; 1 … 7: the caller's */
    BIDE_STORE_MEMBERS_MAX = 1 << 28,  /* of a set */
    BIDE_STORE_HOLDERS_MAX = 100000,   /* permits of a semaphore */
};
#define BIDE_STORE_LASTS_MAX_MS (INT64_C(10) * 366 * 24 * 3600 * 1000)

/* ---- letters ------------------------------------------------------------------------------------------ */

enum bide_store_kind {
    BIDE_STORE_TURN,
    BIDE_STORE_ARRIVE,
    BIDE_STORE_METER,
    BIDE_STORE_ACQUIRE,
    BIDE_STORE_RELEASE,
    BIDE_STORE_GET,
    BIDE_STORE_CLOSE,
};

/* TURN. The fact changes if its state is one of `from` (bit 1 << state, BIDE_STORE_ANY: whatever it is) and
 * its data begin with `expect`. It then has state `to`, `data`, and lasts for lasts_ms from now (0: as long
 * as its scope; nothing changes where that is unknown). `to` 0 deletes it. A fact that is in state `to` with
 * the same data already is the caller's own, or as good as that: the turn is `ok`. So who must be told apart
 * from others writes a token of its own into the data; and data that will be compared begin with what
 * identifies them (a generation, a token), as the rest may change. */
struct bide_store_turn {
    unsigned from;
    unsigned to;
    struct bide_slice expect; /* size 0: any data */
    struct bide_slice data;
};
enum { BIDE_STORE_ANY = 0xFF };

/* ARRIVE. Adds a member (0, 1, …) to the set, unless it is in the set `unless` of its scope already;
 * BIDE_STORE_NO_MEMBER adds none. `total`: how many members make it complete; 0: not known yet. The first
 * total that is given stays. Sets last as long as their scope; lasts_ms makes the scope last at least so
 * long; in an unknown scope without lasts_ms nothing is written. */
struct bide_store_arrive {
    int64_t member;
    int64_t total;
    const char *unless; /* the key of a set; NULL: none */
};
enum { BIDE_STORE_NO_MEMBER = -1 };

/* METER. Permits begin evenly, interval_us apart, each behind those reserved before. Reserves up to n of them
 * whose time comes within within_us. n 0: looks. A key that has to wait (429): one permit with the wait as
 * its interval. The reservations are a fact in state 1 that lasts until its key is free again: GET and scan
 * show it, a TURN to 0 forgets it. A meter and a fact must not have the same key. */
struct bide_store_meter {
    int64_t n;
    int64_t interval_us;
    int64_t within_us;
};

/* ACQUIRE. A semaphore is a set of holders, known by names that nobody else uses at the same time. Granted if
 * the holder is in the set already, or there are less than n. A holder leaves by RELEASE, after lasts_ms
 * (more than 0), and when the session that acquired last for it ends: a session belongs to the store object
 * and ends when it is destroyed or its process dies. RELEASE changes nothing where another session has
 * acquired for this holder since. n 0: looks, for nobody (no holder); never `ok`. CLOSE does not touch
 * holders. */
struct bide_store_acquire {
    const char *holder;
    int64_t n; /* ACQUIRE */
};

struct bide_store_answer {
    bool skipped; /* not applied, because an operation before it was not `ok` and said `stop` */
    bool ok; /* TURN: the fact is as asked. ARRIVE: the set is complete. METER: at least one permit, and it
                begins now. ACQUIRE: granted. GET: there is a fact. RELEASE, CLOSE: always. METER that
                only looked: a permit would begin now */
    bool changed; /* TURN: now, not before. ARRIVE: the member is new. ACQUIRE: the holder is new. RELEASE: it
                     was in the set */
    bool first; /* ARRIVE: this made it complete. Of all who ever get `ok`, one gets `first`; its process may
                   die before it acts on it: what must happen is to follow from `ok` */
    unsigned state;   /* TURN: the one before. GET */
    int64_t lasts_ms; /* TURN that was not ok, GET: how much longer the fact lasts (before, with TURN) */
    int64_t count;    /* ARRIVE: members now. ACQUIRE: holders now. METER: permits reserved */
    int64_t total;    /* ARRIVE: as far as known */
    int64_t wait_us;  /* METER: until the first permit begins, or (none reserved) would begin */
    int64_t at_us;    /* METER: when that was said, by the store's clock (Unix µs): who asks several times
                         learns how that clock stands to its own, more exactly than one call takes */
    char *data;       /* TURN that was not ok, GET: owned (bide_store_letter_clear frees it); NULL: none */
    size_t size;
};

/* What is named is borrowed until apply returns. Those that `kind` does not need stay 0. */
struct bide_store_operation {
    enum bide_store_kind kind;
    bool stop; /* where this is not `ok`, what stands behind it in the letter is not applied. (What stands in
                  front stays applied: conditions come first.) */
    const char *scope, *key; /* CLOSE: no key */
    int64_t lasts_ms;        /* CLOSE: the scope and all in it lapses then; 0: now */
    union {
        struct bide_store_turn turn;
        struct bide_store_arrive arrive;
        struct bide_store_meter meter;
        struct bide_store_acquire acquire; /* and RELEASE */
    };
    struct bide_store_answer answer; /* written by apply if the letter's code is BIDE_OK */
};

/* The caller's, with its operations; reused after clear. */
struct bide_store_letter {
    struct bide_store_operation *operations;
    size_t n;
    bide_code code; /* written by apply. BIDE_OK: applied. BIDE_E_DATA: it is wrong (a name, a size) and will
                       always be. Else: perhaps applied, perhaps not: apply it again */
    bool lax; /* need not survive a power cut, only the death of processes: a batch of nothing else waits for
                 no disk */
};

/* Frees the answers' data. Also a letter that was never applied, if its answers are zeroed. */
void bide_store_letter_clear(struct bide_store_letter *letter);

/* ---- reading many ------------------------------------------------------------------------------------- */

/* Borrowed until the callback returns. */
struct bide_store_fact {
    const char *key;
    unsigned state;
    struct bide_slice data;
    int64_t lasts_ms;
};
typedef void bide_store_visit(void *user, const struct bide_store_fact *fact);

/* Where a scan goes on: a text that may be kept and shown. Zeroed: at the beginning. */
struct bide_store_cursor {
    char at[BIDE_STORE_KEY_MAX + 1];
    bool done; /* nothing is left */
};

/* ---- a store ------------------------------------------------------------------------------------------ */

struct bide_store {
    const struct bide_store_ops *ops; /* first member of each store's own struct */
    int64_t timeout_us; /* for one call, connecting included: the options', until its user sets another */
};

/* Codes of all calls: BIDE_E_BROKER, BIDE_E_TIMEOUT, BIDE_E_NOMEM: trying again later may help.
 * BIDE_E_CONFIG: somebody has to mend it (password, permissions, a newer schema, a damaged file). The text
 * names the store. */
struct bide_store_ops {
    /* Applies up to BIDE_STORE_LETTERS_MAX letters. A connection that is not there, or is lost, is made
     * (again) within `timeout_us`. BIDE_OK only if every letter's code is; otherwise the error is
     * that of the first letter that failed, and others may have been applied. */
    bide_code (*apply)(
        struct bide_store *store, struct bide_store_letter *letters, size_t n, bide_error *error);
    /* Visits up to about `max` facts of a scope whose key begins with `prefix` (may be ""), and moves the
     * cursor on. A page may be empty before the end. What changes meanwhile may be missing, and be visited
     * twice. Sets and holders are not visited. */
    bide_code (*scan)(struct bide_store *store, const char *scope, const char *prefix, size_t max,
        struct bide_store_cursor *cursor, bide_store_visit *visit, void *user, bide_error *error);
    /* Upkeep: keeps the session alive and deletes some of what has lapsed. *ret_wait_ms: to be called again
     * by then; apply does not take its place. Who never acquires need not call it. It waits as apply does. */
    bide_code (*tend)(struct bide_store *store, int64_t *ret_wait_ms, bide_error *error);
    /* Is the store as it has to be? Changes nothing. BIDE_OK also when findings are errors. */
    bide_code (*verify)(struct bide_store *store, bide_finding_sink *sink, void *user, bide_error *error);
    void (*destroy)(struct bide_store *store);
};

/* What a store is opened with. All is borrowed until open returns, except `clock`: for ever. */
struct bide_store_options {
    const struct bide_url *url;
    const char *name_space;  /* as the broker's: two namespaces share a store without meeting */
    const char *base_dir;    /* where a relative path in the URL starts */
    const char *client_name; /* shown by the server */
    int64_t timeout_ms;      /* for one call, connecting included */
    const struct bide_clock *clock;
};

/* One row of the registry. */
struct bide_store_type {
    const char *name;       /* "sqlite" */
    const char *schemes[4]; /* of URLs, NULL-terminated */
    bool one_host;          /* only processes of one host can share it */
    bide_code (*open)(
        const struct bide_store_options *options, struct bide_store **ret_store, bide_error *error);
};

/* The store of an URL's scheme; BIDE_E_CONFIG where there is none, with a text that lists those there are. */
bide_code bide_store_find(
    const struct bide_url *url, const struct bide_store_type **ret_type, bide_error *error);

/* Reads the URL and connects to nothing: the first call does. BIDE_E_CONFIG, BIDE_E_NOMEM. */
bide_code bide_store_open(
    const struct bide_store_options *options, struct bide_store **ret_store, bide_error *error);

bide_code bide_store_apply(
    struct bide_store *store, struct bide_store_letter *letters, size_t n, bide_error *error);

static inline bide_code bide_store_scan(struct bide_store *store, const char *scope, const char *prefix,
    size_t max, struct bide_store_cursor *cursor, bide_store_visit *visit, void *user, bide_error *error)
{
    return store->ops->scan(store, scope, prefix, max, cursor, visit, user, error);
}

static inline bide_code bide_store_tend(struct bide_store *store, int64_t *ret_wait_ms, bide_error *error)
{
    return store->ops->tend(store, ret_wait_ms, error);
}

static inline bide_code bide_store_verify(
    struct bide_store *store, bide_finding_sink *sink, void *user, bide_error *error)
{
    return store->ops->verify(store, sink, user, error);
}

static inline void bide_store_destroy(struct bide_store *store) /* NULL is fine */
{
    if (store)
        store->ops->destroy(store);
}

#endif
