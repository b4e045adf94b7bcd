#include "broker/redis/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "message/message.h"

enum { HOST_BYTES = 64, PLACE_DIGITS = 8 };

/* 0: cannot be told. */
static uint32_t find_place(void)
{
    char boot[64], names[64];
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    ssize_t boot_size = read(fd, boot, sizeof boot);
    close(fd);
    ssize_t names_size = readlink("/proc/self/ns/pid", names, sizeof names);
    if (boot_size <= 0 || names_size <= 0)
        return 0;
    return bide_hash_more(
        bide_hash_more(BIDE_HASH_BEGIN, boot, (size_t)boot_size), names, (size_t)names_size);
}

static void find_host(char to[HOST_BYTES])
{
    to[HOST_BYTES - 1] = '\0';
    if (gethostname(to, HOST_BYTES - 1) != 0 || !*to)
        snprintf(to, HOST_BYTES, "host");
}

void bide_redis_identity_create(char *to, size_t room)
{
    char host[HOST_BYTES], id[BIDE_ID_TEXT];
    find_host(host);
    bide_id_generate(id, bide_clock_system());
    snprintf(to, room, "%s:%ld:%08" PRIx32 "-%s", host, (long)getpid(), find_place(), id + 24);
}

bool bide_redis_identity_is_gone(const char *worker)
{
    char host[HOST_BYTES], place[PLACE_DIGITS + 2];
    uint32_t number = find_place();
    find_host(host);
    size_t size = strlen(host);
    if (number == 0 || strncmp(worker, host, size) != 0 || worker[size] != ':')
        return false;
    char *end;
    long pid = strtol(worker + size + 1, &end, 10);
    snprintf(place, sizeof place, ":%08" PRIx32, number);
    if (pid <= 0 || strncmp(end, place, PLACE_DIGITS + 1) != 0)
        return false;
    return kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}
