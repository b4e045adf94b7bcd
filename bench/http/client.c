/* usage: http_client PORT CONNECTIONS SECONDS OBJECTS TOKEN
 *
 * As many connections, each kept open and with a thread of its own, ask again and again: POST /send with so
 * many objects of 256 bytes as lines, or GET /healthz for 0. Prints requests a second, as JSON. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_BYTES = 1024 * 1024, CONNECTIONS_MAX = 64, BODY_BYTES = 256 };

static struct {
    char *request;
    size_t size;
    int port;
    double until;
    _Atomic long answers;
} bench;

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static _Noreturn void give_up(const char *what)
{
    perror(what);
    exit(1);
}

static int dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)bench.port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    if (fd < 0 || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) != 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        give_up("cannot connect");
    return fd;
}

static void ask(int fd)
{
    for (size_t sent = 0; sent < bench.size;) {
        ssize_t n = write(fd, bench.request + sent, bench.size - sent);
        if (n <= 0)
            give_up("cannot write");
        sent += (size_t)n;
    }
}

/* Bytes of the whole answer, once its head is there; else 0. */
static size_t length_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n"), *length = strstr(answer, "Content-Length: ");
    return end && length ? (size_t)(end + 4 - answer) + strtoul(length + 16, NULL, 10) : 0;
}

static void read_answer(int fd, char *answer)
{
    size_t size = 0, whole = 0;
    while (whole == 0 || size < whole) {
        ssize_t n = read(fd, answer + size, ANSWER_BYTES - 1 - size);
        if (n <= 0)
            give_up("the answer ends early");
        size += (size_t)n;
        answer[size] = '\0';
        whole = whole ? whole : length_of(answer);
    }
    if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0) {
        fprintf(stderr, "%.400s\n", answer);
        exit(1);
    }
}

static void *work(void *unused)
{
    int fd = dial();
    char *answer = malloc(ANSWER_BYTES);
    if (!answer)
        give_up("no memory");
    for (; now() < bench.until; atomic_fetch_add(&bench.answers, 1)) {
        ask(fd);
        read_answer(fd, answer);
    }
    free(answer);
    close(fd);
    return unused;
}

static void make_request(int objects, const char *token)
{
    char body[BODY_BYTES + 1], *lines;
    size_t size;
    FILE *to = open_memstream(&lines, &size);
    memset(body, 'x', BODY_BYTES);
    body[BODY_BYTES] = '\0';
    for (int i = 0; i < objects; i++)
        fprintf(to, "{\"type\":\"bench\",\"queue\":\"default\",\"body\":\"%s\"}\n", body);
    fclose(to);
    to = open_memstream(&bench.request, &bench.size);
    fprintf(to, "%s HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n",
        objects ? "POST /send" : "GET /healthz", token);
    if (objects)
        fprintf(to, "Content-Length: %zu\r\n", size);
    fprintf(to, "\r\n%s", objects ? lines : "");
    fclose(to);
    free(lines);
}

int main(int argc, char **argv)
{
    pthread_t threads[CONNECTIONS_MAX];
    int n = argc == 6 ? atoi(argv[2]) : 0;
    if (n < 1 || n > CONNECTIONS_MAX) {
        fprintf(stderr, "usage: http_client PORT CONNECTIONS SECONDS OBJECTS TOKEN\n");
        return 64;
    }
    bench.port = atoi(argv[1]);
    make_request(atoi(argv[4]), argv[5]);
    double begun = now();
    bench.until = begun + strtod(argv[3], NULL);
    for (int i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, work, NULL) != 0)
            give_up("cannot start a thread");
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    printf("{\"requests_s\": %.1f}\n", (double)bench.answers / (now() - begun));
    return 0;
}
