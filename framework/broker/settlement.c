/* What every adapter does with a settlement in the same way. */
#include "base/alloc.h"
#include "broker/broker.h"

void bide_settlement_apply(const struct bide_settlement *settlement, struct bide_message *ret_after)
{
    const struct bide_delivery *delivery = settlement->delivery;
    *ret_after = *delivery->message;
    if (settlement->verdict != BIDE_VERDICT_RETRY && settlement->verdict != BIDE_VERDICT_DEAD)
        return;
    ret_after->attempt = settlement->attempt;
    if (settlement->verdict == BIDE_VERDICT_RETRY)
        ret_after->due_ms = settlement->due_ms;
    if (settlement->error)
        ret_after->error = settlement->error;
    else if (delivery->defect_text && !*ret_after->error)
        ret_after->error = delivery->defect_text;
    if (settlement->failures)
        ret_after->failures = settlement->failures;
}

void bide_settlement_release(const struct bide_settlement *settlement)
{
    bide_free(settlement->error);
    bide_free(settlement->failures);
    for (size_t i = 0; i < settlement->n_sends; i++)
        bide_message_destroy(settlement->sends[i]);
    bide_free(settlement->sends);
}
