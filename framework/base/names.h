/* base/names.h: valid names of types, queues and namespaces. Any thread. */
#ifndef BIDE_BASE_NAMES_H
#define BIDE_BASE_NAMES_H

#include <stdbool.h>

/* The rule in words, for messages. */
#define BIDE_NAME_RULE                                                                                       \
    "letters, digits, '-', '_' and '.', not beginning with a digit or a dot, at most 100 bytes"

/* The rule for types and queues. Namespaces have the same rule, but without dots. */
bool bide_name_valid(const char *name);
bool bide_namespace_valid(const char *name);

/* What a message can be sent to: a queue, or a topic, "@TOPIC". A subscription of a topic is a queue named
 * "SUB@TOPIC"; the names of other queues have no '@'. */
#define BIDE_TOPIC_NAME_RULE                                                                                 \
    "letters, digits, '-', '_' and '.', not beginning with a digit or a dot, at most 49 bytes, and not "     \
    "unrouted, hold.*, *.landing, *.later or *.dead"
#define BIDE_TOPIC_RULE "of SUB and TOPIC each: " BIDE_TOPIC_NAME_RULE
enum {
    BIDE_TOPIC_MAX = 49,         /* bytes of a topic's name, and of a subscription's before the '@' */
    BIDE_HANDLER_NAME_MAX = 200, /* of what a handler is called: TYPE or TYPE@SUB@TOPIC */
};

/* A name of a queue, "SUB@TOPIC" among them, that the framework itself does not use. */
bool bide_queue_name_valid(const char *name);
bool bide_topic_name_valid(const char *name);
bool bide_subscription_valid(const char *name); /* "SUB@TOPIC" */
bool bide_address_valid(const char *name);      /* of a queue or of a topic */

/* Is it the address of a topic, "@TOPIC"? */
static inline bool bide_is_topic(const char *address)
{
    return *address == '@';
}
/* The topic of "@TOPIC" or "SUB@TOPIC", in it; NULL: of a queue that is no subscription. */
const char *bide_queue_topic(const char *queue);

#endif
