/* The processes that `bide dev` forks. They end with it, however it ends. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/dev/dev.h"
#include "dispatch/program/host.h"

static pid_t fork_child(int signal_at_end)
{
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, signal_at_end);
        if (getppid() != parent)
            _exit(1);
    }
    return child;
}

/* In the child. What the program prints as it starts, its worker shows, too: here complaints are enough. */
static bide_code tell_types(const struct bide_dev *dev, int answer, bide_error *error)
{
    struct bide_config *config;
    struct bide_programs *programs;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    bide_log_set_level(BIDE_LOG_WARN);
    bide_code code = bide_config_load(dev->home.config, &config, error);
    if (code != BIDE_OK)
        bide_cli_print_error(dev->cli, error);
    else
        code = bide_programs_start(config, bide_clock_system(), &programs, error); /* it logs why not */
    if (code != BIDE_OK)
        return code;
    bide_programs_stop(programs);
    return json_dumpfd(programs->rows[0].types, answer, 0) == 0 ? BIDE_OK : BIDE_E_INTERNAL;
}

void bide_dev_stop_asking(struct bide_dev *dev)
{
    if (!dev->asked)
        return;
    kill(dev->asked, SIGKILL); /* its program goes with it */
    waitpid(dev->asked, NULL, 0);
    close(dev->answer);
    dev->asked = 0;
    dev->answer = -1;
}

bide_code bide_dev_ask(struct bide_dev *dev, bide_error *error)
{
    int ends[2];
    bide_dev_stop_asking(dev);
    dev->ask_ms = 0;
    bide_buffer_clear(&dev->types);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return bide_fail(error, BIDE_E_INTERNAL, "cannot make a pipe: %s", strerror(errno));
    pid_t child = fork_child(SIGKILL);
    if (child == 0)
        _exit(bide_code_exit(tell_types(dev, ends[1], error)));
    close(ends[1]);
    if (child < 0) {
        close(ends[0]);
        return bide_fail(error, BIDE_E_INTERNAL, "cannot start a process: %s", strerror(errno));
    }
    dev->asked = child;
    dev->answer = ends[0];
    return BIDE_OK;
}

/* In the child. The lock on the home stays open in all processes. */
static int run_worker(const struct bide_dev *dev)
{
    struct bide_cli cli = {
        .command = &bide_cli_worker, .config_path = dev->home.config, .log_level = dev->cli->log_level};
    void *values = bide_calloc(1, bide_cli_worker.values_size);
    const struct bide_cli_values own = {bide_cli_worker.options, values};
    bide_error error = {0};
    close(dev->signals);
    if (dev->watch.fd >= 0)
        close(dev->watch.fd);
    bide_code code =
        values ? bide_cli_values_init(&own, &error) : bide_fail(&error, BIDE_E_NOMEM, "out of memory");
    if (code == BIDE_OK)
        code = bide_cli_worker.run(&cli, values, &error);
    if (code != BIDE_OK)
        bide_cli_print_error(&cli, &error);
    return code == BIDE_OK ? cli.status : bide_code_exit(code);
}

bide_code bide_dev_start_worker(struct bide_dev *dev, bide_error *error)
{
    dev->worker = fork_child(SIGTERM);
    if (dev->worker == 0)
        _exit(run_worker(dev));
    if (dev->worker > 0)
        return BIDE_OK;
    dev->worker = 0;
    return bide_fail(error, BIDE_E_INTERNAL, "cannot start a process: %s", strerror(errno));
}
