#include "config/options.h"

#include "base/names.h"
#include "config/config.h"

enum { DAY_MS = 86400 * 1000, MIB = 1024 * 1024 };

#define LONGEST_MS (INT64_C(3650) * DAY_MS)

static const char *const queue_types[] = {"quorum", "classic", NULL};
static const char *const log_levels[] = {"debug", "info", "warn", "error", "off", NULL};
static const char *const orders[] = {"weighted", "strict", NULL};
static const char *const isolations[] = {"thread", "process", NULL};
static const char *const catch_ups[] = {"none", "last", "all", NULL};
static const char *const spool_modes[] = {"fallback", "always", NULL};
static const char *const overlaps[] = {"allow", "skip", NULL};
static const char *const backoffs[] = {"fixed", "linear", "exponential", "fibonacci", NULL};

#define AT(type, member) .offset = offsetof(struct type, member)

/* ---- worker ---- */

#define WORKER(member) AT(bide_worker_config, member)

static const struct bide_option worker_options[] = {
    {"threads", BIDE_OPTION_INT, WORKER(threads), .fallback = "8", .min = 1, .max = BIDE_THREADS_MAX,
        .help = "Handlers that run at once in one process."},
    {"processes", BIDE_OPTION_INT, WORKER(processes), .fallback = "1", .min = 1, .max = BIDE_PROCESSES_MAX,
        .help = "Worker processes kept running by one `bide worker`, each with its own threads."},
    {"order", BIDE_OPTION_CHOICE, WORKER(order), .fallback = "weighted", .choices = orders,
        .help = "`weighted`: queues share the threads in proportion to their weights, so that a flood in one "
                "does not starve another. `strict`: a queue is served only while those before it are empty."},
    {"drain", BIDE_OPTION_DURATION, WORKER(drain_ms), .fallback = "30s", .min = 0, .max = DAY_MS,
        .help =
            "How long running handlers may go on after SIGTERM; then they are cancelled and their messages "
            "are handed back. What has ended and is not settled yet, because the broker is away, has the "
            "rest "
            "of it, 5 s at least (RabbitMQ: what must be published for it)."},
    {"max_body", BIDE_OPTION_SIZE, WORKER(max_body), .fallback = "1MiB", .min = 1, .max = INT64_C(128) * MIB,
        .help = "The largest body that is sent or run; a larger one is refused at sending, and a dead letter "
                "(`oversized`) when it arrives from elsewhere."},
    {"max_in_flight", BIDE_OPTION_SIZE, WORKER(max_in_flight), .fallback = "64MiB", .min = 1,
        .max = INT64_C(1) << 40,
        .help = "Bytes of bodies that one process has in hand at most, running and waiting (RabbitMQ: and "
                "of large headers); at least one message of `max_body` is always taken."},
    {"prefetch", BIDE_OPTION_INT, WORKER(prefetch), .fallback = "0", .min = 0, .max = 65535,
        .help = "Messages of a queue in hand per process, running and waiting; a fixed number also bounds, "
                "together with `threads`, those that are nearly due. 0: automatic."},
    {"log_level", BIDE_OPTION_CHOICE, WORKER(log_level), .fallback = "info", .choices = log_levels,
        .help = "What `bide worker` logs: lines of this level and above. `--log-level` wins over it."},
    {0},
};

static const struct bide_option_section worker_section = {
    "worker", sizeof(struct bide_worker_config), "The worker process.", worker_options};

/* ---- http ---- */

#define HTTP(member) AT(bide_http_config, member)

