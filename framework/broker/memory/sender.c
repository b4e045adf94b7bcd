#include "base/alloc.h"
#include "broker/memory/store.h"

struct memory_sender {
    struct bide_sender base;
    struct bide_memory_store *store;
    const struct bide_clock *clock;
};

static bide_code send_all(struct bide_sender *base, struct bide_message *const *messages, size_t n,
    enum bide_sent *results, bide_error *error)
{
    const struct memory_sender *sender = (struct memory_sender *)base;
    bide_code code = BIDE_OK;
    bide_memory_lock();
    for (size_t i = 0; i < n && code == BIDE_OK; i++) {
        const struct bide_message *const one[] = {messages[i]};
        bool sent = bide_memory_send(sender->store, one, 1, bide_wall_ms(sender->clock));
        if (!sent)
            code = bide_fail(error, BIDE_E_NOMEM, "out of memory");
        results[i] = sent ? BIDE_SENT_OK : BIDE_SENT_UNKNOWN;
    }
    bide_memory_unlock();
    return code;
}

static void destroy(struct bide_sender *base)
{
    bide_free(base);
}

static const struct bide_sender_ops ops = {.send = send_all, .destroy = destroy};

bide_code bide_memory_open_sender(
    const struct bide_broker_options *options, struct bide_sender **ret_sender, bide_error *error)
{
    struct memory_sender *sender = bide_calloc(1, sizeof *sender);
    if (!sender)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    *sender = (struct memory_sender){.base.ops = &ops, .clock = options->clock};
    bide_code code = bide_memory_store_open(options, &sender->store, error);
    if (code == BIDE_OK)
        *ret_sender = &sender->base;
    else
        bide_free(sender);
    return code;
}
