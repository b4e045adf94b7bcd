#include "relay/process.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "relay/relay.h"

enum { TIMEOUT_MS = 5 * 1000 }; /* of one call to a broker; a signal waits so long */

static struct bide_source_options source_options(
    const struct bide_config *config, const struct bide_relay_config *what)
{
    return (struct bide_source_options){.config = config,
        .url = what->from,
        .queue = what->queue,
        .clock = bide_clock_system(),
        .timeout_ms = TIMEOUT_MS};
}

/* Sleeps as `wait` says. True: a signal came. */
static bool sleep_or_stop(struct bide_wait *wait, int signals)
{
    const struct timespec timeout = {
        .tv_sec = wait->timeout_us / 1000000, .tv_nsec = wait->timeout_us % 1000000 * 1000};
    struct pollfd fds[BIDE_WAIT_FDS + 1];
    memcpy(fds, wait->fds, wait->n_fds * sizeof fds[0]);
    fds[wait->n_fds] = (struct pollfd){.fd = signals, .events = POLLIN};
    return ppoll(fds, wait->n_fds + 1, wait->timeout_us < 0 ? NULL : &timeout, NULL) > 0 &&
           fds[wait->n_fds].revents != 0;
}

static void go_round(struct bide_relay *relay, int signals)
{
    struct bide_wait wait;
    do
        bide_relay_step(relay, &wait);
    while (!sleep_or_stop(&wait, signals));
}

static bide_code open_relay(const struct bide_source_options *from, const struct bide_relay_end *to,
    const struct bide_relay_config *what, struct bide_relay_metrics *metrics, struct bide_relay **ret_relay,
    bide_error *error)
{
    struct bide_source *source;
    bide_code code = bide_source_create(from, &source, error);
    if (code != BIDE_OK)
        return code;
    const struct bide_relay_options options = {.name = what->name,
        .source = source,
        .adapter = to->broker.adapter,
        .target = &to->broker.options,
        .clock = from->clock,
        .metrics = metrics};
    return bide_relay_create(&options, ret_relay, error);
}

static bide_code carry(const struct bide_config *config, const struct bide_relay_config *what,
    struct bide_relay_metrics *metrics, int signals, uint64_t *ret_carried, bide_error *error)
{
    const struct bide_source_options from = source_options(config, what);
    struct bide_relay_end to;
    struct bide_relay *relay;
    bide_code code = bide_relay_end_open(config, what->to, &to, error);
    if (code != BIDE_OK)
        return code;
    to.broker.options.timeout_ms = TIMEOUT_MS;
    code = open_relay(&from, &to, what, metrics, &relay, error);
    if (code == BIDE_OK) {
        go_round(relay, signals);
        uint64_t carried = bide_relay_destroy(relay);
        if (ret_carried)
            *ret_carried = carried;
    }
    bide_relay_end_close(&to);
    return code;
}

bide_code bide_relay_run(const struct bide_config *config, const struct bide_relay_config *what,
    struct bide_relay_metrics *metrics, const sigset_t *stops, uint64_t *ret_carried, bide_error *error)
{
    prctl(PR_SET_NAME, "bide-relay", 0, 0, 0);
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, stops, NULL);
    int signals = signalfd(-1, stops, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signals < 0)
        return bide_fail(error, BIDE_E_NOMEM, "cannot wait for signals: %s", strerror(errno));
    if (metrics)
        bide_relay_metrics_begin(metrics, what->name);
    bide_code code = carry(config, what, metrics, signals, ret_carried, error);
    if (metrics)
        bide_relay_metrics_begin(metrics, what->name); /* the gauges */
    close(signals);
    return code;
}

bide_code bide_relay_look(const struct bide_config *config, const struct bide_relay_config *what,
    struct bide_source_depth *ret_depth, bide_error *error)
{
    const struct bide_source_options options = source_options(config, what);
    struct bide_source *source;
    bide_code code = bide_source_create(&options, &source, error);
    if (code != BIDE_OK)
        return code;
    code = source->ops->look(source, ret_depth, error);
    source->ops->destroy(source, NULL, 0);
    return code;
}
