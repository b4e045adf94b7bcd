/* GET /events: the event rings of all processes as lines of JSON, as long as the client listens. */
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/alloc.h"
#include "base/json.h"
#include "console/serving.h"

enum { LOOK_EVERY_MS = 50, FOLLOWERS_MAX = 8, LINES_BYTES = 16 * 1024 };

struct bide_follower {
    struct bide_console *console;
    int fd; /* the connection's, to notice when the client has left */
    struct bide_buffer lines;
    size_t sent; /* bytes of `lines` */
    uint64_t missed;
    uint64_t positions[]; /* one for each place */
};

/* Follows all rings from now on; NULL if too many clients do, or without memory. */
static struct bide_follower *create(struct bide_console *console, int fd)
{
    struct bide_shared *shared = console->options->shared;
    if (atomic_fetch_add(&console->followers, 1) >= FOLLOWERS_MAX) {
        atomic_fetch_sub(&console->followers, 1);
        return NULL;
    }
    struct bide_follower *follower =
        bide_calloc(1, sizeof *follower + shared->n_places * sizeof follower->positions[0]);
    if (!follower) {
        atomic_fetch_sub(&console->followers, 1);
        return NULL;
    }
    follower->console = console;
    follower->fd = fd;
    bide_buffer_init(&follower->lines);
    for (size_t i = 0; i < shared->n_places; i++)
        follower->positions[i] = bide_ring_end(&shared->places[i].ring);
    atomic_fetch_add(&shared->controls.listeners, 1);
    return follower;
}

void bide_follower_destroy(struct bide_follower *follower)
{
    struct bide_console *console = follower->console;
    atomic_fetch_sub(&console->options->shared->controls.listeners, 1);
    atomic_fetch_sub(&console->followers, 1);
    bide_buffer_release(&follower->lines);
    bide_free(follower);
}

static void add_ms(struct bide_buffer *to, const char *name, int64_t us)
{
    if (us < 0)
        bide_json_text(to, name, NULL);
    else
        bide_json_number(to, name, (double)us / 1000);
}

static void add_event(struct bide_buffer *to, const struct bide_event *event)
{
    bide_buffer_char(to, '{');
    bide_json_int(to, "time_ms", event->time_ms);
    bide_json_text(to, "id", event->id);
    bide_json_text(to, "type", event->type);
    bide_json_text(to, "queue", event->queue);
    bide_json_int(to, "attempt", event->attempt);
    bide_json_text(to, "outcome", bide_outcome_kind_name(event->outcome));
    add_ms(to, "ms", event->took_us);
    add_ms(to, "lateness_ms", event->lateness_us);
    bide_json_text(to, "error", *event->error ? event->error : NULL);
    bide_json_text(to, "trace", *event->trace ? event->trace : NULL);
    bide_buffer_text(to, "}\n");
}

static void look(struct bide_follower *follower)
{
    const struct bide_shared *shared = follower->console->options->shared;
    struct bide_event event;
    struct bide_buffer line;
    bide_buffer_init(&line);
    for (size_t i = 0; i < shared->n_places; i++)
        while (follower->lines.size < LINES_BYTES &&
               bide_ring_read(&shared->places[i].ring, &follower->positions[i], &event, &follower->missed)) {
            bide_buffer_clear(&line);
            add_event(&line, &event);
            bide_buffer_add(&follower->lines, line.bytes, line.size);
        }
    bide_buffer_release(&line);
    if (follower->missed > 0) {
        bide_buffer_format(&follower->lines, "{\"missed\":%llu}\n", (unsigned long long)follower->missed);
        follower->missed = 0;
    }
}

static bool has_left(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

ptrdiff_t bide_follower_read(struct bide_follower *follower, char *to, size_t size)
{
    const struct timespec nap = {.tv_nsec = LOOK_EVERY_MS * 1000000};
    if (follower->sent == follower->lines.size) {
        follower->sent = 0;
        bide_buffer_clear(&follower->lines);
        look(follower);
    }
    while (follower->lines.size == 0) {
        if (atomic_load(&follower->console->stopping) || has_left(follower->fd))
            return -1;
        nanosleep(&nap, NULL);
        look(follower);
    }
    size_t n = follower->lines.size - follower->sent;
    n = n < size ? n : size;
    memcpy(to, follower->lines.bytes + follower->sent, n);
    follower->sent += n;
    return (ptrdiff_t)n;
}

void bide_serve_events(
    struct bide_console *console, const struct bide_request *request, struct bide_reply *reply)
{
    reply->follower = create(console, request->fd);
    reply->type = "application/x-ndjson";
    if (!reply->follower)
        bide_reply_error(reply, 503, "too many clients read the events already");
}
