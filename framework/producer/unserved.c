#include "producer/unserved.h"

#include <stdio.h>
#include <string.h>

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

bool bide_is_unserved(
    const struct bide_config *config, const char *type, const char *queue, char text[BIDE_UNSERVED_TEXT])
{
    if (config->n_handlers == 0)
        return false;
    return lacks_handler(config, type, text) || (*queue && lacks_queue(config, queue, text));
}
