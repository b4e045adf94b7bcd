/* bide/admin.h: look at the messages of a broker, cancel and reschedule those that wait.
 *
 *     static void tell(void *user, const char *id, bide_fate fate)
 *     {
 *         printf("%s %s\n", id, bide_fate_name(fate));
 *     }
 *     …
 *     const char *ids[] = {"order-42"};
 *     const bide_selection selection = {.ids = ids, .n_ids = 1};
 *     if (bide_admin_open("sqlite:bide.db", NULL, &admin, &error) != BIDE_OK ||
 *         bide_admin_cancel(admin, &selection, &(bide_account){.fate = tell}, &error) != BIDE_OK)
 *         errx(1, "%s", error.text);
 *     bide_admin_close(admin);
 *
 * A message that a worker has taken is not touched: it is reported as running, also where the worker took it
 * before it is due (SQLite, Redis: up to half a second). Between a worker that takes a message and a command
 * that cancels it, exactly one of the two happens. Ids are not unique: an id means every copy of it.
 *
 * RabbitMQ cannot search its queues. There list and reschedule fail with BIDE_E_CONFIG; show knows dead
 * letters only; and cancel leaves a mark for each id in the store: a worker acknowledges the message without
 * a run when it lands, if it was sent delayed and before the call. Whether it waits at all, nobody can know.
 *
 * Thread-safety: an admin is used by one thread at a time; several admins are independent. */
#ifndef BIDE_ADMIN_H
#define BIDE_ADMIN_H

#include <stdbool.h>

#include <bide/message.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct bide_admin bide_admin;

typedef struct bide_admin_options {
    const char *name_space; /* NULL: "bide" */
    const char *queue_type; /* RabbitMQ: as in bide_producer_options; or NULL */
    const char *base_dir;   /* relative paths in the URL start here; NULL: the working directory */
    int64_t timeout_ms;     /* for one answer of the broker; 0: 10 s */
    const char *store; /* URL of the store of unique keys and marks; NULL: the broker, where it can be one */
} bide_admin_options;

/* Where a message is; one bit each. */
typedef enum bide_message_state {
    BIDE_STATE_DELAYED = 1,
    BIDE_STATE_READY = 2,
    BIDE_STATE_RUNNING = 4, /* a worker has it in hand */
    BIDE_STATE_DEAD = 8,
} bide_message_state;

BIDE_API const char *bide_message_state_name(bide_message_state state); /* "delayed" */

/* A message that was found. All is borrowed until the visit returns. */
typedef struct bide_found {
    const bide_message *message; /* dead: its attempt is how many runs there were */
    size_t body_size;            /* also where the body was left out */
    bide_message_state state;
    const char *worker; /* running: who has it, as `bide status` names workers; "" where nobody knows */
    int64_t since_ms;   /* running: Unix ms since when, 0 where nobody knows; dead: when it died */
    const char *reason; /* dead: why; else "" */
} bide_found;

/* Which messages: all conditions hold together. */
typedef struct bide_selection {
    const char *const *ids; /* every copy of each; n_ids 0: any */
    size_t n_ids;
    const char *type;    /* NULL: any */
    const char *queue;   /* NULL: any */
    unsigned states;     /* list: bits of bide_message_state; 0: delayed, ready and running */
    bool without_bodies; /* list: nobody looks at the bodies */
} bide_selection;

/* Called for each; false ends the walk. */
typedef bool bide_found_visit(void *user, const bide_found *found);

enum { BIDE_CURSOR_SIZE = 512 };

/* options: NULL for all defaults; copied. */
BIDE_API bide_code bide_admin_open(const char *url, const bide_admin_options *options, bide_admin **ret_admin,
    bide_error *error) BIDE_MUST_USE;
BIDE_API void bide_admin_close(bide_admin *admin); /* NULL is fine */

/* Lists messages that are not dead, queue by queue. Begins behind `cursor` ("": at the beginning) and leaves
 * there where a later call may go on: behind the last one visited, or "" when the walk came to its end. What
 * comes, goes or moves between two calls may be missed or seen twice; what stays is seen once. With ids the
 * cursor is not used. BIDE_E_DATA: this is no cursor of this broker's. */
BIDE_API bide_code bide_admin_list(bide_admin *admin, const bide_selection *selection,
    char cursor[BIDE_CURSOR_SIZE], bide_found_visit *visit, void *user, bide_error *error);
/* Every copy of an id, dead letters too. BIDE_E_NOT_FOUND: there is none; it has ended, or never was. */
BIDE_API bide_code bide_admin_show(
    bide_admin *admin, const char *id, bide_found_visit *visit, void *user, bide_error *error);

/* What became of it. */
typedef enum bide_fate {
    BIDE_FATE_UNKNOWN, /* no such id: it has ended, or never was */
    BIDE_FATE_CANCELLED,
    BIDE_FATE_RESCHEDULED,
    BIDE_FATE_MARKED,  /* cancelled when a worker meets it, if it waits (RabbitMQ) */
    BIDE_FATE_DEAD,    /* it is a dead letter, and stays one */
    BIDE_FATE_RUNNING, /* a worker has it: nothing was done */
} bide_fate;

BIDE_API const char *bide_fate_name(bide_fate fate); /* "cancelled" */

/* Whom to tell; each may be NULL. */
typedef struct bide_account {
    /* With ids: once for each id, in the order given, at the end; of several copies it tells the fate that
     * stands last in bide_fate. Without: for each message, when it is done. Not called for what was not
     * reached because of a failure. */
    void (*fate)(void *user, const char *id, bide_fate fate);
    /* How many were looked at, of how many (0: nobody knows); false interrupts between two steps. */
    bool (*progress)(void *user, uint64_t done, uint64_t total);
    void *user;
} bide_account;

/* Cancel: what waits is gone for good, and is counted as cancelled. Unique keys of what was cancelled are
 * free. Where the store cannot be reached for that, each is told as cancelled, and the call then fails: the
 * error's text says that keys stay taken. */
BIDE_API bide_code bide_admin_cancel(
    bide_admin *admin, const bide_selection *selection, const bide_account *account, bide_error *error);
/* What waits is due then instead (past: now); its expiry moves along, its attempt stays. */
BIDE_API bide_code bide_admin_reschedule(bide_admin *admin, const bide_selection *selection, int64_t due_ms,
    const bide_account *account, bide_error *error);

/* The message that waits with this unique key (docs/unique.md), on every broker, also RabbitMQ: what cannot
 * be found there is acknowledged without a run, or held back, when it lands. Tells the message's id;
 * BIDE_FATE_UNKNOWN (no message has the key) with the key in its place. BIDE_E_CONFIG: there is no store; or,
 * reschedule, this broker cannot bring a message forward. */
BIDE_API bide_code bide_admin_cancel_key(
    bide_admin *admin, const char *key, const bide_account *account, bide_error *error);
BIDE_API bide_code bide_admin_reschedule_key(
    bide_admin *admin, const char *key, int64_t due_ms, const bide_account *account, bide_error *error);

#ifdef __cplusplus
}
#endif

#endif
