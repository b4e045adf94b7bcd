#include "worker/on_dead.h"

#include "base/alloc.h"
#include "base/json.h"
#include "broker/report.h"
#include "message/trace.h"

static void write_letter(
    struct bide_buffer *to, const struct bide_settlement *settlement, int64_t now_ms, bool whole)
{
    struct bide_message died = *settlement->delivery->message; /* its strings are only looked at */
    const struct bide_dead_letter letter = {&died, settlement->reason, now_ms};
    died.attempt = settlement->attempt;
    if (settlement->error)
        died.error = settlement->error;
    if (settlement->failures)
        died.failures = settlement->failures;
    bide_buffer_clear(to);
    bide_buffer_char(to, '{');
    if (whole) {
        bide_report_dead_whole(to, &letter);
    } else {
        bide_report_dead(to, &letter);
        bide_json_int(to, "body_left_out", (int64_t)died.body_size);
    }
    bide_buffer_char(to, '}');
}

/* As JSON the body may become larger than a message may be: then it is left out. */
static bide_code set_body(const struct bide_config *config, const struct bide_clock *clock,
    const struct bide_settlement *settlement, struct bide_message *to, bide_error *error)
{
    struct bide_buffer text;
    int64_t now_ms = bide_wall_ms(clock);
    bide_buffer_init(&text);
    write_letter(&text, settlement, now_ms, true);
    if (text.size > (size_t)config->worker.max_body)
        write_letter(&text, settlement, now_ms, false);
    bide_code code = text.failed ? bide_fail(error, BIDE_E_NOMEM, "out of memory")
                                 : bide_message_set_body(to, text.bytes, text.size, error);
    bide_buffer_release(&text);
    return code;
}

static bide_code fill_in(const struct bide_config *config, const struct bide_clock *clock,
    const struct bide_settlement *settlement, struct bide_message *to, bide_error *error)
{
    const struct bide_message *died = settlement->delivery->message;
    const char *address = bide_config_address(config, to->type);
    bide_code code = bide_message_set_header(to, BIDE_ON_DEAD_HEADER, died->id, error);
    if (code == BIDE_OK)
        code = bide_message_set_content_type(to, "application/json", error);
    if (code == BIDE_OK)
        code = set_body(config, clock, settlement, to, error);
    bide_trace_pass_on(died, to);
    if (code == BIDE_OK)
        code = bide_message_stamp(to, address ? address : died->queue, clock, error);
    return code;
}

static bide_code make(const struct bide_config *config, const struct bide_clock *clock, const char *type,
    const struct bide_settlement *settlement, struct bide_message **ret_message, bide_error *error)
{
    bide_code code = bide_message_create(type, ret_message, error);
    if (code != BIDE_OK)
        return code;
    code = fill_in(config, clock, settlement, *ret_message, error);
    if (code != BIDE_OK)
        bide_message_destroy(*ret_message);
    return code;
}

void bide_tell_of_death(const struct bide_config *config, const struct bide_clock *clock,
    const struct bide_handler *handler, struct bide_settlement *settlement)
{
    const struct bide_message *died = settlement->delivery->message;
    const char *type = handler->config->on_dead;
    bide_error error = {0};
    if (!type || bide_message_header(died, BIDE_ON_DEAD_HEADER))
        return;
    size_t n = settlement->n_sends;
    struct bide_message **sends = bide_realloc(settlement->sends, (n + 1) * sizeof *sends);
    settlement->sends = sends ? sends : settlement->sends;
    bide_code code = sends ? make(config, clock, type, settlement, &sends[n], &error)
                           : bide_fail(&error, BIDE_E_NOMEM, "out of memory");
    if (code == BIDE_OK) {
        settlement->n_sends++;
        return;
    }
    bide_log(BIDE_LOG_ERROR, "the message that tells of a dead letter cannot be made",
        BIDE_STR("id", died->id), BIDE_STR("on_dead", type), BIDE_STR("error", error.text));
}
