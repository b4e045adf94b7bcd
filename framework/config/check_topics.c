#include <string.h>

#include "base/alloc.h"
#include "base/names.h"
#include "base/suggest.h"
#include "config/read.h"

static const config_setting_t *element(const config_t *file, const char *list, size_t index)
{
    return config_setting_get_elem(config_lookup(file, list), (unsigned)index);
}

/* ---- topics ---- */

static bool has(char *const *names, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static bide_code add_subscription(const struct bide_reader *reader, const config_setting_t *at,
    struct bide_config *config, const struct bide_topic_config *topic, const char *name)
{
    char **all =
        bide_realloc(config->subscriptions, (config->n_subscriptions + 1) * sizeof *config->subscriptions);
    if (all)
        config->subscriptions = all;
    char *whole = all ? bide_asprintf("%s@%s", name, topic->name) : NULL;
    if (!whole)
        return bide_reader_nomem(reader);
    bool valid = bide_subscription_valid(whole), twice = has(all, config->n_subscriptions, whole);
    if (valid && !twice) {
        all[config->n_subscriptions++] = whole;
        return BIDE_OK;
    }
    bide_free(whole);
    if (twice)
        return bide_reader_fail(reader, at,
            "subscription '%s' of topic '%s' is listed twice: a topic and "
            "its subscriptions are listed once",
            name, topic->name);
    return bide_reader_fail(
        reader, at, "'%.120s' is not valid as a subscription: " BIDE_TOPIC_NAME_RULE, name);
}

static bide_code check_topic(
    const struct bide_reader *reader, const config_t *file, struct bide_config *config, size_t i)
{
    const struct bide_topic_config *topic = &config->topics[i];
    const config_setting_t *at = element(file, "topics", i);
    bide_code code = BIDE_OK;
    for (size_t j = 0; j < i; j++)
        if (strcmp(config->topics[j].name, topic->name) == 0)
            return bide_reader_fail(reader, at, "topic '%s' is listed twice", topic->name);
    for (char *const *name = topic->subscriptions; name && *name && code == BIDE_OK; name++)
        code = add_subscription(reader, at, config, topic, *name);
    return code;
}

/* ---- handlers that are on a subscription ---- */

static const struct bide_topic_config *find_topic(const struct bide_config *config, const char *name)
{
    for (size_t i = 0; i < config->n_topics; i++)
        if (strcmp(config->topics[i].name, name) == 0)
            return &config->topics[i];
    return NULL;
}

/* A topic that is listed lists all of its subscriptions: so a mistyped one is found. */
static bide_code check_listed(const struct bide_reader *reader, const config_setting_t *at,
    const struct bide_config *config, const struct bide_handler_config *handler)
{
    const char *known[64] = {0};
    char hint[BIDE_SUGGEST_TEXT];
    const struct bide_topic_config *topic = find_topic(config, bide_queue_topic(handler->on));
    if (!topic || has(config->subscriptions, config->n_subscriptions, handler->on))
        return BIDE_OK;
    for (size_t i = 0; i < config->n_subscriptions && i + 1 < sizeof known / sizeof known[0]; i++)
        known[i] = config->subscriptions[i];
    return bide_reader_fail(reader, config_setting_get_member(at, "on"),
        "handler '%s' is on '%s', which is not among the subscriptions of topic '%s'%s", handler->type,
        handler->on, topic->name, bide_suggest(handler->on, known, hint));
}

static bide_code take_queue(const struct bide_reader *reader, const config_setting_t *at,
    const struct bide_config *config, struct bide_handler_config *handler)
{
    const config_setting_t *given = config_setting_get_member(at, "queue");
    if (!handler->on && !bide_queue_topic(handler->queue))
        return BIDE_OK;
    if (given)
        return bide_reader_fail(reader, given,
            handler->on ? "handler '%s' is on a subscription and has a queue: give one of them"
                        : "the queue of handler '%s' is a subscription: write on = instead of queue =",
            handler->type);
    char *queue = bide_strdup(handler->on);
    if (!queue)
        return bide_reader_nomem(reader);
    bide_free(handler->queue);
    handler->queue = queue;
    return check_listed(reader, at, config, handler);
}

static bide_code name_handler(
    const struct bide_reader *reader, const struct bide_config *config, struct bide_handler_config *handler)
{
    size_t n = 0;
    for (size_t i = 0; i < config->n_handlers; i++)
        n += strcmp(config->handlers[i].type, handler->type) == 0;
    if (!handler->on || n == 1)
        return BIDE_OK;
    handler->name = bide_asprintf("%s@%s", handler->type, handler->on);
    return handler->name ? BIDE_OK : bide_reader_nomem(reader);
}

bide_code bide_config_check_topics(
    const struct bide_reader *reader, const config_t *file, struct bide_config *config)
{
    bide_code code = BIDE_OK;
    for (size_t i = 0; i < config->n_topics && code == BIDE_OK; i++)
        code = check_topic(reader, file, config, i);
    for (size_t i = 0; i < config->n_handlers && code == BIDE_OK; i++) {
        struct bide_handler_config *handler = &config->handlers[i];
        code = take_queue(reader, element(file, "handlers", i), config, handler);
        if (code == BIDE_OK)
            code = name_handler(reader, config, handler);
    }
    return code;
}
