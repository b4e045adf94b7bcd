/* store/redis/scripts/scripts.h: the Lua scripts of a Redis store, one row each.
 *
 * See broker/redis/scripts/scripts.h. Keys, all with the namespace's hash tag:
 *
 *   {ns}:facts:SCOPE       hash    a scope, with all that lasts as long as it
 *   {ns}:ends:SCOPE        zset    KEY -> when it lapses, of facts that have a time
 *   {ns}:permits:N:SCOPE:KEY  hash  holder -> when it leaves, a space, its session;
 *                                  N: bytes of SCOPE
 *   {ns}:session:ID        string  lives as long as the session; "gone": it ended
 *   {ns}:store:pulse, {ns}:store:judged  strings  as the broker's pulse and judged
 *
 * The fields of a scope (times are Unix ms):
 *
 *   s         empty: the scope itself
 *   fKEY      a fact: its state, when it lapses (nothing: with its scope), a space,
 *             its data
 *   tSET      how many members the set has, a space, the total
 *   bPAGE:SET 4096 members of the set as bits, from the lowest on
 *
 * Redis itself lets a scope lapse (PEXPIRE). A script writes nothing before it has
 * read what it decides by, so that a server without room refuses it as a whole. */
#ifndef BIDE_STORE_REDIS_SCRIPTS_H
#define BIDE_STORE_REDIS_SCRIPTS_H

#include "broker/redis/scripts/scripts.h"

/* Constant, name in messages, text (bide_store_lua_NAME is NAME.lua). */
#define BIDE_STORE_SCRIPTS(ROW)                                                                              \
    ROW(BIDE_STORE_SCRIPT_APPLY, "store apply", bide_store_lua_apply)                                        \
    ROW(BIDE_STORE_SCRIPT_SCAN, "store scan", bide_store_lua_scan)                                           \
    ROW(BIDE_STORE_SCRIPT_BEAT, "store beat", bide_store_lua_beat)

enum bide_store_script {
#define BIDE_STORE_SCRIPT_ENUM(name, text, lua) name,
    BIDE_STORE_SCRIPTS(BIDE_STORE_SCRIPT_ENUM)
#undef BIDE_STORE_SCRIPT_ENUM
        BIDE_STORE_N_SCRIPTS
};

#define BIDE_STORE_SCRIPT_EXTERN(name, text, lua) extern const char lua[];
BIDE_STORE_SCRIPTS(BIDE_STORE_SCRIPT_EXTERN)
#undef BIDE_STORE_SCRIPT_EXTERN

extern const struct bide_redis_script_set bide_store_scripts;

#endif
