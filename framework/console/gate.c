#include "console/server.h"

#include <netdb.h>
#include <stdio.h>
#include <time.h>

#include "bide/log.h"

enum { FORGET_MS = 60 * 1000, FIRST_MS = 100, LONGEST_MS = 1000, PEER_TEXT = 64 };

/* Writes "192.0.2.1:4711", or "uid 1000" for a Unix socket. */
static const char *peer(struct MHD_Connection *connection, char to[PEER_TEXT])
{
    const struct sockaddr *address = bide_server_address(connection);
    char host[48], port[8];
    struct ucred who;
    socklen_t size = sizeof who;
    bool v6 = address && address->sa_family == AF_INET6;
    if (address && (v6 || address->sa_family == AF_INET) &&
        getnameinfo(address, v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in), host, sizeof host,
            port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) == 0)
        snprintf(to, PEER_TEXT, v6 ? "[%s]:%s" : "%s:%s", host, port);
    else if (getsockopt(bide_server_socket(connection), SOL_SOCKET, SO_PEERCRED, &who, &size) == 0)
        snprintf(to, PEER_TEXT, "uid %d", (int)who.uid);
    else
        snprintf(to, PEER_TEXT, "unknown");
    return to;
}

/* Delays the answer to a wrong token, longer the more there were in the last minute. A right token is never
 * delayed. */
static void slow_down(struct bide_console *console, struct MHD_Connection *connection)
{
    char from[PEER_TEXT];
    int64_t now_ms = bide_mono_ms(console->clock);
    if (now_ms - atomic_exchange(&console->guessed_ms, now_ms) > FORGET_MS)
        atomic_store(&console->guesses, 0);
    int n = atomic_fetch_add(&console->guesses, 1), wait_ms = n > 3 ? LONGEST_MS : FIRST_MS << n;
    if ((n & (n + 1)) == 0) /* logs the 1st, 2nd, 4th, 8th …, so that many wrong tokens do not fill the log */
        bide_log(BIDE_LOG_WARN, "wrong token", BIDE_STR("peer", peer(connection, from)),
            BIDE_INT("in_a_row", n + 1));
    const struct timespec nap = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000};
    nanosleep(&nap, NULL);
}

bool bide_gate_pass(struct bide_server *server, struct MHD_Connection *connection, enum bide_right right,
    enum bide_role *ret_role, struct bide_reply *reply)
{
    const struct bide_console_options *options = server->console->options;
    const struct bide_access access = {
        .door = server->door,
        .loopback = options->listeners->loopback,
        .http = &options->config->http,
        .authorization = bide_server_header(connection, "Authorization"),
        .host = bide_server_header(connection, "Host"),
        .origin = bide_server_header(connection, "Origin"),
        .site = bide_server_header(connection, "Sec-Fetch-Site"),
    };
    struct bide_judgement judgement = bide_access_judge(&access, right);
    if (judgement.guessed)
        slow_down(server->console, connection);
    if (judgement.status)
        bide_reply_error(reply, judgement.status, judgement.why);
    *ret_role = judgement.role;
    return judgement.status == 0;
}

void bide_gate_log(struct MHD_Connection *connection, enum bide_role role, const char *path, unsigned status)
{
    char from[PEER_TEXT];
    bide_log(BIDE_LOG_INFO, "console: action", BIDE_STR("peer", peer(connection, from)),
        BIDE_STR("role", bide_role_name(role)), BIDE_STR("action", path), BIDE_INT("status", (int)status));
}
