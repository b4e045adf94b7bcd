#include "cli/top/top.h"

#include <stdbool.h>
#include <string.h>

const char *bide_top_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "";
}

double bide_top_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : -1;
}

json_t *bide_top_frame(int64_t time_ms)
{
    return json_pack("{s:I s:n s:n s:[] s:n s:[] s:[] s:[] s:[]}", "time_ms", (json_int_t)time_ms,
        "namespace", "broker", "errors", "delayed_total", "queues", "handlers", "programs", "workers");
}

void bide_top_add_error(json_t *frame, const char *text)
{
    json_array_append_new(json_object_get(frame, "errors"), json_string(text));
}

static bool holds(const json_t *names, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach(
        names, i, one) if (json_is_string(one) && strcmp(json_string_value(one), name) == 0) return true;
    return false;
}

/* Of objects, the one whose `key` is this text. */
static json_t *named(const json_t *rows, const char *key, const char *name)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) if (strcmp(bide_top_text(row, key), name) == 0) return row;
    return NULL;
}

/* ---- queues ---- */

static void add_broker(json_t *frame, const json_t *status)
{
    static const char *const keys[] = {"namespace", "broker", "delayed_total", "queues"};
    const char *failure = json_string_value(json_object_get(status, "broker_error"));
    if (failure)
        bide_top_add_error(frame, failure);
    if (json_array_size(json_object_get(frame, "queues")) > 0)
        return;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        json_object_set(frame, keys[i], json_object_get(status, keys[i]));
}

static void mark_paused(json_t *rows, const char *key, const json_t *paused)
{
    size_t i;
    json_t *row;
    json_array_foreach(rows, i, row) if (!json_is_true(json_object_get(row, "paused")))
        json_object_set_new(row, "paused", json_boolean(holds(paused, bide_top_text(row, key))));
}

/* ---- handlers and programs ---- */

static void sum(json_t *to, const char *key, const json_t *row)
{
    json_int_t value = json_integer_value(json_object_get(row, key));
    json_object_set_new(to, key, json_integer(json_integer_value(json_object_get(to, key)) + value));
}

static void keep_larger(json_t *to, const char *key, const json_t *row)
{
    if (bide_top_number(row, key) >= bide_top_number(to, key))
        json_object_set(to, key, json_object_get(row, key));
}

static void keep_worse_circuit(json_t *to, const json_t *row)
{
    static const char *const order[] = {"", "closed", "half-open", "open"};
    const char *a = bide_top_text(to, "circuit"), *b = bide_top_text(row, "circuit");
    for (size_t i = sizeof order / sizeof order[0]; i-- > 0 && strcmp(a, order[i]) != 0;)
        if (strcmp(b, order[i]) == 0) {
            json_object_set(to, "circuit", json_object_get(row, "circuit"));
            return;
        }
}

static json_int_t failed(const json_t *row)
{
    return json_integer_value(json_object_get(row, "retried")) +
           json_integer_value(json_object_get(row, "dead"));
}

static void add_rate(json_t *to, const char *key, json_int_t since, double seconds)
{
    const json_t *known = json_object_get(to, key);
    double rate = since > 0 && seconds > 0 ? (double)since / seconds : 0;
    json_object_set_new(to, key, json_real(json_number_value(known) + rate));
}

static void add_handler(json_t *to, const json_t *row, const json_t *old, double seconds)
{
    static const char *const counts[] = {"running", "done", "retried", "dead", "expired", "duplicate"};
    static const char *const quantiles[] = {"p50_ms", "p99_ms", "lateness_p99_ms"};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        sum(to, counts[i], row);
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++)
        keep_larger(to, quantiles[i], row);
    keep_worse_circuit(to, row);
    if (!old)
        return;
    json_int_t done =
        json_integer_value(json_object_get(row, "done")) - json_integer_value(json_object_get(old, "done"));
    add_rate(to, "done_per_s", done, seconds);
    add_rate(to, "failed_per_s", failed(row) - failed(old), seconds);
}

/* Of the same worker, not of one that began since with its process id. */
static const json_t *rows_before(const json_t *before, const json_t *worker, const char *key)
{
    size_t i;
    json_t *old;
    json_array_foreach(json_object_get(before, "workers"), i,
        old) if (json_equal(json_object_get(old, "pid"), json_object_get(worker, "pid")) &&
                 json_equal(json_object_get(old, "started_ms"),
                     json_object_get(worker, "started_ms"))) return json_object_get(old, key);
    return NULL;
}

/* The row of this type, a new one where there was none; NULL: no memory. */
static json_t *handler_of(json_t *all, const json_t *row)
{
    const char *type = bide_top_text(row, "type");
    json_t *known = named(all, "type", type);
    if (known)
        return known;
    json_t *fresh = json_pack("{s:s s:O?}", "type", type, "queue", json_object_get(row, "queue"));
    return json_array_append_new(all, fresh) == 0 ? fresh : NULL;
}

static void add_handlers(json_t *all, const json_t *worker, const json_t *before, double seconds)
{
    const json_t *old = rows_before(before, worker, "handlers");
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(worker, "handlers"), i, row)
    {
        json_t *to = handler_of(all, row);
        if (to)
            add_handler(to, row, named(old, "type", bide_top_text(row, "type")), seconds);
    }
}

static void add_program(json_t *to, const json_t *row, const json_t *old, double seconds)
{
    static const char *const sums[] = {"processes", "runs", "restarts", "memory"};
    for (size_t i = 0; i < sizeof sums / sizeof sums[0]; i++)
        sum(to, sums[i], row);
    if (old)
        add_rate(to, "runs_per_s",
            json_integer_value(json_object_get(row, "runs")) -
                json_integer_value(json_object_get(old, "runs")),
            seconds);
}

static void add_programs(json_t *all, const json_t *worker, const json_t *before, double seconds)
{
    const json_t *old = rows_before(before, worker, "programs");
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(worker, "programs"), i, row)
    {
        const char *name = bide_top_text(row, "name");
        if (!named(all, "name", name))
            json_array_append_new(all, json_pack("{s:s}", "name", name));
        add_program(named(all, "name", name), row, named(old, "name", name), seconds);
    }
}

void bide_top_add(json_t *frame, json_t *status, const json_t *before, double seconds)
{
    json_t *worker = json_object_get(status, "worker"), *handlers = json_object_get(frame, "handlers");
    const json_t *paused = json_object_get(worker, "paused");
    add_broker(frame, status);
    add_handlers(handlers, worker, before, seconds);
    add_programs(json_object_get(frame, "programs"), worker, before, seconds);
    mark_paused(json_object_get(frame, "queues"), "name", paused);
    mark_paused(handlers, "type", paused);
    json_array_append(json_object_get(frame, "workers"), worker);
}
