#include <string.h>

#include "broker/redis/link.h"

/* Error replies that mean something. A script passes an error on as "… -READONLY You can't write …" (6.2) or
 * in front (7.0). */
static const struct known {
    const char *word;
    enum bide_redis_trouble trouble;
    bide_code code;
    const char *remedy; /* NULL: the server's own words are enough */
} known[] = {
    {"NOAUTH", BIDE_REDIS_DENIED, BIDE_E_CONFIG, "give the password: redis://user:password@host"},
    {"WRONGPASS", BIDE_REDIS_DENIED, BIDE_E_CONFIG, "correct user and password in the URL"},
    {"NOPERM", BIDE_REDIS_DENIED, BIDE_E_CONFIG, "give the user the rules of docs/redis.md"},
    {"OOM", BIDE_REDIS_FULL, BIDE_E_BROKER,
        "maxmemory is reached: nothing more is taken in until workers have drained, or maxmemory is raised"},
    {"NOSCRIPT", BIDE_REDIS_AGAIN, BIDE_E_BROKER, NULL},
    {"LOADING", BIDE_REDIS_AGAIN, BIDE_E_BROKER, "the server is reading its data after a start"},
    {"READONLY", BIDE_REDIS_AGAIN, BIDE_E_BROKER, "this server is a replica: the URL has to name the master"},
    {"MASTERDOWN", BIDE_REDIS_AGAIN, BIDE_E_BROKER, "this server is a replica and has lost its master"},
    {"BUSY", BIDE_REDIS_AGAIN, BIDE_E_BROKER, "a script runs for long on the server"},
    {"NOGROUP", BIDE_REDIS_AGAIN, BIDE_E_BROKER, "somebody removed the queue's stream"},
    {"UNKILLABLE", BIDE_REDIS_AGAIN, BIDE_E_BROKER, NULL},
    {"TRYAGAIN", BIDE_REDIS_AGAIN, BIDE_E_BROKER, NULL},
    {"CLUSTERDOWN", BIDE_REDIS_AGAIN, BIDE_E_BROKER, NULL},
    {"NOREPLICAS", BIDE_REDIS_FULL, BIDE_E_BROKER, "too few replicas are connected (min-replicas-to-write)"},
    {"MISCONF", BIDE_REDIS_FULL, BIDE_E_BROKER, "the server cannot save to its disk: see its log"},
    {"MOVED", BIDE_REDIS_DENIED, BIDE_E_CONFIG,
        "in a cluster the URL has to name the node that has this namespace: "},
    {"ASK", BIDE_REDIS_AGAIN, BIDE_E_BROKER,
        "the cluster is moving this namespace; the URL then has to name the node that has it: "},
    {"UNBLOCKED", BIDE_REDIS_AGAIN, BIDE_E_BROKER, "this server has just become a replica"},
    {"WRONGTYPE", BIDE_REDIS_UNKNOWN, BIDE_E_CONFIG,
        "a key of this namespace belongs to something else: choose another namespace"},
};

/* Those that begin with ERR only, as proxies, scripts and older versions say them. */
static const struct phrase {
    const char *text;
    struct known row;
} phrases[] = {
    {"invalid password", {"", BIDE_REDIS_DENIED, BIDE_E_CONFIG, "correct user and password in the URL"}},
    {"without any password configured",
        {"", BIDE_REDIS_DENIED, BIDE_E_CONFIG, "leave the password out of the URL"}},
    {"DB index", {"", BIDE_REDIS_DENIED, BIDE_E_CONFIG, "choose a database that the server has"}},
    {"unknown command",
        {"", BIDE_REDIS_DENIED, BIDE_E_CONFIG,
            "it has to be Redis 6.2 or newer, or Valkey, with all commands of docs/redis.md"}},
    {"max number of clients",
        {"", BIDE_REDIS_AGAIN, BIDE_E_BROKER, "raise maxclients, or close connections"}},
    {"with replica instances",
        {"", BIDE_REDIS_AGAIN, BIDE_E_BROKER, "this server has just become a replica"}},
    {"Script killed", {"", BIDE_REDIS_AGAIN, BIDE_E_BROKER, NULL}},
};

/* Does the word stand in front, or behind a '-' as scripts pass it on? */
static bool says(const char *text, const char *word)
{
    size_t size = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at++)
        if ((at == text || at[-1] == '-') && (at[size] == ' ' || at[size] == '\0'))
            return true;
    return false;
}

static const struct known *find(const char *text)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (says(text, known[i].word))
            return &known[i];
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
        if (strstr(text, phrases[i].text))
            return &phrases[i].row;
    return NULL;
}

enum bide_redis_trouble bide_redis_trouble_of(const char *text)
{
    const struct known *row = find(text);
    return row ? row->trouble : BIDE_REDIS_UNKNOWN;
}

bide_code bide_redis_reply_fail(
    const struct bide_redis_settings *settings, const char *text, const char *doing, bide_error *error)
{
    const struct known *row = find(text);
    const char *remedy = row && row->remedy ? row->remedy : "";
    bool is_elsewhere = row && (says(text, "MOVED") || says(text, "ASK")); /* "MOVED slot host:port" */
    const char *space = strrchr(text, ' ');
    return bide_fail(error, row ? row->code : BIDE_E_BROKER, "%s: %s: the server says \"%s\"%s%s%s",
        settings->shown, doing, text, *remedy ? "; " : "", remedy, is_elsewhere && space ? space + 1 : "");
}
