/* The way from an export's batch to the destination. */
#include <stdio.h>

#include "base/visible.h"
#include "cli/commands/move.h"

/* Said once of each, though it may be offered several times. */
static void refuse(struct bide_carrier *carrier, const struct bide_export *item, const bide_error *why)
{
    size_t known = carrier->refused.n;
    bide_code code = bide_cli_names_add(&carrier->refused, item->message->id, NULL);
    if (code == BIDE_OK && carrier->refused.n == known)
        return;
    char id[BIDE_ID_MAX + 1];
    snprintf(id, sizeof id, "%s", item->message->id);
    bide_visible_line(id);
    fprintf(
        stderr, "bide %s: message '%s' stays where it is: %s\n", carrier->cli->command->name, id, why->text);
}

/* ---- what shall be run ---- */

static void note_sent(struct bide_carrier *carrier, struct bide_export *item)
{
    item->carried = true;
    if (item->message->due_ms > bide_wall_ms(bide_clock_system()))
        carrier->delayed++;
    else
        carrier->ready++;
}

/* Refused for good while all others arrived: that alone stays. Each other failure is the batch's. */
static bide_code send(struct bide_carrier *carrier, struct bide_export *items[], size_t n, bide_error *error)
{
    struct bide_message *messages[BIDE_EXPORT_BATCH];
    bide_sent results[BIDE_EXPORT_BATCH] = {BIDE_SENT_UNKNOWN};
    bide_error failure;
    for (size_t i = 0; i < n; i++)
        messages[i] = items[i]->message;
    bide_code code = bide_sender_send(carrier->sender, messages, n, results, &failure);
    for (size_t i = 0; i < n; i++) {
        if (results[i] == BIDE_SENT_OK)
            note_sent(carrier, items[i]);
        else if (results[i] == BIDE_SENT_REFUSED)
            refuse(carrier, items[i], &failure);
    }
    return code == BIDE_OK || code == BIDE_E_DATA ? BIDE_OK : bide_fail(error, code, "%s", failure.text);
}

/* ---- dead letters ---- */

static bide_code add(struct bide_carrier *carrier, struct bide_export *items[], size_t n, bide_error *error)
{
    struct bide_dead_letter letters[BIDE_EXPORT_BATCH] = {{0}};
    for (size_t i = 0; i < n; i++)
        letters[i] = (struct bide_dead_letter){items[i]->message, items[i]->reason, items[i]->died_ms};
    bide_code code = carrier->admin->ops->dead_add(carrier->admin, letters, n, error);
    for (size_t i = 0; code == BIDE_OK && i < n; i++)
        items[i]->carried = true;
    carrier->dead += code == BIDE_OK ? n : 0;
    return code;
}

/* One that cannot be stored must not keep the others: then it is found one by one. */
static bide_code bury(struct bide_carrier *carrier, struct bide_export *items[], size_t n, bide_error *error)
{
    bide_error failure;
    bide_code code = add(carrier, items, n, &failure);
    if (code != BIDE_E_DATA)
        return code == BIDE_OK ? BIDE_OK : bide_fail(error, code, "%s", failure.text);
    for (size_t i = 0; i < n; i++) {
        code = add(carrier, &items[i], 1, &failure);
        if (code == BIDE_E_DATA)
            refuse(carrier, items[i], &failure);
        else if (code != BIDE_OK)
            return bide_fail(error, code, "%s", failure.text);
    }
    return BIDE_OK;
}

/* ---- a batch ---- */

bide_code bide_cli_carry(void *user, struct bide_export *batch, size_t n, bide_error *error)
{
    struct bide_carrier *carrier = user;
    struct bide_export *live[BIDE_EXPORT_BATCH], *dead[BIDE_EXPORT_BATCH];
    size_t n_live = 0, n_dead = 0;
    for (size_t i = 0; i < n; i++) {
        if (batch[i].dead)
            dead[n_dead++] = &batch[i];
        else
            live[n_live++] = &batch[i];
    }
    bide_code code = n_live ? send(carrier, live, n_live, error) : BIDE_OK;
    if (code == BIDE_OK && n_dead)
        code = bury(carrier, dead, n_dead, error);
    bide_cli_progress_show(
        &carrier->progress, carrier->ready + carrier->delayed + carrier->dead, carrier->total);
    return code;
}
