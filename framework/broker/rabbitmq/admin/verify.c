#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "broker/rabbitmq/admin/admin.h"
#include "broker/rabbitmq/fault.h"
#include "broker/rabbitmq/old_ladder.h"
#include "broker/rabbitmq/topology.h"

enum { TEXT_SIZE = 700, OLDEST_MAJOR = 3, OLDEST_MINOR = 10 };

struct report {
    struct bide_rmq_admin *admin;
    bide_finding_sink *sink;
    void *user;
    bool *missing; /* by row of the topology */
    size_t n_missing, n_different;
    bool has_refusal; /* the remedy was told: one permission is enough for all rows */
};

static void tell(struct report *report, enum bide_severity severity, const char *subject, const char *text,
    const char *remedy)
{
    struct bide_finding finding = {severity, subject, text, remedy};
    report->sink(report->user, &finding);
}

/* Writes the command that gives this user permission for this vhost. */
static void give_permission(const struct report *report, const char *why, char to[TEXT_SIZE])
{
    const struct bide_rmq_settings *settings = report->admin->settings;
    snprintf(to, TEXT_SIZE, "%s: rabbitmqctl set_permissions -p '%s' '%s' '.*' '.*' '.*'", why,
        settings->vhost, settings->user);
}

/* ---- the broker ---- */

static void check_version(struct report *report)
{
    const amqp_table_t *properties = amqp_get_server_properties(report->admin->link.amqp);
    char version[64] = "unknown";
    for (int i = 0; properties && i < properties->num_entries; i++) {
        const amqp_table_entry_t *entry = &properties->entries[i];
        if (bide_rmq_bytes_are(entry->key, "version") && entry->value.kind == AMQP_FIELD_KIND_UTF8)
            snprintf(version, sizeof version, "%.*s", (int)entry->value.value.bytes.len,
                (const char *)entry->value.value.bytes.bytes);
    }
    char text[128];
    char *rest = NULL;
    long major = strtol(version, &rest, 10), minor = *rest == '.' ? strtol(rest + 1, NULL, 10) : 0;
    bool is_old = major < OLDEST_MAJOR || (major == OLDEST_MAJOR && minor < OLDEST_MINOR);
    snprintf(text, sizeof text, "version %s", version);
    tell(report, is_old ? BIDE_FINDING_ERROR : BIDE_FINDING_OK, "broker", text,
        is_old ? "holding queues need at-least-once dead-lettering: upgrade to RabbitMQ 3.10 or newer"
               : NULL);
}

enum answer { NO_ANSWER, RETURNED, ALARM, REFUSED };

/* Publishes a message without a queue. The broker returns it at once, unless it has an alarm, which it
 * reports. */
static enum answer publish_to_nowhere(struct bide_rmq_link *link)
{
    struct timeval patience = bide_rmq_timeval(2000);
    amqp_basic_properties_t properties = {0};
    amqp_frame_t frame = {0};
    amqp_basic_publish(link->amqp, BIDE_RMQ_QUESTIONS, amqp_empty_bytes, bide_rmq_text("bide check: nowhere"),
        1, 0, &properties, amqp_empty_bytes);
    while (amqp_simple_wait_frame_noblock(link->amqp, &frame, &patience) == AMQP_STATUS_OK) {
        if (frame.frame_type == AMQP_FRAME_HEADER)
            return RETURNED;
        if (frame.frame_type != AMQP_FRAME_METHOD)
            continue;
        if (frame.payload.method.id == AMQP_CONNECTION_BLOCKED_METHOD)
            return ALARM;
        if (frame.payload.method.id == AMQP_CHANNEL_CLOSE_METHOD)
            return REFUSED;
    }
    return NO_ANSWER;
}

static void check_publishing(struct report *report)
{
    static const char see_alarms[] = "see 'rabbitmqctl status' and 'rabbitmq-diagnostics alarms'";
    static const char refused[] =
        "the user may not write to the default exchange (amq.default), which carries dead letters";
    static const struct {
        enum bide_severity severity;
        const char *subject, *text, *remedy;
    } rows[] = {
        [NO_ANSWER] = {BIDE_FINDING_ERROR, "alarms", "the broker did not answer a message", see_alarms},
        [RETURNED] = {BIDE_FINDING_OK, "alarms", "the broker takes messages", NULL},
        [ALARM] = {BIDE_FINDING_ERROR, "alarms",
            "the broker has an alarm (memory or disk) and takes no messages", see_alarms},
        [REFUSED] = {BIDE_FINDING_ERROR, "permissions", refused, NULL},
    };
    char remedy[TEXT_SIZE];
    enum answer answer = publish_to_nowhere(&report->admin->link);
    give_permission(report, "the right to write must match amq.default, too", remedy);
    tell(report, rows[answer].severity, rows[answer].subject, rows[answer].text,
        answer == REFUSED ? remedy : rows[answer].remedy);
    if (answer != RETURNED)
        bide_rmq_link_drop(&report->admin->link);
}