static const struct bide_option http_options[] = {
    {"listen", BIDE_OPTION_STRING, HTTP(listen), .fallback = "", .sample = "127.0.0.1:9470",
        .help = "Address and port (`127.0.0.1:9470`, `[::1]:9470`, `0.0.0.0:9470`). Without it, there is "
                "only the Unix socket that `bide top` and its like find by themselves."},
    {"token", BIDE_OPTION_STRING, HTTP(token), .fallback = "", .sample = "${BIDE_HTTP_TOKEN}",
        .help = "What callers show as `Authorization: Bearer TOKEN`, at least 16 bytes. This one may do "
                "everything (role operate). Once there is any token, only `/healthz` and the empty dashboard "
                "need none."},
    {"read_token", BIDE_OPTION_STRING, HTTP(read_token), .fallback = "", .sample = "${BIDE_HTTP_READ_TOKEN}",
        .help = "Another token, which may only look: metrics, status, dead letters with their bodies (role "
                "read)."},
    {"send_token", BIDE_OPTION_STRING, HTTP(send_token), .fallback = "", .sample = "${BIDE_HTTP_SEND_TOKEN}",
        .help = "Another token, which may only send messages (role send)."},
    {"send_socket", BIDE_OPTION_STRING, HTTP(send_socket), .fallback = "", .sample = "/run/bide/send.sock",
        .help = "A Unix socket (absolute path, mode 0660) by which its group may send messages, and nothing "
                "else: docs/sending.md."},
    {"open_metrics", BIDE_OPTION_BOOL, HTTP(open_metrics), .fallback = "false",
        .help = "`true`: `/metrics` and `/readyz` need no token."},
    {0},
};

static const struct bide_option_section http_section = {"http", sizeof(struct bide_http_config),
    "The console: metrics, health, dashboard and actions by HTTP (docs/metrics.md).", http_options};

/* ---- dead letters ---- */

#define DEAD(member) AT(bide_dead_config, member)

static const struct bide_option dead_options[] = {
    {"max_age", BIDE_OPTION_DURATION, DEAD(max_age_ms), .fallback = "0s", .min = 0, .max = LONGEST_MS,
        .help =
            "Dead letters that died longer ago than this are dropped: `90d`. 0: they are kept until somebody "
            "replays or drops them."},
    {"max_count", BIDE_OPTION_INT, DEAD(max_count), .fallback = "0", .min = 0, .max = 1000000000,
        .help = "Of each queue's dead letters the oldest beyond so many are dropped. 0: any number is kept."},
    {0},
};

static const struct bide_option_section dead_section = {"dead", sizeof(struct bide_dead_config),
    "How long dead letters are kept. `bide worker` drops what is to go, once a minute; of several workers "
    "with "
    "different bounds the tightest count.",
    dead_options};

/* ---- topics and queues ---- */

#define TOPIC(member) AT(bide_topic_config, member)

static const struct bide_option topic_options[] = {
    {"name", BIDE_OPTION_TOPIC, TOPIC(name), .sample = "logs",
        .help = "What senders call it: " BIDE_TOPIC_NAME_RULE "."},
    {"subscriptions", BIDE_OPTION_STRINGS, TOPIC(subscriptions), .fallback = "", .sample = "geo",
        .help = "Those that are joined when a worker starts, each a queue named SUB@TOPIC: `[\"geo\", "
                "\"errors\"]`. Others are joined by `bide topic join`, or because a handler is `on` them."},
    {0},
};

static const struct bide_option_section topic_section = {"topics", sizeof(struct bide_topic_config),
    "Topics: each subscription gets a copy of what is sent (docs/topics.md).", topic_options};

#define QUEUE(member) AT(bide_queue_config, member)

static const struct bide_option queue_options[] = {
    {"name", BIDE_OPTION_QUEUE, QUEUE(name), .sample = "default",
        .help = "Name of the queue: " BIDE_NAME_RULE "."},
    {"weight", BIDE_OPTION_INT, QUEUE(weight), .fallback = "1", .sample = "3", .min = 1, .max = 1000000,
        .help = "Share of the threads when `worker.order` is `weighted`."},
    {0},
};

static const struct bide_option_section queue_section = {"queues", sizeof(struct bide_queue_config),
    "The queues this worker serves, in the order `strict` serves them. Without the list: those the handlers "
    "name, and `default`.",
    queue_options};

