/* console/console.h: one process beside the workers that answers by HTTP: metrics, health, status, dead
 * letters, events, pause, quiet, sending, and the dashboard.
 *
 * It reads what the workers write into shared memory (shared/metrics.h), asks the broker only when a request
 * needs that, and changes only the controls and dead letters. Each connection has a thread, so that a slow
 * broker does not delay a health check. Who may do what: access.h. */
#ifndef BIDE_CONSOLE_CONSOLE_H
#define BIDE_CONSOLE_CONSOLE_H

#include "broker/broker.h"
#include "config/config.h"
#include "console/sockets.h"
#include "shared/memory.h"

/* The sockets. They are opened before the console is forked: so they outlive a crash of the console, and a
 * port in use is an error at the start. */
struct bide_listeners {
    int tcp;     /* -1: not configured */
    int local;   /* -1: no folder for it is usable */
    int senders; /* http.send_socket; -1: not configured */
    bool loopback;
    char path[BIDE_SOCKET_PATH]; /* of the Unix socket */
    char senders_path[BIDE_SOCKET_PATH];
};

/* BIDE_E_CONFIG: http.listen or http.send_socket cannot be opened. If the worker's own Unix socket cannot,
 * that is logged, and the console does without. */
bide_code bide_listeners_open(
    const struct bide_config *config, struct bide_listeners *ret_listeners, bide_error *error);
/* Could the TCP address be used now? Binds it for a moment. */
bide_code bide_listeners_try(const struct bide_http_config *http, bide_error *error);
/* The listeners for a new configuration of the same worker: the same sockets, but new ones where http.listen
 * or http.send_socket differs. Errors as above; then *ret_next is *now. */
bide_code bide_listeners_prepare(const struct bide_listeners *now, const struct bide_config *before,
    const struct bide_config *after, struct bide_listeners *ret_next, bide_error *error);
/* Closes the sockets of `dropped` that `kept` does not have. */
void bide_listeners_drop(const struct bide_listeners *dropped, const struct bide_listeners *kept);
/* As drop, and removes the name of a dropped Unix socket: called by one process, the supervisor. */
void bide_listeners_remove_dropped(const struct bide_listeners *dropped, const struct bide_listeners *kept);
/* Closes this process's copies, in a process that does not serve. */
void bide_listeners_close(struct bide_listeners *listeners);
/* At the end: closes them, and removes the names of the Unix sockets. */
void bide_listeners_remove(struct bide_listeners *listeners);

struct bide_console_options {
    const struct bide_config *config;
    const struct bide_adapter *adapter;
    const struct bide_broker_options *broker;
    const struct bide_listeners *listeners;
    struct bide_shared *shared;
};

/* Serves until SIGUSR2. Runs in a process of its own, started by supervisor/attendant.c. */
bide_code bide_console_run(const struct bide_console_options *options, bide_error *error);

#endif
