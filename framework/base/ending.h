/* base/ending.h: how a process ended, in words. Any thread. */
#ifndef BIDE_BASE_ENDING_H
#define BIDE_BASE_ENDING_H

enum { BIDE_ENDING_TEXT = 64 };

/* "killed by SIGSEGV (core dumped)", "exit status 1", from what waitpid gave. Returns `to`. */
const char *bide_ending(int wait_status, char to[BIDE_ENDING_TEXT]);

#endif
