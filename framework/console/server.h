/* console/server.h: HTTP by libmicrohttpd: lets requests in and calls the function that answers them. */
#ifndef BIDE_CONSOLE_SERVER_H
#define BIDE_CONSOLE_SERVER_H

#include "console/access.h"
#include "console/serving.h"

struct MHD_Connection;
struct MHD_Daemon;
struct sockaddr;

/* One listening socket and its connections. */
struct bide_server {
    struct bide_console *console;
    enum bide_door door;
    struct MHD_Daemon *daemon;
};

/* Takes the socket over. Signals must be blocked: the server's threads inherit that. */
bide_code bide_server_start(
    struct bide_server *server, struct bide_console *console, int fd, enum bide_door door, bide_error *error);
/* Takes no new connections; the present ones go on. */
void bide_server_quiesce(struct bide_server *server);
/* Ends its connections. console->stopping must be set, so that streams end. Does nothing if not started. */
void bide_server_stop(struct bide_server *server);

/* ---- request.c ---- */

/* A header field, or NULL; the connection's. */
const char *bide_server_header(struct MHD_Connection *connection, const char *name);
/* A connection's socket (-1: unknown), and the address of its other side (NULL: unknown; the connection's).
 * Each copies the library's answer at once: from libmicrohttpd 1.0 on, the next answer overwrites it. */
int bide_server_socket(struct MHD_Connection *connection);
const struct sockaddr *bide_server_address(struct MHD_Connection *connection);

/* ---- gate.c ---- */

/* Lets a request in or refuses it, delays wrong tokens, and logs who did what. Called on the connection's
 * thread. */

/* False if the request is refused; the reply then says why. */
bool bide_gate_pass(struct bide_server *server, struct MHD_Connection *connection, enum bide_right right,
    enum bide_role *ret_role, struct bide_reply *reply);
/* Logs an action: who did it, and its result. */
void bide_gate_log(struct MHD_Connection *connection, enum bide_role role, const char *path, unsigned status);

/* ---- routes.c ---- */

/* The table of what the console answers, and which right each needs. Pure; any thread. */

struct bide_route {
    const char *method, *path; /* '*' in the path stands for a name */
    enum bide_right right;
    bide_endpoint *serve;
    bool takes_body;
};

/* Finds a route; HEAD counts as GET. `name` gets what '*' stands for. NULL: there is none; *ret_known says
 * whether there is one for another method. */
const struct bide_route *bide_route_find(
    const char *method, const char *path, char name[BIDE_ID_MAX + 1], bool *ret_known);

/* ---- upload.c ---- */

/* The body of a request while it arrives: read only if the request is allowed, and within bounds. On the
 * connection's thread. */

struct bide_upload {
    struct bide_console *console;
    enum bide_role role;       /* who sends it */
    struct bide_reply refusal; /* status 0: not refused; otherwise the body is read and discarded */
    struct bide_buffer body;
    size_t reserved; /* bytes of the outbox's budget */
};

/* NULL without memory. */
struct bide_upload *bide_upload_begin(
    struct bide_server *server, struct MHD_Connection *connection, enum bide_right right);
void bide_upload_add(struct bide_upload *upload, const char *bytes, size_t size);
void bide_upload_end(struct bide_upload *upload);

#endif
