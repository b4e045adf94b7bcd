/* relay/source.h: where a relay takes messages from: one table of functions for each kind of source.
 *
 *   outbox.c     outbox+sqlite:FILE: the table bide_outbox of an application's own database (docs/outbox.md)
 *   received.c   any broker, through its receiver
 *
 * Life of a message: take hands it out, the relay sends it, settle says what became of it. What was taken and
 * never settled (the relay was killed) is taken again. Messages of one queue come in the order of commits, or
 * as the broker orders them; a message that is due later may come at once, and keeps its due time.
 *
 * Thread-safety: one thread at a time. */
#ifndef BIDE_RELAY_SOURCE_H
#define BIDE_RELAY_SOURCE_H

#include "broker/configured.h"
#include "config/config.h"

/* As many are carried at once, and as many may be carried twice after a kill. */
enum { BIDE_RELAY_BATCH = 500 };

enum bide_taken_end {
    BIDE_TAKEN_OPEN,     /* in the relay's hands */
    BIDE_TAKEN_DONE,     /* the target has confirmed it: it goes */
    BIDE_TAKEN_REFUSED,  /* the target will never take it: it stays, marked, and is not offered again */
    BIDE_TAKEN_RELEASED, /* back, untouched */
};

struct bide_taken {
    struct bide_message *message; /* stamped; the source's until it is settled; NULL: it cannot be read */
    char *why;                    /* REFUSED: the reason; owned (bide_free); settle frees it */
    enum bide_taken_end end;
    int64_t since_ms;               /* Unix ms: since when it could have been carried */
    int64_t confirmed_ms;           /* Unix ms: when the target answered */
    int64_t seq;                    /* outbox: the row's number */
    struct bide_delivery *delivery; /* broker */
};

/* What lies in a source. */
struct bide_source_depth {
    int64_t waiting;   /* BIDE_UNKNOWN_COUNT: this source cannot tell */
    int64_t oldest_ms; /* for how long the oldest has waited; 0: none waits; BIDE_UNKNOWN_COUNT */
    int64_t refused;
};

struct bide_source {
    const struct bide_source_ops *ops; /* first member of the source's own struct */
    const char *const *queues;         /* those that it serves, for the target to know; the source's */
    size_t n_queues;
};

struct bide_source_ops {
    /* Becomes the relay that carries. *ret_mine false: another relay of this host does; BIDE_E_NOT_FOUND: the
     * source is not there yet; wait says what to wait for. Called again at any time. A source that several
     * may serve at once says true. */
    bide_code (*claim)(struct bide_source *source, bool *ret_mine, bide_error *error);
    /* Hands out up to max messages (at most BIDE_RELAY_BATCH); does not wait for any. Those that cannot be
     * carried come as REFUSED. max 0: only looks after its connection. */
    bide_code (*take)(
        struct bide_source *source, struct bide_taken *items, size_t max, size_t *ret_n, bide_error *error);
    /* Settles n items, none of them OPEN, and takes back their messages and texts. On failure nothing is
     * settled: call it again with the same. */
    bide_code (*settle)(struct bide_source *source, struct bide_taken *items, size_t n, bide_error *error);
    /* Is the target this source itself, whatever their URLs say? What is carried would be found again, for
     * ever. NULL: no broker is. */
    bide_code (*is_target)(struct bide_source *source, const struct bide_adapter *adapter,
        const struct bide_broker_options *target, bool *ret_same, bide_error *error);
    /* What to wait for before the next claim or take. */
    void (*wait)(struct bide_source *source, struct bide_wait *ret_wait);
    /* Changes nothing; needs no claim. A source that is not there yet has nothing in it. */
    bide_code (*look)(struct bide_source *source, struct bide_source_depth *ret_depth, bide_error *error);
    /* What was not settled is taken again. Frees `items`, the n still in the relay's hands, too. */
    void (*destroy)(struct bide_source *source, struct bide_taken *items, size_t n);
};

/* All is borrowed until destroy. */
struct bide_source_options {
    const struct bide_config *config;
    const char *url;
    const char *queue; /* of this one only; NULL: of all */
    const struct bide_clock *clock;
    int64_t timeout_ms; /* of one call to a broker */
};

/* Opens nothing yet: a source that is away is waited for. BIDE_E_CONFIG: an URL that is none. */
bide_code bide_source_create(
    const struct bide_source_options *options, struct bide_source **ret_source, bide_error *error);
/* Is it the URL of an outbox? */
bool bide_source_is_outbox(const char *url);

/* ---- for sources and the relay ---- */

/* The absolute path of a file that is named relative to `dir`, symbolic links resolved as far as it is there;
 * NULL without memory. The caller frees it. */
char *bide_source_path(const char *dir, const char *path);

/* One end of a relay that is a broker: the configuration with this URL in the place of its broker, and what
 * its adapter is opened with. Do not copy it. */
struct bide_relay_end {
    struct bide_config config; /* borrows from the one it was made from, all but `broker` */
    struct bide_configured_broker broker;
};
bide_code bide_relay_end_open(
    const struct bide_config *config, const char *url, struct bide_relay_end *ret_end, bide_error *error);
void bide_relay_end_close(struct bide_relay_end *end); /* also a zeroed one */

bide_code bide_outbox_create(
    const struct bide_source_options *options, struct bide_source **ret_source, bide_error *error);
bide_code bide_received_create(
    const struct bide_source_options *options, struct bide_source **ret_source, bide_error *error);

#endif
