/* tests/support/message_copy.h: keeps what an adapter lends for the length of a call. */
#ifndef TESTS_SUPPORT_MESSAGE_COPY_H
#define TESTS_SUPPORT_MESSAGE_COPY_H

#include "message/message.h"

/* A message of its own; fails the test where there is no memory. The test's thread alone. */
struct bide_message *message_copy(const struct bide_message *message);

#endif
