#include "console/connections.h"

#include <netinet/in.h>
#include <string.h>

enum { ROWS = BIDE_CONNECTIONS + BIDE_CONNECTIONS_SPARE };

void bide_connections_init(struct bide_connections *connections)
{
    *connections = (struct bide_connections){0};
    pthread_mutex_init(&connections->lock, NULL);
    for (size_t i = 0; i < ROWS; i++)
        connections->rows[i].fd = -1;
}

void bide_connections_destroy(struct bide_connections *connections)
{
    pthread_mutex_destroy(&connections->lock);
}

/* The key by which connections of one address are counted. IPv6: the first half of the address, which one
 * customer has. For an IPv4 address on an IPv6 socket (::ffff:192.0.2.1), the last four bytes: the others are
 * always the same. */
static void set_address(struct bide_connection *connection, const struct sockaddr *address)
{
    if (address && address->sa_family == AF_INET) {
        memcpy(connection->address, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
    } else if (address && address->sa_family == AF_INET6) {
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(v6);
        memcpy(connection->address, v6->s6_addr + (mapped ? 12 : 0), mapped ? 4 : 8);
    }
}

static bool is_alive(const struct bide_connection *row, const struct bide_connection *of)
{
    return row->fd >= 0 && !row->ended &&
           (!of || memcmp(row->address, of->address, sizeof row->address) == 0);
}

/* The thread that serves the connection notices the end and closes it. */
static void end(struct bide_connection *row)
{
    shutdown(row->fd, SHUT_RDWR);
    row->ended = true;
}

/* Ends the connection that has waited longest if more than `most` are open, counting all (of: NULL) or those
 * of one address. */
static void make_room(struct bide_connections *connections, const struct bide_connection *newcomer,
    const struct bide_connection *of, size_t most)
{
    struct bide_connection *oldest = NULL;
    size_t n = 0;
    for (size_t i = 0; i < ROWS; i++) {
        struct bide_connection *row = &connections->rows[i];
        if (!is_alive(row, of))
            continue;
        n++;
        if (row != newcomer && !row->busy && (!oldest || row->since_ms < oldest->since_ms))
            oldest = row;
    }
    if (n > most && oldest)
        end(oldest);
}

static size_t count_busy(const struct bide_connections *connections, const struct bide_connection *of)
{
    size_t n = 0;
    for (size_t i = 0; i < ROWS; i++)
        n += is_alive(&connections->rows[i], of) && connections->rows[i].busy;
    return n;
}

static void expire(struct bide_connections *connections, int64_t now_ms)
{
    for (size_t i = 0; i < ROWS; i++) {
        struct bide_connection *row = &connections->rows[i];
        int64_t most_ms = row->busy ? BIDE_CONNECTION_BUSY_MS : BIDE_CONNECTION_WAIT_MS;
        if (is_alive(row, NULL) && !row->endless && now_ms - row->since_ms > most_ms)
            end(row);
    }
}

struct bide_connection *bide_connections_open(
    struct bide_connections *connections, int fd, const struct sockaddr *address, int64_t now_ms)
{
    struct bide_connection *connection = NULL;
    pthread_mutex_lock(&connections->lock);
    for (size_t i = 0; i < ROWS && !connection; i++)
        if (connections->rows[i].fd < 0)
            connection = &connections->rows[i];
    if (connection) {
        *connection = (struct bide_connection){.fd = fd, .since_ms = now_ms};
        set_address(connection, address);
        expire(connections, now_ms);
        make_room(connections, connection, connection, BIDE_CONNECTIONS_ADDRESS);
        make_room(connections, connection, NULL, BIDE_CONNECTIONS);
    }
    pthread_mutex_unlock(&connections->lock);
    return connection;
}

void bide_connections_close(struct bide_connections *connections, struct bide_connection *connection)
{
    pthread_mutex_lock(&connections->lock);
    connection->fd = -1;
    pthread_mutex_unlock(&connections->lock);
}

bool bide_connections_begin(
    struct bide_connections *connections, struct bide_connection *connection, int64_t now_ms)
{
    pthread_mutex_lock(&connections->lock);
    connection->busy = true;
    connection->since_ms = now_ms;
    bool room = count_busy(connections, connection) <= BIDE_CONNECTIONS_ADDRESS &&
                count_busy(connections, NULL) <= BIDE_CONNECTIONS;
    pthread_mutex_unlock(&connections->lock);
    return room;
}

void bide_connections_stream(struct bide_connections *connections, struct bide_connection *connection)
{
    pthread_mutex_lock(&connections->lock);
    connection->endless = true;
    pthread_mutex_unlock(&connections->lock);
}

void bide_connections_finish(
    struct bide_connections *connections, struct bide_connection *connection, int64_t now_ms)
{
    pthread_mutex_lock(&connections->lock);
    connection->busy = connection->endless = false;
    connection->since_ms = now_ms;
    pthread_mutex_unlock(&connections->lock);
}

void bide_connections_expire(struct bide_connections *connections, int64_t now_ms)
{
    pthread_mutex_lock(&connections->lock);
    expire(connections, now_ms);
    pthread_mutex_unlock(&connections->lock);
}
