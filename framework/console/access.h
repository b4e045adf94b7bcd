/* console/access.h: who may ask for what. Pure; any thread.
 *
 * The Unix socket (mode 0600) is its owner's: everything. That of http.send_socket (mode 0660) is its
 * group's: sending, and nothing else. On TCP, once any token is configured:
 *
 *   /healthz, the empty page       anyone
 *   /metrics, /readyz              a token of role read or operate; anyone with http.open_metrics
 *   reading                        read, operate
 *   sending                        send, operate
 *   actions                        operate
 *
 * Without any token the console listens on loopback only (config/check.c): reading is for anyone on this
 * machine, sending and actions are for nobody.
 *
 * Against a browser that is led astray: on loopback, a Host that is not this machine is refused (DNS
 * rebinding); whatever another site's page asks for (Sec-Fetch-Site) is refused, but the empty page; so is a
 * POST whose Origin is another page's. */
#ifndef BIDE_CONSOLE_ACCESS_H
#define BIDE_CONSOLE_ACCESS_H

#include <stdbool.h>

#include "config/config.h"

enum bide_right {
    BIDE_RIGHT_PUBLIC,
    BIDE_RIGHT_METRICS,
    BIDE_RIGHT_READ,
    BIDE_RIGHT_SEND,
    BIDE_RIGHT_OPERATE
};
enum bide_role { BIDE_ROLE_NONE, BIDE_ROLE_READ, BIDE_ROLE_SEND, BIDE_ROLE_OPERATE };

/* By which socket a request came. */
enum bide_door { BIDE_DOOR_TCP, BIDE_DOOR_OWNER, BIDE_DOOR_SENDERS, BIDE_DOORS };

/* Header fields: NULL where there is none. */
struct bide_access {
    enum bide_door door;
    bool loopback;
    const struct bide_http_config *http;
    const char *authorization;
    const char *host;
    const char *origin;
    const char *site; /* Sec-Fetch-Site */
};

struct bide_judgement {
    unsigned status; /* 0, or the HTTP status of a refusal */
    const char *why; /* NULL, or the refusal's text */
    enum bide_role role;
    bool guessed; /* a token was shown, and it is none */
};

struct bide_judgement bide_access_judge(const struct bide_access *access, enum bide_right right);

/* "operate"; "anyone" for BIDE_ROLE_NONE. */
const char *bide_role_name(enum bide_role role);

#endif
