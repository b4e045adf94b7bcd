#include "console/server.h"

#include <stdio.h>
#include <string.h>

static const struct bide_route routes[] = {
    {"GET", "/", BIDE_RIGHT_PUBLIC, bide_serve_page, false},
    {"GET", "/healthz", BIDE_RIGHT_PUBLIC, bide_serve_health, false},
    {"GET", "/readyz", BIDE_RIGHT_METRICS, bide_serve_ready, false},
    {"GET", "/metrics", BIDE_RIGHT_METRICS, bide_serve_metrics, false},
    {"GET", "/status", BIDE_RIGHT_READ, bide_serve_status, false},
    {"GET", "/history", BIDE_RIGHT_READ, bide_serve_history, false},
    {"GET", "/events", BIDE_RIGHT_READ, bide_serve_events, false},
    {"GET", "/dead", BIDE_RIGHT_READ, bide_serve_dead_list, false},
    {"GET", "/dead/*", BIDE_RIGHT_READ, bide_serve_dead_show, false},
    {"POST", "/dead/*/retry", BIDE_RIGHT_OPERATE, bide_serve_dead_retry, false},
    {"POST", "/dead/*/drop", BIDE_RIGHT_OPERATE, bide_serve_dead_drop, false},
    {"POST", "/pause/*", BIDE_RIGHT_OPERATE, bide_serve_pause, false},
    {"POST", "/resume/*", BIDE_RIGHT_OPERATE, bide_serve_resume, false},
    {"POST", "/send", BIDE_RIGHT_SEND, bide_serve_send, true},
    {"POST", "/streams", BIDE_RIGHT_SEND, bide_serve_stream_send, true},
    {"GET", "/streams", BIDE_RIGHT_READ, bide_serve_streams, false},
    {"GET", "/streams/*", BIDE_RIGHT_SEND, bide_serve_stream, false}, /* whoever knows the id may ask */
    {"POST", "/streams/*/cancel", BIDE_RIGHT_SEND, bide_serve_stream_cancel, false},
    {"POST", "/transactions", BIDE_RIGHT_SEND, bide_serve_transaction_prepare, true},
    {"GET", "/transactions", BIDE_RIGHT_READ, bide_serve_transactions, false},
    {"GET", "/transactions/*", BIDE_RIGHT_SEND, bide_serve_transaction, false}, /* as of streams */
    {"POST", "/transactions/*/commit", BIDE_RIGHT_SEND, bide_serve_transaction_commit, false},
    {"POST", "/transactions/*/abort", BIDE_RIGHT_SEND, bide_serve_transaction_abort, false},
    {"GET", "/messages", BIDE_RIGHT_READ, bide_serve_messages, false},
    {"GET", "/messages/*", BIDE_RIGHT_READ, bide_serve_message, false},
    {"POST", "/messages/cancel", BIDE_RIGHT_OPERATE, bide_serve_cancel, true},
    {"POST", "/messages/reschedule", BIDE_RIGHT_OPERATE, bide_serve_reschedule, true},
    {"GET", "/schedules", BIDE_RIGHT_READ, bide_serve_schedules, false},
    {"POST", "/schedules/*/pause", BIDE_RIGHT_OPERATE, bide_serve_schedule_pause, false},
    {"POST", "/schedules/*/resume", BIDE_RIGHT_OPERATE, bide_serve_schedule_resume, false},
    {"POST", "/schedules/*/run", BIDE_RIGHT_OPERATE, bide_serve_schedule_run, false},
    {"GET", "/limits", BIDE_RIGHT_READ, bide_serve_limits, false},
    {"POST", "/limits/*", BIDE_RIGHT_OPERATE, bide_serve_limit_set, false},
    {"POST", "/quiet", BIDE_RIGHT_OPERATE, bide_serve_quiet, false},
    {"POST", "/unquiet", BIDE_RIGHT_OPERATE, bide_serve_unquiet, false},
};

/* Copies what '*' stands for into `to`; it may contain slashes, but not be empty. */
static bool matches(const char *pattern, const char *path, char to[BIDE_ID_MAX + 1])
{
    const char *star = strchr(pattern, '*');
    if (!star)
        return strcmp(pattern, path) == 0;
    size_t before = (size_t)(star - pattern), after = strlen(star + 1), size = strlen(path);
    if (size <= before + after || strncmp(path, pattern, before) != 0 ||
        strcmp(path + size - after, star + 1) != 0 || size - before - after > BIDE_ID_MAX)
        return false;
    snprintf(to, BIDE_ID_MAX + 1, "%.*s", (int)(size - before - after), path + before);
    return true;
}

const struct bide_route *bide_route_find(
    const char *method, const char *path, char name[BIDE_ID_MAX + 1], bool *ret_known)
{
    *ret_known = false;
    if (strcmp(method, "HEAD") == 0)
        method = "GET";
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (!matches(routes[i].path, path, name))
            continue;
        if (strcmp(method, routes[i].method) == 0)
            return &routes[i];
        *ret_known = true;
    }
    return NULL;
}
