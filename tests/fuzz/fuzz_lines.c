/* The input of `bide send --lines`, as a whole: every line is a message, is blank, or is counted as bad; the
 * messages come in their order. */
#include "fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "cli/send/send.h"

static FILE *nowhere, *terminal;

static uint64_t lines_in(const uint8_t *bytes, size_t size)
{
    uint64_t n = 0;
    for (size_t i = 0; i < size; i++)
        n += bytes[i] == '\n';
    return n + (size && bytes[size - 1] != '\n');
}

static uint64_t take_all(struct bide_cli_lines *lines)
{
    static struct bide_cli_line batch[BIDE_CLI_BATCH];
    uint64_t last = 0, total = 0;
    size_t n;
    do {
        HOLDS(bide_cli_lines_take(lines, batch, &n, NULL) == BIDE_OK);
        for (size_t i = 0; i < n; i++) {
            HOLDS(batch[i].number > last && *bide_message_type(batch[i].message));
            last = batch[i].number;
            bide_message_destroy(batch[i].message);
        }
        total += n;
    } while (n);
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct bide_config *config;
    struct bide_cli_lines *lines = NULL;
    if (!config) {
        HOLDS(bide_config_default(&config, NULL) == BIDE_OK);
        terminal = stderr;
        nowhere = fopen("/dev/null", "w");
        HOLDS(nowhere);
    }
    int fd = memfd_create("lines", 0);
    HOLDS(fd >= 0 && write(fd, bytes, size) == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0);
    stderr = nowhere; /* where bad lines are reported */
    HOLDS(bide_cli_lines_open(fd, config, &lines, NULL) == BIDE_OK);
    uint64_t good = take_all(lines);
    struct bide_cli_line_counts counts = bide_cli_lines_counts(lines);
    bide_cli_lines_close(lines);
    stderr = terminal;
    HOLDS(counts.read == lines_in(bytes, size));
    HOLDS(good + counts.bad <= counts.read);
    close(fd);
    return 0;
}
