#include "base/names.h"

#include <string.h>

#include "bide/message.h"

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool valid(const char *name, const char *also)
{
    size_t size = strnlen(name, BIDE_NAME_MAX + 1);
    if (size == 0 || size > BIDE_NAME_MAX || is_digit(name[0]) || name[0] == '.')
        return false;
    for (size_t i = 0; i < size; i++)
        if (!is_letter(name[i]) && !is_digit(name[i]) && !strchr(also, name[i]))
            return false;
    return true;
}

static bool ends_with(const char *name, const char *end)
{
    size_t size = strlen(name), end_size = strlen(end);
    return size >= end_size && strcmp(name + size - end_size, end) == 0;
}

bool bide_name_valid(const char *name)
{
    return valid(name, "-_.");
}

bool bide_namespace_valid(const char *name)
{
    return valid(name, "-_");
}

static bool is_reserved(const char *name)
{
    return strcmp(name, "unrouted") == 0 || strncmp(name, "hold.", 5) == 0 || ends_with(name, ".landing") ||
           ends_with(name, ".later") || ends_with(name, ".dead");
}

/* A part of a subscription's name: its own, or the topic's. */
static bool part_valid(const char *name, size_t size)
{
    char part[BIDE_TOPIC_MAX + 1];
    if (size > BIDE_TOPIC_MAX)
        return false;
    memcpy(part, name, size);
    part[size] = '\0';
    return bide_name_valid(part) && !is_reserved(part);
}

bool bide_topic_name_valid(const char *name)
{
    return part_valid(name, strnlen(name, BIDE_TOPIC_MAX + 1));
}

bool bide_subscription_valid(const char *name)
{
    const char *at = strchr(name, '@');
    return at && part_valid(name, (size_t)(at - name)) && bide_topic_name_valid(at + 1);
}

bool bide_queue_name_valid(const char *name)
{
    return bide_subscription_valid(name) || (bide_name_valid(name) && !is_reserved(name));
}

bool bide_address_valid(const char *name)
{
    return bide_is_topic(name) ? bide_topic_name_valid(name + 1) : bide_queue_name_valid(name);
}

const char *bide_queue_topic(const char *queue)
{
    const char *at = strchr(queue, '@');
    return at ? at + 1 : NULL;
}
