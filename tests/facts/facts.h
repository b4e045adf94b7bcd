/* tests/facts/facts.h: what RabbitMQ and rabbitmq-c do that the adapter is built on, a test each.
 *
 * Where versions differ, a test says so by the broker's version: seen on 3.10.8, 4.0.5 and
 * 4.3.6. */
#ifndef TESTS_FACTS_FACTS_H
#define TESTS_FACTS_FACTS_H

#include "facts/bare.h"

struct fact_group {
    const struct CMUnitTest *facts;
    size_t n;
};

#define FACT(function)                                                                                       \
    {                                                                                                        \
#function, function, bare_setup, bare_teardown, NULL                                                 \
    }
#define FACT_GROUP(group, table) const struct fact_group group = {table, sizeof table / sizeof table[0]}

extern const struct fact_group holding_facts;
extern const struct fact_group loop_facts;
extern const struct fact_group publishing_facts;
extern const struct fact_group consuming_facts;
extern const struct fact_group version_facts;
extern const struct fact_group library_facts;

#endif
