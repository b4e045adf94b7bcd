/* contract_store [--list] [--case GLOB] [--server DIR] URL
 * contract_store --measure URL
 * DIR: of tests/support/server-redis, for the cases that stop the server of the URL, fill it, or roll it
 * back. */
#include <fnmatch.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bide/log.h"
#include "contract_store/cases.h"

/* Groups, and the URLs that they are for ("": all); `server`: only with --server. */
static const struct {
    const struct case_group *group;
    const char *scheme;
    bool server;
} groups[] = {
    {&turn_cases, "", false},
    {&set_cases, "", false},
    {&rate_cases, "", false},
    {&permit_cases, "", false},
    {&letter_cases, "", false},
    {&scan_cases, "", false},
    {&kill_cases, "", false},
    {&hunger_cases, "", false},
    {&sqlite_fault_cases, "sqlite", false},
    {&redis_fault_cases, "redis", true},
};

enum { CASES_MAX = 128, USAGE_ERROR = 64 };

static const struct option options[] = {
    {"list", no_argument, NULL, 'l'},
    {"case", required_argument, NULL, 'c'},
    {"server", required_argument, NULL, 's'},
    {"measure", no_argument, NULL, 'm'},
    {0},
};

struct arguments {
    bool list, measure;
    const char *glob;
    struct store_place place;
};

static bool parse(int argc, char **argv, struct arguments *arguments)
{
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == '?')
            return false;
        arguments->list = arguments->list || option == 'l';
        arguments->measure = arguments->measure || option == 'm';
        if (option == 'c')
            arguments->glob = optarg;
        if (option == 's')
            arguments->place.server = optarg;
    }
    arguments->place.url = optind < argc ? argv[optind] : "";
    return arguments->list || optind == argc - 1;
}

static bool is_for(size_t group, const struct arguments *arguments)
{
    const char *scheme = groups[group].scheme;
    return strncmp(arguments->place.url, scheme, strlen(scheme)) == 0 &&
           (!groups[group].server || arguments->place.server);
}

static size_t choose(struct arguments *arguments, struct CMUnitTest *chosen)
{
    size_t n = 0;
    for (size_t g = 0; g < sizeof groups / sizeof groups[0]; g++)
        for (size_t i = 0; is_for(g, arguments) && i < groups[g].group->n && n < CASES_MAX; i++)
            if (fnmatch(arguments->glob, groups[g].group->cases[i].name, 0) == 0) {
                chosen[n] = groups[g].group->cases[i];
                chosen[n++].initial_state = &arguments->place;
            }
    return n;
}

int main(int argc, char **argv)
{
    static struct CMUnitTest chosen[CASES_MAX];
    static struct arguments arguments = {.glob = "*"}; /* the cases keep a pointer into it */
    setvbuf(stdout, NULL, _IOLBF, 0);
    bide_log_set_level(BIDE_LOG_WARN);
    bool fine = parse(argc, argv, &arguments);
    if (fine && arguments.measure)
        return measure(arguments.place.url);
    size_t n = fine ? choose(&arguments, chosen) : 0;
    if (n == 0) {
        fputs("usage: contract_store [--list] [--case GLOB] [--server DIR] URL, or --measure URL\n", stderr);
        return USAGE_ERROR;
    }
    for (size_t i = 0; i < n && arguments.list; i++)
        puts(chosen[i].name);
    return arguments.list || _cmocka_run_group_tests("contract_store", chosen, n, NULL, NULL) == 0 ? 0 : 1;
}
