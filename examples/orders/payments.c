/* payments: takes the money for an order and asks for its shipment, both in one transaction of payments.db,
 * once for each message. Body: {"order":17,"cents":1250}. */
#include <jansson.h>
#include <stdio.h>

#include <bide/handler.h>
#include <bide/once_sqlite.h>
#include <bide/outbox_sqlite.h>

enum { BUSY_MS = 10000 };

static bide_code open_database(const bide_settings *settings, void **ret_state, bide_error *error)
{
    char path[4096];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/payments.db", bide_settings_dir(settings));
    if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_busy_timeout(db, BUSY_MS) != SQLITE_OK) {
        bide_code code = bide_fail(error, BIDE_E_CONFIG, "%s: %s", path, sqlite3_errmsg(db));
        sqlite3_close(db);
        return code;
    }
    *ret_state = db;
    return BIDE_OK;
}

static void close_database(void *state)
{
    sqlite3_close(state);
}

static int insert_payment(sqlite3 *db, int64_t order, int64_t cents)
{
    sqlite3_stmt *insert = NULL;
    int status = sqlite3_prepare_v2(db, "INSERT INTO payments VALUES (?1, ?2)", -1, &insert, NULL);
    if (status == SQLITE_OK) {
        sqlite3_bind_int64(insert, 1, order);
        sqlite3_bind_int64(insert, 2, cents);
        status = sqlite3_step(insert) == SQLITE_DONE ? SQLITE_OK : sqlite3_errcode(db);
    }
    sqlite3_finalize(insert);
    return status;
}

/* The body goes on as it is. */
static int send_shipment(sqlite3 *db, const bide_message *paid)
{
    bide_outbox_message shipment = {0};
    shipment.type = "shipment";
    shipment.body = bide_message_body(paid, &shipment.body_size);
    return bide_outbox_sqlite_send(db, &shipment, NULL);
}

static bide_code pay_once(
    sqlite3 *db, const bide_message *message, int64_t order, int64_t cents, bide_error *error)
{
    bool is_done;
    bide_code code = bide_once_sqlite_begin(db, message, &is_done, error);
    if (code != BIDE_OK || is_done)
        return code;
    if (insert_payment(db, order, cents) != SQLITE_OK || send_shipment(db, message) != SQLITE_OK)
        code = bide_once_sqlite_failed(db, error);
    return bide_once_sqlite_end(db, code, error); /* all of it, or nothing */
}

static bide_outcome handle(void *state, const bide_message *message, bide_context *context)
{
    size_t size;
    const char *body = bide_message_body(message, &size);
    json_int_t order, cents;
    bide_error error;
    json_t *wanted = json_loadb(body, size, 0, NULL);
    bide_outcome outcome = BIDE_DONE;
    if (json_unpack(wanted, "{s:I, s:I}", "order", &order, "cents", &cents) != 0)
        outcome = bide_dead(context, "a payment has an order and cents");
    else if (pay_once(state, message, order, cents, &error) != BIDE_OK)
        outcome = bide_retry(context, BIDE_BY_POLICY, "%s", error.text);
    json_decref(wanted);
    return outcome;
}

const bide_plugin_descriptor bide_plugin = {BIDE_PLUGIN_HEAD, .name = "payments", .version = "1.0.0",
    .summary = "takes the money for orders", .flags = BIDE_PLUGIN_STATE_PER_THREAD, .open = open_database,
    .handle = handle, .close = close_database};
