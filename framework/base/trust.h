/* base/trust.h: opens a file that nobody else can change: a configuration, a secret, a plugin. Any thread.
 *
 * Whoever can change such a file decides what runs with the rights of this process. So the file (behind any
 * symbolic links) and each folder above it, and above the link, must belong to root or to this user and be
 * writable by nobody else. A folder with the sticky bit (/tmp) will do: there, others cannot replace a file.
 * So will a group that has only the owner in it (unless an access list names more), a file system that is
 * mounted read-only, and, whoever owns it, a file that is such a mount by itself (a container's
 * configuration).
 *
 * What was opened is judged, from the file upwards by "..": a path that changes meanwhile changes nothing. */
#ifndef BIDE_BASE_TRUST_H
#define BIDE_BASE_TRUST_H

#include "bide/error.h"

/* Opens for reading, without waiting for a writer of a pipe. `what` is for the error's text ("the
 * configuration"). BIDE_E_CONFIG with what is open to whom, and the remedy; also where it cannot be opened.
 */
bide_code bide_trust_open(const char *what, const char *path, int *ret_fd, bide_error *error);

#endif
