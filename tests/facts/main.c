/* rabbitmq_facts URL STRANGER READER (bare.h: struct bare_urls) */
#include <stdio.h>
#include <string.h>

#include "facts/facts.h"

static const struct fact_group *const groups[] = {
    &holding_facts, &loop_facts, &publishing_facts, &consuming_facts, &version_facts, &library_facts};

enum { FACTS_MAX = 64, USAGE_ERROR = 64 };

int main(int argc, char **argv)
{
    if (argc != 4) {
        fputs("usage: rabbitmq_facts URL STRANGER READER\n", stderr);
        return USAGE_ERROR;
    }
    struct CMUnitTest facts[FACTS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < sizeof groups / sizeof groups[0]; i++) {
        memcpy(facts + n, groups[i]->facts, groups[i]->n * sizeof facts[0]);
        n += groups[i]->n;
    }
    const struct bare_urls urls = {argv[1], argv[2], argv[3]};
    bare_use(&urls);
    return _cmocka_run_group_tests("facts", facts, n, NULL, NULL) ? 1 : 0;
}
