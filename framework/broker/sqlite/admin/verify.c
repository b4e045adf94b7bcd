#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/alloc.h"
#include "broker/sqlite/admin/admin.h"
#include "broker/sqlite/schema.h"

enum {
    LEAST_FREE_MIB = 100,
    LARGEST_CHECKED_MIB = 64, /* verify does not read a larger database through */
};

/* One run of verify: where the findings go, and buffers for their texts. */
struct look {
    struct bide_sqlite_admin *admin;
    const char *folder;
    bide_finding_sink *sink;
    void *user;
};

static void report(const struct look *look, enum bide_severity severity, const char *remedy,
    const char *format, ...) BIDE_PRINTF(4, 5);

static void report(
    const struct look *look, enum bide_severity severity, const char *remedy, const char *format, ...)
{
    char subject[PATH_MAX + 16], text[BIDE_ERROR_SIZE];
    va_list args;
    va_start(args, format);
    sqlite3_vsnprintf(sizeof text, text, format, args);
    va_end(args);
    sqlite3_snprintf(sizeof subject, subject, "file %s", look->admin->file.path);
    look->sink(look->user,
        &(struct bide_finding){.severity = severity, .subject = subject, .text = text, .remedy = remedy});
}

/* ---- the folder ---- */

static void look_at_folder(const struct look *look)
{
    if (access(look->folder, W_OK | X_OK) == 0)
        report(look, BIDE_FINDING_OK, NULL, "its folder is writable");
    else
        report(look, BIDE_FINDING_ERROR,
            "make the folder, and let this user write there: the database has files beside it",
            "folder %s: %s", look->folder, strerror(errno));
}

static void look_at_room(const struct look *look)
{
    struct statvfs room;
    if (statvfs(look->folder, &room) != 0)
        return;
    unsigned long long free_mib = (unsigned long long)room.f_bavail * room.f_frsize >> 20;
    if (free_mib < LEAST_FREE_MIB)
        report(look, BIDE_FINDING_WARNING, "free some room: without it nothing can be sent",
            "%llu MiB are free on its disk", free_mib);
    else
        report(look, BIDE_FINDING_OK, NULL, "%llu MiB are free on its disk", free_mib);
}

static void look_at_file_system(const struct look *look)
{
    static const struct {
        unsigned type;
        const char *name;
    } remote[] = {{0x6969, "NFS"}, {0x517B, "SMB"}, {0xFF534D42, "CIFS"}, {0xFE534D42, "SMB"},
        {0x01021997, "9p"}, {0x5346414F, "AFS"}, {0x00C36400, "Ceph"}};
    struct statfs status;
    if (statfs(look->folder, &status) != 0)
        return;
    for (size_t i = 0; i < sizeof remote / sizeof remote[0]; i++)
        if ((unsigned)status.f_type == remote[i].type)
            report(look, BIDE_FINDING_ERROR,
                "put it on a local disk; for several machines use RabbitMQ or Redis",
                "it lies on %s: its log cannot be shared over a network", remote[i].name);
}

/* ---- the database ---- */

static void look_at_version(const struct look *look)
{
    int64_t version;
    bide_error error;
    if (bide_sqlite_number(&look->admin->file, "PRAGMA user_version", &version, &error) != BIDE_OK)
        report(look, BIDE_FINDING_ERROR, NULL, "%s", error.text);
    else
        report(look, BIDE_FINDING_OK, NULL, "schema version %lld%s", (long long)version,
            version < BIDE_SQLITE_VERSION ? ", upgraded when a worker or sender opens it" : "");
}

static void look_at_journal(const struct look *look)
{
    int64_t wal;
    bide_error error;
    bide_code code = bide_sqlite_number(
        &look->admin->file, "SELECT journal_mode = 'wal' FROM pragma_journal_mode", &wal, &error);
    if (code != BIDE_OK)
        report(look, BIDE_FINDING_ERROR, NULL, "%s", error.text);
    else if (wal)
        report(look, BIDE_FINDING_OK, NULL, "journal mode WAL, synchronous=%s",
            look->admin->file.lax ? "normal: a power cut may undo the last moment" : "full");
    else
        report(look, BIDE_FINDING_WARNING, "nothing to do: whoever opens it next sets it",
            "somebody has switched its journal mode from WAL");
}

static void look_for_damage(const struct look *look)
{
    struct stat status;
    bide_error error;
    int64_t fine;
    if (stat(look->admin->file.path, &status) != 0)
        return;
    if (status.st_size > (int64_t)LARGEST_CHECKED_MIB << 20) {
        report(look, BIDE_FINDING_NOT_CHECKED, "sqlite3 FILE 'PRAGMA quick_check'",
            "%lld MiB are not read through for damage", (long long)(status.st_size >> 20));
        return;
    }
    bide_code code = bide_sqlite_number(
        &look->admin->file, "SELECT quick_check = 'ok' FROM pragma_quick_check LIMIT 1", &fine, &error);
    if (code != BIDE_OK)
        report(look, BIDE_FINDING_ERROR, NULL, "%s", error.text);
    else if (fine)
        report(look, BIDE_FINDING_OK, NULL, "no damage");
    else
        report(look, BIDE_FINDING_ERROR,
            "stop its users, then `sqlite3 FILE .recover` into a new one, or restore a copy",
            "the database is damaged");
}

static void look_at_database(const struct look *look)
{
    bide_error error;
    bool empty;
    if (bide_sqlite_admin_open(look->admin, BIDE_SQLITE_LOOK, &empty, &error) != BIDE_OK) {
        report(look, BIDE_FINDING_ERROR, NULL, "%s", error.text);
        return;
    }
    if (empty) {
        report(look, BIDE_FINDING_OK, NULL, "to be made when a worker or sender opens it");
        return;
    }
    if (access(look->admin->file.path, R_OK | W_OK) != 0)
        report(look, BIDE_FINDING_ERROR, "let this user read and write it", "it is not writable");
    look_at_version(look);
    look_at_journal(look);
    look_for_damage(look);
    bide_sqlite_file_close(&look->admin->file);
}

bide_code bide_sqlite_verify(struct bide_admin *base, bide_finding_sink *sink, void *user, bide_error *error)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    char *path = bide_strdup(admin->file.path);
    if (!path)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    struct look look = {admin, dirname(path), sink, user};
    look_at_folder(&look);
    look_at_file_system(&look);
    look_at_room(&look);
    look_at_database(&look);
    bide_free(path);
    return BIDE_OK;
}
