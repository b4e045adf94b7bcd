/* supervisor/oom.h: was it the kernel, out of memory, that sent a SIGKILL? Any thread; reads files of /proc
 * and /sys. */
#ifndef BIDE_SUPERVISOR_OOM_H
#define BIDE_SUPERVISOR_OOM_H

#include <stdint.h>

/* How many processes the kernel has killed for want of memory so far: of this process's control group, or,
 * where that does not tell, of the whole machine. -1: not known. */
int64_t bide_oom_kills(void);

/* What to say of a SIGKILL, the counts before and after it being known. */
const char *bide_oom_verdict(int64_t before, int64_t after);

#endif
