/* base/killpoint.h: steps at which a test can have a process killed. They are empty except in builds with
 * BIDE_KILL_POINTS (the presets dev, asan and tsan).
 *
 * BIDE_KILL_AT=NAME:N:FILE in the environment: when the point NAME is passed for the N-th time, it makes
 * FILE and ends the process by SIGKILL. If FILE exists already, nothing happens, so that the process
 * started next lives. tests/fault/test_kill_points.py finds all points in the sources and tests each. A
 * name begins with the command that passes the point: send/…, worker/…, replay/…; then "redis-" and the
 * like for the adapter. Those of stores, store/…, are tested by tests/contract_store/kills.c. */
#ifndef BIDE_BASE_KILLPOINT_H
#define BIDE_BASE_KILLPOINT_H

#ifdef BIDE_KILL_POINTS
void bide_kill_point(const char *name); /* any thread */
#define BIDE_KILL_POINT(name) bide_kill_point(name)
#else
#define BIDE_KILL_POINT(name) ((void)0)
#endif

#endif
