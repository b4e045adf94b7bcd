#include "orders.h"

#include <jansson.h>
#include <stddef.h>
#include <string.h>

/* One row a key: `{"sleep_ms": 250}` or `{"dead": true}`. */
static const struct order_key {
    const char *name;
    size_t offset;
    bool flag;
} keys[] = {
    {"sleep_ms", offsetof(struct orders, sleep_ms), false},
    {"spin_ms", offsetof(struct orders, spin_ms), false},
    {"alloc_mb", offsetof(struct orders, alloc_mb), false},
    {"fail", offsetof(struct orders, fail), false},
    {"retry_after_ms", offsetof(struct orders, retry_after_ms), false},
    {"dead", offsetof(struct orders, dead), true},
    {"commit", offsetof(struct orders, commit), true},
    {"abort", offsetof(struct orders, abort), true},
    {"crash", offsetof(struct orders, crash), true},
    {"exit", offsetof(struct orders, exit), true},
    {"hang", offsetof(struct orders, hang), true},
};

static bide_code take(
    const json_t *value, const struct order_key *key, struct orders *orders, bide_error *error)
{
    int64_t *to = (int64_t *)(void *)((char *)orders + key->offset);
    if (key->flag) {
        if (!json_is_boolean(value))
            return bide_fail(error, BIDE_E_DATA, "the body's \"%s\" must be true or false", key->name);
        *to = json_is_true(value);
        return BIDE_OK;
    }
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return bide_fail(
            error, BIDE_E_DATA, "the body's \"%s\" must be a whole number, 0 or more", key->name);
    *to = json_integer_value(value);
    return BIDE_OK;
}

static bide_code take_until(const json_t *value, struct orders *orders, bide_error *error)
{
    if (!json_is_string(value) || json_string_length(value) >= sizeof orders->until)
        return bide_fail(error, BIDE_E_DATA, "the body's \"until\" must be a path of less than %zu bytes",
            sizeof orders->until);
    memcpy(orders->until, json_string_value(value), json_string_length(value) + 1);
    return BIDE_OK;
}

static bide_code take_all(const json_t *root, struct orders *orders, bide_error *error)
{
    if (!json_is_object(root))
        return bide_fail(error, BIDE_E_DATA, "the body is not a JSON object such as {\"sleep_ms\":250}");
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const json_t *value = json_object_get(root, keys[i].name);
        bide_code code = value ? take(value, &keys[i], orders, error) : BIDE_OK;
        if (code != BIDE_OK)
            return code;
    }
    const json_t *until = json_object_get(root, "until");
    if (until) {
        bide_code code = take_until(until, orders, error);
        if (code != BIDE_OK)
            return code;
    }
    if (json_object_get(root, "retry_after_ms") && !json_object_get(root, "fail"))
        orders->fail = 1; /* alone it means: once */
    return BIDE_OK;
}

bide_code orders_parse(const void *body, size_t size, struct orders *ret_orders, bide_error *error)
{
    struct orders orders = {.retry_after_ms = BIDE_BY_POLICY};
    if (size > 0) {
        json_error_t where;
        json_t *root = json_loadb(body, size, JSON_DECODE_ANY, &where);
        if (!root)
            return bide_fail(error, BIDE_E_DATA, "the body is not JSON: %s (line %d, column %d)", where.text,
                where.line, where.column);
        bide_code code = take_all(root, &orders, error);
        json_decref(root);
        if (code != BIDE_OK)
            return code;
    }
    *ret_orders = orders;
    return BIDE_OK;
}
