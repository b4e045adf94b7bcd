#include "config/environment.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "config/source.h"

static const char file_name[] = "bide.env";

static char *path_beside(const char *config_path)
{
    const char *slash = strrchr(config_path, '/');
    int size = slash ? (int)(slash - config_path) + 1 : 0;
    return bide_asprintf("%.*s%s", size, config_path, file_name);
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    for (char *end = text + strlen(text); end > text && isspace((unsigned char)end[-1]);)
        *--end = '\0';
    return text;
}

static bool is_name(const char *text)
{
    if (!isalpha((unsigned char)*text) && *text != '_')
        return false;
    while (isalnum((unsigned char)*text) || *text == '_')
        text++;
    return *text == '\0';
}

/* Removes the quotes in place. NULL if the closing quote is not at the end of the line. */
static char *unquote(char *value)
{
    char quote = *value, *to = value;
    if (quote != '"' && quote != '\'')
        return value;
    for (char *at = value + 1; *at; at++) {
        if (*at == quote) {
            *to = '\0';
            return at[1] ? NULL : value;
        }
        if (quote == '"' && *at == '\\' && at[1] && strchr("\"\\$`", at[1]))
            at++;
        *to++ = *at;
    }
    return NULL;
}

static bide_code add_line(struct bide_environment *to, char *line, int number, bide_error *error)
{
    char *name = trim(line), *equals = strchr(name, '='), *value = NULL;
    if (!*name || *name == '#' || *name == ';')
        return BIDE_OK;
    if (equals) {
        *equals = '\0';
        name = trim(name);
        value = unquote(trim(equals + 1));
    }
    /* the error does not show the line, which may hold a secret */
    if (!value || !is_name(name))
        return bide_fail(
            error, BIDE_E_CONFIG, "%s:%d: a line is NAME=value, or begins with '#'", to->path, number);
    to->rows[to->n_rows].name = name;
    to->rows[to->n_rows++].value = value;
    return BIDE_OK;
}

static bide_code add_lines(struct bide_environment *to, bide_error *error)
{
    size_t n = 1;
    for (const char *at = to->text; *at; at++)
        n += *at == '\n';
    if (!(to->rows = bide_calloc(n, sizeof *to->rows)))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = BIDE_OK;
    int number = 0;
    for (char *line = to->text, *next; line && code == BIDE_OK; line = next) {
        if ((next = strchr(line, '\n')))
            *next++ = '\0';
        code = add_line(to, line, ++number, error);
    }
    return code;
}

bide_code bide_environment_load(
    const char *config_path, struct bide_environment *ret_environment, bide_error *error)
{
    struct bide_environment environment = {.path = path_beside(config_path)};
    bide_code code = environment.path ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (code == BIDE_OK && access(environment.path, F_OK) != 0) {
        bide_free(environment.path);
        environment.path = NULL;
    } else if (code == BIDE_OK) {
        environment.unreadable = access(environment.path, R_OK) != 0;
        if (!environment.unreadable)
            code = bide_source_read(environment.path, &environment.text, error);
        if (code == BIDE_OK && environment.text)
            code = add_lines(&environment, error);
    }
    if (code == BIDE_OK)
        *ret_environment = environment;
    else
        bide_environment_release(&environment);
    return code;
}

void bide_environment_release(struct bide_environment *environment)
{
    bide_free(environment->rows);
    bide_free(environment->text);
    bide_free(environment->path);
}

const char *bide_environment_get(const struct bide_environment *environment, const char *name)
{
    const char *value = getenv(name);
    for (size_t i = environment->n_rows; !value && i > 0; i--)
        if (strcmp(environment->rows[i - 1].name, name) == 0)
            value = environment->rows[i - 1].value;
    return value;
}
