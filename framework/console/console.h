/* console/console.h: one process beside the workers that answers by HTTP: metrics, health, status, dead
 * letters, events, pause, quiet, and the dashboard.
 *
 * It reads what the workers write into shared memory (shared/metrics.h), asks the broker only when it is
 * asked something the broker knows, and changes nothing but the controls and dead letters. Each connection
 * has a thread, so that a slow broker delays nobody's health check. Who may do what: access.h. */
#ifndef BIDE_CONSOLE_CONSOLE_H
#define BIDE_CONSOLE_CONSOLE_H

#include "broker/broker.h"
#include "config/config.h"
#include "console/sockets.h"
#include "shared/memory.h"

/* The sockets, opened before the console is forked, so that they outlive a crash of it and a port that is
 * taken is an error at the start. */
struct bide_listeners {
    int tcp;     /* -1: not configured */
    int local;   /* -1: no folder for it could be had */
    int senders; /* http.send_socket; -1: not configured */
    bool loopback;
    char path[BIDE_SOCKET_PATH]; /* of the Unix socket */
    char senders_path[BIDE_SOCKET_PATH];
};

/* BIDE_E_CONFIG: http.listen or http.send_socket cannot be had. A Unix socket that cannot be had is logged
 * and left out. */
bide_code bide_listeners_open(
    const struct bide_config *config, struct bide_listeners *ret_listeners, bide_error *error);
/* Would the address by TCP be had now? Binds it for a moment. */
bide_code bide_listeners_try(const struct bide_http_config *http, bide_error *error);
/* For another configuration of the same worker: the same sockets, but its own where http.listen or
 * http.send_socket differs. Errors as above, then *ret_next is *now. */
bide_code bide_listeners_prepare(const struct bide_listeners *now, const struct bide_config *before,
    const struct bide_config *after, struct bide_listeners *ret_next, bide_error *error);
/* Closes what only `dropped` has. */
void bide_listeners_drop(const struct bide_listeners *dropped, const struct bide_listeners *kept);
/* The same, and removes its socket's name: for one process, the supervisor. */
void bide_listeners_remove_dropped(const struct bide_listeners *dropped, const struct bide_listeners *kept);
/* In a process that does not serve: closes its copies. */
void bide_listeners_close(struct bide_listeners *listeners);
/* At the end: and removes the names of the Unix sockets. */
void bide_listeners_remove(struct bide_listeners *listeners);

struct bide_console_options {
    const struct bide_config *config;
    const struct bide_adapter *adapter;
    const struct bide_broker_options *broker;
    const struct bide_listeners *listeners;
    struct bide_shared *shared;
};

/* Serves until SIGUSR2. The process is its own, begun by supervisor/attendant.c. */
bide_code bide_console_run(const struct bide_console_options *options, bide_error *error);

#endif
