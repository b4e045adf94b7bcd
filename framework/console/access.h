/* console/access.h: who may ask for what. Pure; any thread.
 *
 * The Unix socket (mode 0600) is for its owner, who may do everything. The socket http.send_socket (mode
 * 0660) is for its group, which may only send. On TCP, once any token is configured:
 *
 *   /healthz, the empty page       anyone
 *   /metrics, /readyz              a token of role read or operate; anyone with http.open_metrics
 *   reading                        read, operate
 *   sending                        send, operate
 *   actions                        operate
 *
 * Without any token the console listens on loopback only (config/check.c): anyone on this machine may read,
 * nobody may send or act.
 *
 * A page of another site may misuse the user's browser. Against that: on loopback, a Host that is not this
 * machine is refused (DNS rebinding); requests of another site's page (Sec-Fetch-Site) are refused, except
 * for the empty page; so is a POST whose Origin is another page. */
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

/* The socket by which a request came. */
enum bide_door { BIDE_DOOR_TCP, BIDE_DOOR_OWNER, BIDE_DOOR_SENDERS, BIDE_DOORS };

/* Header fields; NULL if absent. */
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
    bool guessed; /* a token was shown, and it is wrong */
};

struct bide_judgement bide_access_judge(const struct bide_access *access, enum bide_right right);

/* "read", "send", "operate"; "anyone" for BIDE_ROLE_NONE. */
const char *bide_role_name(enum bide_role role);

#endif
