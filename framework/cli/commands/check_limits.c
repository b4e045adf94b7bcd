/* Of `bide check`: does a handler with a limit that has no key share its queue? */
#include <stdio.h>
#include <string.h>

#include "cli/commands/check.h"

static bool has_keyless_rate(const struct bide_config *config, const struct bide_handler_config *handler)
{
    for (size_t i = 0; handler->limited_by && handler->limited_by[i]; i++) {
        const struct bide_shared_limit_config *limit = bide_config_limit(config, handler->limited_by[i]);
        if (limit->rate.n > 0 && !limit->key)
            return true;
    }
    return false;
}

static const struct bide_handler_config *neighbour(
    const struct bide_config *config, const struct bide_handler_config *handler)
{
    for (size_t i = 0; i < config->n_handlers; i++)
        if (&config->handlers[i] != handler && strcmp(config->handlers[i].queue, handler->queue) == 0)
            return &config->handlers[i];
    return NULL;
}

void bide_cli_check_limits(struct bide_cli_report *report, const struct bide_config *config)
{
    char subject[160], text[320];
    for (size_t i = 0; i < config->n_handlers; i++) {
        const struct bide_handler_config *handler = &config->handlers[i];
        const struct bide_handler_config *other =
            has_keyless_rate(config, handler) ? neighbour(config, handler) : NULL;
        if (!other)
            continue;
        snprintf(subject, sizeof subject, "handler %s", handler->type);
        snprintf(text, sizeof text,
            "has a limit without a key, and shares queue %s with %s: what is over it is fetched, moves to "
            "its "
            "permit's time, and is fetched again",
            handler->queue, other->type);
        bide_cli_report_add(report, &(struct bide_finding){BIDE_FINDING_WARNING, subject, text,
                                        "give it a queue of its own (docs/limits.md)"});
    }
}
