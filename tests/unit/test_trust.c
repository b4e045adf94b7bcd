/* base/trust, base/build_id, supervisor/oom: who can change a file that decides what runs, which build a
 * plugin is, and why a process was killed. */
#include "base/trust.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/build_id.h"
#include "config/config.h"
#include "supervisor/supervising.h"
#include "support/temp_dir.h"
#include "unit/unit.h"

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

static void refused(const char *path, const char *why)
{
    bide_error error = {0};
    int fd;
    assert_int_equal(bide_trust_open("the file ", path, &fd, &error), BIDE_E_CONFIG);
    if (!strstr(error.text, why) || !strstr(error.text, "chmod go-w"))
        fail_msg("'%s' does not say '%s' and the remedy", error.text, why);
}

static void trusted(const char *path)
{
    bide_error error = {0};
    int fd;
    if (bide_trust_open("the file ", path, &fd, &error) != BIDE_OK)
        fail_msg("refused: %s", error.text);
    assert_int_equal(close(fd), 0);
}

static void test_modes(void **state)
{
    (void)state;
    struct place place;
    make_place(&place);
    trusted(place.file);
    chmod(place.file, 0646);
    refused(place.file, "can be written by everybody");
    chmod(place.file, 0644);
    chmod(place.dir, 0777);
    refused(place.file, "can be written by everybody");
    chmod(place.dir, 01777); /* as /tmp */
    trusted(place.file);
    chmod(place.dir, 0755);
    remove_place(&place);
}

/* Whoever may rename a folder above can put another one there. */
static void test_folders_above(void **state)
{
    (void)state;
    struct place place;
    make_place(&place);
    assert_int_equal(chmod(place.root.path, 0777), 0);
    refused(place.file, "can be written by everybody");
    refused(place.link, place.root.path);
    assert_int_equal(chmod(place.root.path, 0700), 0);
    assert_int_equal(chdir(place.dir), 0);
    trusted("p.so");
    trusted("./p.so");
    trusted("../d/p.so");
    assert_int_equal(chmod(place.root.path, 0777), 0);
    refused("p.so", place.root.path);
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(chmod(place.root.path, 0700), 0);
    remove_place(&place);
}

static void test_links(void **state)
{
    (void)state;
    struct place place;
    make_place(&place);
    trusted(place.link);
    chmod(place.dir, 0777); /* where the link leads */
    refused(place.link, "can be written by everybody");
    chmod(place.dir, 0755);
    chmod(place.other, 0777); /* where the link lies */
    refused(place.link, "can be written by everybody");
    remove_place(&place);
}

static void test_owners(void **state)
{
    (void)state;
    struct place place;
    make_place(&place);
    chmod(place.file, 0664);
    if (geteuid() == 0) {
        trusted(place.file); /* a group of root's own */
        assert_int_equal(chown(place.file, 0, STRANGER), 0);
        refused(place.file, "can be written by its group");
        chmod(place.file, 0644);
        trusted(place.file);
        assert_int_equal(chown(place.file, STRANGER, 0), 0);
        refused(place.file, "belongs to another user");
        assert_int_equal(chown(place.file, 0, 0), 0);
        assert_int_equal(chown(place.dir, STRANGER, 0), 0);
        refused(place.file, "belongs to another user");
        assert_int_equal(chmod(place.dir, 01777), 0); /* its owner may replace what is in it all the same */
        refused(place.file, "belongs to another user");
        assert_int_equal(chown(place.dir, 0, 0), 0);
    }
    remove_place(&place);
}

/* `setfacl -m u:54321:rw`: the file then looks writable by its group, which is its owner's own. */
static void test_access_lists(void **state)
{
    (void)state;
    static const unsigned char list[] = {2, 0, 0, 0, 0x01, 0, 6, 0, 255, 255, 255, 255, 0x02, 0, 6, 0, 0x31,
        0xD4, 0, 0, 0x04, 0, 4, 0, 255, 255, 255, 255, 0x10, 0, 6, 0, 255, 255, 255, 255, 0x20, 0, 4, 0, 255,
        255, 255, 255};
    struct place place;
    make_place(&place);
    bool kept = setxattr(place.file, "system.posix_acl_access", list, sizeof list, 0) == 0;
    if (kept)
        refused(place.file, "can be written by those whom its access list names");
    chmod(place.file, 0644); /* takes the right to write from the list, too */
    trusted(place.file);
    if (kept && setxattr(place.dir, "system.posix_acl_access", list, sizeof list, 0) == 0)
        refused(place.file, "can be written by those whom its access list names");
    remove_place(&place);
    if (!kept)
        skip(); /* no such lists in this file system */
}