/* ---- exchanges and queues ---- */

static amqp_rpc_reply_t declare_passive(struct bide_rmq_link *link, const struct bide_rmq_row *row)
{
    if (row->kind == BIDE_RMQ_EXCHANGE)
        amqp_exchange_declare(link->amqp, BIDE_RMQ_QUESTIONS, bide_rmq_text(row->name),
            bide_rmq_text(row->type), 1, 1, 0, 0, amqp_empty_table);
    else
        amqp_queue_declare(
            link->amqp, BIDE_RMQ_QUESTIONS, bide_rmq_text(row->name), 1, 1, 0, 0, amqp_empty_table);
    return amqp_get_rpc_reply(link->amqp);
}

static const struct {
    const char *one, *many;
} kind_names[] = {
    [BIDE_RMQ_EXCHANGE] = {"exchange", "exchanges"},
    [BIDE_RMQ_QUEUE] = {"queue", "queues"},
};

static void name_row(const struct bide_rmq_row *row, char to[TEXT_SIZE])
{
    snprintf(to, TEXT_SIZE, "%s %s", kind_names[row->kind].one, row->name);
}

static void tell_difference(
    struct report *report, const struct bide_rmq_row *row, const amqp_channel_close_t *close)
{
    char subject[TEXT_SIZE], text[TEXT_SIZE], remedy[TEXT_SIZE];
    bool is_refusal = close->reply_code == AMQP_ACCESS_REFUSED;
    report->n_different++;
    if (is_refusal && report->has_refusal)
        return;
    report->has_refusal |= is_refusal;
    name_row(row, subject);
    snprintf(text, sizeof text, "%.*s", (int)close->reply_text.len, (const char *)close->reply_text.bytes);
    give_permission(report, "give the user permission for all of the namespace", remedy);
    tell(report, BIDE_FINDING_ERROR, subject, text,
        is_refusal ? remedy
                   : "arguments cannot be changed: use another namespace, or stop all workers, empty it, "
                     "delete it and start again");
}

/* Declares an existing exchange or queue again: the broker accepts equal arguments, changes nothing, and
 * refuses different ones. */
static bide_code compare(
    struct report *report, const struct bide_rmq_row *row, bool *ret_missing, bide_error *error)
{
    struct bide_rmq_link *link = &report->admin->link;
    amqp_rpc_reply_t reply = declare_passive(link, row);
    bool exists = reply.reply_type == AMQP_RESPONSE_NORMAL;
    if (exists) {
        bide_rmq_row_declare(link, BIDE_RMQ_QUESTIONS, row, false);
        reply = amqp_get_rpc_reply(link->amqp);
    }
    if (reply.reply_type == AMQP_RESPONSE_NORMAL)
        return BIDE_OK;
    if (reply.reply_type != AMQP_RESPONSE_SERVER_EXCEPTION || reply.reply.id != AMQP_CHANNEL_CLOSE_METHOD)
        return bide_rmq_check(report->admin->settings, reply, "comparing", error);
    const amqp_channel_close_t *close = reply.reply.decoded;
    *ret_missing = close->reply_code == AMQP_NOT_FOUND;
    if (!*ret_missing)
        tell_difference(report, row, close);
    return bide_rmq_admin_reopen(report->admin, BIDE_RMQ_QUESTIONS, error);
}

/* Reports each missing exchange, queue or binding of a kind; if all are missing, reports that once. */
static void tell_missing(
    struct report *report, const struct bide_rmq_topology *topology, enum bide_rmq_row_kind kind)
{
    char text[TEXT_SIZE], remedy[TEXT_SIZE];
    size_t n = 0, n_missing = 0;
    for (size_t i = 0; i < topology->n_rows; i++) {
        n += topology->rows[i].kind == kind;
        n_missing += topology->rows[i].kind == kind && report->missing[i];
    }
    report->n_missing += n_missing;
    give_permission(report, "the first worker or `bide send` whose user may configure declares it", remedy);
    if (n_missing == n) {
        snprintf(text, sizeof text, "none of %zu is declared yet", n);
        tell(report, BIDE_FINDING_WARNING, kind_names[kind].many, text, remedy);
        return;
    }
    for (size_t i = 0; i < topology->n_rows; i++) {
        if (topology->rows[i].kind != kind || !report->missing[i])
            continue;
        name_row(&topology->rows[i], text);
        tell(report, BIDE_FINDING_WARNING, text, "is missing", remedy);
    }
}

