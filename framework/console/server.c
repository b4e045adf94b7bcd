#include "console/server.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    CONNECTIONS_MAX = BIDE_CONNECTIONS + BIDE_CONNECTIONS_SPARE,
    IDLE_S = 30,
    MEMORY_BYTES = 32 * 1024, /* of one connection; bounds the head of a request */
    BODY_BYTES = 4096,        /* largest body of a request whose body is not read */
    STACK_BYTES = 1024 * 1024,
    STREAM_BLOCK = 16 * 1024,
    DOUBTFUL = 0x100,
};

static const struct {
    const char *name, *value;
} headers[] = {
    {"Cache-Control", "no-store"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
};

/* ---- routing ---- */

static const struct bide_route *find_route(
    const char *method, const char *path, struct bide_request *request, struct bide_reply *reply)
{
    bool known;
    const struct bide_route *route = bide_route_find(method, path, request->name, &known);
    if (!route)
        bide_reply_error(
            reply, known ? 405 : 404, known ? "this path has another method" : "there is no such page");
    return route;
}

/* ---- answering ---- */

static ssize_t read_stream(void *user, uint64_t position, char *to, size_t size)
{
    (void)position;
    ptrdiff_t n = bide_follower_read(user, to, size);
    return n < 0 ? MHD_CONTENT_READER_END_OF_STREAM : (ssize_t)n;
}

static void end_stream(void *user)
{
    bide_follower_destroy(user);
}

static enum MHD_Result send_reply(
    const struct bide_server *server, struct MHD_Connection *connection, struct bide_reply *reply)
{
    struct MHD_Response *response;
    if (reply->body.failed)
        bide_reply_error(reply, 500, "out of memory");
    if (reply->follower)
        response = MHD_create_response_from_callback(
            MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, reply->follower, end_stream);
    else
        response =
            MHD_create_response_from_buffer(reply->body.size, reply->body.bytes, MHD_RESPMEM_MUST_COPY);
    if (!response) {
        if (reply->follower)
            bide_follower_destroy(reply->follower);
        return MHD_NO;
    }
    MHD_add_response_header(response, "Content-Type", reply->type);
    MHD_add_response_header(response, "Content-Security-Policy", reply->policy);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        MHD_add_response_header(response, headers[i].name, headers[i].value);
    if (reply->status == 401)
        MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    bool in_doubt = reply->status == 400 || reply->status == 413; /* where the next request begins */
    if (in_doubt || atomic_load(&server->console->stopping))
        MHD_add_response_header(response, "Connection", "close");
    enum MHD_Result result = MHD_queue_response(connection, reply->status, response);
    MHD_destroy_response(response);
    return result;
}

static bool takes_body(const struct bide_route *route)
{
    return route && route->takes_body;
}

/* A route without a body still accepts a short one, which is not read. */
static bool brings_too_much(
    struct bide_server *server, struct MHD_Connection *connection, const struct bide_route *route)
{
    const char *size = bide_server_header(connection, "Content-Length");
    bool takes = takes_body(route);
    long long most = takes ? (long long)server->console->outbox.longest : BODY_BYTES;
    return (!takes && bide_server_header(connection, "Transfer-Encoding")) ||
           (size && strtoll(size, NULL, 10) > most);
}

/* Notes headers that make the body's length or the host ambiguous: a proxy in front might read the rest as a
 * request of somebody else. */
static enum MHD_Result note_header(void *user, enum MHD_ValueKind kind, const char *name, const char *value)
{
    static const char *const once[] = {"Content-Length", "Host"};
    unsigned *seen = user; /* bits: which of `once`, and DOUBTFUL */
    (void)kind;
    (void)value;
    *seen |= strpbrk(name, " \t") ? DOUBTFUL : 0; /* others may read "Content-Length : 9" as a length */
    for (size_t i = 0; i < sizeof once / sizeof once[0]; i++)
        if (strcasecmp(name, once[i]) == 0)
            *seen |= *seen & 1U << i ? DOUBTFUL : 1U << i;
    return MHD_YES;
}

static bool is_ambiguous(struct MHD_Connection *connection)
{
    unsigned seen = 0;
    MHD_get_connection_values(connection, MHD_HEADER_KIND, note_header, &seen);
    return (seen & DOUBTFUL) || ((seen & 1) && bide_server_header(connection, "Transfer-Encoding"));
}

static struct bide_connection *row_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* Counts the connection as busy. False if too many are, and this is not a health check. */
static bool has_room(
    struct bide_server *server, struct MHD_Connection *connection, const struct bide_route *route)
{
    struct bide_connection *row = row_of(connection);
    bool room = !row || bide_connections_begin(
                            &server->console->connections, row, bide_mono_ms(server->console->clock));
    return room || (route && route->serve == bide_serve_health);
}

static void serve(struct bide_server *server, struct MHD_Connection *connection,
    const struct bide_route *route, const char *path, struct bide_request *request, struct bide_reply *reply)
{
    enum bide_role role;
    if (!bide_gate_pass(server, connection, route ? route->right : BIDE_RIGHT_PUBLIC, &role, reply) || !route)
        return;
    route->serve(server->console, request, reply);
    if (route->right >= BIDE_RIGHT_OPERATE)
        bide_gate_log(connection, role, path, reply->status);
}

/* A stream has no length: libmicrohttpd would send a chunk even for a HEAD, whose answer must have no
 * body. */
static void begin_stream(const struct bide_server *server, struct MHD_Connection *connection,
    const char *method, struct bide_reply *reply)
{
    if (strcmp(method, "HEAD") == 0) {
        bide_follower_destroy(reply->follower);
        reply->follower = NULL;
    } else if (row_of(connection)) {
        bide_connections_stream(&server->console->connections, row_of(connection));
    }
}

/* The gate let the request in before its body came. */
static void serve_upload(struct bide_server *server, struct MHD_Connection *connection,
    const struct bide_route *route, const struct bide_upload *upload, struct bide_request *request,
    struct bide_reply *reply)
{
    request->body = upload->body.bytes;
    request->body_size = upload->body.size;
    if (upload->refusal.status) {
        reply->status = upload->refusal.status;
        bide_buffer_add(&reply->body, upload->refusal.body.bytes, upload->refusal.body.size);
    } else {
        route->serve(server->console, request, reply);
        if (route->right >= BIDE_RIGHT_OPERATE)
            bide_gate_log(connection, upload->role, route->path, reply->status);
    }
}

static enum MHD_Result answer(struct bide_server *server, struct MHD_Connection *connection, const char *path,
    const char *method, const struct bide_upload *upload)
{
    struct bide_request request = {.connection = connection, .fd = bide_server_socket(connection)};
    struct bide_reply reply = {.status = 200, .type = "application/json", .policy = "default-src 'none'"};
    bide_buffer_init(&reply.body);
    const struct bide_route *route = find_route(method, path, &request, &reply);
    if (!has_room(server, connection, route))
        bide_reply_error(&reply, 503, "too many requests at once: try again");
    else if (is_ambiguous(connection))
        bide_reply_error(&reply, 400, "send Host and Content-Length once, and no blank in a header's name");
    else if (brings_too_much(server, connection, route))
        bide_reply_error(&reply, 413, "the body is too large for this path");
    else if (takes_body(route) && !upload)
        bide_reply_error(&reply, 503, "out of memory");
    else if (upload)
        serve_upload(server, connection, route, upload, &request, &reply);
    else
        serve(server, connection, route, path, &request, &reply);
    if (reply.follower)
        begin_stream(server, connection, method, &reply);
    enum MHD_Result result = send_reply(server, connection, &reply);
    bide_buffer_release(&reply.body);
    return result;
}

static char without_body; /* the state of a request whose body is not read */

/* The head has come. NULL: answer at once, without the body. */
static void *begin(
    struct bide_server *server, struct MHD_Connection *connection, const char *path, const char *method)
{
    char name[BIDE_ID_MAX + 1];
    bool known;
    const struct bide_route *route = bide_route_find(method, path, name, &known);
    if (brings_too_much(server, connection, route) || is_ambiguous(connection))
        return NULL;
    return takes_body(route) ? (void *)bide_upload_begin(server, connection, route->right) : &without_body;
}

static enum MHD_Result on_request(void *user, struct MHD_Connection *connection, const char *path,
    const char *method, const char *version, const char *upload, size_t *upload_size, void **state)
{
    (void)version;
    if (!*state && (*state = begin(user, connection, path, method)))
        return MHD_YES; /* first read the rest of the request */
    struct bide_upload *taken = *state != &without_body ? *state : NULL;
    if (*upload_size > 0) {
        if (taken)
            bide_upload_add(taken, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    return answer(user, connection, path, method, taken);
}

/* ---- connections ---- */

static void on_connection(
    void *user, struct MHD_Connection *connection, void **row, enum MHD_ConnectionNotificationCode what)
{
    const struct bide_server *server = user;
    struct bide_connections *connections = &server->console->connections;
    int fd = bide_server_socket(connection);
    if (server->door != BIDE_DOOR_TCP)
        return; /* only the owner or the group could keep others out */
    if (what == MHD_CONNECTION_NOTIFY_CLOSED && *row)
        bide_connections_close(connections, *row);
    else if (what == MHD_CONNECTION_NOTIFY_STARTED && fd >= 0)
        *row = bide_connections_open(
            connections, fd, bide_server_address(connection), bide_mono_ms(server->console->clock));
}

static void on_completed(
    void *user, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
    const struct bide_server *server = user;
    struct bide_connection *row = row_of(connection);
    (void)why;
    if (*state && *state != &without_body)
        bide_upload_end(*state);
    *state = NULL;
    if (row)
        bide_connections_finish(&server->console->connections, row, bide_mono_ms(server->console->clock));
}

/* ---- start and stop ---- */

bide_code bide_server_start(
    struct bide_server *server, struct bide_console *console, int fd, enum bide_door door, bide_error *error)
{
    *server = (struct bide_server){.console = console, .door = door};
    server->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL | MHD_USE_ITC, 0, NULL,
        NULL, on_request, server, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_CONNECTION, on_connection,
        server, MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_BYTES, MHD_OPTION_THREAD_STACK_SIZE,
        (size_t)STACK_BYTES, MHD_OPTION_END);
    return server->daemon ? BIDE_OK
                          : bide_fail(error, BIDE_E_INTERNAL, "the HTTP server of the console did not start");
}

void bide_server_quiesce(struct bide_server *server)
{
    if (server->daemon)
        MHD_quiesce_daemon(server->daemon);
}

void bide_server_stop(struct bide_server *server)
{
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    server->daemon = NULL;
}
