/* console/schedules.h: what the store knows of schedules, asked for at most once a second, however many
 * requests need it. Any thread. */
#ifndef BIDE_CONSOLE_SCHEDULES_H
#define BIDE_CONSOLE_SCHEDULES_H

#include <pthread.h>

#include "schedules/manage.h"

struct bide_known_schedules {
    pthread_mutex_t lock;
    struct bide_schedule_list list; /* of the last time that the store answered */
    int64_t taken_ms;               /* monotonic; 0: never */
    bide_code code;
    bide_error error;
};

struct bide_console;

/* Lent until it is given back, which must be soon, also after a failure: then *ret_list is what was known
 * before. */
bide_code bide_schedules_borrow(
    struct bide_console *console, const struct bide_schedule_list **ret_list, bide_error *error);
void bide_schedules_give_back(struct bide_console *console);

#endif
