/* console/gate.h: lets a request in or not, slows down who guesses tokens, logs who did what. Called on the
 * connection's thread. */
#ifndef BIDE_CONSOLE_GATE_H
#define BIDE_CONSOLE_GATE_H

#include "console/access.h"
#include "console/server.h"

struct MHD_Connection;

/* False: refused, and the reply says so. */
bool bide_gate_pass(struct bide_server *server, struct MHD_Connection *connection, enum bide_right right,
    enum bide_role *ret_role, struct bide_reply *reply);
/* What somebody with a role did, and with what success. */
void bide_gate_log(struct MHD_Connection *connection, enum bide_role role, const char *path, unsigned status);

#endif