/* ---- handlers ---- */

#define RETRY(member) AT(bide_retry_config, member)

static const struct bide_option retry_options[] = {
    {"attempts", BIDE_OPTION_INT, RETRY(attempts), .fallback = "25", .min = 1, .max = 100000,
        .help =
            "The most runs a message gets; after the last failure it is a dead letter (`exhausted`). With "
            "the other defaults that is after about 13 hours."},
    {"backoff", BIDE_OPTION_BACKOFF, RETRY(backoff), .fallback = "exponential", .choices = backoffs,
        .help =
            "How the wait grows from run to run: `fixed` base; `linear` base, 2·base, 3·base; `exponential` "
            "base, 2·base, 4·base; `fibonacci` base, base, 2·base, 3·base, 5·base; or a list of durations "
            "such as `[\"1s\", \"5s\", \"30s\"]`, whose last one repeats."},
    {"base", BIDE_OPTION_DURATION, RETRY(base_ms), .fallback = "1s", .min = 0, .max = LONGEST_MS,
        .help = "The first wait."},
    {"cap", BIDE_OPTION_DURATION, RETRY(cap_ms), .fallback = "1h", .min = 0, .max = LONGEST_MS,
        .help = "The longest wait."},
    {"jitter", BIDE_OPTION_FRACTION, RETRY(jitter), .fallback = "0.2", .min = 0, .max = 1,
        .help = "Spreads retries: 0.2 moves a wait by up to ±20 %."},
    {"crash_attempts", BIDE_OPTION_INT, RETRY(crash_attempts), .fallback = "3", .min = 1, .max = 100000,
        .help = "After so many crashes of the process while it ran, a message is a dead letter (`crashed`), "
                "even if `attempts` are left."},
    {0},
};

static const struct bide_option_section retry_section = {"handlers.retry", sizeof(struct bide_retry_config),
    "When a message whose handler failed runs again.", retry_options};

#define LIMIT(member) AT(bide_limits_config, member)

static const struct bide_option limit_options[] = {
    {"memory", BIDE_OPTION_SIZE, LIMIT(memory), .fallback = "0", .min = 0, .max = INT64_C(1) << 40,
        .help = "Address space of the process, its code and libraries (some 15 MiB) among it: beyond it, "
                "allocating fails. 0: no limit."},
    {"cpu", BIDE_OPTION_DURATION, LIMIT(cpu_ms), .fallback = "0s", .min = 0, .max = DAY_MS,
        .help = "CPU time for one message, in whole seconds (rounded up): beyond it, the process is killed. "
                "0: no limit."},
    {"files", BIDE_OPTION_INT, LIMIT(files), .fallback = "0", .min = 0, .max = 1048576,
        .help = "Open files and sockets of the process, five of which bide needs. 0: no limit of its own."},
    {"no_new_privs", BIDE_OPTION_BOOL, LIMIT(no_new_privs), .fallback = "false",
        .help = "`true`: no program that the handler starts gains rights by it (sudo and the like)."},
    {0},
};

static const struct bide_option_section limit_section = {"handlers.limits", sizeof(struct bide_limits_config),
    "What each process of a handler with `isolation = \"process\"` may use.", limit_options};

#define BREAKER(member) AT(bide_breaker_config, member)

static const struct bide_option breaker_options[] = {
    {"failure_rate", BIDE_OPTION_FRACTION, BREAKER(failure_rate), .fallback = "0", .sample = "0.5", .min = 0,
        .max = 1,
        .help = "The circuit opens when this share of the runs in `window` failed (runs to be retried, and "
                "timeouts; what the handler rejects does not count). 0: never."},
    {"window", BIDE_OPTION_DURATION, BREAKER(window_ms), .fallback = "10s", .min = 100, .max = DAY_MS,
        .help = "How far back runs count."},
    {"min_runs", BIDE_OPTION_INT, BREAKER(min_runs), .fallback = "20", .min = 1, .max = 1000000,
        .help = "Fewer runs in `window` than these never open it; so many failures in a row always do."},
    {"pause", BIDE_OPTION_DURATION, BREAKER(pause_ms), .fallback = "5s", .min = 10, .max = DAY_MS,
        .help = "How long it stays open before one message is run as a probe; twice as long after each probe "
                "that fails."},
    {"max_pause", BIDE_OPTION_DURATION, BREAKER(max_pause_ms), .fallback = "1m", .min = 10, .max = DAY_MS,
        .help = "The longest such pause, and so how long a downstream may be back before it is noticed."},
    {0},
};

