/* console/connections.h: who is connected by TCP, so that nobody keeps others out.
 *
 * A connection waits (for the rest of a request) or is busy (its answer is made and read). One that waits too
 * long is ended, however slowly it goes on sending; so is an answer that is not read. When there are too
 * many, of one address or in all, the one that has waited longest makes room. Where those at work are too
 * many, only /healthz is answered: a probe must not restart a worker because others ask a lot. Any thread. */
#ifndef BIDE_CONSOLE_CONNECTIONS_H
#define BIDE_CONSOLE_CONNECTIONS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
    BIDE_CONNECTIONS = 64,           /* in all */
    BIDE_CONNECTIONS_ADDRESS = 32,   /* of one address */
    BIDE_CONNECTIONS_SPARE = 32,     /* until those that were ended are gone, and for /healthz */
    BIDE_CONNECTION_WAIT_MS = 10000, /* for a whole request */
    BIDE_CONNECTION_BUSY_MS = 60000, /* for an answer, but for a stream */
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

/* A new one: NULL where there is no room at all. The descriptor stays the caller's, and open until _close. */
struct bide_connection *bide_connections_open(
    struct bide_connections *connections, int fd, const struct sockaddr *address, int64_t now_ms);
void bide_connections_close(struct bide_connections *connections, struct bide_connection *connection);

/* A request is whole. False: too many are at work. endless: its answer is a stream. */
bool bide_connections_begin(
    struct bide_connections *connections, struct bide_connection *connection, int64_t now_ms);
void bide_connections_stream(struct bide_connections *connections, struct bide_connection *connection);
/* Its answer has been sent. */
void bide_connections_finish(
    struct bide_connections *connections, struct bide_connection *connection, int64_t now_ms);

/* Ends those that are overdue. */
void bide_connections_expire(struct bide_connections *connections, int64_t now_ms);

#endif
