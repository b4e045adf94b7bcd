/* bide top: the workers of this configuration on this host, as a screen that redraws itself. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "cli/core/live.h"
#include "cli/core/output.h"
#include "cli/top/top.h"

enum { EVERY_MS = 1000 };

/* The other screen, without cursor and line wrap; and back. */
#define ENTER "\033[?1049h\033[?25l\033[?7l"
#define LEAVE "\033[?7h\033[?25h\033[?1049l"

struct values {
    bool once;
};

static const struct bide_cli_option options[] = {
    {"once", BIDE_CLI_FLAG, offsetof(struct values, once),
        .help = "Prints one frame, whole, and ends; so does --json."},
    {0},
};

struct top {
    struct bide_cli_live live;
    const struct bide_clock *clock;
    json_t *frame;
    int64_t taken_us; /* monotonic */
};

/* ---- what is shown ---- */

static bide_code ask(struct top *top, size_t i, json_t *frame, double seconds, bide_error *error)
{
    struct bide_buffer answer;
    bide_buffer_init(&answer);
    bide_code code = bide_cli_live_get(&top->live, i, "/status", &answer, error);
    json_t *status = code == BIDE_OK ? json_loadb(answer.bytes, answer.size, 0, NULL) : NULL;
    if (status)
        bide_top_add(frame, status, top->frame, seconds);
    else if (code == BIDE_OK)
        code =
            bide_fail(error, BIDE_E_INTERNAL, "the worker at %s does not answer in JSON", top->live.paths[i]);
    json_decref(status);
    bide_buffer_release(&answer);
    return code;
}

/* BIDE_OK where at least one worker answers; the frame shows the errors of the others. */
static bide_code look(struct top *top, bide_error *error)
{
    int64_t now_us = bide_mono_us(top->clock);
    double seconds = (double)(now_us - top->taken_us) / 1e6;
    json_t *frame = bide_top_frame(bide_wall_ms(top->clock));
    bide_code all = bide_fail(error, BIDE_E_BROKER, "no worker runs any more");
    bide_cli_live_look(&top->live);
    for (size_t i = 0; i < top->live.n; i++) {
        bide_code code = ask(top, i, frame, seconds, error);
        if (code != BIDE_OK)
            bide_top_add_error(frame, error->text);
        all = all == BIDE_OK ? BIDE_OK : code;
    }
    if (top->live.n == 0)
        bide_top_add_error(frame, error->text);
    json_decref(top->frame);
    top->frame = frame;
    top->taken_us = now_us;
    return all;
}

/* ---- one frame ---- */

/* `rows`: as the window has, or without end. */
static struct bide_page page_of(struct bide_buffer *to, bool rows)
{
    struct bide_page page = {.to = to,
        .columns = BIDE_PAGE_ENDLESS,
        .rows = BIDE_PAGE_ENDLESS,
        .colour = bide_cli_colour(STDOUT_FILENO)};
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        return page;
    page.columns = size.ws_col ? size.ws_col : page.columns;
    page.rows = rows && size.ws_row ? size.ws_row : page.rows;
    return page;
}

static void print_frame(const json_t *frame)
{
    struct bide_buffer text;
    bide_buffer_init(&text);
    struct bide_page page = page_of(&text, false);
    bide_top_draw(frame, &page);
    fwrite(text.bytes, 1, text.size, stdout);
    bide_buffer_release(&text);
}