static const struct bide_option_section breaker_section = {"handlers.breaker",
    sizeof(struct bide_breaker_config),
    "A circuit breaker: while what the handler calls is down, its messages stay in the broker and burn no "
    "attempts. Processes of one worker share it.",
    breaker_options};

#define PROGRAM(member) AT(bide_program_config, member)

static const struct bide_option program_options[] = {
    {"name", BIDE_OPTION_TYPE, PROGRAM(name), .sample = "tasks",
        .help = "What handlers call it by `program`."},
    {"run", BIDE_OPTION_STRINGS, PROGRAM(run), .sample = "./tasks.py",
        .help = "The command and its arguments: `[\"python3\", \"tasks.py\"]`."},
    {"dir", BIDE_OPTION_STRING, PROGRAM(dir), .fallback = "", .sample = "/srv/shop",
        .help =
            "The folder in which it starts, as seen from the folder of the configuration; without it that "
            "folder."},
    {"env", BIDE_OPTION_STRINGS, PROGRAM(env), .fallback = "", .sample = "MODE=production",
        .help = "`NAME=value` of its environment, beside PATH, HOME, LANG, LC_* and TZ."},
    {"processes", BIDE_OPTION_INT, PROGRAM(processes), .fallback = "1", .min = 1, .max = BIDE_PROCESSES_MAX,
        .help = "Processes of it that each worker process keeps running."},
    {"concurrency", BIDE_OPTION_INT, PROGRAM(concurrency), .fallback = "1", .min = 1, .max = 10000,
        .help = "The most runs at once in one of its processes, if the program itself does not say less."},
    {"start_timeout", BIDE_OPTION_DURATION, PROGRAM(start_timeout_ms), .fallback = "10s", .min = 100,
        .max = DAY_MS, .help = "How long it may take to say its first line."},
    {"max_runs", BIDE_OPTION_INT, PROGRAM(max_runs), .fallback = "0", .min = 0, .max = 1000000000,
        .help = "A process that has run so many messages is replaced; 0: never."},
    {"max_memory", BIDE_OPTION_SIZE, PROGRAM(max_memory), .fallback = "0", .min = 0, .max = INT64_C(1) << 40,
        .help =
            "A process that has more memory resident is replaced, once what runs in it has ended; 0: never."},
    {"limits", BIDE_OPTION_GROUP, PROGRAM(limits), .fallback = "", .section = &limit_section,
        .help = "What each process may use (`cpu` is for handlers alone)."},
    {0},
};

static const struct bide_option_section program_section = {"programs", sizeof(struct bide_program_config),
    "Handlers in other languages: long-lived processes that bide starts, feeds, watches and restarts "
    "(docs/program-protocol.md).",
    program_options};

#define SHARED(member) AT(bide_shared_limit_config, member)

static const struct bide_option shared_limit_options[] = {
    {"name", BIDE_OPTION_TYPE, SHARED(name), .sample = "api",
        .help = "What handlers call it by `limited_by`: " BIDE_NAME_RULE "."},
    {"rate", BIDE_OPTION_RATE, SHARED(rate), .fallback = "", .sample = "100/1m",
        .help = "So many runs begin at most in any time of this length: `50/1s`, `100/1m`."},
    {"concurrency", BIDE_OPTION_INT, SHARED(concurrency), .fallback = "0", .sample = "5", .min = 0,
        .max = 100000, .help = "So many runs at once at most, on all hosts together; 0: any number."},
    {"key", BIDE_OPTION_STRING, SHARED(key), .fallback = "", .sample = "header:X-Tenant",
        .help = "What is counted apart: `header:NAME`, `json:/POINTER` into the body, `type` or `queue`. "
                "Without it, all messages are counted together."},
    {0},
};

