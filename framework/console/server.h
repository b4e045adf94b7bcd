/* console/server.h: HTTP by libmicrohttpd: routes, access, answers. Main thread of the console. */
#ifndef BIDE_CONSOLE_SERVER_H
#define BIDE_CONSOLE_SERVER_H

#include "console/access.h"
#include "console/serving.h"

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

#endif
