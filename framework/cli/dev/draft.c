#include "cli/dev/draft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buffer.h"
#include "config/config.h"
#include "console/console.h"

enum { FIRST_PORT = 9470, PORTS = 30, VARIABLES_MAX = 150, NAME_MAX_BYTES = 100, VALUE_MAX_BYTES = 4000 };

extern char **environ;

void bide_draft_init(struct bide_draft *draft, const struct bide_home *home, const char *const *words)
{
    *draft = (struct bide_draft){.home = home, .words = words};
    snprintf(draft->send_socket, sizeof draft->send_socket, "%s/send.sock", home->path);
    for (int port = FIRST_PORT; port < FIRST_PORT + PORTS; port++) {
        struct bide_http_config http = {.listen = draft->listen};
        snprintf(draft->listen, sizeof draft->listen, "127.0.0.1:%d", port);
        if (bide_listeners_try(&http, NULL) == BIDE_OK)
            return;
    }
    draft->listen[0] = '\0';
}

/* As libconfig reads it; "${" stands for itself. */
static void add_quoted(struct bide_buffer *to, const char *text)
{
    bide_buffer_char(to, '"');
    for (; *text; text++)
        if (text[0] == '$' && text[1] == '{')
            bide_buffer_text(to, "$$");
        else if (*text == '"' || *text == '\\')
            bide_buffer_format(to, "\\%c", *text);
        else if ((unsigned char)*text < ' ')
            bide_buffer_format(to, "\\x%02x", (unsigned)(unsigned char)*text);
        else
            bide_buffer_char(to, *text);
    bide_buffer_char(to, '"');
}

/* The name alone: no value of the environment gets into a file. */
static void add_variables(struct bide_buffer *to)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";
    int n = 0;
    for (char *const *entry = environ; *entry && n < VARIABLES_MAX; entry++) {
        size_t size = strspn(*entry, letters);
        if (size == 0 || size > NAME_MAX_BYTES || (*entry)[size] != '=' || strncmp(*entry, "BIDE_", 5) == 0 ||
            strlen(*entry + size) > VALUE_MAX_BYTES)
            continue;
        bide_buffer_format(to, ", \"%.*s=${%.*s}\"", (int)size, *entry, (int)size, *entry);
        n++;
    }
}

static void add_program(struct bide_buffer *to, const struct bide_draft *draft)
{
    char url[BIDE_HOME_PATH + 16];
    bide_buffer_text(to, "programs = ( { name = \"dev\"; dir = ");
    add_quoted(to, draft->home->dir);
    bide_buffer_text(to, "; run = [");
    for (size_t i = 0; draft->words[i]; i++) {
        bide_buffer_text(to, i ? ", " : "");
        add_quoted(to, draft->words[i]);
    }
    bide_buffer_text(to, "];\n    env = [");
    snprintf(url, sizeof url, "BIDE_URL=unix:%s", draft->send_socket);
    add_quoted(to, url);
    add_variables(to);
    bide_buffer_text(to, "]; } );\n");
}

/* What is no name, the worker refuses. */
static void add_handlers(struct bide_buffer *to, const json_t *types)
{
    const char *separator = "";
    bide_buffer_text(to, "handlers = (");
    for (size_t i = 0; i < json_array_size(types); i++) {
        const char *type = json_string_value(json_array_get(types, i));
        if (!type)
            continue;
        bide_buffer_format(to, "%s\n    { type = ", separator);
        add_quoted(to, type);
        bide_buffer_text(to, "; program = \"dev\"; }");
        separator = ",";
    }
    bide_buffer_text(to, "\n);\n");
}

static void compose(struct bide_buffer *to, const struct bide_draft *draft, const json_t *types)
{
    bide_buffer_text(to,
        "// Written by `bide dev`, which removes it at its end.\nbroker = \"sqlite:bide.db\";\n"
        "worker: { drain = \"2s\"; log_level = \"debug\"; };\nhttp: { ");
    if (*draft->listen)
        bide_buffer_format(to, "listen = \"%s\"; ", draft->listen);
    bide_buffer_text(to, "send_socket = ");
    add_quoted(to, draft->send_socket);
    bide_buffer_text(to, "; };\n");
    add_program(to, draft);
    add_handlers(to, types);
}

static bool write_all(const char *path, const struct bide_buffer *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool written = fd >= 0 && write(fd, text->bytes, text->size) == (ssize_t)text->size;
    int why = errno;
    if (fd >= 0)
        close(fd);
    errno = why;
    return written;
}

bide_code bide_draft_write(const struct bide_draft *draft, const json_t *types, bide_error *error)
{
    char draft_path[BIDE_HOME_PATH + 4];
    struct bide_buffer text;
    bide_buffer_init(&text);
    compose(&text, draft, types);
    snprintf(draft_path, sizeof draft_path, "%s.new", draft->home->config);
    bide_code code = BIDE_OK;
    errno = ENOSPC; /* what a short write means */
    if (text.failed)
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    else if (!write_all(draft_path, &text) || rename(draft_path, draft->home->config) != 0)
        code = bide_fail(error, BIDE_E_INTERNAL, "cannot write %s: %s", draft->home->config, strerror(errno));
    bide_buffer_release(&text);
    return code;
}
