#include "config/read.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* Where the user and password of an URL end: its last '@' before the path, or the URL's beginning. */
static const char *user_end(const char *url)
{
    const char *authority = strstr(url, "//"), *end = url;
    if (!authority)
        return url;
    for (const char *at = authority + 2; *at && !strchr("/?", *at); at++)
        if (*at == '@')
            end = at;
    return end;
}

static void add_value(struct bide_buffer *to, const char *value, bool encode)
{
    for (; *value; value++)
        if (!encode || isalnum((unsigned char)*value) || strchr("-._~", *value))
            bide_buffer_char(to, *value);
        else
            bide_buffer_format(to, "%%%02X", (unsigned char)*value);
}

/* "${NAME}" at `at`: appends its value, sets *ret_next behind it. */
static bide_code expand_one(const struct bide_reader *reader, const config_setting_t *setting,
    struct bide_buffer *to, const char *at, bool encode, const char **ret_next)
{
    char name[128];
    size_t size = strcspn(at + 2, "}");
    if (at[2 + size] != '}' || size == 0 || size >= sizeof name)
        return bide_reader_fail(
            reader, setting, "broker: after \"${\" stands the name of an environment variable and \"}\"");
    memcpy(name, at + 2, size);
    name[size] = '\0';
    const char *value = getenv(name);
    if (!value)
        return bide_reader_fail(reader, setting,
            "broker: the environment variable %s is not set: export it before starting bide", name);
    add_value(to, value, encode);
    *ret_next = at + size + 3;
    return BIDE_OK;
}

static bide_code expand_broker(
    const struct bide_reader *reader, const config_setting_t *at, struct bide_config *config)
{
    struct bide_buffer url;
    const char *user = user_end(config->broker), *next = config->broker;
    bide_code code = BIDE_OK;
    if (!strstr(config->broker, "${"))
        return BIDE_OK;
    bide_buffer_init(&url);
    while (*next && code == BIDE_OK) {
        if (strncmp(next, "${", 2) == 0)
            code = expand_one(reader, at, &url, next, next < user, &next);
        else
            bide_buffer_char(&url, *next++);
    }
    char *text = bide_buffer_take(&url);
    if (code == BIDE_OK && !text)
        code = bide_reader_nomem(reader);
    if (code != BIDE_OK) {
        bide_free(text);
        return code;
    }
    bide_free(config->broker);
    config->broker = text;
    return BIDE_OK;
}

/* "${NAME}" and nothing else: the token as a whole. One that is not set stays as it is. */
static bide_code expand_token(const struct bide_reader *reader, char **token)
{
    char name[128];
    size_t size = *token ? strlen(*token) : 0;
    if (size < 4 || size - 3 >= sizeof name || strncmp(*token, "${", 2) != 0 || (*token)[size - 1] != '}')
        return BIDE_OK;
    memcpy(name, *token + 2, size - 3);
    name[size - 3] = '\0';
    const char *value = getenv(name);
    if (!value || !*value)
        return BIDE_OK;
    char *copy = bide_strdup(value);
    if (!copy)
        return bide_reader_nomem(reader);
    bide_free(*token);
    *token = copy;
    return BIDE_OK;
}

bide_code bide_config_expand(
    const struct bide_reader *reader, const config_setting_t *root, struct bide_config *config)
{
    bide_code code = expand_broker(reader, config_setting_get_member(root, "broker"), config);
    return code == BIDE_OK ? expand_token(reader, &config->http.token) : code;
}
