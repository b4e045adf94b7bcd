#include "support/message_copy.h"

#include "support/test.h"

struct bide_message *message_copy(const struct bide_message *message)
{
    struct bide_message *copy = bide_message_copy(message);
    assert_non_null(copy);
    return copy;
}
