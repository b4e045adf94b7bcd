#include "cli/send/send.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"

enum { CHUNK = 256 * 1024 };

/* What is left of the bytes read: at most one unfinished line. */
struct rest {
    struct bide_buffer bytes;
    bool skipping; /* within a line that is too long */
};

/* Waits for input. 1: there is some (or its end), 0: stopped. */
static int wait_for_input(const struct bide_cli_splitter *splitter)
{
    struct pollfd fds[] = {{splitter->fd, POLLIN, 0}, {splitter->wakeup_fd, POLLIN, 0}};
    int ready = poll(fds, 2, 0);
    if (ready == 0) {
        splitter->idle(splitter->user);
        while (poll(fds, 2, -1) < 0 && errno == EINTR)
            ;
    }
    return fds[1].revents == 0;
}

static bool hand_line(
    const struct bide_cli_splitter *splitter, struct rest *rest, const char *text, size_t size)
{
    bool too_long = rest->skipping || size > splitter->longest;
    rest->skipping = false;
    return splitter->line(splitter->user, too_long ? NULL : text, too_long ? 0 : size);
}

/* Hands over the finished lines and keeps the rest. */
static bool hand_lines(const struct bide_cli_splitter *splitter, struct rest *rest, size_t fresh)
{
    char *begin = rest->bytes.bytes, *end = begin + rest->bytes.size, *search = end - fresh, *newline;
    while ((newline = memchr(search, '\n', (size_t)(end - search)))) {
        if (!hand_line(splitter, rest, begin, (size_t)(newline - begin)))
            return false;
        begin = search = newline + 1;
    }
    size_t left = (size_t)(end - begin);
    if (left > splitter->longest) {
        rest->skipping = true;
        left = 0;
    }
    memmove(rest->bytes.bytes, begin, left);
    rest->bytes.size = left;
    return true;
}

static bide_code split(const struct bide_cli_splitter *splitter, struct rest *rest, bide_error *error)
{
    while (wait_for_input(splitter)) {
        char *to = bide_buffer_reserve(&rest->bytes, CHUNK);
        if (!to)
            return bide_fail(error, BIDE_E_NOMEM, "out of memory");
        ssize_t got = read(splitter->fd, to, CHUNK);
        if (got < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (got < 0)
            return bide_fail(error, BIDE_E_DATA, "cannot read the input: %s", strerror(errno));
        if (got == 0) {
            if (rest->bytes.size || rest->skipping)
                hand_line(splitter, rest, rest->bytes.bytes, rest->bytes.size);
            return BIDE_OK;
        }
        rest->bytes.size += (size_t)got;
        if (!hand_lines(splitter, rest, (size_t)got))
            return BIDE_OK;
    }
    return BIDE_OK;
}

bide_code bide_cli_split(const struct bide_cli_splitter *splitter, bide_error *error)
{
    struct rest rest = {.skipping = false};
    bide_buffer_init(&rest.bytes);
    bide_code code = split(splitter, &rest, error);
    bide_buffer_release(&rest.bytes);
    return code;
}
