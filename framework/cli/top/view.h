/* cli/top/view.h: a frame of `bide top` (cli/top/frame.h) as lines of text.
 * Thread-safety: one thread at a time. */
#ifndef BIDE_CLI_TOP_VIEW_H
#define BIDE_CLI_TOP_VIEW_H

#include "cli/top/frame.h"
#include "cli/top/page.h"

/* Onto an empty page: figures for all tables before names in full, and some rows of each table before all of
 * one. */
void bide_top_draw(const json_t *frame, struct bide_page *page);

#endif
