#include "producer/unserved.h"

#include <stdio.h>
#include <string.h>

#include "base/names.h"
#include "base/suggest.h"

enum { KNOWN_MAX = 200 };

static bool lacks_handler(const struct bide_config *config, const char *type, char text[BIDE_UNSERVED_TEXT])
{
    const char *known[KNOWN_MAX + 1] = {0};
    char hint[BIDE_SUGGEST_TEXT];
    if (bide_config_handler(config, type))
        return false;
    for (size_t i = 0; i < config->n_handlers && i < KNOWN_MAX; i++)
        known[i] = config->handlers[i].type;
    snprintf(text, BIDE_UNSERVED_TEXT,
        "no handler of the configuration has the type '%.100s'%s: a worker would park it as unknown-type",
        type, bide_suggest(type, known, hint));
    return true;
}

static bool lacks_queue(const struct bide_config *config, const char *queue, char text[BIDE_UNSERVED_TEXT])
{
    const char *known[KNOWN_MAX + 1] = {0};
    char hint[BIDE_SUGGEST_TEXT];
    for (size_t i = 0; i < config->n_queues; i++) {
        if (strcmp(config->queues[i].name, queue) == 0)
            return false;
        if (i < KNOWN_MAX)
            known[i] = config->queues[i].name;
    }
    snprintf(text, BIDE_UNSERVED_TEXT, "no worker of the configuration serves the queue '%.100s'%s", queue,
        bide_suggest(queue, known, hint));
    return true;
}

/* Other services may serve its subscriptions. So a topic is judged only if the configuration lists topics,
 * and a type only if it has a handler on one. */
static bool lacks_topic(
    const struct bide_config *config, const char *type, const char *topic, char text[BIDE_UNSERVED_TEXT])
{
    const char *known[KNOWN_MAX + 1] = {0};
    char hint[BIDE_SUGGEST_TEXT];
    bool listed = config->n_topics == 0;
    for (size_t i = 0; i < config->n_topics; i++) {
        listed |= strcmp(config->topics[i].name, topic) == 0;
        if (i < KNOWN_MAX)
            known[i] = config->topics[i].name;
    }
    for (size_t i = 0; i < config->n_queues; i++) {
        const char *served = bide_queue_topic(config->queues[i].name);
        if (served && strcmp(served, topic) == 0)
            return lacks_handler(config, type, text);
    }
    if (!listed)
        snprintf(text, BIDE_UNSERVED_TEXT, "the configuration has no topic '%.60s'%s", topic,
            bide_suggest(topic, known, hint));
    return !listed;
}

bool bide_is_unserved(
    const struct bide_config *config, const char *type, const char *queue, char text[BIDE_UNSERVED_TEXT])
{
    if (config->n_handlers == 0)
        return false;
    if (bide_is_topic(queue))
        return lacks_topic(config, type, queue + 1, text);
    return lacks_handler(config, type, text) || (*queue && lacks_queue(config, queue, text));
}
