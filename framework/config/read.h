/* config/read.h: fills structs from libconfig's tree, by the option table. For config/ only. Thread-safety:
 * one thread at a time. */
#ifndef BIDE_CONFIG_READ_H
#define BIDE_CONFIG_READ_H

#include <libconfig.h>

#include "config/config.h"
#include "config/environment.h"
#include "config/options.h"
#include "config/source.h"

struct bide_reader {
    const struct bide_source *source; /* NULL: use the defaults only */
    const struct bide_environment *environment;
    bide_error *error; /* never NULL */
};

/* Fails with the setting's file:line in front of the text. */
bide_code bide_reader_fail(
    const struct bide_reader *reader, const config_setting_t *at, const char *format, ...) BIDE_PRINTF(3, 4);
bide_code bide_reader_nomem(const struct bide_reader *reader);

/* Fills a section's zeroed struct from `group` (NULL: nothing), and from the fallbacks for missing keys.
 * bide_section_release frees it, also after a failure. */
bide_code bide_section_read(const struct bide_reader *reader, const struct bide_option_section *section,
    const config_setting_t *group, void *to);
void bide_strings_release(char **strings); /* of BIDE_OPTION_STRINGS */
void bide_section_release(const struct bide_option_section *section, void *from);

/* Reads one value from the file or, if `at` is NULL, from the fallback. Not for groups, lists and
 * settings. */
bide_code bide_value_read(const struct bide_reader *reader, const struct bide_option *option,
    const config_setting_t *at, void *base);

/* Reads a handler's `settings`, whose keys the plugin defines. */
bide_code bide_settings_read(
    const struct bide_reader *reader, const config_setting_t *group, struct bide_handler_config *to);
void bide_settings_release(struct bide_handler_config *from);

/* Checks what no single row can check: duplicates, a queue that is not listed, base above cap. Adds the
 * queues if the file has none. */
bide_code bide_config_check(
    const struct bide_reader *reader, const config_t *file, struct bide_config *config);

/* The same of `topics` and of the handlers that are `on` a subscription; makes config->subscriptions, and
 * each handler's `queue` and `name`. */
bide_code bide_config_check_topics(
    const struct bide_reader *reader, const config_t *file, struct bide_config *config);

/* The same of `schedules`; also fills in their queues. */
bide_code bide_config_check_schedules(
    const struct bide_reader *reader, const config_t *file, struct bide_config *config);

/* The same of `relays`; names those that have no name. */
bide_code bide_config_check_relays(
    const struct bide_reader *reader, const config_t *file, struct bide_config *config);

/* Replaces ${NAME} in every string of the tree, before it is read, and fills config->secrets. Below
 * `handlers`, `programs` and `http`, a variable that is not set stays as it is, and config->unset names the
 * first. */
bide_code bide_config_expand(
    const struct bide_reader *reader, config_setting_t *root, struct bide_config *config);

#endif
