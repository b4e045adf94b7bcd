#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "broker/redis/admin/info.h"
#include "broker/redis/admin/admin.h"
#include "broker/redis/keys.h"

enum { CLOCK_MAX_MS = 50, HEADROOM_PERCENT = 80 };

struct verify {
    struct bide_redis_admin *admin;
    bide_finding_sink *sink;
    void *user;
};

static void say(const struct verify *verify, enum bide_severity severity, const char *subject,
    const char *text, const char *remedy)
{
    verify->sink(verify->user,
        &(struct bide_finding){.severity = severity, .subject = subject, .text = text, .remedy = remedy});
}

/* An answer, or NULL where the user may not ask (a managed service, an ACL); other failures end the check. */
static bide_code ask(struct verify *verify, enum bide_redis_command_name command, const char *word,
    redisReply **ret_reply, bide_error *error)
{
    struct bide_redis_admin *admin = verify->admin;
    redisReply *reply = NULL;
    bide_redis_args_begin(&admin->args, command);
    if (word)
        bide_redis_args_text(&admin->args, word);
    bide_code code = bide_redis_admin_ask(admin, &reply, error);
    if (code != BIDE_OK)
        return code;
    if (reply->type == REDIS_REPLY_ERROR) {
        enum bide_redis_trouble trouble = bide_redis_trouble_of(reply->str);
        if (trouble == BIDE_REDIS_AGAIN || trouble == BIDE_REDIS_FULL)
            code = bide_redis_reply_fail(admin->settings, reply->str, "looking", error);
        freeReplyObject(reply);
        reply = NULL;
    }
    *ret_reply = reply;
    return code;
}

static long long info_number(const redisReply *info, const char *name)
{
    char text[64];
    return bide_redis_info_value(info ? info->str : NULL, name, text, sizeof text) ? strtoll(text, NULL, 10)
                                                                                   : -1;
}

static void check_version(struct verify *verify, const redisReply *info)
{
    char version[64], text[128];
    int major = 0, minor = 0;
    if (!bide_redis_info_value(info ? info->str : NULL, "redis_version", version, sizeof version) ||
        sscanf(version, "%d.%d", &major, &minor) != 2) {
        say(verify, BIDE_FINDING_NOT_CHECKED, "server version", "INFO is not allowed",
            "redis-cli INFO server");
        return;
    }
    bool fine = major > 6 || (major == 6 && minor >= 2);
    snprintf(text, sizeof text, "%s%s", version, fine ? "" : " is too old");
    say(verify, fine ? BIDE_FINDING_OK : BIDE_FINDING_ERROR, "server version", text,
        fine ? NULL : "install Redis 6.2 or newer, or Valkey");
}

static void check_eviction(struct verify *verify, const redisReply *info)
{
    char policy[64], text[160];
    if (!bide_redis_info_value(info ? info->str : NULL, "maxmemory_policy", policy, sizeof policy)) {
        say(verify, BIDE_FINDING_NOT_CHECKED, "maxmemory-policy", "INFO is not allowed",
            "redis-cli CONFIG GET maxmemory-policy (must be noeviction)");
        return;
    }
    bool fine = strcmp(policy, "noeviction") == 0;
    snprintf(text, sizeof text, "%s%s", policy, fine ? "" : ": a full server throws messages away");
    say(verify, fine ? BIDE_FINDING_OK : BIDE_FINDING_ERROR, "maxmemory-policy", text,
        fine ? NULL : "redis-cli CONFIG SET maxmemory-policy noeviction, and the same in redis.conf");
}

static void check_memory(struct verify *verify, const redisReply *info)
{
    char text[160];
    long long used = info_number(info, "used_memory"), most = info_number(info, "maxmemory");
    if (used < 0 || most < 0) {
        say(verify, BIDE_FINDING_NOT_CHECKED, "memory", "INFO is not allowed", "redis-cli INFO memory");
    } else if (most == 0) {
        snprintf(text, sizeof text, "%lld MiB used, no maxmemory", used >> 20);
        say(verify, BIDE_FINDING_WARNING, "memory", text,
            "set maxmemory below the machine's memory: sending is then refused in time, instead of the "
            "server being killed");
    } else {
        bool fine = used < most / 100 * HEADROOM_PERCENT;
        snprintf(text, sizeof text, "%lld of %lld MiB used", used >> 20, most >> 20);
        say(verify, fine ? BIDE_FINDING_OK : BIDE_FINDING_WARNING, "memory", text,
            fine ? NULL : "raise maxmemory or drain: at its end sending is refused (workers go on)");
    }
}

/* ---- persistence ---- */

/* The value of one CONFIG GET; false: not allowed. */
static bide_code config_value(
    struct verify *verify, const char *name, char *to, size_t size, bool *ret_known, bide_error *error)
{
    redisReply *reply = NULL;
    bide_code code = ask(verify, BIDE_REDIS_CONFIG_GET, name, &reply, error);
    if (code != BIDE_OK)
        return code;
    *ret_known = reply && reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 && reply->element[1]->str;
    if (*ret_known)
        snprintf(to, size, "%s", reply->element[1]->str);
    if (reply)
        freeReplyObject(reply);
    return BIDE_OK;
}

static const struct {
    const char *fsync;
    enum bide_severity severity;
    const char *text, *remedy;
} aof_promises[] = {
    {"always", BIDE_FINDING_OK, "append-only file, synced before each answer: nothing confirmed is lost",
        NULL},
    {"everysec", BIDE_FINDING_OK,
        "append-only file, synced every second: a power cut loses at most about one second of confirmed "
        "messages; a crash of the server alone loses nothing",
        NULL},
    {"no", BIDE_FINDING_WARNING,
        "append-only file, synced when the system likes: a power cut loses what was confirmed in the last "
        "half minute",
        "redis-cli CONFIG SET appendfsync everysec (or always), and the same in redis.conf"},
};