static const struct bide_option_section shared_limit_section = {"limits",
    sizeof(struct bide_shared_limit_config),
    "How often, and how many at once, handlers may run across all workers of the namespace (docs/limits.md). "
    "Needs a `store`. Not to be confused with a handler's own `limits`, which are those of its sandbox.",
    shared_limit_options};

#define HANDLER(member) AT(bide_handler_config, member)

static const struct bide_option handler_options[] = {
    {"type", BIDE_OPTION_TYPE, HANDLER(type), .sample = "receipt",
        .help = "The message type it handles; one handler a type, and one more for each subscription that it "
                "is `on`."},
    {"on", BIDE_OPTION_SUBSCRIPTION, HANDLER(on), .fallback = "",
        .help = "It handles only what arrives on this subscription of a topic (docs/topics.md), which the "
                "worker joins and serves. `bide send` puts messages of this type into the topic."},
    {"plugin", BIDE_OPTION_STRING, HANDLER(plugin), .fallback = "", .sample = "journal",
        .help = "Its code, unless `program` is given: the file `plugin_dir`/NAME.so, or with a '/' in it the "
                "path of a file."},
    {"program", BIDE_OPTION_STRING, HANDLER(program), .fallback = "",
        .help = "The name of one of `programs`, which runs it instead of a plugin."},
    {"queue", BIDE_OPTION_QUEUE, HANDLER(queue), .fallback = "default",
        .help = "Where `bide send` puts messages of this type. One that arrives on another queue runs all "
                "the same."},
    {"concurrency", BIDE_OPTION_INT, HANDLER(concurrency), .fallback = "0", .min = 0, .max = 1024,
        .help = "The most runs at once in one process; 0: no limit of its own. A batch is one run."},
    {"batch", BIDE_OPTION_INT, HANDLER(batch), .fallback = "1", .sample = "1000", .min = 1,
        .max = BIDE_BATCH_MAX,
        .help = "The most messages that are given to the handler in one call, each with its own outcome: "
                "docs/batches.md. 1: each has its own call."},
    {"batch_wait", BIDE_OPTION_DURATION, HANDLER(batch_wait_ms), .fallback = "200ms", .min = 0,
        .max = 60 * 1000,
        .help = "How long the first message of a batch waits for others; then the call is made with what is "
                "there."},
    {"timeout", BIDE_OPTION_DURATION, HANDLER(timeout_ms), .fallback = "30s", .min = 0, .max = LONGEST_MS,
        .help = "A run that takes longer is cancelled and counts as failed (of a batch: the whole call); 0: "
                "none."},
    {"kill_after", BIDE_OPTION_DURATION, HANDLER(kill_after_ms), .fallback = "5s", .min = 0, .max = DAY_MS,
        .help = "How long after `timeout` a run that ignores its cancellation is given up by force."},
    {"isolation", BIDE_OPTION_CHOICE, HANDLER(isolation), .fallback = "thread", .choices = isolations,
        .help = "`thread`: runs on a thread of the worker. `process`: runs in a process of its own, so that "
                "it can be killed, and a crash hits nothing else."},
    {"limits", BIDE_OPTION_GROUP, HANDLER(limits), .fallback = "", .section = &limit_section,
        .help = "What that process may use."},
    {"retry", BIDE_OPTION_GROUP, HANDLER(retry), .fallback = "", .section = &retry_section,
        .help = "When a failed message runs again."},
    {"breaker", BIDE_OPTION_GROUP, HANDLER(breaker), .fallback = "", .section = &breaker_section,
        .help = "When to pause the handler because what it calls is down."},
    {"once", BIDE_OPTION_DURATION, HANDLER(once_ms), .fallback = "0s", .sample = "24h", .min = 0,
        .max = LONGEST_MS,
        .help = "A message of which a copy (the same queue, type and id) ended done within this time is "
                "acknowledged without a run and counted as `duplicate`. Needs a `store`: docs/once.md. 0: "
                "copies run."},
    {"limited_by", BIDE_OPTION_STRINGS, HANDLER(limited_by), .fallback = "", .sample = "api",
        .help = "Names of `limits` that its runs keep, up to four: `[\"api\", \"tenant\"]`."},
    {"on_dead", BIDE_OPTION_TYPE, HANDLER(on_dead), .fallback = "", .sample = "dead-receipt",
        .help =
            "Another type: when a message of this handler becomes a dead letter (`exhausted`, `rejected`, "
            "`timeout`, `crashed`), a message of that type is sent, and is safe before the dead letter is. "
            "Its body is the JSON object that `bide dead show --json` prints; its queue that of the "
            "type's handler, else that of the dead letter. Its own death sends nothing."},
    {"settings", BIDE_OPTION_SETTINGS, HANDLER(settings), .fallback = "",
        .help = "What the plugin itself takes: `bide handlers` shows the names, kinds and defaults."},
    {0},
};

