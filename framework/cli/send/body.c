#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "cli/send/send.h"

ssize_t bide_cli_read(int fd, void *to, size_t size)
{
    for (;;) {
        ssize_t got = read(fd, to, size);
        struct pollfd input = {fd, POLLIN, 0};
        if (got >= 0 || (errno != EINTR && errno != EAGAIN))
            return got;
        if (errno == EAGAIN && poll(&input, 1, -1) < 0 && errno != EINTR)
            return -1;
    }
}

static bide_code read_all(int fd, const char *name, size_t max, struct bide_buffer *to, bide_error *error)
{
    enum { CHUNK = 64 * 1024 };
    for (;;) {
        char *room = bide_buffer_reserve(to, CHUNK);
        ssize_t got = room ? bide_cli_read(fd, room, CHUNK) : 0;
        if (!room)
            return bide_fail(error, BIDE_E_NOMEM, "out of memory");
        if (got < 0)
            return bide_fail(error, BIDE_E_DATA, "cannot read %s: %s", name, strerror(errno));
        if (got == 0)
            return BIDE_OK;
        to->size += (size_t)got;
        if (to->size > max)
            return bide_fail(
                error, BIDE_E_DATA, "the body has more than %zu bytes: worker.max_body is the limit", max);
    }
}

bide_code bide_cli_read_body(const char *given, size_t max, struct bide_buffer *to, bide_error *error)
{
    if (strcmp(given, "-") == 0)
        return read_all(STDIN_FILENO, "standard input", max, to, error);
    if (*given != '@') {
        bide_buffer_text(to, given);
        if (to->size > max)
            return bide_fail(
                error, BIDE_E_DATA, "the body has %zu bytes: worker.max_body allows %zu", to->size, max);
        return to->failed ? bide_fail(error, BIDE_E_NOMEM, "out of memory") : BIDE_OK;
    }
    int fd = open(given + 1, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return bide_fail(error, BIDE_E_DATA, "cannot read %s: %s", given + 1, strerror(errno));
    bide_code code = read_all(fd, given + 1, max, to, error);
    close(fd);
    return code;
}
