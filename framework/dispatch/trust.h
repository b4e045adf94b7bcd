/* dispatch/trust.h: whose code a plugin is. Any thread.
 *
 * A plugin runs with all rights of its worker, so nobody else may be able to change it: the file (behind any
 * symbolic links) and its folder, and the folder it was looked for in, must belong to root or to this user
 * and be writable by nobody else. A folder with the sticky bit (/tmp) will do: there, others cannot replace a
 * file. So will a group that has only the owner in it. */
#ifndef BIDE_DISPATCH_TRUST_H
#define BIDE_DISPATCH_TRUST_H

#include "bide/error.h"

/* BIDE_E_CONFIG with what is open to whom, and the remedy; also where it cannot be looked at. */
bide_code bide_trust_plugin(const char *dir, const char *path, bide_error *error);

#endif
