#include <stdio.h>
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

static const char *const names[] = {"turn, new", "turn, found as its own", "turn and arrive", "get"};

/* The operations of one letter; returns their number. */
static size_t fill(struct bide_store_operation operations[2], int what, const char *key, int64_t number)
{
    switch (what) {
    case 2:
        operations[0] = turn(key, 2, 2, "a result of forty bytes, more or less...");
        operations[1] = arrive("set", number, LETTERS);
        return 2;
    case 3:
        operations[0] = get(key);
        return 1;
    default:
        operations[0] = turn(key, 1, 1, "a token of forty bytes, more or less....");
        return 1;
    }
}

static bide_code run(struct bide_store *store, int what, bide_error *error)
{
    static struct bide_store_operation operations[BATCH][2];
    static struct bide_store_letter letters[BATCH];
    static char keys[BATCH][48];
    bide_code code = BIDE_OK;
    for (int done = 0; code == BIDE_OK && done < LETTERS; done += BATCH) {
        for (int i = 0; i < BATCH; i++) {
            /* as ids are: the time in ms, then what is drawn at random */
            snprintf(keys[i], sizeof keys[i], "default/mail/01932b%06x-%08x", (unsigned)(done + i) / 8,
                (unsigned)(done + i) * 2654435761u);
            letters[i] = (struct bide_store_letter){
                operations[i], fill(operations[i], what, keys[i], done + i), BIDE_OK};
        }
        code = bide_store_apply(store, letters, BATCH, error);
        for (int i = 0; i < BATCH; i++)
            bide_store_letter_clear(&letters[i]);
    }
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
    for (int what = 0; code == BIDE_OK && what < (int)(sizeof names / sizeof names[0]); what++) {
        double before = cpu_us();
        code = run(store, what, &error);
        if (code == BIDE_OK)
            printf("%-24s %6.2f us of CPU a letter, in batches of %d\n", names[what],
                (cpu_us() - before) / LETTERS, BATCH);
    }
    if (code != BIDE_OK)
        fprintf(stderr, "%s\n", error.text);
    bide_store_destroy(store);
    bide_url_clear(&parsed);
    return code == BIDE_OK ? 0 : 1;
}
