/* Preloaded into a program: the disk is full beyond FULL_DISK_KIB in any one file. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static int is_full(off_t end)
{
    const char *limit = getenv("FULL_DISK_KIB");
    return limit && end > (off_t)strtol(limit, NULL, 10) * 1024;
}

static int refuse(void)
{
    errno = ENOSPC;
    return -1;
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at)
{
    ssize_t (*next)(int, const void *, size_t, off64_t) = dlsym(RTLD_NEXT, "pwrite64");
    return is_full(at + (off_t)size) ? refuse() : next(fd, bytes, size, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    return pwrite64(fd, bytes, size, at);
}

int posix_fallocate(int fd, off_t at, off_t size)
{
    int (*next)(int, off_t, off_t) = dlsym(RTLD_NEXT, "posix_fallocate");
    return is_full(at + size) ? ENOSPC : next(fd, at, size);
}

int ftruncate64(int fd, off64_t size)
{
    int (*next)(int, off64_t) = dlsym(RTLD_NEXT, "ftruncate64");
    return is_full(size) ? refuse() : next(fd, size);
}

int ftruncate(int fd, off_t size)
{
    return ftruncate64(fd, size);
}
