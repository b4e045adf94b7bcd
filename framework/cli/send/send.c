/* bide send: one message. */
#include "cli/send/send.h"

#include <stdio.h>
#include <string.h>

#include "cli/core/session.h"
#include "producer/configured.h"
#include "producer/unserved.h"

struct values {
    bool lines, strict;
    int64_t delay_ms, at_ms, expires_ms, unique_for_ms, max_wait_ms;
    const char *queue, *topic, *id, *content_type, *unique, *on_conflict;
    struct bide_cli_list headers;
};

#define AT(member) .offset = offsetof(struct values, member)

static const struct bide_cli_option options[] = {
    {"delay", BIDE_CLI_DURATION, AT(delay_ms), .value = "DURATION",
        .help = "Run it after so long: 250ms, 1.5s, 10m, 1h30m, 7d; at most 3650d."},
    {"at", BIDE_CLI_INSTANT, AT(at_ms), .value = "TIME",
        .help = "Run it at an instant: 2026-12-24T18:00:00Z or with an offset such as +01:00; a past one "
                "means at once."},
    {"queue", BIDE_CLI_TEXT, AT(queue), .value = "QUEUE",
        .help = "Default: the queue of the type's handler in the configuration, else `default`."},
    {"topic", BIDE_CLI_TEXT, AT(topic), .value = "TOPIC",
        .help = "Instead of a queue: each subscription of the topic gets a copy."},
    {"id", BIDE_CLI_TEXT, AT(id), .value = "ID", .help = "At most 255 bytes (default: a new one)."},
    {"header", BIDE_CLI_LIST, AT(headers), .value = "NAME=VALUE",
        .help = "A header; may be given several times."},
    {"content-type", BIDE_CLI_TEXT, AT(content_type), .value = "TYPE",
        .help = "What the body is, such as application/json."},
    {"expires", BIDE_CLI_DURATION, AT(expires_ms), .value = "DURATION",
        .help = "Drop it if it has not begun to run so long after it was due (default: never)."},
    {"unique", BIDE_CLI_TEXT, AT(unique), .value = "KEY",
        .help = "At most one message with this key waits or runs: while one does, this one is a duplicate."},
    {"unique-for", BIDE_CLI_DURATION, AT(unique_for_ms), .value = "DURATION",
        .help =
            "The key is taken for so long from sending, whatever happens (default: until the message ends)."},
    {"on-conflict", BIDE_CLI_TEXT, AT(on_conflict), .value = "WHAT",
        .help =
            "What happens to a message that waits with this key: `skip` (default) leaves it alone; `replace` "
            "sends this one in its place; `extend` gives it the due time of this one, if that is later."},
    {"max-wait", BIDE_CLI_DURATION, AT(max_wait_ms), .value = "DURATION",
        .help = "Replacing and extending never push a message further than so long after the first one was "
                "sent."},
    {"lines", BIDE_CLI_FLAG, AT(lines),
        .help = "Read one JSON object a line from standard input, and send them all."},
    {"strict", BIDE_CLI_FLAG, AT(strict),
        .help = "Refuse what no worker of the configuration would run (else: a warning). With --lines: send "
                "nothing "
                "unless all lines are good."},
    {0},
};

/* ---- the message ---- */

/* What an option gave was bad: usage, with the option's name in front. */
static bide_code bad_option(bide_code code, const char *option, bide_error *error)
{
    if (code != BIDE_E_DATA)
        return code;
    bide_fail_within(error, "%s", option);
    error->code = BIDE_E_USAGE;
    return BIDE_E_USAGE;
}

static bide_code set_texts(bide_message *message, const struct values *values, bide_error *error)
{
    const struct {
        const char *option, *value;
        bide_code (*set)(bide_message *message, const char *value, bide_error *error);
    } rows[] = {
        {"--queue", values->queue, bide_message_set_queue},
        {"--topic", values->topic, bide_message_set_topic},
        {"--id", values->id, bide_message_set_id},
        {"--content-type", values->content_type, bide_message_set_content_type},
        {"--unique", values->unique, bide_message_set_unique},
        {"--on-conflict", values->on_conflict, bide_message_set_on_conflict_named},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bide_code code = rows[i].value ? rows[i].set(message, rows[i].value, error) : BIDE_OK;
        if (code != BIDE_OK)
            return bad_option(code, rows[i].option, error);
    }
    return BIDE_OK;
}

