#include "config/read.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "config/environment.h"

enum { NAME_MAX_BYTES = 128, VALUE_MAX = 4095 };

/* A string whose variables are being replaced. */
struct expansion {
    const struct bide_reader *reader;
    const config_setting_t *at;
    const char *key;            /* for messages */
    const char *user;           /* values before this place are percent-encoded: the user part of an URL */
    bool deferred;              /* only workers need the string */
    struct bide_config *config; /* notes the variables used and the first one that is not set */
    struct bide_buffer text;
};

/* The end of user and password in an URL: its last '@' before the path, else the URL's beginning. */
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

static bide_code refuse_unset(const struct expansion *expansion, const char *name)
{
    const struct bide_environment *environment = expansion->reader->environment;
    bide_code code = bide_reader_fail(expansion->reader, expansion->at,
        "%s: the environment variable %s is not set: export it before starting bide%s%s%s", expansion->key,
        name,
        environment->path ? (environment->unreadable ? " (this user must not read " : ", or add it to ") : "",
        environment->path ? environment->path : "", environment->unreadable ? ")" : "");
    if (!expansion->deferred)
        return code;
    char **unset = &expansion->config->unset; /* only the first one is reported */
    if (!*unset)
        *unset = bide_strdup(expansion->reader->error->text);
    return *unset ? BIDE_OK : bide_reader_nomem(expansion->reader);
}

static bide_code note_secret(const struct expansion *expansion, const char *name)
{
    struct bide_config *config = expansion->config;
    char *copy = bide_strdup(name);
    char **longer = copy ? bide_realloc(config->secrets, (config->n_secrets + 1) * sizeof *longer) : NULL;
    if (!longer) {
        bide_free(copy);
        return bide_reader_nomem(expansion->reader);
    }
    longer[config->n_secrets++] = copy;
    config->secrets = longer;
    return BIDE_OK;
}

void bide_config_forget_secrets(const struct bide_config *config)
{
    static const char *const needed[] = {"PATH", "HOME", "LANG", "TZ"};
    for (size_t i = 0; i < config->n_secrets; i++) {
        bool keep = false;
        for (size_t j = 0; j < sizeof needed / sizeof needed[0]; j++)
            keep = keep || strcmp(config->secrets[i], needed[j]) == 0;
        if (!keep)
            unsetenv(config->secrets[i]);
    }
}

/* Handles the "${NAME}" at `at`: appends its value, or the "${NAME}" itself if it is not set and that is no
 * failure. *ret_next is the place behind it. */
static bide_code expand_one(struct expansion *expansion, const char *at, const char **ret_next)
{
    char name[NAME_MAX_BYTES];
    size_t size = strcspn(at + 2, "}");
    if (at[2 + size] != '}' || size == 0 || size >= sizeof name)
        return bide_reader_fail(expansion->reader, expansion->at,
            "%s: after \"${\" stands the name of an environment variable and \"}\" (\"$${\" stands for a "
            "plain "
            "\"${\")",
            expansion->key);
    memcpy(name, at + 2, size);
    name[size] = '\0';
    *ret_next = at + size + 3;
    const char *value = bide_environment_get(expansion->reader->environment, name);
    if (!value) {
        bide_buffer_add(&expansion->text, at, size + 3);
        return refuse_unset(expansion, name);
    }
    if (strlen(value) > VALUE_MAX)
        return bide_reader_fail(expansion->reader, expansion->at,
            "%s: the value of the environment variable %s is longer than %d bytes", expansion->key, name,
            VALUE_MAX);
    add_value(&expansion->text, value, at < expansion->user);
    return note_secret(expansion, name);
}

static bide_code expand_text(struct expansion *expansion, const char *text)
{
    bide_code code = BIDE_OK;
    for (const char *next = text; *next && code == BIDE_OK;) {
        if (strncmp(next, "$${", 3) == 0) {
            bide_buffer_text(&expansion->text, "${");
            next += 3;
        } else if (strncmp(next, "${", 2) == 0) {
            code = expand_one(expansion, next, &next);
        } else {
            bide_buffer_char(&expansion->text, *next++);
        }
    }
    return code;
}

static const char *key_of(const config_setting_t *at)
{
    while (!config_setting_name(at) && config_setting_parent(at))
        at = config_setting_parent(at);
    return config_setting_name(at) ? config_setting_name(at) : "";
}

static bool is_url(const char *key)
{
    static const char *const keys[] = {"broker", "store", "from", "to"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        if (strcmp(key, keys[i]) == 0)
            return true;
    return false;
}

static bide_code expand_string(
    const struct bide_reader *reader, config_setting_t *at, bool deferred, struct bide_config *config)
{
    const char *text = config_setting_get_string(at);
    struct expansion expansion = {
        .reader = reader, .at = at, .key = key_of(at), .user = text, .deferred = deferred, .config = config};
    if (!strstr(text, "${"))
        return BIDE_OK;
    if (is_url(expansion.key))
        expansion.user = user_end(text);
    bide_buffer_init(&expansion.text);
    bide_code code = expand_text(&expansion, text);
    char *expanded = bide_buffer_take(&expansion.text);
    if (code == BIDE_OK && (!expanded || !config_setting_set_string(at, expanded)))
        code = bide_reader_nomem(reader);
    bide_free(expanded);
    return code;
}

static bide_code expand_tree(
    const struct bide_reader *reader, config_setting_t *at, bool deferred, struct bide_config *config)
{
    bide_code code = BIDE_OK;
    if (config_setting_type(at) == CONFIG_TYPE_STRING)
        return expand_string(reader, at, deferred, config);
    if (!config_setting_is_aggregate(at))
        return BIDE_OK;
    for (int i = 0; i < config_setting_length(at) && code == BIDE_OK; i++)
        code = expand_tree(reader, config_setting_get_elem(at, (unsigned)i), deferred, config);
    return code;
}

/* Only workers need these values: a sender works without a webhook's secret. */
static bool is_for_workers(const config_setting_t *at)
{
    const char *name = config_setting_name(at);
    static const char *const names[] = {"handlers", "programs", "http", "relays"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

bide_code bide_config_expand(
    const struct bide_reader *reader, config_setting_t *root, struct bide_config *config)
{
    bide_code code = BIDE_OK;
    for (int i = 0; i < config_setting_length(root) && code == BIDE_OK; i++) {
        config_setting_t *at = config_setting_get_elem(root, (unsigned)i);
        code = expand_tree(reader, at, is_for_workers(at), config);
    }
    return code;
}
