/* Finding rows of a configuration by what names them. */
#include <string.h>

#include "config/config.h"

const struct bide_shared_limit_config *bide_config_limit(const struct bide_config *config, const char *name)
{
    for (size_t i = 0; i < config->n_limits; i++)
        if (strcmp(config->limits[i].name, name) == 0)
            return &config->limits[i];
    return NULL;
}

const struct bide_schedule_config *bide_config_schedule(const struct bide_config *config, const char *name)
{
    for (size_t i = 0; i < config->n_schedules; i++)
        if (strcmp(config->schedules[i].name, name) == 0)
            return &config->schedules[i];
    return NULL;
}

const struct bide_handler_config *bide_config_handler(const struct bide_config *config, const char *type)
{
    const struct bide_handler_config *found = NULL;
    for (size_t i = 0; i < config->n_handlers; i++)
        if (strcmp(config->handlers[i].type, type) == 0 && (!found || !config->handlers[i].on))
            found = &config->handlers[i];
    return found;
}

const char *bide_config_address(const struct bide_config *config, const char *type)
{
    const struct bide_handler_config *handler = bide_config_handler(config, type);
    if (!handler)
        return NULL;
    return handler->on ? strchr(handler->on, '@') : handler->queue;
}

const struct bide_handler_config *bide_config_handler_named(
    const struct bide_config *config, const char *name)
{
    for (size_t i = 0; i < config->n_handlers; i++)
        if (strcmp(bide_handler_name(&config->handlers[i]), name) == 0)
            return &config->handlers[i];
    return NULL;
}
