#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "contract_store/cases.h"

/* What a letter costs this process: CPU time, which other programs on the machine change little. */

enum { BATCH = 500, LETTERS = 100 * BATCH };

static double cpu_us(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return ((double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec) * 1e6 +
           (double)usage.ru_utime.tv_usec + (double)usage.ru_stime.tv_usec;
}

/* What is measured: the letters of one message, one behind the other, each in a batch with those of others.
 */
enum what { TURN_NEW, TURN_OWN, TURN_AND_ARRIVE, LOOK, ONCE, UNIQUE, WHATS };
static const struct {
    const char *name;
    int letters;
} rows[WHATS] = {
    [TURN_NEW] = {"turn, new", 1},
    [TURN_OWN] = {"turn, found as its own", 1},
    [TURN_AND_ARRIVE] = {"turn and arrive", 1},
    [LOOK] = {"get", 1},
    [ONCE] = {"once: look, report", 2},
    [UNIQUE] = {"unique: reserve … end", 4},
};

static struct bide_store_operation day(struct bide_store_operation operation)
{
    return lasting(operation, INT64_C(24) * 3600 * 1000);
}

/* As worker/gates/once.c writes them. */
static size_t fill_once(struct bide_store_operation operations[2], int letter, const char *key)
{
    operations[0] = day(in_scope(turn(key, 1, letter, ""), "once"));
    operations[0].stop = letter == 0;
    operations[1] = in_scope(letter ? release(key, key) : day(acquire(key, key, 1)), "once-run");
    return 2;
}

/* A slot: free, reserved, waiting, running, free. */
static size_t fill_unique(struct bide_store_operation *operation, int letter, const char *key)
{
    static const char *const data[] = {"",
        "1 5f3a 1 1 2 19ac 19ac 0 19ac 0 0 0 1389 0 77aa 0 01932b000000-00000000",
        "1 5f3a 1 1 2 19ac 19ac 0 19ac 0 0 0 0 0 0 0 01932b000000-00000000",
        "1 5f3a 1 1 2 19ac 19ac 0 19ac 0 0 0 0 0 0 0 01932b000000-00000000", ""};
    *operation = day(
        in_scope(turn(key, 1u << letter, letter < 3 ? (unsigned)letter + 1 : 0, data[letter + 1]), "unique"));
    operation->turn.expect = (struct bide_slice){data[letter], strlen(data[letter])};
    return 1;
}

/* The operations of one letter; returns their number. */
static size_t fill(
    struct bide_store_operation operations[2], enum what what, int letter, const char *key, int64_t number)
{
    switch (what) {
    case ONCE:
        return fill_once(operations, letter, key);
    case UNIQUE:
        return fill_unique(operations, letter, key);
    case TURN_AND_ARRIVE:
        operations[0] = turn(key, 2, 2, "a result of forty bytes, more or less...");
        operations[1] = arrive("set", number, LETTERS);
        return 2;
    case LOOK:
        operations[0] = get(key);
        return 1;
    default:
        operations[0] = turn(key, 1, 1, "a token of forty bytes, more or less....");
        return 1;
    }
}

static bide_code run_batch(struct bide_store *store, enum what what, int letter, int first, bide_error *error)
{
    static struct bide_store_operation operations[BATCH][2];
    static struct bide_store_letter letters[BATCH];
    static char keys[BATCH][48];
    for (int i = 0; i < BATCH; i++) {
        /* as ids are: the time in ms, then what is drawn at random */
        snprintf(keys[i], sizeof keys[i], "default/mail/01932b%06x-%08x", (unsigned)(first + i) / 8,
            (unsigned)(first + i) * 2654435761u);
        letters[i] = (struct bide_store_letter){
            .operations = operations[i], .n = fill(operations[i], what, letter, keys[i], first + i)};
    }
    bide_code code = bide_store_apply(store, letters, BATCH, error);
    for (int i = 0; i < BATCH && code == BIDE_OK; i++)
        if (what >= ONCE && !operations[i][0].answer.changed && (what != ONCE || letter > 0))
            code = bide_fail(
                error, BIDE_E_INTERNAL, "%s: letter %d found something else", rows[what].name, letter);
    for (int i = 0; i < BATCH; i++)
        bide_store_letter_clear(&letters[i]);
    return code;
}

static bide_code run(struct bide_store *store, enum what what, bide_error *error)
{
    bide_code code = BIDE_OK;
    for (int done = 0; code == BIDE_OK && done < LETTERS; done += BATCH)
        for (int letter = 0; code == BIDE_OK && letter < rows[what].letters; letter++)
            code = run_batch(store, what, letter, done, error);
    return code;
}

int measure(char *url)
{
    bide_error error;
    struct bide_url parsed = {0};
    struct bide_store *store = NULL;
    struct bide_store_options options = {.url = &parsed,
        .name_space = "measure",
        .client_name = "measure",
        .timeout_ms = SOON_MS,
        .clock = bide_clock_system()};
    bide_code code = bide_url_parse(url, &parsed, &error);
    if (code == BIDE_OK)
        code = bide_store_open(&options, &store, &error);
    for (enum what what = 0; code == BIDE_OK && what < WHATS; what++) {
        double before = cpu_us();
        code = run(store, what, &error);
        if (code == BIDE_OK)
            printf("%-24s %6.2f us of CPU a letter, in batches of %d\n", rows[what].name,
                (cpu_us() - before) / LETTERS / rows[what].letters, BATCH);
    }
    if (code != BIDE_OK)
        fprintf(stderr, "%s\n", error.text);
    bide_store_destroy(store);
    bide_url_clear(&parsed);
    return code == BIDE_OK ? 0 : 1;
}
