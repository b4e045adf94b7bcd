#include "broker/sqlite/sqlite.h"

#include "base/killpoint.h"
#include "base/alloc.h"
#include "broker/sqlite/topic.h"

struct sender {
    struct bide_sender base;
    struct bide_sqlite_file file;
    struct bide_buffer scratch;
    int64_t timeout_us;
};

static bide_code send_once(struct sender *sender, struct bide_message *const *messages, size_t n,
    enum bide_sent *results, int64_t wait_us, bide_error *error)
{
    bide_code code = bide_sqlite_begin(&sender->file, true, wait_us, error);
    if (code != BIDE_OK)
        return code;
    for (size_t i = 0; code == BIDE_OK && i < n; i++)
        code = bide_sqlite_send(&sender->file, messages[i], &sender->scratch, error);
    BIDE_KILL_POINT("send/sqlite-inserted");
    if (code == BIDE_OK)
        code = bide_sqlite_commit(&sender->file, error);
    else
        bide_sqlite_rollback(&sender->file);
    BIDE_KILL_POINT("send/sqlite-committed");
    if (code != BIDE_OK || bide_sqlite_file_is_gone(&sender->file))
        return code;
    if (bide_sqlite_file_lost_lock(&sender->file)) /* receivers watch the new one */
        (void)bide_sqlite_file_renew_lock(&sender->file, error);
    bide_sqlite_lock_ring(&sender->file.lock);
    for (size_t i = 0; i < n; i++)
        results[i] = BIDE_SENT_OK;
    return BIDE_OK;
}

/* If the file was removed or replaced while it was open, the last transaction is lost: open the new file and
 * send again. */
static bool must_reopen(struct sender *sender)
{
    if (sender->file.db && bide_sqlite_file_is_gone(&sender->file))
        bide_sqlite_file_close(&sender->file);
    return sender->file.db == NULL;
}

static bide_code sender_send(struct bide_sender *base, struct bide_message *const *messages, size_t n,
    enum bide_sent *results, bide_error *error)
{
    struct sender *sender = (struct sender *)base;
    int64_t end_us = bide_mono_us(sender->file.clock) + sender->timeout_us;
    for (;;) {
        int64_t wait_us = end_us - bide_mono_us(sender->file.clock);
        bide_code code = BIDE_OK;
        if (wait_us < 0)
            return bide_sqlite_fail(&sender->file, SQLITE_BUSY, error);
        if (must_reopen(sender))
            code = bide_sqlite_file_open(&sender->file, BIDE_SQLITE_WRITE, wait_us, error);
        if (code == BIDE_OK)
            code = send_once(sender, messages, n, results, wait_us, error);
        if (!sender->file.db || !must_reopen(sender))
            return code;
    }
}

static void sender_destroy(struct bide_sender *base)
{
    struct sender *sender = (struct sender *)base;
    bide_sqlite_file_clear(&sender->file);
    bide_buffer_release(&sender->scratch);
    bide_free(sender);
}

static const struct bide_sender_ops sender_ops = {sender_send, sender_destroy};

bide_code bide_sqlite_open_sender(
    const struct bide_broker_options *options, struct bide_sender **ret_sender, bide_error *error)
{
    struct sender *sender = bide_calloc(1, sizeof *sender);
    if (!sender)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    sender->base.ops = &sender_ops;
    sender->timeout_us = options->timeout_ms * 1000;
    bide_buffer_init(&sender->scratch);
    bide_code code = bide_sqlite_file_init(&sender->file, options, error);
    if (code == BIDE_OK)
        code = bide_sqlite_file_open(&sender->file, BIDE_SQLITE_WRITE, sender->timeout_us, error);
    if (code != BIDE_OK) {
        sender_destroy(&sender->base);
        return code;
    }
    *ret_sender = &sender->base;
    return BIDE_OK;
}