static const struct bide_option_section handler_section = {"handlers", sizeof(struct bide_handler_config),
    "What is run for which message type. Two handlers may share one plugin; each has its own state.",
    handler_options};

/* ---- schedules ---- */

#define SCHEDULE(member) AT(bide_schedule_config, member)

static const struct bide_option schedule_options[] = {
    {"name", BIDE_OPTION_TYPE, SCHEDULE(name), .sample = "nightly",
        .help = "What `bide cron` and metrics call it; its messages have the id NAME@SLOT."},
    {"cron", BIDE_OPTION_STRING, SCHEDULE(cron), .fallback = "", .sample = "30 2 * * *",
        .help = "When it fires: minute, hour, day of month, month and day of week, with seconds in front if "
                "there are six fields; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`."},
    {"every", BIDE_OPTION_DURATION, SCHEDULE(every_ms), .fallback = "0s", .min = 0, .max = LONGEST_MS,
        .help =
            "Instead of `cron`: fires at whole multiples of it since 1970 (UTC), `\"30s\"`; whole seconds."},
    {"timezone", BIDE_OPTION_STRING, SCHEDULE(timezone), .fallback = "UTC", .sample = "Europe/Berlin",
        .help = "The time zone of `cron`, a name of the system's zone files (package tzdata)."},
    {"type", BIDE_OPTION_TYPE, SCHEDULE(type), .sample = "report", .help = "Type of its messages."},
    {"body", BIDE_OPTION_STRING, SCHEDULE(body), .fallback = "", .help = "Their body."},
    {"queue", BIDE_OPTION_ADDRESS, SCHEDULE(queue), .fallback = "", .sample = "default",
        .help = "Their queue, or `@TOPIC`. Default: that of the type's handler, else `default`."},
    {"jitter", BIDE_OPTION_DURATION, SCHEDULE(jitter_ms), .fallback = "0s", .min = 0, .max = DAY_MS,
        .help = "Each message is due at its slot or up to so long after it."},
    {"catch_up", BIDE_OPTION_CHOICE, SCHEDULE(catch_up), .fallback = "last", .choices = catch_ups,
        .help = "What becomes of slots that were missed, because everything was down for longer than 60 s: "
                "`none` fires, the `last` one does, or `all` do."},
    {"overlap", BIDE_OPTION_CHOICE, SCHEDULE(overlap), .fallback = "allow", .choices = overlaps,
        .help = "`skip`: a slot does not fire while the message of an earlier one waits or runs."},
    {0},
};

