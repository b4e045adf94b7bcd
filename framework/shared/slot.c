#include "shared/slot.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

enum { SIGNAL_STACK_BYTES = 32 * 1024 };

/* The slot of this thread, for the fault handler, which has no other way to ask. */
static _Thread_local struct {
    struct bide_slot *slot;
    pid_t pid; /* a handler may fork: what happens in its child is not ours */
    void *stack;
} watched;

static struct bide_dying *dying_of; /* for the fault handler, too: set before it is installed */

static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP};

static void copy_text(char *to, size_t room, const char *from)
{
    size_t size = strnlen(from, room - 1);
    memcpy(to, from, size);
    to[size] = '\0';
}

void bide_slot_begin(struct bide_slot *slot, const bide_message *message, size_t n, const char *handler,
    const char *plugin, const char *build, int64_t now_ms)
{
    slot->n = (int)n;
    copy_text(slot->id, sizeof slot->id, bide_message_id(message));
    const char *key = bide_crash_key(message, slot->key);
    if (key != slot->key)
        copy_text(slot->key, sizeof slot->key, key);
    copy_text(slot->type, sizeof slot->type, handler);
    copy_text(slot->plugin, sizeof slot->plugin, plugin);
    copy_text(slot->build, sizeof slot->build, build);
    slot->attempt = bide_message_attempt(message);
    slot->started_ms = now_ms;
    atomic_store_explicit(&slot->state, BIDE_SLOT_RUNNING, memory_order_release);
}

bool bide_slot_give_up(struct bide_slot *slot)
{
    int state = BIDE_SLOT_RUNNING;
    return atomic_compare_exchange_strong(&slot->state, &state, BIDE_SLOT_HUNG) || state == BIDE_SLOT_HUNG;
}

void bide_slot_end(struct bide_slot *slot)
{
    atomic_store_explicit(&slot->state, BIDE_SLOT_IDLE, memory_order_release);
}

/* True where this thread was inside a handler. */
static bool note_fault(void)
{
    if (!watched.slot || watched.pid != getpid())
        return false;
    int state = atomic_load(&watched.slot->state);
    if (state == BIDE_SLOT_RUNNING || state == BIDE_SLOT_HUNG) {
        /* In this order: another thread's fault may end the process in between, and the supervisor takes away
         * what stands in a slot that says so. */
        atomic_store(&watched.slot->state, BIDE_SLOT_FAULTED);
        if (watched.slot->n == 1) /* what ran in a batch runs again at once, apart */
            bide_dying_add(dying_of, watched.slot->key);
    }
    return state != BIDE_SLOT_IDLE;
}

static void on_fatal_signal(int number)
{
    note_fault();
    signal(number, SIG_DFL);
    raise(number);
}

/* A handler that calls exit() ends the process as surely as a fault. It does so here: what exit() would go on
 * to tear down is in use by the other threads, whose faults would then be blamed on their messages. */
static void on_exit_call(int status, void *user)
{
    (void)user;
    if (note_fault())
        _exit(status);
}

bide_code bide_slot_watch_faults(struct bide_dying *dying, bide_error *error)
{
    dying_of = dying;
    struct sigaction action = {
        .sa_handler = on_fatal_signal, .sa_flags = SA_ONSTACK | SA_RESETHAND | SA_NODEFER};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof fatal_signals / sizeof fatal_signals[0]; i++)
        if (sigaction(fatal_signals[i], &action, NULL) != 0)
            return bide_fail(
                error, BIDE_E_INTERNAL, "cannot watch signal %d: %s", fatal_signals[i], strerror(errno));
    if (on_exit(on_exit_call, NULL) != 0)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    return BIDE_OK;
}

bide_code bide_slot_watch_thread(struct bide_slot *slot, bide_error *error)
{
    watched.stack = bide_malloc(SIGNAL_STACK_BYTES);
    if (!watched.stack)
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    const stack_t stack = {.ss_sp = watched.stack, .ss_size = SIGNAL_STACK_BYTES};
    sigaltstack(&stack, NULL);
    watched.slot = slot;
    watched.pid = getpid();
    return BIDE_OK;
}

void bide_slot_unwatch_thread(void)
{
    const stack_t none = {.ss_flags = SS_DISABLE};
    sigaltstack(&none, NULL);
    bide_free(watched.stack);
    watched.stack = NULL;
    watched.slot = NULL;
}