static void print_json(const json_t *frame)
{
    json_dumpf(frame, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
    fputc('\n', stdout);
}

/* Looks twice: rates are differences. */
static bide_code show_once(const struct bide_cli *cli, struct top *top, bide_error *error)
{
    poll(NULL, 0, EVERY_MS);
    bide_code code = look(top, error);
    if (code == BIDE_OK)
        (cli->json ? print_json : print_frame)(top->frame);
    return code;
}

/* ---- the screen ---- */

static struct termios before; /* here for the signal handler */
static bool has_keys;         /* standard input is a terminal: `before` is set */

static void tell(const char *text, size_t size)
{
    for (ssize_t n; size > 0; text += n, size -= (size_t)n)
        if ((n = write(STDOUT_FILENO, text, size)) < 0) {
            if (errno != EINTR)
                return; /* the terminal is gone: its hang-up ends us */
            n = 0;
        }
}

static void leave(void)
{
    tell(LEAVE, sizeof LEAVE - 1);
    if (has_keys)
        tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

static void on_end(int number)
{
    (void)number;
    leave();
    _exit(0);
}

static void on_resize(int number)
{
    (void)number; /* it has ended the wait: the screen is drawn again */
}

static void enter(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction end = {.sa_handler = on_end}, resize = {.sa_handler = on_resize};
    has_keys = tcgetattr(STDIN_FILENO, &before) == 0;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        sigaction(ends[i], &end, NULL);
    sigaction(SIGWINCH, &resize, NULL);
    if (has_keys) {
        struct termios keys = before;
        keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        keys.c_cc[VSUSP] = _POSIX_VDISABLE; /* no shell amid the other screen */
        tcsetattr(STDIN_FILENO, TCSANOW, &keys);
    }
    tell(ENTER, sizeof ENTER - 1);
}

/* Over what is there, so that nothing flickers. */
static void draw(const json_t *frame)
{
    struct bide_buffer text, screen;
    bide_buffer_init(&text);
    bide_buffer_init(&screen);
    struct bide_page page = page_of(&text, true);
    bide_top_draw(frame, &page);
    bide_buffer_text(&screen, "\033[H");
    for (const char *line = text.bytes, *end; (end = strchr(line, '\n')); line = end + 1) {
        /* Wiped first: behind a full line its last column would go too. */
        bide_buffer_text(&screen, end[1] ? "\033[K" : "\033[J");
        bide_buffer_add(&screen, line, (size_t)(end - line) + (end[1] != '\0'));
    }
    tell(screen.bytes, screen.size);
    bide_buffer_release(&screen);
    bide_buffer_release(&text);
}

/* Draws until the next look is due. False: 'q', or no keys will come any more. */
static bool stay(const struct top *top)
{
    int64_t due_us = top->taken_us + EVERY_MS * 1000, left_ms;
    draw(top->frame);
    while ((left_ms = (due_us - bide_mono_us(top->clock) + 999) / 1000) > 0) {
        struct pollfd keys = {.fd = has_keys ? STDIN_FILENO : -1, .events = POLLIN};
        char key;
        int n = poll(&keys, 1, (int)left_ms);
        if (n < 0)
            draw(top->frame);
        else if (n > 0 && (read(STDIN_FILENO, &key, 1) < 1 || key == 'q' || key == 'Q'))
            return false;
    }
    return true;
}

static void show(struct top *top)
{
    bide_error shown;
    enter();
    while (stay(top))
        look(top, &shown);
    leave();
}

static bide_code run(struct bide_cli *cli, void *given, bide_error *error)
{
    const struct values *values = given;
    struct top top = {.clock = bide_clock_system()};
    const char *term = getenv("TERM");
    bool screen = isatty(STDOUT_FILENO) && term && strcmp(term, "dumb") != 0;
    bide_code code = bide_cli_live_open(cli, &top.live, error);
    if (code != BIDE_OK)
        return code;
    code = look(&top, error);
    if (code == BIDE_OK && screen && !values->once && !cli->json)
        show(&top);
    else if (code == BIDE_OK)
        code = show_once(cli, &top, error);
    json_decref(top.frame);
    bide_cli_live_close(&top.live);
    return code;
}

const struct bide_cli_command bide_cli_top = {
    .name = "top",
    .usage = "[--once] [options]",
    .examples = "bide top\nbide top --json   # one look, for scripts",
    .summary = "Shows queues, handlers, programs and workers as they change.",
    .details = "Of all workers of the configuration that run on this host as this user, every second, until "
               "'q' or Ctrl-C.\nWhat does not fit the window is left out. Where standard output is no "
               "terminal, it is as with --once.\nRates are those of the last second; P50, P99 and LATE99 (99 "
               "of 100 delayed messages begin no later)\nthose since the worker's start. '-' is what is not "
               "known.",
    .options = options,
    .values_size = sizeof(struct values),
    .log_level = BIDE_LOG_WARN,
    .run = run,
};
