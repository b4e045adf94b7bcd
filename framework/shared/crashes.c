#include "shared/crashes.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/process_lock.h"

enum { DEATHS_ALONE = 3 }; /* deaths in which nothing else ran, until it is taken for guilty */

/* How long a lost settlement may take to come back. */
enum { SETTLED_MS = 10 * 1000 }; /* Redis hands out what a dead worker had after 5 s */

/* Of a type: a death weighs as much as forty successes; in trouble, where they are few, as much as one. */
enum { DEATH = 1000, SUCCESS = 25, TROUBLE = 3 * DEATH, MOST_TROUBLE = 20 * DEATH };

void bide_crashes_init(struct bide_crashes *crashes)
{
    bide_process_lock_init(&crashes->lock);
}

/* A process that died inside left at worst one record half written: a text or a count, nothing that leads
 * astray. */
static void lock(struct bide_crashes *crashes)
{
    bide_process_lock(&crashes->lock);
}

/* Each message is looked for while there is any record: the hashes lie together, so that it takes little. */
static struct bide_crash_record *find(struct bide_crashes *crashes, const char *key)
{
    uint32_t wanted = bide_hash_text(key);
    for (size_t i = 0; i < BIDE_CRASH_RECORDS; i++)
        if (crashes->hashes[i] == wanted && strcmp(crashes->records[i].key, key) == 0)
            return &crashes->records[i];
    return NULL;
}

static struct bide_crash_record *oldest_or_free(struct bide_crashes *crashes)
{
    struct bide_crash_record *best = &crashes->records[0];
    for (size_t i = 0; i < BIDE_CRASH_RECORDS && best->key[0]; i++)
        if (!crashes->records[i].key[0] || crashes->records[i].order < best->order)
            best = &crashes->records[i];
    return best;
}

static struct bide_crash_record *find_or_add(struct bide_crashes *crashes, const char *key)
{
    struct bide_crash_record *record = find(crashes, key);
    if (!record) {
        record = oldest_or_free(crashes);
        if (!record->key[0])
            atomic_fetch_add(&crashes->n, 1);
        *record = (struct bide_crash_record){0};
        snprintf(record->key, sizeof record->key, "%s", key);
        crashes->hashes[record - crashes->records] = bide_hash_text(record->key);
    }
    record->order = ++crashes->next_order;
    return record;
}

static void blame(struct bide_crash_record *record, int attempt, bool hung, const char *text)
{
    record->crashes += !hung;
    record->attempt = attempt;
    record->end_ms = 0;
    record->hung = hung;
    snprintf(record->text, sizeof record->text, "%s", text);
}

void bide_crashes_note(
    struct bide_crashes *crashes, const char *key, int attempt, bool hung, const char *text)
{
    lock(crashes);
    blame(find_or_add(crashes, key), attempt, hung, text);
    bide_process_unlock(&crashes->lock);
}

void bide_crashes_suspect(
    struct bide_crashes *crashes, const char *key, int attempt, bool alone, const char *text)
{
    lock(crashes);
    struct bide_crash_record *record = find_or_add(crashes, key);
    record->suspicions++;
    record->alone += alone;
    if (alone && record->alone >= DEATHS_ALONE) {
        if (record->crashes < DEATHS_ALONE - 1)
            record->crashes = DEATHS_ALONE - 1;
        blame(record, attempt, false, text);
    }
    bide_process_unlock(&crashes->lock);
}

static void forget(struct bide_crashes *crashes, struct bide_crash_record *record)
{
    *record = (struct bide_crash_record){0};
    atomic_fetch_sub(&crashes->n, 1);
}

/* Of another life of the same id: settled as dead a while ago, or replayed since (a replay begins at 1). */
static bool is_stale(
    const struct bide_crash_record *record, const struct bide_message *message, int64_t now_ms)
{
    bool replayed = message->attempt == 1 && record->attempt > 1;
    return record->end_ms && (replayed || now_ms - record->end_ms > SETTLED_MS);
}

/* An earlier attempt than the last is a copy that a death between a retry's publish and its ack has left: it
 * has had this run, too. */
static void tell(const struct bide_crash_record *record, int attempt, struct bide_crash *ret_crash)
{
    *ret_crash = (struct bide_crash){.crashes = record->crashes,
        .uncounted = attempt <= record->attempt,
        .hung = record->hung,
        .suspect = record->suspicions > 0 || record->crashes > 0,
        .suspicions = record->suspicions};
    memcpy(ret_crash->text, record->text, sizeof ret_crash->text);
}

bool bide_crashes_ask(struct bide_crashes *crashes, const struct bide_message *message,
    const struct bide_clock *clock, struct bide_crash *ret_crash)
{
    if (atomic_load_explicit(&crashes->n, memory_order_relaxed) == 0)
        return false;
    char text[BIDE_CRASH_KEY];
    const char *key = bide_crash_key(message, text);
    lock(crashes);
    struct bide_crash_record *record = find(crashes, key);
    if (record && is_stale(record, message, bide_mono_ms(clock))) {
        forget(crashes, record);
        record = NULL;
    }
    if (record)
        tell(record, message->attempt, ret_crash);
    bide_process_unlock(&crashes->lock);
    return record != NULL;
}

void bide_crashes_forget(struct bide_crashes *crashes, const char *key)
{
    if (atomic_load_explicit(&crashes->n, memory_order_relaxed) == 0)
        return;
    lock(crashes);
    struct bide_crash_record *record = find(crashes, key);
    if (record)
        forget(crashes, record);
    bide_process_unlock(&crashes->lock);
}

void bide_crashes_end(struct bide_crashes *crashes, const char *key, int64_t now_ms)
{
    if (atomic_load_explicit(&crashes->n, memory_order_relaxed) == 0)
        return;
    lock(crashes);
    struct bide_crash_record *record = find(crashes, key);
    if (record)
        record->end_ms = now_ms;
    bide_process_unlock(&crashes->lock);
}

bool bide_crashes_type_died(struct bide_crashes *crashes, const char *type)
{
    _Atomic int *score = &crashes->types[bide_hash_text(type) % BIDE_CRASH_TYPES];
    int before = atomic_load(score), after;
    do
        after = before + DEATH < MOST_TROUBLE ? before + DEATH : MOST_TROUBLE;
    while (!atomic_compare_exchange_weak(score, &before, after));
    return before < TROUBLE && after >= TROUBLE;
}

void bide_crashes_type_did_well(struct bide_crashes *crashes, const char *type)
{
    _Atomic int *score = &crashes->types[bide_hash_text(type) % BIDE_CRASH_TYPES];
    int before = atomic_load_explicit(score, memory_order_relaxed), after;
    do {
        if (before == 0)
            return;
        after = before - (before < TROUBLE ? SUCCESS : DEATH);
    } while (!atomic_compare_exchange_weak(score, &before, after > 0 ? after : 0));
}

int bide_crashes_type_trouble(const struct bide_crashes *crashes, const char *type)
{
    int score =
        atomic_load_explicit(&crashes->types[bide_hash_text(type) % BIDE_CRASH_TYPES], memory_order_relaxed);
    return score >= TROUBLE ? score / DEATH : 0;
}
