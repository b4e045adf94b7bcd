#include "support/message_copy.h"

#include "broker/memory/store.h"
#include "support/test.h"

struct bide_message *message_copy(const struct bide_message *message)
{
    struct bide_message *copy = bide_memory_copy(message, NULL, NULL);
    assert_non_null(copy);
    copy->delay_ms = message->delay_ms;
    copy->expires_after_ms = message->expires_after_ms;
    return copy;
}