static bide_code set_header(bide_message *message, const char *given, bide_error *error)
{
    char name[256];
    const char *equals = strchr(given, '=');
    size_t size = equals ? (size_t)(equals - given) : 0;
    if (size == 0 || size >= sizeof name)
        return bide_fail(error, BIDE_E_USAGE, "--header: '%.60s' is not NAME=VALUE", given);
    memcpy(name, given, size);
    name[size] = '\0';
    return bad_option(bide_message_set_header(message, name, equals + 1, error), "--header", error);
}

static bide_code set_times(bide_message *message, const struct values *values, bide_error *error)
{
    bide_code code = BIDE_OK;
    if (values->delay_ms != BIDE_CLI_UNSET)
        code = bide_message_set_delay_ms(message, values->delay_ms, error);
    else if (values->at_ms != BIDE_CLI_UNSET)
        code = bide_message_set_due_ms(message, values->at_ms > 0 ? values->at_ms : 1, error);
    if (code == BIDE_OK && values->expires_ms != BIDE_CLI_UNSET)
        code = bide_message_set_expires_after_ms(message, values->expires_ms, error);
    if (code == BIDE_OK && values->unique_for_ms != BIDE_CLI_UNSET)
        code = bide_message_set_unique_for_ms(message, values->unique_for_ms, error);
    if (code == BIDE_OK && values->max_wait_ms != BIDE_CLI_UNSET)
        code = bide_message_set_max_wait_ms(message, values->max_wait_ms, error);
    return code;
}

static bide_code fill(
    bide_message *message, const struct values *values, const struct bide_config *config, bide_error *error)
{
    const char *address = bide_config_address(config, bide_message_type(message));
    bide_code code = address ? bide_message_set_queue(message, address, error) : BIDE_OK;
    if (code == BIDE_OK)
        code = set_texts(message, values, error);
    for (size_t i = 0; i < values->headers.n && code == BIDE_OK; i++)
        code = set_header(message, values->headers.items[i], error);
    return code == BIDE_OK ? set_times(message, values, error) : code;
}

static bide_code build(const struct bide_cli *cli, const struct values *values,
    const struct bide_config *config, bide_message **ret_message, bide_error *error)
{
    struct bide_buffer body;
    bide_message *message;
    bide_code code = bad_option(bide_message_create(cli->arguments.items[0], &message, error), "TYPE", error);
    if (code != BIDE_OK)
        return code;
    bide_buffer_init(&body);
    code = fill(message, values, config, error);
    if (code == BIDE_OK && cli->arguments.n > 1)
        code = bide_cli_read_body(cli->arguments.items[1], (size_t)config->worker.max_body, &body, error);
    if (code == BIDE_OK)
        code = bide_message_set_body(message, body.bytes, body.size, error);
    bide_buffer_release(&body);
    if (code == BIDE_OK)
        *ret_message = message;
    else
        bide_message_destroy(message);
    return code;
}

/* A mistyped name is seen now, not as a dead letter in the morning. */
static bide_code judge_service(const struct values *values, const struct bide_config *config,
    const bide_message *message, bide_error *error)
{
    char text[BIDE_UNSERVED_TEXT];
    if (!bide_is_unserved(config, bide_message_type(message), bide_message_queue(message), text))
        return BIDE_OK;
    if (values->strict)
        return bide_fail(error, BIDE_E_DATA, "%s; nothing was sent (--strict)", text);
    fprintf(stderr, "bide send: warning: %s\n", text);
    return BIDE_OK;
}