/* A container's configuration belongs to whoever wrote it outside (docker/compose.yml). */
static void test_a_mounted_file(void **state)
{
    (void)state;
    struct place place;
    bool mounted = geteuid() == 0 && unshare(CLONE_NEWNS) == 0 &&
                   mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    if (!mounted)
        skip(); /* needs root's rights */
    make_place(&place);
    assert_int_equal(chown(place.file, STRANGER, STRANGER), 0);
    refused(place.file, "belongs to another user");
    assert_int_equal(mount(place.file, place.file, NULL, MS_BIND, NULL), 0);
    refused(place.file, "belongs to another user"); /* who mounted it lets it be changed here */
    assert_int_equal(mount("none", place.file, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
    trusted(place.file);
    trusted(place.link);
    assert_int_equal(umount(place.file), 0);
    assert_int_equal(mount(place.dir, place.dir, NULL, MS_BIND, NULL), 0);
    assert_int_equal(mount("none", place.dir, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
    refused(place.file, "belongs to another user"); /* a folder, such as a medium somebody brought along */
    assert_int_equal(umount(place.dir), 0);
    remove_place(&place);
}

static void test_what_is_not_there(void **state)
{
    (void)state;
    bide_error error = {0};
    int fd;
    assert_int_equal(bide_trust_open("the file ", "/nowhere/p.so", &fd, &error), BIDE_E_CONFIG);
    assert_string_equal(error.text, "cannot read /nowhere/p.so: No such file or directory");
}

/* ---- configurations ---- */

static void config_refused(const char *path, const char *why)
{
    struct bide_config *config;
    bide_error error = {0};
    assert_int_equal(bide_config_load(path, &config, &error), BIDE_E_CONFIG);
    if (!strstr(error.text, why) || !strstr(error.text, "chmod go-w"))
        fail_msg("'%s' does not say '%s' and the remedy", error.text, why);
}

static void test_configurations(void **state)
{
    (void)state;
    struct temp_dir dir;
    char path[TEMP_DIR_PATH], included[TEMP_DIR_PATH];
    assert_int_equal(temp_dir_create(&dir), 0);
    assert_int_equal(temp_dir_write(&dir, "a.conf", "@include \"b.conf\"\n", path), 0);
    assert_int_equal(temp_dir_write(&dir, "b.conf", "worker: { threads = 3; };\n", included), 0);
    chmod(path, 0646);
    config_refused(path, "a.conf can be written by everybody");
    chmod(path, 0644);
    chmod(included, 0666);
    config_refused(path, "b.conf can be written by everybody");
    chmod(included, 0644);
    chmod(dir.path, 0777);
    config_refused(path, "can be written by everybody");
    chmod(dir.path, 0700);
    if (geteuid() == 0) { /* root types a command in a folder of somebody else's */
        assert_int_equal(chown(path, STRANGER, STRANGER), 0);
        config_refused(path, "a.conf belongs to another user");
        assert_int_equal(chown(path, 0, 0) | chown(dir.path, STRANGER, STRANGER), 0);
        config_refused(path, "belongs to another user");
        assert_int_equal(chown(dir.path, 0, 0), 0);
    }
    struct bide_config *config;
    bide_error error = {0};
    assert_ok(bide_config_load(path, &config, &error), &error);
    bide_config_destroy(config);
    assert_int_equal(temp_dir_remove(&dir), 0);
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
    cmocka_unit_test(test_folders_above),
    cmocka_unit_test(test_links),
    cmocka_unit_test(test_owners),
    cmocka_unit_test(test_access_lists),
    cmocka_unit_test(test_a_mounted_file),
    cmocka_unit_test(test_what_is_not_there),
    cmocka_unit_test(test_configurations),
    cmocka_unit_test(test_build_id),
    cmocka_unit_test(test_oom_verdicts),
};

UNIT_MAIN(tests)
