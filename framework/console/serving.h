/* console/serving.h: shared by the console's files: its state, and the requests and replies of its endpoints.
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
#include "console/schedules.h"
#include "transactions/census.h"

/* The broker's figures, asked for at most once a second, however many requests need them. */
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
    struct bide_known_schedules schedules;
    struct bide_history history;
    struct bide_recent recent;
    struct bide_connections connections; /* the TCP connections */
    pthread_mutex_t letters;    /* locked while one request walks through messages, which may take long */
    _Atomic int guesses;        /* wrong tokens in the last minute */
    _Atomic int64_t guessed_ms; /* monotonic: when the last wrong token came */
    _Atomic int stopping;
    _Atomic int followers; /* clients that read /events */
    _Atomic int uploads;   /* requests to POST /send under way */
    struct bide_outbox outbox;
    struct bide_retention retention;
    struct {
        pthread_mutex_t lock;    /* of the pointer */
        bide_producer *producer; /* the first request opens it; any thread */
    } transactor;                /* of POST /transactions */
    struct {
        pthread_mutex_t lock;
        struct bide_transaction_census census;
        bide_code code;
        int64_t next_ms; /* monotonic: when to look again */
    } open_transactions; /* as they were last; any thread */
};

struct bide_follower;

struct bide_request {
    void *connection;           /* the one of libmicrohttpd */
    int fd;                     /* its socket */
    char name[BIDE_ID_MAX + 1]; /* what stands for '*' in the route */
    const char *body;           /* of a route that takes one; borrowed */
    size_t body_size;
};

struct bide_reply {
    unsigned status;    /* 200 unless set */
    const char *type;   /* JSON unless set; static */
    const char *policy; /* Content-Security-Policy: allows nothing unless set; static */
    struct bide_buffer body;
    struct bide_follower *follower; /* streamed instead of a body until the client leaves */
};

typedef void bide_endpoint(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply);

bide_endpoint bide_serve_metrics, bide_serve_health, bide_serve_ready, bide_serve_status, bide_serve_history,
    bide_serve_dead_list, bide_serve_dead_show, bide_serve_dead_retry, bide_serve_dead_drop, bide_serve_pause,
    bide_serve_resume, bide_serve_quiet, bide_serve_unquiet, bide_serve_events, bide_serve_page,
    bide_serve_send, bide_serve_messages, bide_serve_message, bide_serve_cancel, bide_serve_reschedule,
    bide_serve_limits, bide_serve_limit_set, bide_serve_schedules, bide_serve_schedule_pause,
    bide_serve_schedule_resume, bide_serve_schedule_run, bide_serve_stream_send, bide_serve_streams,
    bide_serve_stream, bide_serve_stream_cancel, bide_serve_transaction_prepare,
    bide_serve_transaction_commit, bide_serve_transaction_abort, bide_serve_transaction,
    bide_serve_transactions;

/* A parameter of the query, or NULL; borrowed. */
const char *bide_request_query(const struct bide_request *request, const char *name);
/* Does the query have this parameter, with or without a value? */
bool bide_request_has(const struct bide_request *request, const char *name);
/* How many parameters the query has. */
size_t bide_request_queries(const struct bide_request *request);
/* A header field, or NULL; borrowed. */
const char *bide_request_header(const struct bide_request *request, const char *name);

/* Replaces the body by {"error":"…"}, with a status. */
void bide_reply_error(struct bide_reply *reply, unsigned status, const char *text);
/* As reply_error, for a failed call, with the status for its code. */
void bide_reply_failure(struct bide_reply *reply, bide_code code, const bide_error *error);

/* The broker's figures, at most a second old; borrowed until given back, which must be soon. After a failure
 * there is nothing to give back. */
bide_code bide_depths_borrow(
    struct bide_console *console, const struct bide_broker_stats **ret_stats, bide_error *error);
void bide_depths_give_back(struct bide_console *console);

/* Only one request at a time walks through dead letters or what waits: it may hold many in memory and keep
 * the broker busy. BIDE_E_TIMEOUT: another one takes long. */
bide_code bide_console_take_turn(struct bide_console *console, bide_error *error);
void bide_console_end_turn(struct bide_console *console);

/* ---- /events ---- */

void bide_follower_destroy(struct bide_follower *follower);
/* Waits for events and writes lines. Returns -1 at the end: the client has left, or the console stops. */
ptrdiff_t bide_follower_read(struct bide_follower *follower, char *to, size_t size);

#endif
