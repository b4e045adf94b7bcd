/* base/resident.h: how much memory a process takes. Any thread. */
#ifndef BIDE_BASE_RESIDENT_H
#define BIDE_BASE_RESIDENT_H

#include <stdint.h>
#include <sys/types.h>

/* Of its resident pages; 0: it cannot be read, or has ended. */
int64_t bide_resident_bytes(pid_t pid);

#endif
