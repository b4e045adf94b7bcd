/* tests/unit/config_folder.h: configuration files of a test, in a folder of its own. */
#ifndef BIDE_TESTS_CONFIG_FOLDER_H
#define BIDE_TESTS_CONFIG_FOLDER_H

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "support/temp_dir.h"
#include "support/test.h"

/* Each test works in a folder of its own, which is also the working directory. */
static inline int enter_folder(void **state)
{
    static struct temp_dir dir;
    *state = dir.path;
    return temp_dir_create(&dir) == 0 && chdir(dir.path) == 0 ? 0 : -1;
}

static inline int leave_folder(void **state)
{
    struct temp_dir dir;
    snprintf(dir.path, sizeof dir.path, "%s", (char *)*state);
    return chdir("/") == 0 ? temp_dir_remove(&dir) : -1;
}

static inline void write_bytes(const char *path, const char *text, size_t size)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void write_file(const char *path, const char *text)
{
    write_bytes(path, text, strlen(text));
}

static inline struct bide_config *load(const char *text)
{
    struct bide_config *config = NULL;
    bide_error error = {0};
    write_file("a.conf", text);
    if (bide_config_load("a.conf", &config, &error) != BIDE_OK)
        fail_msg("%s", error.text);
    return config;
}

#endif
