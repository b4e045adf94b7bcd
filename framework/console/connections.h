/* console/connections.h: the TCP connections, bounded so that nobody can keep others out.
 *
 * A connection waits (for the rest of a request) or is busy (its answer is being made or read). One that
 * waits too long is ended, even if it goes on sending slowly; so is one that does not read its answer. When
 * there are too many, of one address or in all, the one that has waited longest is ended. When too many are
 * busy, only /healthz is answered: a probe must not restart a worker because others ask a lot. Any thread. */
#ifndef BIDE_CONSOLE_CONNECTIONS_H
#define BIDE_CONSOLE_CONNECTIONS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    BIDE_CONNECTIONS = 64,           /* in all */
    BIDE_CONNECTIONS_ADDRESS = 32,   /* of one address */
    BIDE_CONNECTIONS_SPARE = 32,     /* more, for ended ones that are not closed yet, and for /healthz */
    BIDE_CONNECTION_WAIT_MS = 10000, /* longest wait for a whole request */
    BIDE_CONNECTION_BUSY_MS = 60000, /* longest time for an answer that is not a stream */
};

struct bide_connection {
    int fd; /* -1: free */
    unsigned char address[16];
    int64_t since_ms; /* monotonic: when it began to wait, or to be busy */
    bool busy, endless, ended;
};

struct bide_connections {
    pthread_mutex_t lock;
    struct bide_connection rows[BIDE_CONNECTIONS + BIDE_CONNECTIONS_SPARE];
};

void bide_connections_init(struct bide_connections *connections);
void bide_connections_destroy(struct bide_connections *connections);

/* Registers a new connection; NULL if there is no room at all. The caller owns the descriptor, which must
 * stay open until _close. */
struct bide_connection *bide_connections_open(
    struct bide_connections *connections, int fd, const struct sockaddr *address, int64_t now_ms);
void bide_connections_close(struct bide_connections *connections, struct bide_connection *connection);

/* A request is complete. False if too many connections are busy. endless: its answer is a stream. */
bool bide_connections_begin(
    struct bide_connections *connections, struct bide_connection *connection, int64_t now_ms);
void bide_connections_stream(struct bide_connections *connections, struct bide_connection *connection);
/* The answer has been sent. */
void bide_connections_finish(
    struct bide_connections *connections, struct bide_connection *connection, int64_t now_ms);

/* Ends the connections that are overdue. */
void bide_connections_expire(struct bide_connections *connections, int64_t now_ms);

#endif
