/* console/server.h: HTTP by libmicrohttpd: which requests are let in, and who answers them. */
#ifndef BIDE_CONSOLE_SERVER_H
#define BIDE_CONSOLE_SERVER_H

#include "console/access.h"
#include "console/serving.h"

struct MHD_Connection;
struct MHD_Daemon;

/* One listening socket. */
struct bide_server {
    struct bide_console *console;
    enum bide_door door;
    struct MHD_Daemon *daemon;
};

/* Takes the socket over. Signals must be blocked: its threads inherit that. */
bide_code bide_server_start(
    struct bide_server *server, struct bide_console *console, int fd, enum bide_door door, bide_error *error);
/* Takes no new connection; those there are go on. */
void bide_server_quiesce(struct bide_server *server);
/* Ends its connections; console->stopping is set, so that streams end. Not started: nothing. */
void bide_server_stop(struct bide_server *server);

/* ---- gate.c ---- */

/* Lets a request in or not, slows down who guesses tokens, logs who did what. Called on the
 * connection's thread. */

/* False: refused, and the reply says so. */
bool bide_gate_pass(struct bide_server *server, struct MHD_Connection *connection, enum bide_right right,
    enum bide_role *ret_role, struct bide_reply *reply);
/* What somebody with a role did, and with what success. */
void bide_gate_log(struct MHD_Connection *connection, enum bide_role role, const char *path, unsigned status);

/* ---- routes.c ---- */

/* What the console answers, and what right each needs. Pure; any thread. */

struct bide_route {
    const char *method, *path; /* '*' in it stands for a name */
    enum bide_right right;
    bide_endpoint *serve;
};

/* HEAD is as GET. `name` gets what '*' stands for. NULL: none; *ret_known tells whether by another method. */
const struct bide_route *bide_route_find(
    const char *method, const char *path, char name[BIDE_ID_MAX + 1], bool *ret_known);

/* ---- upload.c ---- */

/* A request's body while it comes in: only for who may, and within bounds. On the connection's thread. */

struct bide_upload {
    struct bide_console *console;
    struct bide_reply refusal; /* status 0: none; else the body is read and dropped */
    struct bide_buffer body;
    size_t reserved; /* of the outbox's budget */
};

/* NULL: out of memory. */
struct bide_upload *bide_upload_begin(
    struct bide_server *server, struct MHD_Connection *connection, enum bide_right right);
void bide_upload_add(struct bide_upload *upload, const char *bytes, size_t size);
void bide_upload_end(struct bide_upload *upload);

#endif
