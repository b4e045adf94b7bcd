/* bide_manual DIR HANDLERS_README: writes the manual pages and the completions into DIR, which has man1/,
 * man5/, man7/ and completions/. */
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "manual.h"

/* Takes over what is in `text`. */
static int write_file(const char *folder, const char *name, struct bide_buffer *text)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    size_t written = file && !text->failed ? fwrite(text->bytes, 1, text->size, file) : 0;
    bool good = file && fclose(file) == 0 && written == text->size && written > 0;
    if (!good)
        perror(path);
    bide_buffer_release(text);
    return good ? 0 : 1;
}

static const struct {
    const char *name;
    void (*write)(struct bide_buffer *to);
} files[] = {
    {"man1/bide.1", manual_write_program},
    {"man5/bide.conf.5", manual_write_settings},
    {"completions/bide.bash", manual_write_bash},
    {"completions/_bide", manual_write_zsh},
    {"completions/bide.fish", manual_write_fish},
};

/* The whole file as a text of the caller's; NULL: no memory. */
static char *read_text(const char *path)
{
    struct bide_buffer text;
    char line[4096];
    FILE *file = fopen(path, "r");
    bide_buffer_init(&text);
    while (file && fgets(line, sizeof line, file))
        bide_buffer_text(&text, line);
    if (file)
        fclose(file);
    else
        perror(path);
    return bide_buffer_take(&text);
}

static int write_handlers(const char *folder, const char *readme)
{
    struct bide_buffer text;
    char *markdown = read_text(readme);
    bide_buffer_init(&text);
    if (markdown)
        manual_write_handlers(&text, markdown);
    bide_free(markdown);
    return write_file(folder, "man7/bide-handlers.7", &text);
}

int main(int argc, char **argv)
{
    int failures = 0;
    if (argc != 3) {
        fprintf(stderr, "usage: bide_manual DIR HANDLERS_README\n");
        return 64;
    }
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        struct bide_buffer text;
        bide_buffer_init(&text);
        files[i].write(&text);
        failures += write_file(argv[1], files[i].name, &text);
    }
    for (const struct bide_cli_command *const *command = bide_cli_commands(); *command; command++) {
        struct bide_buffer text;
        char name[128];
        bide_buffer_init(&text);
        manual_write_command(&text, *command);
        snprintf(name, sizeof name, "man1/bide-%s.1", (*command)->name);
        for (char *blank; (blank = strchr(name, ' '));)
            *blank = '-';
        failures += write_file(argv[1], name, &text);
    }
    failures += write_handlers(argv[1], argv[2]);
    return failures != 0;
}
