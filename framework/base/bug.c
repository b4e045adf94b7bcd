#include "base/bug.h"

#include <stdlib.h>

#include "bide/log.h"

void bide_bug(const char *condition, const char *function, int line)
{
    bide_log(BIDE_LOG_ERROR, "internal error: this process ends", BIDE_STR("condition", condition),
        BIDE_STR("function", function), BIDE_INT("line", line));
    abort();
}
