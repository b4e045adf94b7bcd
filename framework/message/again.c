/* What a message becomes when it is sent again, or parked. */
#include <stdio.h>

#include "message/message.h"

void bide_message_replay(const struct bide_message *dead, int64_t due_ms, struct bide_message *ret_again)
{
    *ret_again = *dead;
    ret_again->due_ms = due_ms;
    ret_again->attempt = 1;
    ret_again->error = ret_again->failures = "";
    if (ret_again->expires_ms <= due_ms)
        ret_again->expires_ms = 0;
}

void bide_message_park(
    const struct bide_message *message, char text[BIDE_UNROUTED_TEXT], struct bide_message *ret_parked)
{
    snprintf(text, BIDE_UNROUTED_TEXT, "topic '%s' had no subscription", message->queue + 1);
    *ret_parked = *message;
    ret_parked->attempt = 0;
    ret_parked->error = text;
}