static bide_code send_one(const struct bide_cli *cli, const struct values *values,
    const struct bide_config *config, bide_error *error)
{
    bide_message *message;
    bide_producer *producer;
    bide_code code = build(cli, values, config, &message, error);
    if (code != BIDE_OK)
        return code;
    code = judge_service(values, config, message, error);
    if (code == BIDE_OK)
        code = bide_producer_open_configured(config, &producer, error);
    if (code == BIDE_OK) {
        code = bide_producer_send(producer, message, error);
        bide_producer_close(producer);
    }
    if (code == BIDE_OK)
        bide_cli_print_sent(cli, message);
    bide_message_destroy(message);
    return code;
}

/* ---- the command ---- */

static bide_code check_usage(const struct bide_cli *cli, const struct values *values, bide_error *error)
{
    bool one = values->delay_ms != BIDE_CLI_UNSET || values->at_ms != BIDE_CLI_UNSET || values->queue ||
               values->topic || values->expires_ms != BIDE_CLI_UNSET || values->id || values->content_type ||
               values->headers.n || cli->arguments.n || values->unique;
    if (values->lines && one)
        return bide_fail(error, BIDE_E_USAGE,
            "with --lines the lines say what to send: give no TYPE and no option of "
            "a single message");
    if (!values->lines && cli->arguments.n == 0)
        return bide_fail(
            error, BIDE_E_USAGE, "something is missing: bide send TYPE [BODY], or bide send --lines");
    if (!values->unique && (values->on_conflict || values->unique_for_ms != BIDE_CLI_UNSET ||
                               values->max_wait_ms != BIDE_CLI_UNSET))
        return bide_fail(error, BIDE_E_USAGE,
            "--unique-for, --on-conflict and --max-wait have no meaning without --unique");
    if (values->queue && values->topic)
        return bide_fail(error, BIDE_E_USAGE, "--queue and --topic: give one of them");
    if (values->delay_ms != BIDE_CLI_UNSET && values->at_ms != BIDE_CLI_UNSET)
        return bide_fail(error, BIDE_E_USAGE, "--delay and --at: give one of them");
    return BIDE_OK;
}

static bide_code run(struct bide_cli *cli, void *given, bide_error *error)
{
    const struct values *values = given;
    struct bide_config *config;
    bide_code code = check_usage(cli, values, error);
    if (code == BIDE_OK)
        code = bide_cli_load(cli, &config, error);
    if (code != BIDE_OK)
        return code;
    if (values->lines)
        code = bide_cli_send_lines(cli, config, values->strict, error);
    else
        code = send_one(cli, values, config, error);
    bide_config_destroy(config);
    return code;
}

const struct bide_cli_command bide_cli_send = {
    .name = "send",
    .usage = "TYPE [BODY] [--strict] [options]\n--lines [--strict] [options]",
    .examples = "bide send mail '{\"to\":\"ann@example.org\"}'\nbide send mail @letter.json --delay 1h30m "
                "--id order-42\nbide send report --at 2026-12-24T18:00:00Z --expires 1d\nbide send --lines "
                "--strict < orders.ndjson\nbide send report --delay 10m --unique report:7 --on-conflict "
                "replace --max-wait 30m\nbide send line @access.log --topic logs",
    .summary = "Sends a message, or one for each line of JSON.",
    .details =
        "BODY is text, @FILE, or - for standard input. Prints the id once the broker has confirmed "
        "the message. With --unique, a duplicate is not sent: the id is that of the message that has the "
        "key, standard error says `duplicate`, and the exit status is 0.\n\n"
        "With --lines, each line of standard input is an object; ids are printed in its order:\n"
        "  {\"type\":\"probe\",\"body\":{…} or \"text\" or \"body_base64\":\"…\",\"delay\":\"1.5s\" "
        "or \"at\":\"…\",\n"
        "   \"queue\":\"…\" or "
        "\"topic\":\"…\",\"id\":\"…\",\"headers\":{…},\"expires\":\"…\",\"content_type\":\"…\",\n"
        "   \"unique\":\"…\",\"unique_for\":\"1h\",\"on_conflict\":\"replace\",\"max_wait\":\"30m\"}\n"
        "A bad line is reported with its number, the good ones are sent, and the exit status is 65.",
    .options = options,
    .values_size = sizeof(struct values),
    .max_arguments = 2,
    .log_level = BIDE_LOG_WARN,
    .run = run,
};
