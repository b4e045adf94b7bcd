#include "broker/sqlite/schema.h"
#include "store/sqlite/inside.h"

static bide_code newer(struct bide_sqlite_file *file, int64_t version, bide_error *error)
{
    file->hopeless = true;
    return bide_fail(error, BIDE_E_CONFIG,
        "%s: the store in it has version %lld, this program knows up to %d: use the newer bide that wrote it",
        file->path, (long long)version, BIDE_STORE_SQLITE_VERSION);
}

static bide_code check(struct bide_sqlite_file *file, enum bide_sqlite_schema *ret_schema, bide_error *error)
{
    int64_t present = 0, version = 0;
    bide_code code = bide_sqlite_check_owner(file, error);
    if (code == BIDE_OK)
        code = bide_sqlite_check_case(file, "store_version", error);
    if (code == BIDE_OK)
        code = bide_sqlite_number(file,
            "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = '{=store_version}'", &present,
            error);
    if (code == BIDE_OK && present)
        code = bide_sqlite_number(file, "SELECT max(version) FROM {store_version}", &version, error);
    if (code != BIDE_OK)
        return code;
    if (version > BIDE_STORE_SQLITE_VERSION)
        return newer(file, version, error);
    *ret_schema = version == BIDE_STORE_SQLITE_VERSION ? BIDE_SQLITE_CURRENT : BIDE_SQLITE_ABSENT;
    return BIDE_OK;
}

static bide_code make(struct bide_sqlite_file *file, bide_error *error)
{
    char version[96];
    (void)sqlite3_snprintf(sizeof version, version, "INSERT INTO {store_version}(version) VALUES(%d)",
        BIDE_STORE_SQLITE_VERSION);
    bide_code code = bide_sqlite_exec(file, BIDE_STORE_SQLITE_TABLES, error);
    if (code == BIDE_OK)
        code = bide_sqlite_exec(file, version, error);
    return code == BIDE_OK ? bide_sqlite_mark_owner(file, error) : code;
}

const struct bide_sqlite_tables bide_store_sqlite_tables = {.check = check, .make = make};
