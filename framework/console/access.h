/* console/access.h: who may ask for what. Pure; any thread.
 *
 * The Unix socket (mode 0600) is its owner's: everything. On TCP:
 *
 *                                      loopback            elsewhere
 *   /healthz, /readyz, the empty page  anyone              anyone
 *   reading                            anyone              token
 *   actions                            token               token
 *
 * Against a browser that is led astray: on loopback, a Host that is not this machine is refused (DNS
 * rebinding); an action whose Origin is another page's is refused everywhere. */
#ifndef BIDE_CONSOLE_ACCESS_H
#define BIDE_CONSOLE_ACCESS_H

#include <stdbool.h>

enum bide_right { BIDE_RIGHT_PUBLIC, BIDE_RIGHT_READ, BIDE_RIGHT_ACT };

/* Header fields: NULL where there is none. */
struct bide_access {
    bool local; /* came by the Unix socket */
    bool loopback;
    const char *token; /* configured; NULL: none */
    const char *authorization;
    const char *host;
    const char *origin;
};

/* 0, or the HTTP status of a refusal and why. */
unsigned bide_access_judge(const struct bide_access *access, enum bide_right right, const char **ret_why);

#endif
