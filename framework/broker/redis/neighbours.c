#include "broker/redis/neighbours.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/redis/keys.h"
#include "broker/redis/takeover.h"

/* FNV-1a (G. Fowler, L. C. Noll, K.-P. Vo): a fingerprint, not a secret. */
static uint32_t mix(uint32_t hash, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const unsigned char *)bytes)[i]) * 16777619u;
    return hash;
}

void bide_redis_place(char to[BIDE_REDIS_PLACE_TEXT])
{
    char host[64] = "", boot[40] = "";
    struct stat pid_namespace = {0};
    if (gethostname(host, sizeof host - 1) != 0 || !*host)
        snprintf(host, sizeof host, "host");
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, boot, sizeof boot - 1) <= 0 || stat("/proc/self/ns/pid", &pid_namespace) != 0)
        snprintf(boot, sizeof boot, "%ld", (long)getpid()); /* unknown: a place of its own */
    if (fd >= 0)
        close(fd);
    uint32_t hash = mix(2166136261u, boot, strlen(boot));
    hash = mix(hash, &pid_namespace.st_ino, sizeof pid_namespace.st_ino);
    snprintf(to, BIDE_REDIS_PLACE_TEXT, "%s-%08x", host, hash);
}

/* Of "place:pid:…", where the place is ours and no such process exists. */
static bool is_gone(const char *worker, const char *place)
{
    size_t size = strlen(place);
    if (strncmp(worker, place, size) != 0 || worker[size] != ':')
        return false;
    long pid = strtol(worker + size + 1, NULL, 10);
    return pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH;
}

bide_code bide_redis_bury_neighbours(
    const struct bide_redis_settings *settings, struct bide_redis_link *link, bide_error *error)
{
    struct bide_redis_args args;
    redisReply *workers = NULL;
    char place[BIDE_REDIS_PLACE_TEXT];
    bide_redis_place(place);
    bide_redis_args_init(&args);
    bide_redis_args_text(&args, "HKEYS");
    bide_redis_keys_one(&args, settings->name_space, "workers");
    bide_code code = bide_redis_link_call(link, &args, "listing the workers", &workers, NULL, error);
    bide_redis_args_release(&args);
    for (size_t i = 0; code == BIDE_OK && i < workers->elements; i++)
        if (is_gone(workers->element[i]->str, place))
            code = bide_redis_leave(settings, link, workers->element[i]->str, error);
    if (workers)
        freeReplyObject(workers);
    return code;
}
