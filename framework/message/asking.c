#include "message/asking.h"

#include <stdlib.h>

int bide_asking_checks(const bide_message *message)
{
    if (!bide_asking_may_be(message->id))
        return 0;
    const char *checks = bide_message_header(message, BIDE_ASKING_CHECKS);
    long n = checks ? strtol(checks, NULL, 10) : 0;
    return n < 0 || n > BIDE_ASKING_CHECKS_MAX ? 0 : (int)n;
}
