/* http_target: a small HTTP/1.1 server on 127.0.0.1 that answers as a webhook's receiver might.
 *
 *     http_target LOGFILE [PORT]     prints "port N" and serves until it is killed
 *
 *     /ok            200
 *     /busy          429 with "Retry-After: 1" for the first request of an id (Bide-Id), then 200
 *     /broken        500 for the first two requests of an id, then 200
 *     /gone          404 until POST /repair, then 200
 *     /slow          200 after five seconds
 *     /moved         302 to /ok
 *
 * Each request is one JSON line in LOGFILE; what a client wrote into a header is shown only as far as it is
 * plain. A thread a connection, kept alive; bodies up to 1 MiB. */
#include <arpa/inet.h>
#include <ctype.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_MAX = 32 * 1024, BODY_MAX = 1 << 20, SEEN_MAX = 10000, FIELD_MAX = 300, SLOW_MS = 5000 };

struct request {
    char path[100], id[FIELD_MAX], type[FIELD_MAX], attempt[FIELD_MAX], key[FIELD_MAX], signature[FIELD_MAX];
    char content_type[FIELD_MAX], trace[FIELD_MAX], extra[FIELD_MAX], authorization[FIELD_MAX];
    size_t body_bytes;
};

/* One row a header that is logged. */
static const struct {
    const char *header, *name;
    size_t offset;
} logged[] = {
    {"Bide-Id", "id", offsetof(struct request, id)},
    {"Bide-Type", "type", offsetof(struct request, type)},
    {"Bide-Attempt", "attempt", offsetof(struct request, attempt)},
    {"Idempotency-Key", "idempotency_key", offsetof(struct request, key)},
    {"Bide-Signature", "signature", offsetof(struct request, signature)},
    {"Content-Type", "content_type", offsetof(struct request, content_type)},
    {"traceparent", "traceparent", offsetof(struct request, trace)},
    {"X-Extra", "extra", offsetof(struct request, extra)},
    {"Authorization", "authorization", offsetof(struct request, authorization)},
};
enum { N_LOGGED = sizeof logged / sizeof logged[0] };

/* One row a path: how the first requests of an id are answered; the rest get 200. */
static const struct route {
    const char *path;
    int first; /* so many get `status`; -1: all until repaired; -2: all */
    int status;
    const char *line;
    const char *header;
    const char *body;
} routes[] = {
    {"/ok", 0, 0, "", "", ""},
    {"/slow", 0, 0, "", "", ""},
    {"/cut", 0, 0, "", "", ""},
    {"/repair", 0, 0, "", "", ""},
    {"/busy", 1, 429, "Too Many Requests", "Retry-After: 1\r\n", "busy, come back in a second\n"},
    {"/broken", 2, 500, "Internal Server Error", "", "something broke here\n"},
    {"/gone", -1, 404, "Not Found", "", "no such hook\n"},
    {"/moved", -2, 302, "Found", "Location: /ok\r\n", ""},
};

static struct {
    int log;
    _Atomic bool repaired;
    pthread_mutex_t lock;
    size_t n_seen;
    char seen[SEEN_MAX][FIELD_MAX]; /* "path id", once for each request that was answered badly */
} target = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Counts this request; how many there were before. */
static int seen_before(const struct request *request)
{
    char key[FIELD_MAX];
    int before = 0;
    snprintf(key, sizeof key, "%s %s", request->path, request->id);
    pthread_mutex_lock(&target.lock);
    for (size_t i = 0; i < target.n_seen; i++)
        before += strcmp(target.seen[i], key) == 0;
    if (target.n_seen < SEEN_MAX)
        memcpy(target.seen[target.n_seen++], key, sizeof key);
    pthread_mutex_unlock(&target.lock);
    return before;
}

static const struct route *find_route(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (strcmp(routes[i].path, path) == 0)
            return &routes[i];
    return NULL;
}

static bool fails(const struct route *route, const struct request *request)
{
    if (route->first > 0)
        return seen_before(request) < route->first;
    return route->first == -2 || (route->first == -1 && !atomic_load(&target.repaired));
}

static void write_log(const struct request *request, int status)
{
    char line[N_LOGGED * (FIELD_MAX + 40) + 300];
    int used = snprintf(line, sizeof line, "{\"path\":\"%s\",\"status\":%d,\"body_bytes\":%zu", request->path,
        status, request->body_bytes);
    for (size_t i = 0; i < N_LOGGED; i++)
        used += snprintf(line + used, sizeof line - (size_t)used, ",\"%s\":\"%s\"", logged[i].name,
            (const char *)request + logged[i].offset);
    used += snprintf(line + used, sizeof line - (size_t)used, "}\n");
    if (write(target.log, line, (size_t)used) != used)
        warn("log");
}

