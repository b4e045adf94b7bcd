/* base/trust.h: opens a file that nobody else can change: a configuration, a secret, a plugin. Any thread.
 *
 * Whoever can change such a file decides what runs with the rights of this process. So the file (behind any
 * symbolic links), each folder above it, and each folder above the link must belong to root or to this user
 * and be writable by nobody else. These are accepted too: a folder with the sticky bit (/tmp), because others
 * cannot replace a file there; a group with no member but the owner (unless an access list names more users);
 * a file system that is mounted read-only; and, whoever owns it, a file that is a read-only mount by itself
 * (a container's configuration).
 *
 * The checks use the opened file and go upwards by "..": a path that is changed meanwhile makes no
 * difference. */
#ifndef BIDE_BASE_TRUST_H
#define BIDE_BASE_TRUST_H

#include "bide/error.h"

/* Opens the file for reading; does not wait for the writer of a pipe. `what` ("the configuration") is for the
 * error's text. BIDE_E_CONFIG, with who can write what and the remedy; also if the file cannot be opened. */
bide_code bide_trust_open(const char *what, const char *path, int *ret_fd, bide_error *error);

#endif