static bide_code compare_all(
    struct report *report, const struct bide_rmq_topology *topology, bide_error *error)
{
    bide_code code = BIDE_OK;
    size_t n = 0;
    for (size_t i = 0; i < topology->n_rows && code == BIDE_OK; i++) {
        const struct bide_rmq_row *row = &topology->rows[i];
        if (row->kind != BIDE_RMQ_EXCHANGE && row->kind != BIDE_RMQ_QUEUE)
            continue;
        code = compare(report, row, &report->missing[i], error);
        n++;
    }
    if (code != BIDE_OK)
        return code;
    tell_missing(report, topology, BIDE_RMQ_EXCHANGE);
    tell_missing(report, topology, BIDE_RMQ_QUEUE);
    if (report->n_missing + report->n_different == 0) {
        char text[TEXT_SIZE];
        snprintf(text, sizeof text, "%zu exchanges and queues are as they should be", n);
        tell(report, BIDE_FINDING_OK, "topology", text, NULL);
    }
    return BIDE_OK;
}

static bide_code check_topology(struct report *report, bide_error *error)
{
    struct bide_rmq_topology topology;
    bide_code code = bide_rmq_topology_init(&topology, report->admin->settings, error);
    if (code != BIDE_OK)
        return code;
    report->missing = bide_calloc(topology.n_rows, sizeof *report->missing);
    code = report->missing ? compare_all(report, &topology, error)
                           : bide_fail(error, BIDE_E_NOMEM, "out of memory");
    bide_free(report->missing);
    bide_rmq_topology_clear(&topology);
    return code;
}

/* ---- the old ladder ---- */

static bide_code count_old(struct report *report, int64_t *ret_n, bide_error *error)
{
    bide_code code = BIDE_OK;
    *ret_n = 0;
    for (int i = 0; i < BIDE_RMQ_OLD_QUEUES && code == BIDE_OK; i++) {
        char name[BIDE_RMQ_OLD_NAME];
        int64_t ready = 0;
        bide_rmq_old_queue(report->admin->settings->name_space, i, name);
        code = bide_rmq_admin_depth(report->admin, name, &ready, error);
        *ret_n += ready > 0 ? ready : 0;
    }
    return code;
}

static bide_code check_old_ladder(struct report *report, bide_error *error)
{
    char text[TEXT_SIZE];
    int64_t n;
    if (!report->admin->holding.has_old)
        return BIDE_OK;
    bide_code code = count_old(report, &n, error);
    if (code != BIDE_OK)
        return code;
    snprintf(text, sizeof text, "the old ladder is still there and holds %" PRId64 " message%s", n,
        n == 1 ? "" : "s");
    tell(report, n > 0 ? BIDE_FINDING_OK : BIDE_FINDING_WARNING, "old ladder", text,
        n > 0 ? "leave it: the workers run these messages when they are due"
              : "when no older bide sends to this namespace any more, delete it: docs/rabbitmq.md, \"The old "
                "ladder\"");
    return BIDE_OK;
}

/* ---- what AMQP cannot show ---- */

static void list_unchecked(struct report *report)
{
    static const struct {
        const char *subject, *text, *command;
        bool of_vhost;
    } rows[] = {
        {"bindings", "whether all bindings exist (a worker makes them when it starts)",
            "rabbitmqctl list_bindings", true},
        {"policies", "whether a policy adds a TTL, a length limit or dead-lettering to these queues",
            "rabbitmqctl list_policies", true},
        {"feature flags", "whether quorum_queue and stream_queue (at-least-once dead-lettering) are enabled",
            "rabbitmqctl list_feature_flags", false},
        {"dead-letter confirms",
            "dead_letter_worker_publisher_confirm_timeout: after a broker's restart a held message may wait "
            "that long (3 minutes by default) for its next hop; 5000 is better",
            "rabbitmqctl environment | grep dead_letter_worker", false},
        {"consumer timeout", "whether the broker waits longer for an acknowledgement than a handler may take",
            "rabbitmqctl environment | grep consumer_timeout", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char command[TEXT_SIZE];
        snprintf(command, sizeof command, "%s%s%s%s", rows[i].command, rows[i].of_vhost ? " -p '" : "",
            rows[i].of_vhost ? report->admin->settings->vhost : "", rows[i].of_vhost ? "'" : "");
        tell(report, BIDE_FINDING_NOT_CHECKED, rows[i].subject, rows[i].text, command);
    }
}

bide_code bide_rmq_admin_verify(
    struct bide_admin *base, bide_finding_sink *sink, void *user, bide_error *error)
{
    struct report report = {.admin = (struct bide_rmq_admin *)base, .sink = sink, .user = user};
    bide_code code = bide_rmq_admin_ready(report.admin, error);
    if (code != BIDE_OK)
        return code;
    check_version(&report);
    code = check_topology(&report, error);
    if (code == BIDE_OK)
        code = check_old_ladder(&report, error);
    if (code == BIDE_OK)
        check_publishing(&report);
    else
        bide_rmq_link_drop(&report.admin->link);
    list_unchecked(&report);
    return code;
}
