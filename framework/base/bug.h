/* base/bug.h: conditions that only a fault of bide itself can bring about.
 *
 *     BIDE_BUG(queue->held == 0);
 *
 * Where one holds, what this process believes of its messages is wrong, and to go on could settle one that is
 * not done, or never take another one in. So the process logs the condition and the place, and ends by
 * SIGABRT, in every build. Nothing is lost by that: what it held is not settled, and the broker hands it out
 * again. Under `bide worker` another process takes over, and what ran is suspect, as after any crash
 * (shared/crashes.h): a message that brings it about each time is parked in the end. Another program that
 * links libbide ends, too.
 *
 * For what this code has made so, and never for what comes from outside (a broker, a file, a handler, want of
 * memory): that is an error. Any thread. */
#ifndef BIDE_BASE_BUG_H
#define BIDE_BASE_BUG_H

#define BIDE_BUG(condition)                                                                                  \
    do {                                                                                                     \
        if (__builtin_expect(!!(condition), 0))                                                              \
            bide_bug(#condition, __func__, __LINE__);                                                        \
    } while (0)

_Noreturn void bide_bug(const char *condition, const char *function, int line);

#endif
