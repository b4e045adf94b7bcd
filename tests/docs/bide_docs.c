/* bide_docs DIR: writes what is generated from tables into DIR/docs and DIR/config. `cmake --build … --target
 * docs` runs it on the source tree; a check runs it on a temporary folder and compares. */
#include <stdio.h>

#include "config/config.h"

static const struct {
    const char *path;
    void (*write)(struct bide_buffer *to);
} files[] = {
    {"docs/configuration.md", bide_config_write_reference},
    {"config/bide.reference.conf", bide_config_write_sample},
};

static int write_file(const char *path, const struct bide_buffer *text)
{
    FILE *file = fopen(path, "w");
    size_t written = file && !text->failed ? fwrite(text->bytes, 1, text->size, file) : 0;
    if (file && fclose(file) == 0 && written == text->size && written > 0)
        return 0;
    perror(path);
    return 1;
}

int main(int argc, char **argv)
{
    int failures = argc != 2;
    for (size_t i = 0; argc == 2 && i < sizeof files / sizeof files[0]; i++) {
        struct bide_buffer text;
        char path[4096];
        bide_buffer_init(&text);
        files[i].write(&text);
        snprintf(path, sizeof path, "%s/%s", argv[1], files[i].path);
        failures += write_file(path, &text);
        bide_buffer_release(&text);
    }
    if (argc != 2)
        fprintf(stderr, "usage: bide_docs DIR\n");
    return failures != 0;
}
