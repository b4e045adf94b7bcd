/* handlers/probe/orders.h: what a probe's body tells it to do. Any thread; fails with a text for the one who
 * wrote the body.
 */
#ifndef PROBE_ORDERS_H
#define PROBE_ORDERS_H

#include <bide/handler.h>

struct orders {
    int64_t sleep_ms;
    int64_t spin_ms;
    int64_t alloc_mb;
    int64_t fail;           /* the first so many attempts */
    int64_t retry_after_ms; /* the delay those failures ask for; BIDE_BY_POLICY: none */
    int64_t dead, commit, abort, crash, exit, hang;
    char until[1024]; /* a file that is waited for; empty: none */
};

/* An empty body orders nothing. Keys nobody knows are left alone: a ledger keeps its own notes there. */
bide_code orders_parse(const void *body, size_t size, struct orders *ret_orders, bide_error *error);

#endif