static const struct bide_option_section schedule_section = {"schedules", sizeof(struct bide_schedule_config),
    "Messages that recur (docs/schedules.md). Needs a `store`. An empty list, `schedules = ( );`, serves "
    "those "
    "that `bide cron add` adds.",
    schedule_options};

/* ---- relays ---- */

#define RELAY(member) AT(bide_relay_config, member)

static const struct bide_option relay_options[] = {
    {"name", BIDE_OPTION_TYPE, RELAY(name), .fallback = "", .sample = "orders",
        .help =
            "What the log, `bide status` and metrics call it. Default: `relay1`, `relay2`, … by its place."},
    {"from", BIDE_OPTION_STRING, RELAY(from), .sample = "outbox+sqlite:shop.db",
        .help = "Where it takes messages from: `outbox+sqlite:FILE`, the table bide_outbox of an "
                "application's own "
                "database, or the URL of a broker."},
    {"to", BIDE_OPTION_STRING, RELAY(to), .sample = "amqp://user:password@rabbit/shop",
        .help = "URL of the broker that it brings them to."},
    {"queue", BIDE_OPTION_QUEUE, RELAY(queue), .fallback = "", .sample = "default",
        .help = "Only messages of this queue. Default: all."},
    {0},
};

static const struct bide_option_section relay_section = {"relays", sizeof(struct bide_relay_config),
    "Messages that are carried to a broker (docs/outbox.md), each list entry by a process of its own beside "
    "the "
    "workers.",
    relay_options};

/* ---- spool ---- */

#define SPOOL(member) AT(bide_spool_config, member)

static const struct bide_option spool_options[] = {
    {"url", BIDE_OPTION_STRING, SPOOL(url), .fallback = "", .sample = "sqlite:/var/spool/bide/out.db",
        .help = "`sqlite:FILE`, on a local disk of this host; of this broker and namespace alone. Without it "
                "there is no spool."},
    {"mode", BIDE_OPTION_CHOICE, SPOOL(mode), .fallback = "fallback", .choices = spool_modes,
        .help = "`fallback`: what the broker does not confirm within 5 s, because it is away, and all that "
                "follows until the spool is empty again. `always`: every message."},
    {"max", BIDE_OPTION_SIZE, SPOOL(max_bytes), .fallback = "1GiB", .min = MIB, .max = INT64_C(1) << 50,
        .help =
            "Bytes of the file that may be in use; what would exceed them is not stored, and whoever sends "
            "it is told so."},
    {0},
};

static const struct bide_option_section spool_section = {"spool", sizeof(struct bide_spool_config),
    "Where `bide send`, POST /send and libbide store messages while the broker is away (docs/spool.md). "
    "`bide "
    "worker` "
    "carries them to the broker, like one of `relays`; without a worker, `bide relay` does.",
    spool_options};

/* ---- top level ---- */

#define ROOT(member) AT(bide_config, member)

