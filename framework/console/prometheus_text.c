/* The parts of the format. */
#include "console/prometheus.h"

#include <inttypes.h>

void bide_prometheus_head(struct bide_buffer *to, const char *name, const char *kind, const char *help)
{
    bide_buffer_format(to, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind);
}

void bide_prometheus_seconds(struct bide_buffer *to, uint64_t us)
{
    bide_buffer_format(to, "%" PRIu64 ".%06" PRIu64, us / 1000000, us % 1000000);
}

void bide_prometheus_label(struct bide_buffer *to, const char *name, const char *text)
{
    bide_buffer_char(to, to->size && to->bytes[to->size - 1] == '"' ? ',' : '{');
    bide_buffer_format(to, "%s=\"", name);
    for (; *text; text++)
        if (*text == '\\' || *text == '"')
            bide_buffer_format(to, "\\%c", *text);
        else if (*text == '\n')
            bide_buffer_text(to, "\\n");
        else
            bide_buffer_char(to, *text);
    bide_buffer_char(to, '"');
}

void bide_prometheus_histogram(struct bide_buffer *to, const char *metric, const char *name, const char *text,
    const struct bide_histogram_sum *sum)
{
    uint64_t n = 0;
    for (size_t i = 0; i <= BIDE_HISTOGRAM_BOUNDS; i++) {
        n += sum->counts[i];
        bide_buffer_format(to, "%s_bucket", metric);
        if (text)
            bide_prometheus_label(to, name, text);
        bide_buffer_text(to, text ? ",le=\"" : "{le=\"");
        if (i == BIDE_HISTOGRAM_BOUNDS)
            bide_buffer_text(to, "+Inf");
        else
            bide_buffer_format(to, "%g", (double)bide_histogram_bound_us(i) / 1e6);
        bide_buffer_format(to, "\"} %" PRIu64 "\n", n);
    }
    static const char *const suffixes[] = {"sum", "count"};
    for (size_t i = 0; i < 2; i++) {
        bide_buffer_format(to, "%s_%s", metric, suffixes[i]);
        if (text)
            bide_prometheus_label(to, name, text);
        bide_buffer_text(to, text ? "} " : " ");
        if (i == 0)
            bide_prometheus_seconds(to, sum->sum_us);
        else
            bide_buffer_format(to, "%" PRIu64, n);
        bide_buffer_char(to, '\n');
    }
}
