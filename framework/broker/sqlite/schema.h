/* broker/sqlite/schema.h: the tables, their version, and the upgrade from an older one.
 *
 * The version (PRAGMA user_version) belongs to the file, the tables to a namespace: each namespace has six
 * tables of its own, named after it, which are upgraded when the namespace is opened. Thread-safety: one
 * thread at a time. */
#ifndef BIDE_BROKER_SQLITE_SCHEMA_H
#define BIDE_BROKER_SQLITE_SCHEMA_H

#include "broker/sqlite/file.h"

enum {
    BIDE_SQLITE_VERSION = 2,              /* 2: counts, and dead letters by type and reason */
    BIDE_SQLITE_APPLICATION = 0x62696465, /* "bide": PRAGMA application_id */
};

/* The broker's tables. */
extern const struct bide_sqlite_tables bide_sqlite_broker_tables;

/* For the tables' `check`. Is it a file of bide's? Is it empty of tables that belong to another spelling of
 * the namespace? `table`: one of the tables, without the namespace. */
bide_code bide_sqlite_check_owner(struct bide_sqlite_file *file, bide_error *error);
bide_code bide_sqlite_check_case(struct bide_sqlite_file *file, const char *table, bide_error *error);
/* For their `make`: this is a file of bide's from now on. */
bide_code bide_sqlite_mark_owner(struct bide_sqlite_file *file, bide_error *error);
/* Drops the broker's tables with all that is in them, in one transaction. */
bide_code bide_sqlite_schema_drop(struct bide_sqlite_file *file, bide_error *error);

#endif