static const struct bide_option root_options[] = {
    {"broker", BIDE_OPTION_STRING, ROOT(broker), .fallback = "sqlite:bide.db",
        .help = "URL of the broker: `sqlite:FILE`, `amqp://user:password@host:port/vhost`, `amqps://…` or "
                "`redis://…`. The value of a `${NAME}` is percent-encoded where it stands for a user or a "
                "password. "
                "`--broker` and the environment variable `BIDE_BROKER` win over it."},
    {"namespace", BIDE_OPTION_NAMESPACE, ROOT(name_space), .fallback = "bide",
        .help =
            "Prefix of every exchange, queue and key in the broker: two namespaces share a broker without "
            "seeing each other."},
    {"store", BIDE_OPTION_STRING, ROOT(store), .fallback = "", .sample = "redis://localhost/1",
        .help =
            "URL of the store, which remembers facts about messages (docs/store.md): `sqlite:FILE` or "
            "`redis://…`. Default: the broker itself, where it is SQLite or Redis. RabbitMQ cannot remember "
            "facts: there, a feature that needs a store is refused until one is named here."},
    {"queue_type", BIDE_OPTION_WORD, ROOT(queue_type), .fallback = "", .sample = "quorum",
        .choices = queue_types,
        .help =
            "RabbitMQ only: the same as `queue_type=…` in the URL of `broker`, and an error where the two "
            "differ. `quorum` (the default) queues survive the loss of a node; a crash of the broker can "
            "lose a message of `classic` ones in a hop."},
    {"ladder_shards", BIDE_OPTION_INT, ROOT(ladder_shards), .fallback = "0", .sample = "4", .min = 0,
        .max = 8,
        .help = "RabbitMQ only: the same as `ladder_shards=…` in the URL of `broker`, and an error where the "
                "two differ. Over so many queues each rung of the ladder is spread, because one queue passes "
                "on some thousands of messages a second; what waits in one rung then runs in no promised "
                "order. `0`: 1. Give senders and workers the same number; it may be changed at any time "
                "(`docs/scaling.md`)."},
    {"plugin_dir", BIDE_OPTION_STRINGS, ROOT(plugin_dirs), .fallback = "",
        .help =
            "Folder of the plugins, or a list of folders, of which the first that has the plugin is taken. "
            "Default: where the package installed them."},
    {"allow_unsafe_plugins", BIDE_OPTION_BOOL, ROOT(allow_unsafe_plugins), .fallback = "false",
        .help = "`false`: a plugin is refused when its file, or a folder above it, belongs to anybody but "
                "root or "
                "the worker's user, or can be written by others (a folder like `/tmp`, where others cannot "
                "replace it, will do)."},
    {"worker", BIDE_OPTION_GROUP, ROOT(worker), .fallback = "", .section = &worker_section,
        .help = "The worker process."},
    {"http", BIDE_OPTION_GROUP, ROOT(http), .fallback = "", .section = &http_section,
        .help = "Where the console listens."},
    {"dead", BIDE_OPTION_GROUP, ROOT(dead), .fallback = "", .section = &dead_section,
        .help = "How long dead letters are kept."},
    {"programs", BIDE_OPTION_LIST, ROOT(programs), offsetof(struct bide_config, n_programs), .fallback = "",
        .section = &program_section, .max = 100, .help = "Handlers in other languages."},
    {"limits", BIDE_OPTION_LIST, ROOT(limits), offsetof(struct bide_config, n_limits), .fallback = "",
        .section = &shared_limit_section, .max = 32,
        .help = "How often, and how many at once, handlers may run across all workers."},
    {"schedules", BIDE_OPTION_LIST, ROOT(schedules), offsetof(struct bide_config, n_schedules),
        .fallback = "", .section = &schedule_section, .max = 1000, .help = "Messages that recur."},
    {"topics", BIDE_OPTION_LIST, ROOT(topics), offsetof(struct bide_config, n_topics), .fallback = "",
        .section = &topic_section, .max = 1000, .help = "Topics and their subscriptions."},
    {"relays", BIDE_OPTION_LIST, ROOT(relays), offsetof(struct bide_config, n_relays), .fallback = "",
        .section = &relay_section, .max = BIDE_RELAYS_MAX - 1,
        .help = "Messages that are carried to a broker."},
    {"spool", BIDE_OPTION_GROUP, ROOT(spool), .fallback = "", .section = &spool_section,
        .help = "Where messages wait on this host while the broker is away."},
    {"queues", BIDE_OPTION_LIST, ROOT(queues), offsetof(struct bide_config, n_queues), .fallback = "",
        .section = &queue_section, .max = 1000, .help = "The queues this worker serves."},
    {"handlers", BIDE_OPTION_LIST, ROOT(handlers), offsetof(struct bide_config, n_handlers), .fallback = "",
        .section = &handler_section, .max = 1000, .help = "What is run for which message type."},
    {0},
};

static const struct bide_option_section root_section = {"", sizeof(struct bide_config), "", root_options};

const struct bide_option_section *bide_option_root(void)
{
    return &root_section;
}
