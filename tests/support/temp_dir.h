/* tests/support/temp_dir.h: a folder of a test's own under ${TMPDIR:-/tmp}, removed with all that is in it.
 *
 * With BIDE_KEEP=1 in the environment it stays, to be looked at. Thread-safety: one thread at a time. */
#ifndef TESTS_SUPPORT_TEMP_DIR_H
#define TESTS_SUPPORT_TEMP_DIR_H

enum { TEMP_DIR_PATH = 256 };

struct temp_dir {
    char path[TEMP_DIR_PATH]; /* "": none */
};

/* Both return 0, or -1 with errno. */
int temp_dir_create(struct temp_dir *dir);
int temp_dir_remove(struct temp_dir *dir); /* a zeroed one is fine */
/* Writes a file into it; the path of the file goes to `to`. 0, or -1 with errno. */
int temp_dir_write(const struct temp_dir *dir, const char *name, const char *text, char to[TEMP_DIR_PATH]);

#endif
