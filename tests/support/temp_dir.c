#include "support/temp_dir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int temp_dir_create(struct temp_dir *dir)
{
    const char *parent = getenv("TMPDIR");
    snprintf(dir->path, sizeof dir->path, "%s/bide-test-XXXXXX", parent && *parent ? parent : "/tmp");
    if (mkdtemp(dir->path))
        return 0;
    dir->path[0] = '\0';
    return -1;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

int temp_dir_remove(struct temp_dir *dir)
{
    const char *keep = getenv("BIDE_KEEP");
    int result = 0;
    if (dir->path[0] && !(keep && strcmp(keep, "1") == 0))
        result = nftw(dir->path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    dir->path[0] = '\0';
    return result;
}

int temp_dir_write(const struct temp_dir *dir, const char *name, const char *text, char to[TEMP_DIR_PATH])
{
    if (snprintf(to, TEMP_DIR_PATH, "%s/%s", dir->path, name) >= TEMP_DIR_PATH)
        return -1;
    FILE *file = fopen(to, "we");
    if (!file)
        return -1;
    int failed = fputs(text, file) < 0;
    return fclose(file) == 0 && !failed ? 0 : -1;
}
