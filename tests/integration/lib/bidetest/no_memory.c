/* Preloaded into a program: one in so many allocations fails, as the file NO_MEMORY says (two signed 64-bit
 * integers, mapped: one in how many, 0 for none; and how many have failed so far). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct {
    volatile int64_t one_in, failed;
} * shared;
static __thread uint64_t draw;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *memory, size_t size);

__attribute__((constructor)) static void open_it(void)
{
    int fd = open(getenv("NO_MEMORY"), O_RDWR | O_CLOEXEC);
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at == MAP_FAILED)
        abort();
    shared = at;
    close(fd);
}

static int fails(void)
{
    int64_t one_in = shared ? shared->one_in : 0;
    if (one_in == 0)
        return 0;
    if (!draw)
        draw = (uint64_t)(uintptr_t)&draw ^ (uint64_t)getpid() * 0x9E3779B97F4A7C15u;
    draw = draw * 6364136223846793005u + 1442695040888963407u;
    if ((draw >> 33) % (uint64_t)one_in)
        return 0;
    __atomic_fetch_add(&shared->failed, 1, __ATOMIC_RELAXED);
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t size)
{
    return fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return fails() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *memory, size_t size)
{
    return fails() ? NULL : __libc_realloc(memory, size);
}
