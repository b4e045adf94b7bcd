/* broker/sqlite/admin/admin.h: the structure behind an admin, shared by the files of this folder. */
#ifndef BIDE_BROKER_SQLITE_ADMIN_ADMIN_H
#define BIDE_BROKER_SQLITE_ADMIN_ADMIN_H

#include "broker/sqlite/file.h"

struct bide_sqlite_admin {
    struct bide_admin base;
    struct bide_sqlite_file file; /* opened by each call, so that a missing file is no failure */
    char **queues;
    size_t n_queues;
    int64_t timeout_us;
    char *client_name;
    bool said_missing; /* the log already says that there is no file */
};

/* ---- open.c ---- */

/* Opens the file for one call. *ret_empty: there is no file yet, or it has no tables of this namespace. Fails
 * where there can be no file, because its folder is missing. */
bide_code bide_sqlite_admin_open(
    struct bide_sqlite_admin *admin, enum bide_sqlite_access access, bool *ret_empty, bide_error *error);

bide_code bide_sqlite_admin_stats(
    struct bide_admin *base, struct bide_broker_stats *ret_stats, bide_error *error);
bide_code bide_sqlite_dead_each(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_dead_visit *visit, void *user, bide_error *error);
bide_code bide_sqlite_dead_retry(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error);
bide_code bide_sqlite_dead_drop(struct bide_admin *base, const struct bide_dead_filter *filter,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error);
bide_code bide_sqlite_export_each(
    struct bide_admin *base, const char *queue, bide_export_visit *visit, void *user, bide_error *error);
bide_code bide_sqlite_dead_add(
    struct bide_admin *base, const struct bide_dead_letter *added, size_t n, bide_error *error);
bide_code bide_sqlite_verify(struct bide_admin *base, bide_finding_sink *sink, void *user, bide_error *error);
bide_code bide_sqlite_dead_trim(struct bide_admin *base, const struct bide_dead_bounds *bounds,
    bide_progress *progress, void *user, uint64_t *ret_n, bide_error *error);
bide_code bide_sqlite_find(struct bide_admin *base, const bide_selection *selection,
    char cursor[BIDE_CURSOR_SIZE], bide_found_visit *visit, void *user, bide_error *error);
bide_code bide_sqlite_change(struct bide_admin *base, const bide_selection *selection,
    const struct bide_change *change, bide_error *error);

/* subscriptions.c */
bide_code bide_sqlite_admin_join(struct bide_admin *base, const char *subscription, bide_error *error);
bide_code bide_sqlite_admin_leave(struct bide_admin *base, const char *subscription, bide_error *error);
bide_code bide_sqlite_admin_subscriptions(
    struct bide_admin *base, bide_subscription_visit *visit, void *user, bide_error *error);

/* The next name of a queue in which messages wait, behind `name` ("": the first). */
bide_code bide_sqlite_next_queue(
    struct bide_sqlite_file *file, char name[BIDE_NAME_MAX + 1], bool *ret_found, bide_error *error);

#endif