static void say_aof(struct verify *verify, const char *fsync, bool known)
{
    for (size_t i = 0; known && i < sizeof aof_promises / sizeof aof_promises[0]; i++)
        if (strcmp(aof_promises[i].fsync, fsync) == 0) {
            say(verify, aof_promises[i].severity, "persistence", aof_promises[i].text,
                aof_promises[i].remedy);
            return;
        }
    say(verify, BIDE_FINDING_NOT_CHECKED, "persistence",
        "append-only file; how often it is synced is not shown",
        "redis-cli CONFIG GET appendfsync (everysec loses up to a second at a power cut, always nothing)");
}

static bide_code check_persistence(struct verify *verify, const redisReply *info, bide_error *error)
{
    char fsync[32] = "", save[256] = "", text[400];
    bool fsync_known = false, save_known = false;
    long long aof = info_number(info, "aof_enabled");
    bide_code code = config_value(verify, "appendfsync", fsync, sizeof fsync, &fsync_known, error);
    if (code == BIDE_OK)
        code = config_value(verify, "save", save, sizeof save, &save_known, error);
    if (code != BIDE_OK)
        return code;
    const char *remedy = "redis-cli CONFIG SET appendonly yes, and the same in redis.conf";
    if (aof == 1) {
        say_aof(verify, fsync, fsync_known);
    } else if (aof < 0 || !save_known) {
        say(verify, BIDE_FINDING_NOT_CHECKED, "persistence", "CONFIG GET or INFO is not allowed",
            "redis-cli CONFIG GET appendonly (should be yes); CONFIG GET appendfsync");
    } else if (*save) {
        snprintf(text, sizeof text,
            "snapshots only (save %s): a crash or power cut loses every message confirmed, and every "
            "settlement made, since the last one",
            save);
        say(verify, BIDE_FINDING_WARNING, "persistence", text, remedy);
    } else {
        say(verify, BIDE_FINDING_WARNING, "persistence",
            "off: a restart of the server loses all messages: ready, delayed and dead", remedy);
    }
    return BIDE_OK;
}

/* ---- clock ---- */

/* The server's time against the middle of question and answer. Due times are the workers' and senders'
 * clocks. */
static bide_code check_clock(struct verify *verify, bide_error *error)
{
    const struct bide_clock *clock = verify->admin->settings->clock;
    redisReply *reply = NULL;
    int64_t before_us = bide_wall_us(clock);
    bide_code code = ask(verify, BIDE_REDIS_TIME, NULL, &reply, error);
    if (code != BIDE_OK)
        return code;
    if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2) {
        say(verify, BIDE_FINDING_NOT_CHECKED, "clock", "TIME is not allowed", "redis-cli TIME; date +%s");
    } else {
        int64_t server_us =
            strtoll(reply->element[0]->str, NULL, 10) * 1000000 + strtoll(reply->element[1]->str, NULL, 10);
        int64_t off_ms = (server_us - (before_us + bide_wall_us(clock)) / 2) / 1000;
        char text[160];
        snprintf(text, sizeof text, "the server's clock differs from this machine's by %lld ms",
            (long long)off_ms);
        bool fine = llabs((long long)off_ms) <= CLOCK_MAX_MS;
        say(verify, fine ? BIDE_FINDING_OK : BIDE_FINDING_WARNING, "clock", text,
            fine
                ? NULL
                : "run a time service (chrony, systemd-timesyncd) on all machines: due times are wall clock");
    }
    if (reply)
        freeReplyObject(reply);
    return BIDE_OK;
}

/* Everything else asks the server; this asks for a key of the namespace, which in a cluster another node may
 * have, and which may belong to something else. */
static bide_code check_keys(struct verify *verify, bide_error *error)
{
    struct bide_redis_admin *admin = verify->admin;
    redisReply *reply = NULL;
    bide_error why = {0};
    bide_redis_args_begin(&admin->args, BIDE_REDIS_HLEN);
    bide_redis_keys_one(&admin->args, admin->settings->name_space, "workers");
    bide_code code = bide_redis_admin_ask(admin, &reply, error);
    if (code != BIDE_OK)
        return code;
    if (reply->type == REDIS_REPLY_ERROR) {
        bide_redis_reply_fail(admin->settings, reply->str, "looking at a key", &why);
        say(verify, BIDE_FINDING_ERROR, "keys", why.text, NULL);
    }
    freeReplyObject(reply);
    return BIDE_OK;
}

bide_code bide_redis_admin_verify(
    struct bide_admin *base, bide_finding_sink *sink, void *user, bide_error *error)
{
    struct verify verify = {(struct bide_redis_admin *)base, sink, user};
    redisReply *info = NULL;
    bide_code code = bide_redis_admin_connect(verify.admin, error);
    if (code == BIDE_OK)
        code = ask(&verify, BIDE_REDIS_INFO, NULL, &info, error);
    if (code != BIDE_OK)
        return code;
    check_version(&verify, info);
    check_eviction(&verify, info);
    check_memory(&verify, info);
    code = check_persistence(&verify, info, error);
    if (code == BIDE_OK)
        code = check_clock(&verify, error);
    if (code == BIDE_OK)
        code = check_keys(&verify, error);
    if (info)
        freeReplyObject(info);
    return code;
}
