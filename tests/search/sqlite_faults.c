/* Preloaded into bide: calls on the files of bide.db, of an outbox and of a store fail as the file
 * BIDE_SEARCH_FAULTS says (mapped, shared with the search): the nth call of an operation once, or all writes
 * while `full`, all calls while `broken`.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

/* The order of OPERATIONS in sqlite_faults.py: what is called, then on which file. */
enum call { WRITE, READ, SYNC, TRUNCATE, N_CALLS };
enum file { DATABASE, WAL, N_FILES, OTHER = N_FILES };
enum fault { NONE, EIO_ONCE, ENOSPC_ONCE, SHORT, DELAY };
enum { RULES = 64, FDS = 1024 };

struct rule {
    int32_t fault, operation;
    int64_t nth, us;
    int64_t struck;
};

static struct {
    volatile int32_t full, broken;
    volatile int64_t seen[N_CALLS * N_FILES];
    volatile int64_t refused[N_CALLS * N_FILES]; /* by full and broken */
    volatile int32_t n_rules, unused;
    struct rule rules[RULES];
} * shared;
static unsigned char kinds[FDS]; /* 0: not ours; else 1 + enum file */

__attribute__((constructor)) static void map_it(void)
{
    const char *path = getenv("BIDE_SEARCH_FAULTS");
    int (*really_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open64");
    int fd = path ? really_open(path, O_RDWR | O_CLOEXEC) : -1;
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED)
        shared = at;
    if (fd >= 0)
        close(fd);
}

static enum file file_of(const char *path)
{
    const char *name = strrchr(path, '/');
    name = name ? name + 1 : path;
    static const char *const ours[] = {"bide.db", "link.db", "shop.db", "store.db"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        size_t size = strlen(ours[i]);
        if (strncmp(name, ours[i], size) == 0 && (!name[size] || strcmp(name + size, "-wal") == 0))
            return name[size] ? WAL : DATABASE;
    }
    return OTHER;
}

int open64(const char *path, int flags, ...)
{
    int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, "open64");
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    int fd = next(path, flags, mode);
    if (fd >= 0 && fd < FDS)
        kinds[fd] = file_of(path) == OTHER ? 0 : (unsigned char)(1 + file_of(path));
    return fd;
}

static void sleep_us(int64_t us)
{
    struct timespec left = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ;
}

/* What is to become of this call: 0 it goes on, an errno, or -1: only half of it. */
static int judge(enum call call, int fd)
{
    if (!shared || fd < 0 || fd >= FDS || kinds[fd] == 0)
        return 0;
    int operation = (int)call * N_FILES + kinds[fd] - 1;
    int64_t number = __atomic_add_fetch(&shared->seen[operation], 1, __ATOMIC_RELAXED);
    if (shared->broken || (shared->full && call == WRITE)) {
        __atomic_add_fetch(&shared->refused[operation], 1, __ATOMIC_RELAXED);
        return shared->broken ? EIO : ENOSPC;
    }
    for (int i = 0; i < shared->n_rules; i++) {
        struct rule *rule = &shared->rules[i];
        if (rule->operation != operation || rule->nth != number)
            continue;
        __atomic_add_fetch(&rule->struck, 1, __ATOMIC_RELAXED);
        if (rule->fault == DELAY)
            sleep_us(rule->us);
        return rule->fault == EIO_ONCE      ? EIO
               : rule->fault == ENOSPC_ONCE ? ENOSPC
               : rule->fault == SHORT       ? -1
                                            : 0;
    }
    return 0;
}

static int fail(int code)
{
    errno = code;
    return -1;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at)
{
    ssize_t (*next)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    int judged = judge(WRITE, fd);
    return judged > 0 ? fail(judged) : next(fd, bytes, judged < 0 && size > 1 ? size / 2 : size, at);
}

ssize_t pread64(int fd, void *bytes, size_t size, off64_t at)
{
    ssize_t (*next)(int, void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pread64");
    int judged = judge(READ, fd);
    return judged > 0 ? fail(judged) : next(fd, bytes, judged < 0 && size > 1 ? size / 2 : size, at);
}

int fdatasync(int fd)
{
    int (*next)(int) = dlsym(RTLD_NEXT, "fdatasync");
    int judged = judge(SYNC, fd);
    return judged > 0 ? fail(judged) : next(fd);
}

int ftruncate64(int fd, off64_t size)
{
    int (*next)(int, off64_t) = dlsym(RTLD_NEXT, "ftruncate64");
    int judged = judge(TRUNCATE, fd);
    return judged > 0 ? fail(judged) : next(fd, size);
}
