/* What `bide move` has to know of both ends. */
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "cli/move.h"

bide_code bide_cli_names_add(struct bide_cli_names *names, const char *name, bide_error *error)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->items[i], name) == 0)
            return BIDE_OK;
    char **items = bide_realloc(names->items, (names->n + 1) * sizeof *items);
    if (items)
        names->items = items;
    if (!items || !(items[names->n] = bide_strdup(name)))
        return bide_fail(error, BIDE_E_NOMEM, "out of memory");
    names->n++;
    return BIDE_OK;
}

void bide_cli_names_clear(struct bide_cli_names *names)
{
    for (size_t i = 0; i < names->n; i++)
        bide_free(names->items[i]);
    bide_free(names->items);
    *names = (struct bide_cli_names){0};
}

/* ---- the same place? ---- */

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

static bool same_file(const char *a, const char *b)
{
    struct stat one, other;
    if (same_text(a, b))
        return true;
    return a && b && stat(a, &one) == 0 && stat(b, &other) == 0 && one.st_dev == other.st_dev &&
           one.st_ino == other.st_ino;
}

static int port_of(const struct bide_url *url, size_t host)
{
    static const struct {
        const char *scheme;
        int port;
    } usual[] = {{"amqp", 5672}, {"amqps", 5671}, {"redis", 6379}, {"rediss", 6379}};
    for (size_t i = 0; url->hosts[host].port == 0 && i < sizeof usual / sizeof usual[0]; i++)
        if (strcmp(usual[i].scheme, url->scheme) == 0)
            return usual[i].port;
    return url->hosts[host].port;
}

/* One host in common is enough: the hosts of an URL are one cluster. */
static bool share_host(const struct bide_url *a, const struct bide_url *b)
{
    for (size_t i = 0; i < a->n_hosts; i++)
        for (size_t j = 0; j < b->n_hosts; j++)
            if (same_text(a->hosts[i].name, b->hosts[j].name) && port_of(a, i) == port_of(b, j))
                return true;
    return false;
}

bool bide_cli_same_place(const struct bide_cli_session *a, const struct bide_cli_session *b)
{
    if (a->adapter != b->adapter)
        return false;
    if (a->url.n_hosts == 0 && b->url.n_hosts == 0)
        return same_file(a->url.path, b->url.path);
    return share_host(&a->url, &b->url) && same_text(a->url.path, b->url.path) &&
           same_text(bide_url_param(&a->url, "db"), bide_url_param(&b->url, "db"));
}

/* ---- how much ---- */

static uint64_t counted(int64_t count)
{
    return count > 0 ? (uint64_t)count : 0;
}

uint64_t bide_cli_backlog(const struct bide_broker_stats *stats, const char *queue)
{
    uint64_t total = queue ? 0 : counted(stats->delayed_total) + counted(stats->unrouted);
    for (size_t i = 0; i < stats->n_queues; i++) {
        const struct bide_queue_stats *row = &stats->queues[i];
        if (queue && strcmp(queue, row->name) != 0)
            continue;
        if (queue && row->delayed == BIDE_UNKNOWN_COUNT)
            return 0;
        total += counted(row->ready) + counted(row->dead) + (queue ? counted(row->delayed) : 0);
    }
    return total;
}
