/* console/serving.h: inside the console: what its endpoints have, are asked and answer.
 *
 * Each endpoint is called on its connection's thread, several at once. */
#ifndef BIDE_CONSOLE_SERVING_H
#define BIDE_CONSOLE_SERVING_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/buffer.h"
#include "base/clock.h"
#include "console/connections.h"
#include "console/console.h"
#include "console/history.h"
#include "console/outbox.h"
#include "console/recent.h"
#include "console/retention.h"

/* The broker's figures, asked for at most once a second however many want them. */
struct bide_depths {
    pthread_mutex_t lock;
    struct bide_broker_stats stats;
    int64_t taken_ms; /* monotonic; 0: never */
    bide_code code;
    bide_error error;
};

struct bide_console {
    const struct bide_console_options *options;
    const struct bide_clock *clock;
    struct bide_depths depths;
    struct bide_history history;
    struct bide_recent recent;
    struct bide_connections connections; /* by TCP */
    pthread_mutex_t letters;             /* one at a time asks for dead letters: each may be a long walk */
    _Atomic int guesses;                 /* wrong tokens, of the last minute */
    _Atomic int64_t guessed_ms;          /* monotonic: the last one */
    _Atomic int stopping;
    _Atomic int followers; /* of /events */
    _Atomic int uploads;   /* requests to POST /send under way */
    struct bide_outbox outbox;
    struct bide_retention retention;
};

struct bide_follower;

struct bide_request {
    void *connection;           /* libmicrohttpd's */
    int fd;                     /* its socket */
    char name[BIDE_ID_MAX + 1]; /* what stands for '*' in the route */
    const char *body;           /* of a route that takes one; borrowed */
    size_t body_size;
};

struct bide_reply {
    unsigned status;    /* 200 unless set */
    const char *type;   /* JSON unless set; static */
    const char *policy; /* Content-Security-Policy: nothing unless set; static */
    struct bide_buffer body;
    struct bide_follower *follower; /* instead of a body: streamed until the client leaves */
};

typedef void bide_endpoint(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply);

bide_endpoint bide_serve_metrics, bide_serve_health, bide_serve_ready, bide_serve_status, bide_serve_history,
    bide_serve_dead_list, bide_serve_dead_show, bide_serve_dead_retry, bide_serve_dead_drop, bide_serve_pause,
    bide_serve_resume, bide_serve_quiet, bide_serve_unquiet, bide_serve_events, bide_serve_page,
    bide_serve_send;

/* A parameter of the query, or NULL; borrowed. */
const char *bide_request_query(const struct bide_request *request, const char *name);
/* Is it there, with a value or without? */
bool bide_request_has(const struct bide_request *request, const char *name);
/* A field of the head, or NULL; borrowed. */
const char *bide_request_header(const struct bide_request *request, const char *name);

/* {"error":"…"} with a status, instead of whatever the body held. */
void bide_reply_error(struct bide_reply *reply, unsigned status, const char *text);
/* The same for a failed call: the status that its code means. */
void bide_reply_failure(struct bide_reply *reply, bide_code code, const bide_error *error);

/* The broker's figures, not older than a second; borrowed until given back, which is to be soon. Also after a
 * failure there is nothing to give back. */
bide_code bide_depths_borrow(
    struct bide_console *console, const struct bide_broker_stats **ret_stats, bide_error *error);
void bide_depths_give_back(struct bide_console *console);

/* ---- /events ---- */

void bide_follower_destroy(struct bide_follower *follower);
/* Waits for events and writes lines; -1 at the end (the client has left, or the console stops). */
ptrdiff_t bide_follower_read(struct bide_follower *follower, char *to, size_t size);

#endif
