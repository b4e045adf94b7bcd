#include <string.h>

#include "store/sqlite/inside.h"

enum { PAGE_BITS = 4096, PAGE_BYTES = PAGE_BITS / 8 };

/* A page of a set; page 0 has the numbers of the whole set. */
struct page {
    unsigned char bits[PAGE_BYTES];
    int size; /* bytes that are stored: trailing zeros are not */
    int64_t members, total;
};

static bide_code read_page(struct bide_sqlite_store *store, const char *name, int64_t number,
    struct page *ret_page, bide_error *error)
{
    sqlite3_stmt *statement;
    bool row = false;
    *ret_page = (struct page){0};
    bide_code code =
        bide_store_use_for(store, BIDE_STORE_SQL_TALLY, store->scope.number, name, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(statement, 3, number);
    code = bide_sqlite_step(&store->file, statement, &row, error);
    if (code != BIDE_OK || !row)
        return code;
    const void *bits = sqlite3_column_blob(statement, 0);
    int size = sqlite3_column_bytes(statement, 0);
    ret_page->size = size < PAGE_BYTES ? size : PAGE_BYTES;
    if (ret_page->size)
        memcpy(ret_page->bits, bits, (size_t)ret_page->size);
    ret_page->members = sqlite3_column_int64(statement, 1);
    ret_page->total = sqlite3_column_int64(statement, 2);
    sqlite3_reset(statement);
    return BIDE_OK;
}

static bide_code write_page(struct bide_sqlite_store *store, const char *name, int64_t number,
    const struct page *page, bide_error *error)
{
    sqlite3_stmt *statement;
    bide_code code =
        bide_store_use_for(store, BIDE_STORE_SQL_TALLY_WRITE, store->scope.number, name, &statement, error);
    if (code != BIDE_OK)
        return code;
    sqlite3_bind_int64(statement, 3, number);
    sqlite3_bind_blob(statement, 4, page->bits, page->size, SQLITE_STATIC);
    sqlite3_bind_int64(statement, 5, page->members);
    sqlite3_bind_int64(statement, 6, page->total);
    return bide_store_run(store, statement, error);
}

/* Returns whether the member is new. */
static bool add_member(struct page *page, int64_t member)
{
    int at = (int)(member % PAGE_BITS / 8);
    unsigned char bit = (unsigned char)(1u << member % 8);
    bool is_new = !(page->bits[at] & bit);
    page->bits[at] |= bit;
    if (page->size <= at)
        page->size = at + 1;
    return is_new;
}

/* Adds the member to a page of its own, where that is not page 0. */
static bide_code add_elsewhere(struct bide_sqlite_store *store, const struct bide_store_operation *operation,
    bool *ret_new, bide_error *error)
{
    struct page page;
    int64_t member = operation->arrive.member, number = member / PAGE_BITS;
    bide_code code = read_page(store, operation->key, number, &page, error);
    if (code != BIDE_OK)
        return code;
    *ret_new = add_member(&page, member);
    return *ret_new ? write_page(store, operation->key, number, &page, error) : BIDE_OK;
}

static bool has_member(const struct page *page, int64_t member)
{
    return page->bits[member % PAGE_BITS / 8] >> member % 8 & 1;
}

/* Is it in the set that keeps it out of this one? */
static bide_code is_kept_out(
    struct bide_sqlite_store *store, const struct bide_store_arrive *arrive, bool *ret_is, bide_error *error)
{
    struct page page;
    bide_code code = BIDE_OK;
    *ret_is = false;
    if (!arrive->unless || arrive->member < 0)
        return code;
    code = read_page(store, arrive->unless, arrive->member / PAGE_BITS, &page, error);
    *ret_is = has_member(&page, arrive->member);
    return code;
}

static bool is_complete(const struct page *page)
{
    return page->total > 0 && page->members >= page->total;
}

bide_code bide_store_sqlite_arrive(
    struct bide_sqlite_store *store, struct bide_store_operation *operation, bide_error *error)
{
    const struct bide_store_arrive *arrive = &operation->arrive;
    struct bide_store_answer *answer = &operation->answer;
    struct page first;
    bool kept_out;
    bide_code code = bide_store_scope_last(store, operation->scope, operation->lasts_ms, error);
    if (code != BIDE_OK || !store->scope.number)
        return code;
    code = is_kept_out(store, arrive, &kept_out, error);
    if (code == BIDE_OK)
        code = read_page(store, operation->key, 0, &first, error);
    bool was_complete = code == BIDE_OK && is_complete(&first), is_new = false;
    bool adds = code == BIDE_OK && arrive->member >= 0 && !kept_out;
    if (adds && arrive->member >= PAGE_BITS)
        code = add_elsewhere(store, operation, &is_new, error);
    else if (adds)
        is_new = add_member(&first, arrive->member);
    if (code != BIDE_OK)
        return code;
    bool knows_more = first.total == 0 && arrive->total > 0;
    first.members += is_new;
    if (knows_more)
        first.total = arrive->total;
    answer->ok = is_complete(&first);
    answer->first = answer->ok && !was_complete;
    answer->changed = is_new;
    answer->count = first.members;
    answer->total = first.total;
    return is_new || knows_more ? write_page(store, operation->key, 0, &first, error) : BIDE_OK;
}
