/* contract_store [--list] [--case GLOB] URL */
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "bide/log.h"
#include "contract_store/cases.h"

static const struct case_group *const groups[] = {
    &turn_cases,
    &set_cases,
    &rate_cases,
    &permit_cases,
    &letter_cases,
    &scan_cases,
    &kill_cases,
};

enum { CASES_MAX = 128, USAGE_ERROR = 64 };

static const struct option options[] = {
    {"list", no_argument, NULL, 'l'},
    {"case", required_argument, NULL, 'c'},
    {0},
};

static size_t choose(const char *glob, char *url, struct CMUnitTest *chosen)
{
    size_t n = 0;
    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++)
        for (size_t i = 0; i < groups[g]->n && n < CASES_MAX; i++)
            if (fnmatch(glob, groups[g]->cases[i].name, 0) == 0) {
                chosen[n] = groups[g]->cases[i];
                chosen[n++].initial_state = url;
            }
    return n;
}

int main(int argc, char **argv)
{
    static struct CMUnitTest chosen[CASES_MAX];
    const char *glob = "*";
    bool list = false;
    setvbuf(stdout, NULL, _IOLBF, 0);
    bide_log_set_level(BIDE_LOG_WARN);
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == '?')
            return USAGE_ERROR;
        list = list || option == 'l';
        glob = option == 'c' ? optarg : glob;
    }
    size_t n = choose(glob, argv[optind], chosen);
    if (n == 0 || (!list && optind != argc - 1)) {
        fputs("usage: contract_store [--list] [--case GLOB] URL\n", stderr);
        return USAGE_ERROR;
    }
    for (size_t i = 0; i < n && list; i++)
        puts(chosen[i].name);
    return list || _cmocka_run_group_tests("contract_store", chosen, n, NULL, NULL) == 0 ? 0 : 1;
}
