/* After a reload: files of this host from which nothing carries any more, and which still hold messages. */
#include <string.h>

#include "base/alloc.h"
#include "base/url.h"
#include "bide/log.h"
#include "cli/commands/worker.h"
#include "relay/process.h"
#include "relay/source.h"

/* Others are brokers of their own: what lies there has workers, or is no concern of this host alone. */
static bool is_file(const char *url)
{
    return bide_source_is_outbox(url) || strncmp(url, "sqlite:", 7) == 0;
}

static const char *db_of(const struct bide_url *url)
{
    const char *db = bide_url_param(url, "db");
    return db ? db : "";
}

/* Neither other options nor a new password make another place of it. */
static bool is_same_place(const char *one, const char *other)
{
    struct bide_url a = {0}, b = {0};
    bool same = bide_url_parse(one, &a, NULL) == BIDE_OK && bide_url_parse(other, &b, NULL) == BIDE_OK;
    if (same) {
        size_t size = strcspn(a.redacted, "?");
        same = strcspn(b.redacted, "?") == size && memcmp(a.redacted, b.redacted, size) == 0 &&
               strcmp(db_of(&a), db_of(&b)) == 0;
    }
    bide_url_clear(&a);
    bide_url_clear(&b);
    return same;
}

/* The relay that takes what this one took; NULL: none does. */
static const struct bide_relay_config *find_heir(
    const struct bide_config *config, const struct bide_relay_config *relay)
{
    for (size_t i = 0; i < config->n_relays; i++) {
        const struct bide_relay_config *other = &config->relays[i];
        bool takes_all = !other->queue || (relay->queue && strcmp(other->queue, relay->queue) == 0);
        if (takes_all && is_same_place(other->from, relay->from))
            return other;
    }
    return NULL;
}

static void warn(const struct bide_config *before, const struct bide_relay_config *relay, bool has_heir)
{
    struct bide_source_depth depth = {0};
    bide_error why;
    char *from = bide_url_redact(relay->from);
    if (bide_relay_look(before, relay, &depth, &why) != BIDE_OK)
        bide_log(BIDE_LOG_WARN, "nothing carries from here any more, and whether messages wait is not known",
            BIDE_STR("relay", relay->name), BIDE_STR("from", from), BIDE_STR("error", why.text));
    else if (depth.waiting > 0 && has_heir)
        bide_log(BIDE_LOG_WARN, "what waits here goes to another broker now", BIDE_STR("relay", relay->name),
            BIDE_STR("from", from), BIDE_INT("waiting", depth.waiting));
    else if (depth.waiting > 0)
        bide_log(BIDE_LOG_WARN, "nothing carries from here any more, and messages wait",
            BIDE_STR("relay", relay->name), BIDE_STR("from", from), BIDE_INT("waiting", depth.waiting),
            BIDE_STR("help", "put it back into the configuration, and remove it when `bide status` says that "
                             "nothing waits"));
    bide_free(from);
}

void bide_cli_warn_of_left_messages(const struct bide_config *before, const struct bide_config *after)
{
    for (size_t i = 0; i < before->n_relays; i++) {
        const struct bide_relay_config *relay = &before->relays[i];
        const struct bide_relay_config *heir = find_heir(after, relay);
        if (is_file(relay->from) && (!heir || !is_same_place(heir->to, relay->to)))
            warn(before, relay, heir != NULL);
    }
}
