/* bide dev: a worker for one program that is being written.
 *
 * It asks the program for its types, in a process that starts it once, writes a configuration for them
 * (cli/dev/draft.h) and runs `bide worker` with it in a child. When a source file changes it asks again, then
 * has the worker reload: what runs is finished by the code it began with. A program that does not start ends
 * nothing: the next change starts it again. */
#include "cli/dev/dev.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "bide/log.h"
#include "config/config.h"

enum { SETTLE_MS = 100 }; /* a file that is written twice, files that change together: one restart */

static int64_t now_ms(void)
{
    return bide_mono_ms(bide_clock_system());
}

/* ---- what people see ---- */

/* What a program prints is a line of its own; the rest as any worker logs it. */
static void show(void *user, bide_log_level level, const char *text, const bide_log_field *fields)
{
    const bide_log_field *printed = strcmp(text, "program printed") == 0 ? fields : NULL;
    while (printed && printed->kind != BIDE_LOG_END && strcmp(printed->name, "text") != 0)
        printed++;
    if (printed && printed->kind == BIDE_LOG_STR && printed->str)
        bide_log_to_standard_error(user, level, printed->str, NULL);
    else
        bide_log_to_standard_error(user, level, text, fields);
}

static void introduce(struct bide_dev *dev, const json_t *types)
{
    const char *first = json_string_value(json_array_get(types, 0));
    if (dev->introduced)
        return;
    dev->introduced = true;
    fprintf(stderr,
        "\n  In another terminal, in this folder:  bide send %s '{}'    bide status    bide dead list\n"
        "  In another folder:                    bide send -c %s …\n"
        "  From a program, by the SDK:           BIDE_URL=unix:%s\n",
        first ? first : "TYPE", dev->home.config, dev->draft.send_socket);
    if (*dev->draft.listen)
        fprintf(stderr, "  Dashboard:                            http://%s/\n", dev->draft.listen);
    if (access("bide.conf", F_OK) == 0)
        fprintf(stderr,
            "  Commands in this folder use its bide.conf, not this worker: give them the -c above.\n");
    fprintf(stderr, "  Ctrl-C ends it; its messages are gone then.\n\n");
}

static void wait_for_change(const char *why)
{
    bide_log(BIDE_LOG_INFO, "waiting for a change of a source file", BIDE_STR("why", why));
}

/* ---- events ---- */

/* Writes the configuration, and reads it as the worker will. */
static bide_code write_draft(struct bide_dev *dev, const json_t *types, bide_error *error)
{
    struct bide_config *config = NULL;
    bide_code code = bide_draft_write(&dev->draft, types, error);
    if (code == BIDE_OK)
        code = bide_config_load(dev->home.config, &config, error);
    bide_config_destroy(config);
    return code;
}

static bide_code serve(struct bide_dev *dev, const json_t *types, bide_error *error)
{
    if (!dev->worker)
        bide_draft_init(&dev->draft, &dev->home, dev->cli->arguments.items);
    bide_code code = write_draft(dev, types, error);
    if (code == BIDE_E_CONFIG) { /* a type that is no name, or announced twice */
        bide_cli_print_error(dev->cli, error);
        wait_for_change("its types are refused");
        return write_draft(dev, NULL, error);
    }
    if (code != BIDE_OK)
        return code;
    introduce(dev, types);
    if (!dev->worker)
        return bide_dev_start_worker(dev, error);
    kill(dev->worker, SIGHUP);
    return BIDE_OK;
}

static bide_code take_answer(struct bide_dev *dev, bide_error *error)
{
    char bytes[4096];
    ssize_t got = read(dev->answer, bytes, sizeof bytes);
    if (got > 0)
        bide_buffer_add(&dev->types, bytes, (size_t)got);
    if (got > 0 || (got < 0 && errno == EINTR))
        return BIDE_OK;
    bide_dev_stop_asking(dev);
    json_t *types = json_loadb(dev->types.bytes, dev->types.size, 0, NULL);
    bide_code code = BIDE_OK;
    if (json_array_size(types) > 0)
        code = serve(dev, types, error);
    else
        wait_for_change(types         ? "the program announces no types"
                        : dev->worker ? "the program does not start: what it was before goes on"
                                      : "the program does not start");
    json_decref(types);
    return code;
}

static void take_end(struct bide_dev *dev)
{
    if (!dev->worker || waitpid(dev->worker, NULL, WNOHANG) != dev->worker)
        return;
    dev->worker = 0;
    if (!dev->stops)
        wait_for_change("the worker has ended");
}

/* A terminal sends its signals to every process of the group, but SIGHUP, when it is closed, only to the
 * leader of the session. That, and what somebody else sends, is passed on. */
