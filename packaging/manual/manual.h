/* packaging/manual/manual.h: manual pages and shell completions, written from the tables of framework/cli and
 * framework/config while the program is built, so that they say what --help says. See
 * docs/decisions/0014-manual-at-build-time.md. */
#ifndef BIDE_MANUAL_H
#define BIDE_MANUAL_H

#include "cli/core/command.h"

/* ---- roff.c: text as man(7) wants it ---- */

/* What nothing in it is taken for a request or an escape; `words` in backquotes become bold. */
void manual_text(struct bide_buffer *to, const char *text);
/* The same without new lines, for where one ends something. */
void manual_line(struct bide_buffer *to, const char *text);
/* Lines as paragraphs: an empty one separates them, what begins with blanks stays as it is. */
void manual_paragraphs(struct bide_buffer *to, const char *text);
/* .TH and NAME. */
void manual_head(struct bide_buffer *to, const char *name, const char *section, const char *summary);

/* ---- pages.c, settings.c ---- */

void manual_write_program(struct bide_buffer *to);                                         /* bide(1) */
void manual_write_command(struct bide_buffer *to, const struct bide_cli_command *command); /* bide-NAME(1) */
void manual_write_settings(struct bide_buffer *to);                                        /* bide.conf(5) */
/* markdown.c: bide-handlers(7), from handlers/README.md. */
void manual_write_handlers(struct bide_buffer *to, const char *markdown);

/* ---- completions ---- */

void manual_write_bash(struct bide_buffer *to);
void manual_write_zsh(struct bide_buffer *to);
void manual_write_fish(struct bide_buffer *to);

/* The length of the first of a command's words; whether an earlier row has the same one. */
int manual_first_word(const struct bide_cli_command *command);
bool manual_is_repeated(size_t row);
/* The second word, or NULL. */
const char *manual_second_word(const struct bide_cli_command *command);
/* For a shell: in single quotes, with what must be escaped in the ways of `shell`. */
enum manual_shell { MANUAL_BASH, MANUAL_ZSH, MANUAL_ZSH_SPEC, MANUAL_FISH };
void manual_quoted(struct bide_buffer *to, const char *text, enum manual_shell shell);
/* What an option's value is, to a shell. */
bool manual_takes_file(const struct bide_cli_option *option);
bool manual_takes_folder(const struct bide_cli_option *option);

#endif