static bool answer(int client, const struct request *request)
{
    static const struct route none = {"", -2, 404, "Not Found", "", "unknown path\n"};
    static const struct route good = {"", 0, 200, "OK", "", "ok\n"};
    const struct route *route = find_route(request->path);
    if (!route)
        route = &none;
    if (strcmp(route->path, "/repair") == 0)
        atomic_store(&target.repaired, true);
    const struct route *reply = fails(route, request) ? route : &good;
    write_log(request, reply->status);
    if (strcmp(route->path, "/slow") == 0)
        poll(NULL, 0, SLOW_MS);
    if (strcmp(route->path, "/cut") == 0) { /* ends in the middle of what it announces */
        static const char half[] = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
        send(client, half, sizeof half - 1, MSG_NOSIGNAL);
        return false;
    }
    char text[1024];
    int size = snprintf(text, sizeof text, "HTTP/1.1 %d %s\r\nContent-Length: %zu\r\n%s\r\n%s", reply->status,
        reply->line, strlen(reply->body), reply->header, reply->body);
    return send(client, text, (size_t)size, MSG_NOSIGNAL) == size;
}

/* What would need an escape in JSON is left out. */
static void copy_plain(char *to, size_t room, const char *from, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < size && used + 1 < room; i++)
        if (isprint((unsigned char)from[i]) && from[i] != '"' && from[i] != '\\')
            to[used++] = from[i];
    to[used] = '\0';
}

static void take_header(struct request *request, const char *line, size_t size)
{
    for (size_t i = 0; i < N_LOGGED; i++) {
        size_t name = strlen(logged[i].header);
        if (size > name && line[name] == ':' && strncasecmp(line, logged[i].header, name) == 0) {
            line += name + 1;
            size -= name + 1;
            while (size && *line == ' ')
                line++, size--;
            char *to = (char *)request + logged[i].offset;
            size_t used = strlen(to); /* one that comes twice is logged as "a|b" */
            if (used && used + 1 < FIELD_MAX)
                to[used++] = '|';
            copy_plain(to + used, FIELD_MAX - used, line, size);
            return;
        }
    }
    if (size > 15 && strncasecmp(line, "Content-Length:", 15) == 0)
        request->body_bytes = strtoul(line + 15, NULL, 10);
}

static void parse_head(struct request *request, const char *head)
{
    const char *path = head + strcspn(head, " \r\n");
    path += strspn(path, " ");
    memset(request, 0, sizeof *request);
    copy_plain(request->path, sizeof request->path, path, strcspn(path, " ?\r\n"));
    for (const char *line = strstr(head, "\r\n"); line && line[2]; line = strstr(line, "\r\n")) {
        line += 2;
        take_header(request, line, strcspn(line, "\r\n"));
    }
}

/* Reads until the buffer holds `wanted` bytes; false when the client has left. */
static bool fill(int client, char *buffer, size_t *used, size_t wanted)
{
    while (*used < wanted) {
        ssize_t n = recv(client, buffer + *used, wanted - *used, 0);
        if (n <= 0)
            return false;
        *used += (size_t)n;
    }
    return true;
}

/* One request with its body; false when there is none. */
static bool read_request(int client, char *buffer, struct request *request)
{
    size_t used = 0;
    char *end = NULL;
    while (!end) {
        if (used == HEAD_MAX || !fill(client, buffer, &used, used + 1))
            return false; /* byte by byte: what follows the head stays in the socket */
        buffer[used] = '\0';
        end = used >= 4 && memcmp(buffer + used - 4, "\r\n\r\n", 4) == 0 ? buffer + used : NULL;
    }
    parse_head(request, buffer);
    used = 0;
    return request->body_bytes <= BODY_MAX && fill(client, buffer, &used, request->body_bytes);
}

static void *serve(void *user)
{
    int client = (int)(intptr_t)user;
    char *buffer = malloc(BODY_MAX + 1);
    struct request request;
    while (buffer && read_request(client, buffer, &request) && answer(client, &request))
        ;
    free(buffer);
    close(client);
    return NULL;
}

static int listen_on(uint16_t port)
{
    int one = 1;
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
        bind(listener, (struct sockaddr *)&address, size) < 0 || listen(listener, 100) < 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) < 0)
        err(1, "listen");
    printf("port %d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        errx(64, "usage: http_target LOGFILE [PORT]");
    target.log = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (target.log < 0)
        err(1, "%s", argv[1]);
    int listener = listen_on((uint16_t)(argc > 2 ? strtoul(argv[2], NULL, 10) : 0));
    for (;;) {
        pthread_t thread;
        int one = 1;
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0)
            continue;
        setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)client) != 0)
            close(client);
        else
            pthread_detach(thread);
    }
}
