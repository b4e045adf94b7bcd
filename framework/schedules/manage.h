/* schedules/manage.h: what operators ask for: `bide cron …` and the console. They act on the store; clocks
 * notice within a second. One thread at a time, as the store. */
#ifndef BIDE_SCHEDULES_MANAGE_H
#define BIDE_SCHEDULES_MANAGE_H

#include "bide/producer.h"
#include "schedules/schedule.h"
#include "store/store.h"

struct bide_schedule_row {
    struct bide_schedule schedule; /* as the store has it, else as the file declares it */
    bool is_stored;                /* else no clock has begun with it yet */
    bool is_declared;              /* by this host's file */
    char *differ; /* hosts whose files declare it differently, with ", " between them; NULL: none */
};

struct bide_schedule_list {
    struct bide_schedule_row *rows; /* in the order of their names */
    size_t n;
};

/* All that the store knows or the configuration declares; *ret_list is cleared by the caller. */
bide_code bide_schedule_list_take(struct bide_store *store, const struct bide_config *config, int64_t now_ms,
    struct bide_schedule_list *ret_list, bide_error *error);
void bide_schedule_list_clear(struct bide_schedule_list *list); /* also a zeroed one */
/* Appends a row as members of a JSON object. now_ms: for how long it is overdue. */
void bide_schedule_row_report(const struct bide_schedule_row *row, int64_t now_ms, struct bide_buffer *to);
/* "active", "paused", "new" (no clock has begun with it), "unusable" (bide_schedule_check), or "ahead"
 * (bide_schedule_is_ahead). */
const char *bide_schedule_row_state(const struct bide_schedule_row *row, int64_t now_ms);
/* Do the clocks of this host fire it? */
bool bide_schedule_row_is_ours(const struct bide_schedule_row *row);
/* For how long the next slot has not fired; 0: it is not due, paused, or not this host's. */
int64_t bide_schedule_overdue_ms(const struct bide_schedule_row *row, int64_t now_ms);

/* A schedule of `bide cron add`: every clock of the namespace fires it. BIDE_E_USAGE: it is wrong.
 * BIDE_E_DATA: there is one of this name. */
bide_code bide_schedule_add(
    struct bide_store *store, const struct bide_schedule_config *added, int64_t now_ms, bide_error *error);
/* BIDE_E_NOT_FOUND; BIDE_E_DATA: the configuration declares it. */
bide_code bide_schedule_remove(
    struct bide_store *store, const struct bide_config *config, const char *name, bide_error *error);
/* Pausing what is paused, and resuming what is not, changes nothing. What is resumed goes on with the next
 * slot. BIDE_E_NOT_FOUND. */
bide_code bide_schedule_pause(struct bide_store *store, const struct bide_config *config, const char *name,
    bool pauses, int64_t now_ms, bide_error *error);
/* Sends one message now, beside the slots; its id is returned. BIDE_E_NOT_FOUND; BIDE_E_DATA: it must not
 * overlap with one that waits or runs. */
bide_code bide_schedule_run(struct bide_store *store, const struct bide_config *config, const char *name,
    int64_t now_ms, bide_producer *producer, char ret_id[BIDE_ID_MAX + 1], bide_error *error);

#endif
