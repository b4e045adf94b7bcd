/* dispatch/trust, dispatch/build_id, supervisor/oom: whose code a plugin is, which build, and why a process
 * was killed. */
#include "dispatch/trust.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dispatch/build_id.h"
#include "support/temp_dir.h"
#include "unit/unit.h"
#include "supervisor/oom.h"

enum { STRANGER = 54321 };

/* A folder with a file, and a link to it in a second folder. */
struct place {
    struct temp_dir root;
    char dir[TEMP_DIR_PATH + 16], file[TEMP_DIR_PATH + 32], other[TEMP_DIR_PATH + 16],
        link[TEMP_DIR_PATH + 32];
};

static void make_place(struct place *place)
{
    assert_int_equal(temp_dir_create(&place->root), 0);
    snprintf(place->dir, sizeof place->dir, "%s/d", place->root.path);
    snprintf(place->file, sizeof place->file, "%s/d/p.so", place->root.path);
    snprintf(place->other, sizeof place->other, "%s/o", place->root.path);
    snprintf(place->link, sizeof place->link, "%s/o/p.so", place->root.path);
    assert_int_equal(mkdir(place->dir, 0755), 0);
    assert_int_equal(mkdir(place->other, 0755), 0);
    int fd = open(place->file, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(chmod(place->dir, 0755) | chmod(place->other, 0755) | chmod(place->file, 0644), 0);
    assert_int_equal(symlink(place->file, place->link), 0);
}

static void remove_place(struct place *place)
{
    assert_int_equal(temp_dir_remove(&place->root), 0);
}

static void refused(const char *dir, const char *path, const char *why)
{
    bide_error error = {0};
    assert_int_equal(bide_trust_plugin(dir, path, &error), BIDE_E_CONFIG);
    if (!strstr(error.text, why) || !strstr(error.text, "allow_unsafe_plugins"))
        fail_msg("'%s' does not say '%s' and the remedy", error.text, why);
}

static void trusted(const char *dir, const char *path)
{
    bide_error error = {0};
    if (bide_trust_plugin(dir, path, &error) != BIDE_OK)
        fail_msg("refused: %s", error.text);
}

static void test_modes(void **state)
{
    (void)state;
    struct place place;
    make_place(&place);
    trusted(place.dir, place.file);
    chmod(place.file, 0646);
    refused(place.dir, place.file, "can be written by everybody");
    chmod(place.file, 0644);
    chmod(place.dir, 0777);
    refused(place.dir, place.file, "can be written by everybody");
    chmod(place.dir, 01777); /* as /tmp */
    trusted(place.dir, place.file);
    chmod(place.dir, 0755);
    remove_place(&place);
}

static void test_links(void **state)
{
    (void)state;
    struct place place;
    make_place(&place);
    trusted(place.other, place.link);
    chmod(place.dir, 0777); /* where the link leads */
    refused(place.other, place.link, "can be written by everybody");
    chmod(place.dir, 0755);
    chmod(place.other, 0777); /* where the link lies */
    refused(place.other, place.link, "can be written by everybody");
    remove_place(&place);
}

static void test_owners(void **state)
{
    (void)state;
    struct place place;
    make_place(&place);
    chmod(place.file, 0664);
    if (geteuid() == 0) {
        trusted(place.dir, place.file); /* a group of root's own */
        assert_int_equal(chown(place.file, 0, STRANGER), 0);
        refused(place.dir, place.file, "can be written by its group");
        chmod(place.file, 0644);
        trusted(place.dir, place.file);
        assert_int_equal(chown(place.file, STRANGER, 0), 0);
        refused(place.dir, place.file, "belongs to another user");
        assert_int_equal(chown(place.file, 0, 0), 0);
        assert_int_equal(chown(place.dir, STRANGER, 0), 0);
        refused(place.dir, place.file, "belongs to another user");
        assert_int_equal(chown(place.dir, 0, 0), 0);
    }
    remove_place(&place);
}

static void test_what_is_not_there(void **state)
{
    (void)state;
    bide_error error = {0};
    assert_int_equal(bide_trust_plugin("/nowhere", "/nowhere/p.so", &error), BIDE_E_CONFIG);
    assert_non_null(strstr(error.text, "/nowhere/p.so"));
}

static void test_build_id(void **state)
{
    (void)state;
    char id[BIDE_BUILD_ID_TEXT];
    void *library = dlopen("libc.so.6", RTLD_NOW);
    assert_non_null(library);
    bide_build_id(library, id);
    assert_int_equal(strlen(id), 40);
    assert_int_equal(strspn(id, "0123456789abcdef"), 40);
    dlclose(library);
}

static void test_oom_verdicts(void **state)
{
    (void)state;
    assert_non_null(strstr(bide_oom_verdict(3, 4), "out of memory: the kernel"));
    assert_non_null(strstr(bide_oom_verdict(3, 3), "not for want of memory"));
    assert_non_null(strstr(bide_oom_verdict(-1, 3), "by hand or out of memory"));
    assert_non_null(strstr(bide_oom_verdict(3, -1), "by hand or out of memory"));
    assert_true(bide_oom_kills() >= -1);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_modes),
    cmocka_unit_test(test_links),
    cmocka_unit_test(test_owners),
    cmocka_unit_test(test_what_is_not_there),
    cmocka_unit_test(test_build_id),
    cmocka_unit_test(test_oom_verdicts),
};

UNIT_MAIN(tests)
