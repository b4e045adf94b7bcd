/* The store of `bide check`: is there one where a feature needs it, and is it as it has to be? */
#include <string.h>

#include "cli/commands/check.h"
#include "store/configured.h"

static void verify(struct bide_cli_report *report, const struct bide_configured_store *configured)
{
    struct bide_store *store = NULL;
    bide_error error;
    bide_cli_report_ok(report, "store", configured->url.redacted);
    if (bide_store_open(&configured->options, &store, &error) != BIDE_OK ||
        bide_store_verify(store, bide_cli_report_add, report, &error) != BIDE_OK)
        bide_cli_report_failure(report, "store", &error, NULL);
    bide_store_destroy(store);
}

static void warn_of_one_host(struct bide_cli_report *report, const struct bide_configured_store *configured,
    const struct bide_adapter *adapter)
{
    if (configured->type->one_host && strcmp(adapter->name, configured->type->name) != 0)
        bide_cli_report_add(
            report, &(struct bide_finding){BIDE_FINDING_WARNING, "store",
                        "only workers of this host know it: what it remembers holds for each host by itself",
                        "with workers on several hosts: store = \"redis://host:6379/1\";"});
}

void bide_cli_check_store(
    struct bide_cli_report *report, const struct bide_config *config, const struct bide_adapter *adapter)
{
    struct bide_configured_store store;
    bide_error error;
    bool needed = false;
    if (bide_store_configure(config, "check", &store, &error) != BIDE_OK) {
        bide_cli_report_failure(report, "store", &error, NULL);
        return;
    }
    if (bide_store_require(config, &store, &needed, &error) != BIDE_OK) {
        bide_cli_report_failure(report, "store", &error, NULL);
    } else if (needed || config->store) {
        verify(report, &store);
        warn_of_one_host(report, &store, adapter);
    }
    bide_configured_store_clear(&store);
}
