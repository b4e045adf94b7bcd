/* What a child process of the suite does:
 *   hold N   takes N deliveries of the first queue, says "holding", and keeps them until it is killed
 *   send N   says "ready"; for each line it is told, sends the message N, whose body is the monotonic time in
 *            us just before, and says "sent"
 *   delayed N  sends one message with a delay of N ms, and says "sent" */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "contract/cases.h"

enum { FOR_EVER_MS = 3600 * 1000 };

static bide_code hold(struct fixture *fixture, size_t n, bide_error *error)
{
    struct hand *hand = &fixture->hands[0];
    bide_code code = fixture->adapter->open_receiver(&fixture->options, &hand->receiver, error);
    if (code != BIDE_OK)
        return code;
    hand->receiver->ops->limit(hand->receiver, 0, n);
    bool told = false;
    struct deadline deadline = deadline_in_ms(FOR_EVER_MS);
    while (code == BIDE_OK) {
        code = hand_serve(hand, &deadline, error);
        if (code == BIDE_OK && hand->n >= n && !told) {
            puts("holding");
            told = true;
        }
    }
    return code;
}

static bide_code send_one(
    struct bide_sender *sender, const struct fixture *fixture, int64_t delay_ms, bide_error *error)
{
    struct bide_message *message = NULL;
    enum bide_sent result = BIDE_SENT_UNKNOWN;
    char now[32];
    snprintf(now, sizeof now, "%lld", (long long)bide_mono_us(bide_clock_system()));
    bide_code code = bide_message_create("job", &message, error);
    if (code == BIDE_OK)
        code = bide_message_set_body(message, now, strlen(now), error);
    if (code == BIDE_OK)
        code = bide_message_set_delay_ms(message, delay_ms, error);
    if (code == BIDE_OK)
        code = bide_message_stamp(message, fixture->queues[0], bide_clock_system(), error);
    if (code == BIDE_OK)
        code = bide_sender_send(sender, &message, 1, &result, error);
    bide_message_destroy(message);
    return code;
}

static bide_code send_when_told(struct fixture *fixture, size_t n, bide_error *error)
{
    char line[64];
    (void)n;
    bide_code code = fixture->adapter->open_sender(&fixture->options, &fixture->sender, error);
    if (code == BIDE_OK)
        puts("ready");
    while (code == BIDE_OK && fgets(line, sizeof line, stdin)) {
        code = send_one(fixture->sender, fixture, 0, error);
        if (code == BIDE_OK)
            puts("sent");
    }
    return code;
}

static bide_code send_delayed(struct fixture *fixture, size_t n, bide_error *error)
{
    bide_code code = fixture->adapter->open_sender(&fixture->options, &fixture->sender, error);
    if (code == BIDE_OK)
        code = send_one(fixture->sender, fixture, (int64_t)n, error);
    if (code == BIDE_OK)
        puts("sent");
    return code;
}

static const struct {
    const char *name;
    bide_code (*play)(struct fixture *fixture, size_t n, bide_error *error);
} roles[] = {{"hold", hold}, {"send", send_when_told}, {"delayed", send_delayed}};

/* --child ROLE N URL NAMESPACE ALPHA BETA */
int play_role(int argc, char **argv)
{
    struct fixture fixture;
    bide_error error = {.text = "no such role"};
    bide_code code = BIDE_E_USAGE;
    if (argc != 8)
        return bide_code_exit(code);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    struct broker_settings settings = {.url = argv[4]};
    const char *queues[] = {argv[6], argv[7]};
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (strcmp(argv[2], roles[i].name) == 0) {
            code = fixture_adopt(&fixture, &settings, argv[5], queues, &error);
            if (code == BIDE_OK)
                code = roles[i].play(&fixture, (size_t)strtoul(argv[3], NULL, 10), &error);
            fixture_clear(&fixture);
        }
    if (code != BIDE_OK)
        fprintf(stderr, "child %s: %s\n", argv[2], error.text);
    return bide_code_exit(code);
}
