/* broker/sqlite/schema.h: the tables, their version, and the way from an older one.
 *
 * The version (PRAGMA user_version) belongs to the file, the tables to a namespace: each namespace has its
 * own six, named after it, and is brought up to date when it is opened. Thread-safety: one thread at a time.
 */
#ifndef BIDE_BROKER_SQLITE_SCHEMA_H
#define BIDE_BROKER_SQLITE_SCHEMA_H

#include "broker/sqlite/file.h"

enum {
    BIDE_SQLITE_VERSION = 2,              /* 2: counts, and dead letters by type and reason */
    BIDE_SQLITE_APPLICATION = 0x62696465, /* "bide": PRAGMA application_id */
};

enum bide_sqlite_schema {
    BIDE_SQLITE_CURRENT,
    BIDE_SQLITE_OLD,    /* the namespace's tables are those of an earlier version */
    BIDE_SQLITE_ABSENT, /* an empty file, or one without this namespace's tables */
};

/* Is it a file of ours, and of a version we know? BIDE_E_CONFIG if not. Changes nothing. */
bide_code bide_sqlite_schema_check(
    struct bide_sqlite_file *file, enum bide_sqlite_schema *ret_schema, bide_error *error);
/* Makes or upgrades what is missing, in one transaction. */
bide_code bide_sqlite_schema_apply(struct bide_sqlite_file *file, bide_error *error);
/* Drops the namespace's tables with all that is in them, in one transaction. */
bide_code bide_sqlite_schema_drop(struct bide_sqlite_file *file, bide_error *error);

#endif
