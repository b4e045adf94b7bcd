#include "broker/sqlite/statements.h"

#include <errno.h>
#include <string.h>

#include "base/buffer.h"
#include "broker/sqlite/file.h"

static const char *const texts[] = {
#define TEXT_ROW(name, text) text,
    BIDE_SQLITE_STATEMENTS(TEXT_ROW)
#undef TEXT_ROW
};

const char *bide_sqlite_statement_text(enum bide_sql which)
{
    return texts[which];
}

static const struct {
    const char *name;
    unsigned parts;
} sets[] = {
    {"all", BIDE_PART_ALL},
    {"rest", BIDE_PART_ALL & ~BIDE_PART_DUE},
    {"sent", BIDE_PART_ADDRESS | BIDE_PART_GIVEN},
    {"kept", BIDE_PART_ALL & ~BIDE_PART_RUNS}, /* when it dies */
    {"retried", BIDE_PART_DUE | BIDE_PART_RUNS},
    {"runs", BIDE_PART_RUNS},
};

/* In quotes: a name may be a word of SQL. */
static void expand_field(
    struct bide_buffer *to, const struct bide_field *field, const char *text, size_t size)
{
    for (const char *end = text + size; text < end; text++) {
        if (*text == '#' || *text == '@')
            bide_buffer_format(to, "\"%s%s\"", field->name, *text == '@' ? bide_sqlite_plural(field) : "");
        else
            bide_buffer_char(to, *text);
    }
}

static void expand_set(struct bide_buffer *to, const char *set, size_t name_size, size_t size)
{
    unsigned parts = 0;
    const char *comma = "";
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        if (strlen(sets[i].name) == name_size && memcmp(sets[i].name, set, name_size) == 0)
            parts = sets[i].parts;
    for (size_t i = 0; i < BIDE_N_FIELDS; i++) {
        if (!(bide_fields[i].part & parts))
            continue;
        bide_buffer_text(to, comma);
        expand_field(to, &bide_fields[i], set + name_size + 1, size - name_size - 1);
        comma = ", ";
    }
}

/* {name} becomes "namespace_name" with its quotes, {=name} the same without; {set text}: see statements.h. */
static void expand(struct bide_buffer *to, const char *sql, const char *name_space)
{
    const char *open;
    for (; (open = strchr(sql, '{')) != NULL;) {
        const char *name = open + 1;
        const char *quote = *name == '=' ? "" : "\"";
        name += *name == '=';
        size_t size = strcspn(name, "}"), name_size = strcspn(name, " }");
        bide_buffer_add(to, sql, (size_t)(open - sql));
        if (name_size < size)
            expand_set(to, name, name_size, size);
        else
            bide_buffer_format(to, "%s%s_%.*s%s", quote, name_space, (int)size, name, quote);
        sql = name + size + 1;
    }
    bide_buffer_text(to, sql);
}

static bide_code prepare(struct bide_sqlite_file *file, const char *sql, unsigned flags,
    sqlite3_stmt **ret_statement, bide_error *error)
{
    struct bide_buffer expanded;
    bide_buffer_init(&expanded);
    expand(&expanded, sql, file->name_space);
    bide_code code = BIDE_OK;
    int result;
    errno = 0; /* see bide_sqlite_fail */
    if (expanded.failed)
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    else if ((result = sqlite3_prepare_v3(file->db, expanded.bytes, -1, flags, ret_statement, NULL)))
        code = bide_sqlite_fail(file, result, error);
    bide_buffer_release(&expanded);
    return code;
}

bide_code bide_sqlite_prepare(
    struct bide_sqlite_file *file, const char *sql, sqlite3_stmt **ret_statement, bide_error *error)
{
    return prepare(file, sql, 0, ret_statement, error);
}

bide_code bide_sqlite_use(
    struct bide_sqlite_file *file, enum bide_sql which, sqlite3_stmt **ret_statement, bide_error *error)
{
    sqlite3_stmt **statement = &file->statements[which];
    if (!*statement) {
        bide_code code = prepare(file, texts[which], SQLITE_PREPARE_PERSISTENT, statement, error);
        if (code != BIDE_OK)
            return code;
    }
    *ret_statement = *statement;
    return BIDE_OK;
}

bide_code bide_sqlite_run_one(struct bide_sqlite_file *file, enum bide_sql which, bide_error *error)
{
    sqlite3_stmt *statement;
    bide_code code = bide_sqlite_use(file, which, &statement, error);
    return code == BIDE_OK ? bide_sqlite_run(file, statement, error) : code;
}

bide_code bide_sqlite_step(
    struct bide_sqlite_file *file, sqlite3_stmt *statement, bool *ret_row, bide_error *error)
{
    errno = 0; /* see bide_sqlite_fail */
    int result = sqlite3_step(statement);
    if (result == SQLITE_ROW) {
        *ret_row = true;
        return BIDE_OK;
    }
    bide_code code = result == SQLITE_DONE ? BIDE_OK : bide_sqlite_fail(file, result, error);
    sqlite3_reset(statement);
    if (code == BIDE_OK)
        *ret_row = false;
    return code;
}

bide_code bide_sqlite_run(struct bide_sqlite_file *file, sqlite3_stmt *statement, bide_error *error)
{
    bool row;
    bide_code code;
    do {
        code = bide_sqlite_step(file, statement, &row, error);
    } while (code == BIDE_OK && row);
    return code;
}

bide_code bide_sqlite_exec(struct bide_sqlite_file *file, const char *sql, bide_error *error)
{
    struct bide_buffer expanded;
    bide_buffer_init(&expanded);
    expand(&expanded, sql, file->name_space);
    bide_code code = BIDE_OK;
    int result;
    errno = 0; /* see bide_sqlite_fail */
    if (expanded.failed)
        code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
    else if ((result = sqlite3_exec(file->db, expanded.bytes, NULL, NULL, NULL)) != SQLITE_OK)
        code = bide_sqlite_fail(file, result, error);
    bide_buffer_release(&expanded);
    return code;
}

bide_code bide_sqlite_number(
    struct bide_sqlite_file *file, const char *sql, int64_t *ret_value, bide_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    bide_code code = bide_sqlite_prepare(file, sql, &statement, error);
    if (code != BIDE_OK)
        return code;
    code = bide_sqlite_step(file, statement, &row, error);
    if (code == BIDE_OK)
        *ret_value = row ? sqlite3_column_int64(statement, 0) : 0;
    sqlite3_finalize(statement);
    return code;
}
