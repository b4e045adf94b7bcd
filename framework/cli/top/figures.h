/* cli/top/figures.h: figures where room is short: at most seven columns, "-" for what is negative: unknown.
 * Each returns `to`. Any thread. */
#ifndef BIDE_CLI_TOP_FIGURES_H
#define BIDE_CLI_TOP_FIGURES_H

enum { BIDE_FIGURE_TEXT = 32 };

char *bide_figure_count(double n, char to[BIDE_FIGURE_TEXT]);   /* "99999", "100k", "1.23M" */
char *bide_figure_rate(double rate, char to[BIDE_FIGURE_TEXT]); /* "0", "0.4", "1234" */
char *bide_figure_ms(double ms, char to[BIDE_FIGURE_TEXT]);     /* "0.85ms", "12.3ms", "1.50s", "2h03m" */
char *bide_figure_s(double s, char to[BIDE_FIGURE_TEXT]);       /* "12s", "5m03s", "2h03m", "3d04h" */

#endif
