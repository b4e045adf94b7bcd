/* base/bug.h: checks for conditions that only a fault of bide itself can cause.
 *
 *     BIDE_BUG(queue->held == 0);
 *
 * If the condition is true, this process's records of its messages are wrong; going on could settle a message
 * that is not done, or stop taking messages for ever. So the process logs the condition and its place, and
 * ends by SIGABRT, in every build. No message is lost by that: its deliveries are not settled, and the broker
 * hands them out again. Under `bide worker` another process takes over, and the messages that ran are
 * suspects, as after any crash (shared/crashes.h): a message that causes it each time becomes a dead letter.
 * Another program that links libbide ends too.
 *
 * Only for conditions that this code itself must rule out, never for causes from outside (a broker, a file, a
 * handler, lack of memory): those are errors. Any thread. */
#ifndef BIDE_BASE_BUG_H
#define BIDE_BASE_BUG_H

#define BIDE_BUG(condition)                                                                                  \
    do {                                                                                                     \
        if (__builtin_expect(!!(condition), 0))                                                              \
            bide_bug(#condition, __func__, __LINE__);                                                        \
    } while (0)

_Noreturn void bide_bug(const char *condition, const char *function, int line);

#endif
