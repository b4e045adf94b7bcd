#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"

enum { KEEP_OUTPUT_MAX = 64 * 1024 };

static char *joined(const char *dir, const char *path)
{
    char *result;
    int size = path[0] == '/' ? asprintf(&result, "%s", path) : asprintf(&result, "%s/%s", dir, path);
    return size < 0 ? NULL : result;
}

static bool runnable(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode) && access(path, X_OK) == 0;
}

/* Looks where a shell would. NULL where it is not found (or there is no memory). */
static char *search_path(const char *name)
{
    const char *at = getenv("PATH");
    for (at = at ? at : "/usr/local/bin:/usr/bin:/bin"; *at;) {
        size_t size = strcspn(at, ":");
        char *path;
        if (asprintf(&path, "%.*s/%s", size ? (int)size : 1, size ? at : ".", name) < 0)
            return NULL;
        if (runnable(path))
            return path;
        free(path);
        at += size + (at[size] == ':');
    }
    return NULL;
}

/* A program that is named by its path is judged as plugins are: who can change it runs what he likes with our
 * rights. What PATH finds is the system's; what may be run and not read cannot be opened, and so not judged.
 */
static bide_code check_trust(const struct command *command, const bide_settings *settings, bide_error *error)
{
    int fd;
    if (access(command->program, R_OK) != 0)
        return BIDE_OK;
    bide_code code = bide_settings_open(settings, "program", &fd, error);
    if (code == BIDE_OK)
        close(fd);
    return code;
}

static bide_code set_program(struct command *command, const bide_settings *settings, bide_error *error)
{
    const char *program = bide_settings_string(settings, "program");
    bool searched = !strchr(program, '/');
    command->program = searched ? search_path(program) : joined(bide_settings_dir(settings), program);
    if (command->program && runnable(command->program))
        return searched ? BIDE_OK : check_trust(command, settings, error);
    return bide_fail(error, BIDE_E_CONFIG, "setting 'program': '%s' is not %s", program,
        searched ? "found in PATH (write it with its folder, or install it)"
                 : "an executable file (a path starts at the configuration file's folder)");
}

static bide_code set_directory(struct command *command, const bide_settings *settings, bide_error *error)
{
    const char *directory = bide_settings_string(settings, "directory");
    command->directory = joined(bide_settings_dir(settings), directory);
    if (!command->directory)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    if (access(command->directory, X_OK) < 0)
        return bide_fail(
            error, BIDE_E_CONFIG, "setting 'directory': %s: %s", command->directory, strerror(errno));
    return BIDE_OK;
}

static bide_code set_argv(struct command *command, const bide_settings *settings, bide_error *error)
{
    size_t n = bide_settings_list_size(settings, "args");
    command->argv = calloc(n + 2, sizeof *command->argv);
    bool complete = command->argv && (command->argv[0] = strdup(bide_settings_string(settings, "program")));
    for (size_t i = 0; complete && i < n; i++)
        complete = (command->argv[i + 1] = strdup(bide_settings_list_at(settings, "args", i))) != NULL;
    return complete ? BIDE_OK : bide_fail(error, BIDE_E_NOMEM, "out of memory");
}

/* Does "NAME=value" carry this name? "LC_*" is every name that begins so. */
static bool has_name(const char *entry, const char *name)
{
    size_t size = strlen(name);
    if (size && name[size - 1] == '*')
        return strncmp(entry, name, size - 1) == 0;
    return strncmp(entry, name, size) == 0 && entry[size] == '=';
}

/* The worker's environment holds its secrets (the broker's password, the console's token): a program gets
 * what programs need to run at all, and what its handler names. */
static bool is_passed_on(const bide_settings *settings, const char *entry)
{
    static const char *const always[] = {"PATH", "HOME", "LANG", "LC_*", "TZ"};
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        if (has_name(entry, always[i]))
            return true;
    for (size_t i = 0; i < bide_settings_list_size(settings, "environment"); i++)
        if (has_name(entry, bide_settings_list_at(settings, "environment", i)))
            return !environment_is_ours(entry);
    return false;
}

static bide_code check_names(const bide_settings *settings, bide_error *error)
{
    for (size_t i = 0; i < bide_settings_list_size(settings, "environment"); i++) {
        const char *name = bide_settings_list_at(settings, "environment", i);
        size_t size = strcspn(name, "*=");
        if (size == 0 || name[size + (name[size] == '*')])
            return bide_fail(error, BIDE_E_CONFIG,
                "setting 'environment': '%s' is not a variable's name such as \"API_URL\" or \"API_*\"",
                name);
    }
    return BIDE_OK;
}

static bide_code set_environment(struct command *command, const bide_settings *settings, bide_error *error)
{
    size_t n = 0;
    bide_code code = check_names(settings, error);
    if (code != BIDE_OK)
        return code;
    while (environ && environ[n])
        n++;
    command->environment = calloc(n + 1, sizeof *command->environment);
    if (!command->environment)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < n; i++)
        if (is_passed_on(settings, environ[i]))
            command->environment[command->n_environment++] = environ[i];
    return BIDE_OK;
}

/* "64 65 78" */
static bide_code set_dead_codes(struct command *command, const bide_settings *settings, bide_error *error)
{
    const char *text = bide_settings_string(settings, "dead_codes");
    for (const char *at = text; at && *at;) {
        char *end;
        errno = 0;
        long code = strtol(at, &end, 10);
        if (end == at || errno || code < 1 || code > 255)
            return bide_fail(error, BIDE_E_CONFIG,
                "setting 'dead_codes': '%s' is not a list of exit codes (1 to 255) such as \"64 65 78\"",
                text);
        command->dead_codes[code] = true;
        at = end + strspn(end, " ,");
    }
    return BIDE_OK;
}

static bide_code set_limits(struct command *command, const bide_settings *settings, bide_error *error)
{
    int64_t keep = bide_settings_int(settings, "keep_output");
    if (keep < 0 || keep > KEEP_OUTPUT_MAX)
        return bide_fail(error, BIDE_E_CONFIG, "setting 'keep_output' must be at most 64KiB");
    command->keep_output = (size_t)keep;
    command->grace_ms = bide_settings_int(settings, "grace");
    return set_dead_codes(command, settings, error);
}

bide_code command_open(const bide_settings *settings, struct command **ret_command, bide_error *error)
{
    struct command *command = calloc(1, sizeof *command);
    if (!command)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_code code = set_program(command, settings, error);
    if (code == BIDE_OK)
        code = set_directory(command, settings, error);
    if (code == BIDE_OK)
        code = set_argv(command, settings, error);
    if (code == BIDE_OK)
        code = set_environment(command, settings, error);
    if (code == BIDE_OK)
        code = set_limits(command, settings, error);
    if (code != BIDE_OK) {
        command_close(command);
        return code;
    }
    *ret_command = command;
    return BIDE_OK;
}

void command_close(struct command *command)
{
    if (!command)
        return;
    for (char **arg = command->argv; arg && *arg; arg++)
        free(*arg);
    free(command->argv);
    free(command->environment);
    free(command->directory);
    free(command->program);
    free(command);
}
