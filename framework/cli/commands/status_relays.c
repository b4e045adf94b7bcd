/* The relays of `bide status`. */
#include <stdio.h>

#include "base/alloc.h"
#include "base/json.h"
#include "cli/commands/status.h"
#include "cli/core/output.h"
#include "producer/spool.h"
#include "relay/process.h"
#include "relay/source.h"

/* One that cannot be asked is told with the reason; the others are shown. */
static bool look(const struct bide_config *config, const struct bide_relay_config *relay,
    struct bide_source_depth *ret_depth, bide_error *ret_why)
{
    *ret_depth = (struct bide_source_depth){BIDE_UNKNOWN_COUNT, BIDE_UNKNOWN_COUNT, BIDE_UNKNOWN_COUNT};
    return bide_relay_look(config, relay, ret_depth, ret_why) == BIDE_OK;
}

static void print_spool(const struct bide_config *config)
{
    struct bide_spool_state spool;
    char room[64] = "";
    bide_error why;
    if (!config->spool.url || bide_spool_look(config, &spool, &why) != BIDE_OK) /* the table says why */
        return;
    if (spool.room_bytes >= 0)
        snprintf(room, sizeof room, ", the disk has room for %lld more", (long long)spool.room_bytes);
    printf("\nSpool: %lld of %lld bytes in use%s%s\n", (long long)spool.bytes,
        (long long)config->spool.max_bytes, room,
        spool.is_carried
            ? ""
            : ", and nothing carries: start `bide worker` or `bide relay` with this configuration");
}

void bide_cli_print_relays(const struct bide_config *config)
{
    static const char *const columns[] = {"RELAY", ">WAITING", ">OLDEST", ">REFUSED", "FROM", NULL};
    struct bide_cli_table table;
    bide_cli_table_init(&table, columns);
    for (size_t i = 0; i < config->n_relays; i++) {
        const struct bide_relay_config *relay = &config->relays[i];
        struct bide_source_depth depth;
        bide_error why;
        bool known = look(config, relay, &depth, &why);
        char *from = bide_url_redact(relay->from);
        bide_cli_table_text(&table, relay->name);
        bide_cli_table_count(&table, depth.waiting);
        bide_cli_table_age(&table, depth.oldest_ms);
        bide_cli_table_count(&table, depth.refused);
        bide_cli_table_text(&table, !known ? why.text : from ? from : "");
        bide_free(from);
    }
    if (config->n_relays) {
        fputc('\n', stdout);
        bide_cli_table_flush(&table);
    }
    bide_cli_table_release(&table);
    print_spool(config);
}

static void add_spool(const struct bide_config *config, struct bide_buffer *to)
{
    struct bide_spool_state spool = {0};
    bide_error why;
    bool known = bide_spool_look(config, &spool, &why) == BIDE_OK;
    bide_json_open(to, "spool", '{');
    bide_json_int(to, "bytes", spool.bytes);
    bide_json_int(to, "max", config->spool.max_bytes);
    bide_json_count(to, "room", spool.room_bytes < 0 ? BIDE_UNKNOWN_COUNT : spool.room_bytes);
    bide_json_bool(to, "carried", spool.is_carried);
    bide_json_text(to, "error", known ? NULL : why.text);
    bide_buffer_char(to, '}');
}

void bide_cli_relays_json(const struct bide_config *config, struct bide_buffer *to)
{
    bide_json_open(to, "relays", '[');
    for (size_t i = 0; i < config->n_relays; i++) {
        const struct bide_relay_config *relay = &config->relays[i];
        struct bide_source_depth depth;
        bide_error why;
        bool known = look(config, relay, &depth, &why);
        char *from = bide_url_redact(relay->from), *target = bide_url_redact(relay->to);
        bide_json_open(to, NULL, '{');
        bide_json_text(to, "name", relay->name);
        bide_json_text(to, "from", from);
        bide_json_text(to, "to", target);
        bide_json_text(to, "queue", relay->queue);
        bide_json_count(to, "waiting", depth.waiting);
        bide_json_count(to, "oldest_ms", depth.oldest_ms);
        bide_json_count(to, "refused", depth.refused);
        bide_json_text(to, "error", known ? NULL : why.text);
        bide_buffer_char(to, '}');
        bide_free(from);
        bide_free(target);
    }
    bide_buffer_char(to, ']');
    if (config->spool.url)
        add_spool(config, to);
}