static void take_signal(struct bide_dev *dev)
{
    struct signalfd_siginfo info;
    if (read(dev->signals, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    if (info.ssi_signo == SIGCHLD) {
        take_end(dev);
        return;
    }
    dev->stops = true;
    dev->ask_ms = 0;
    bide_dev_stop_asking(dev);
    if (dev->worker && (info.ssi_signo == SIGHUP || info.ssi_code != SI_KERNEL))
        kill(dev->worker, SIGTERM);
}

static void take_change(struct bide_dev *dev)
{
    if (!bide_dev_watch_read(&dev->watch) || dev->stops)
        return;
    if (dev->ask_ms == 0)
        bide_log(BIDE_LOG_INFO, "a source file has changed", BIDE_STR("file", dev->watch.changed));
    dev->ask_ms = now_ms() + SETTLE_MS;
}

static bide_code step(struct bide_dev *dev, bide_error *error)
{
    struct pollfd fds[] = {{dev->signals, POLLIN, 0}, {dev->watch.fd, POLLIN, 0}, {dev->answer, POLLIN, 0}};
    int64_t wait_ms = dev->ask_ms ? dev->ask_ms - now_ms() : -1;
    poll(fds, 3, dev->ask_ms && wait_ms < 0 ? 0 : (int)wait_ms);
    bide_code code = fds[2].revents ? take_answer(dev, error) : BIDE_OK;
    if (fds[1].revents)
        take_change(dev);
    if (fds[0].revents)
        take_signal(dev);
    if (code == BIDE_OK && dev->ask_ms && now_ms() >= dev->ask_ms)
        code = bide_dev_ask(dev, error);
    return code;
}

/* ---- the command ---- */

/* Blocked from here on, so that all of them come by the descriptor; the worker's supervisor waits for them,
 * too. */
static bide_code take_signals(struct bide_dev *dev, bide_error *error)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    dev->signals = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    return dev->signals >= 0
               ? BIDE_OK
               : bide_fail(error, BIDE_E_INTERNAL, "cannot wait for signals: %s", strerror(errno));
}

static bide_code work(struct bide_dev *dev, bide_error *error)
{
    bide_draft_init(&dev->draft, &dev->home, dev->cli->arguments.items);
    bide_code code = write_draft(dev, NULL, error); /* other commands may send from here on */
    if (code == BIDE_OK)
        code = take_signals(dev, error);
    if (code != BIDE_OK)
        return code;
    bide_dev_watch_open(&dev->watch, dev->cli->arguments.items);
    code = bide_dev_ask(dev, error);
    while (code == BIDE_OK && !(dev->stops && !dev->worker))
        code = step(dev, error);
    bide_dev_stop_asking(dev);
    if (dev->worker) {
        kill(dev->worker, SIGTERM);
        waitpid(dev->worker, NULL, 0);
    }
    return code;
}

static bide_code run(struct bide_cli *cli, void *values, bide_error *error)
{
    struct bide_dev dev = {.cli = cli, .answer = -1};
    (void)values;
    if (cli->config_path || cli->broker)
        return bide_fail(error, BIDE_E_USAGE,
            "it makes a configuration and a broker of its own: without -c and --broker. For yours there is "
            "`bide worker`");
    unsetenv("BIDE_BROKER");
    bide_code code = bide_home_open(&dev.home, error);
    if (code != BIDE_OK)
        return code;
    if (isatty(STDERR_FILENO))
        bide_log_set_sink(show, NULL);
    bide_buffer_init(&dev.types);
    code = work(&dev, error);
    bide_buffer_release(&dev.types);
    bide_home_remove(&dev.home);
    return code;
}

const struct bide_cli_command bide_cli_dev = {
    .name = "dev",
    .usage = "[options] -- COMMAND [ARGUMENT…]",
    .examples = "bide dev -- python3 tasks.py\nbide dev -- node tasks.mjs",
    .summary = "Development: runs a program with a broker of its own, again after each change.",
    .details =
        "COMMAND is a program that handles messages: docs/program-protocol.md, the SDKs for Python and "
        "Node.\n"
        "All types that it announces are served, with the defaults of docs/configuration.md. It gets the\n"
        "environment of this command, but for what begins with BIDE_.\n"
        "The broker is a SQLite file in a folder that is removed at the end (SIGINT, SIGTERM). Other "
        "commands\n"
        "of the same user in the same working directory use it, unless there is a ./bide.conf. The address "
        "of\n"
        "the dashboard is printed.\n"
        "When a source file in the working directory or below it changes, the program is started again. "
        "What\n"
        "runs is finished by the code it began with. Not watched: hidden folders, node_modules, vendor,\n"
        "__pycache__, virtual environments.",
    .min_arguments = 1,
    .max_arguments = SIZE_MAX,
    .log_level = BIDE_LOG_DEBUG,
    .run = run,
};
