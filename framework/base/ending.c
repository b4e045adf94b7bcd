#include "base/ending.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

const char *bide_ending(int wait_status, char to[BIDE_ENDING_TEXT])
{
    if (!WIFSIGNALED(wait_status)) {
        snprintf(to, BIDE_ENDING_TEXT, "exit status %d", WEXITSTATUS(wait_status));
        return to;
    }
    const char *core = WCOREDUMP(wait_status) ? " (core dumped)" : "";
    const char *name = sigabbrev_np(WTERMSIG(wait_status));
    if (name)
        snprintf(to, BIDE_ENDING_TEXT, "killed by SIG%s%s", name, core);
    else
        snprintf(to, BIDE_ENDING_TEXT, "killed by signal %d%s", WTERMSIG(wait_status), core);
    return to;
}
