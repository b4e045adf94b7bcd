/* contract [--list] [--case GLOB] [--share-namespace] URL */
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bide/log.h"
#include "contract/cases.h"

static const struct case_group *const groups[] = {
    &sending_cases,
    &fields_cases,
    &receiving_cases,
    &limit_cases,
    &waiting_cases,
    &delaying_cases,
    &settling_cases,
    &retrying_cases,
    &releasing_cases,
    &dead_listing_cases,
    &dead_replay_cases,
    &dead_trim_cases,
    &changing_cases,
    &moving_cases,
    &topic_cases,
    &stats_cases,
    &ownership_cases,
    &validation_cases,
    &erasing_cases,
    &starving_cases,
    &ledger_cases,
};

enum { CASES_MAX = 256, USAGE_ERROR = 64 };

struct arguments {
    bool list;
    const char *glob;
    struct broker_settings settings;
};

static int usage(void)
{
    fputs("usage: contract [--list] [--case GLOB] [--share-namespace] URL\n", stderr);
    return USAGE_ERROR;
}

static const struct option options[] = {
    {"list", no_argument, NULL, 'l'},
    {"case", required_argument, NULL, 'c'},
    {"share-namespace", no_argument, NULL, 's'},
    {0},
};

static bool take_option(struct arguments *arguments, int option)
{
    switch (option) {
    case 'l':
        arguments->list = true;
        return true;
    case 'c':
        arguments->glob = optarg;
        return true;
    case 's':
        arguments->settings.share_namespace = true;
        return true;
    default:
        return false;
    }
}

static bool parse(int argc, char **argv, struct arguments *arguments)
{
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        if (!take_option(arguments, option))
            return false;
    arguments->settings.url = argv[optind];
    return arguments->list ? optind == argc : optind == argc - 1;
}

static bool is_of_one_process(const char *text)
{
    const struct bide_adapter *adapter;
    struct bide_url url;
    bide_error error;
    if (!text || bide_url_parse(text, &url, &error) != BIDE_OK)
        return false; /* the first case says what is wrong with it */
    bool one = bide_adapter_find(&url, &adapter, &error) == BIDE_OK && adapter->one_process;
    bide_url_clear(&url);
    return one;
}

/* The cases whose name the glob matches, ready to run. */
static size_t choose(const char *glob, struct broker_settings *settings, struct CMUnitTest *chosen)
{
    size_t n = 0;
    bool one_process = is_of_one_process(settings->url);
    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++)
        for (size_t i = 0; i < groups[g]->n && n < CASES_MAX; i++) {
            chosen[n] = groups[g]->cases[i];
            bool of_servers = chosen[n].initial_state != NULL;
            chosen[n].initial_state = settings;
            if (fnmatch(glob, chosen[n].name, 0) == 0 && !(of_servers && one_process))
                n++;
        }
    return n;
}

int main(int argc, char **argv)
{
    static struct CMUnitTest chosen[CASES_MAX];
    struct arguments arguments = {.glob = "*", .settings.program = "/proc/self/exe"};
    setvbuf(stdout, NULL, _IOLBF, 0);
    bide_log_set_level(BIDE_LOG_WARN);
    if (argc > 1 && strcmp(argv[1], "--child") == 0)
        return play_role(argc, argv);
    if (!parse(argc, argv, &arguments))
        return usage();
    size_t n = choose(arguments.glob, &arguments.settings, chosen);
    if (n == 0) {
        fprintf(stderr, "no case matches '%s'; --list shows them\n", arguments.glob);
        return USAGE_ERROR;
    }
    for (size_t i = 0; i < n && arguments.list; i++)
        puts(chosen[i].name);
    if (arguments.list)
        return 0;
    return _cmocka_run_group_tests("contract", chosen, n, NULL, NULL) == 0 ? 0 : 1;
}
