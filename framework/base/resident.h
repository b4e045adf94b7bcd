/* base/resident.h: the resident memory of a process. Any thread. */
#ifndef BIDE_BASE_RESIDENT_H
#define BIDE_BASE_RESIDENT_H

#include <stdint.h>
#include <sys/types.h>

/* 0 if it cannot be read, or the process has ended. */
int64_t bide_resident_bytes(pid_t pid);

#endif
