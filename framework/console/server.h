/* console/server.h: HTTP by libmicrohttpd: routes, access, answers. Main thread of the console. */
#ifndef BIDE_CONSOLE_SERVER_H
#define BIDE_CONSOLE_SERVER_H

#include "console/serving.h"

struct MHD_Daemon;

/* One listening socket. */
struct bide_server {
    struct bide_console *console;
    bool local; /* the Unix socket */
    struct MHD_Daemon *daemon;
};

/* Takes the socket over. Signals must be blocked: its threads inherit that. */
bide_code bide_server_start(
    struct bide_server *server, struct bide_console *console, int fd, bool local, bide_error *error);
/* Ends its connections; console->stopping is set, so that streams end. Not started: nothing. */
void bide_server_stop(struct bide_server *server);

#endif
