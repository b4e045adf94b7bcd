#include "broker/sqlite/admin/admin.h"

#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "broker/sqlite/schema.h"
#include "broker/sqlite/sqlite.h"

static bide_code admin_same_place(
    struct bide_admin *base, struct bide_admin *other_base, bool *ret_same, bide_error *error)
{
    const struct bide_sqlite_file *file = &((struct bide_sqlite_admin *)base)->file;
    const struct bide_sqlite_file *other = &((struct bide_sqlite_admin *)other_base)->file;
    struct stat one, two;
    (void)error;
    bool same_file = strcmp(file->path, other->path) == 0 ||
                     (stat(file->path, &one) == 0 && stat(other->path, &two) == 0 &&
                         one.st_dev == two.st_dev && one.st_ino == two.st_ino);
    *ret_same = same_file && strcmp(file->name_space, other->name_space) == 0;
    return BIDE_OK;
}

static bide_code admin_erase(struct bide_admin *base, bide_error *error)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    bool empty;
    bide_code code = bide_sqlite_admin_open(admin, BIDE_SQLITE_WRITE, &empty, error);
    if (code != BIDE_OK || empty)
        return code;
    code = bide_sqlite_schema_drop(&admin->file, error);
    bide_sqlite_file_close(&admin->file);
    return code;
}

static void admin_destroy(struct bide_admin *base)
{
    struct bide_sqlite_admin *admin = (struct bide_sqlite_admin *)base;
    bide_sqlite_file_clear(&admin->file);
    for (size_t i = 0; i < admin->n_queues; i++)
        bide_free(admin->queues[i]);
    bide_free(admin->queues);
    bide_free(admin->client_name);
    bide_free(admin);
}

static const struct bide_admin_ops admin_ops = {
    .stats = bide_sqlite_admin_stats,
    .dead_each = bide_sqlite_dead_each,
    .dead_retry = bide_sqlite_dead_retry,
    .dead_drop = bide_sqlite_dead_drop,
    .dead_trim = bide_sqlite_dead_trim,
    .find = bide_sqlite_find,
    .change = bide_sqlite_change,
    .export_each = bide_sqlite_export_each,
    .dead_add = bide_sqlite_dead_add,
    .same_place = admin_same_place,
    .verify = bide_sqlite_verify,
    .join = bide_sqlite_admin_join,
    .leave = bide_sqlite_admin_leave,
    .subscriptions = bide_sqlite_admin_subscriptions,
    .erase = admin_erase,
    .destroy = admin_destroy,
};

static bide_code copy_texts(
    struct bide_sqlite_admin *admin, const struct bide_broker_options *options, bide_error *error)
{
    admin->client_name = bide_strdup(options->client_name ? options->client_name : "bide");
    admin->queues = bide_calloc(options->n_queues ? options->n_queues : 1, sizeof *admin->queues);
    if (!admin->queues || !admin->client_name)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    for (size_t i = 0; i < options->n_queues; i++) {
        admin->queues[i] = bide_strdup(options->queues[i]);
        if (!admin->queues[i])
            return bide_fail(error, BIDE_E_NOMEM, "out of memory");
        admin->n_queues++;
    }
    return BIDE_OK;
}

bide_code bide_sqlite_open_admin(
    const struct bide_broker_options *options, struct bide_admin **ret_admin, bide_error *error)
{
    struct bide_sqlite_admin *admin = bide_calloc(1, sizeof *admin);
    if (!admin)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    admin->base.ops = &admin_ops;
    admin->timeout_us = options->timeout_ms * 1000;
    bide_code code = copy_texts(admin, options, error);
    if (code == BIDE_OK)
        code = bide_sqlite_file_init(&admin->file, options, error);
    if (code != BIDE_OK) {
        admin_destroy(&admin->base);
        return code;
    }
    *ret_admin = &admin->base;
    return BIDE_OK;
}
