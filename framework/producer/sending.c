#include "base/killpoint.h"
#include "message/message.h"
#include "producer/inside.h"

bide_code bide_producer_prepare(
    const struct bide_producer *producer, bide_message *message, bide_error *error)
{
    if (message->body_size > producer->max_body)
        return bide_fail(error, BIDE_E_DATA,
            "message '%s': the body has %zu bytes, more than the maximum of %zu", message->id,
            message->body_size, producer->max_body);
    return bide_message_stamp(message, producer->default_queue, producer->clock, error);
}

static bool is_failure(bide_code code)
{
    return code != BIDE_OK && code != BIDE_E_DATA;
}

bide_code bide_producer_send_run(struct bide_producer *producer, bide_message *const *messages, size_t n,
    bide_sent *results, bide_code before, bide_error *error)
{
    bide_error later;
    if (n == 0)
        return before;
    BIDE_KILL_POINT("send/begin");
    bide_code code = bide_sender_send(producer->sender, messages, n, results, &later);
    BIDE_KILL_POINT("send/confirmed");
    if (is_failure(code) || (code != BIDE_OK && before == BIDE_OK))
        return bide_fail(error, code, "%s", later.text);
    return before;
}

bide_code bide_producer_send_plain(struct bide_producer *producer, bide_message *const *messages, size_t n,
    bide_sent *results, bide_error *error)
{
    bide_code code = BIDE_OK;
    size_t begin = 0;
    for (size_t i = 0; i < n; i++)
        results[i] = BIDE_SENT_UNKNOWN;
    for (size_t i = 0; i < n; i++) {
        bide_error why;
        bide_code refused = bide_producer_prepare(producer, messages[i], &why);
        if (refused == BIDE_OK)
            continue;
        if (code == BIDE_OK || is_failure(refused))
            code = bide_fail(error, refused, "%s", why.text);
        if (!is_failure(code))
            code =
                bide_producer_send_run(producer, messages + begin, i - begin, results + begin, code, error);
        if (is_failure(code))
            return code;
        results[i] = BIDE_SENT_REFUSED;
        begin = i + 1;
    }
    return bide_producer_send_run(producer, messages + begin, n - begin, results + begin, code, error);
}
