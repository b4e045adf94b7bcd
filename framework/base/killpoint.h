/* base/killpoint.h: steps at which a test can have a process killed. Nothing at all but in builds with
 * BIDE_KILL_POINTS (the presets dev, asan and tsan).
 *
 * BIDE_KILL_AT=NAME:N:FILE in the environment: the N-th passage of the point NAME makes FILE and ends the
 * process by SIGKILL; where FILE is there already, nothing happens any more, so that what is started again
 * lives. tests/fault/test_kill_points.py finds every point in the sources and walks through them. A name
 * begins with the command that passes it: send/…, worker/…, replay/…; "redis-" and the like behind it is the
 * adapter. */
#ifndef BIDE_BASE_KILLPOINT_H
#define BIDE_BASE_KILLPOINT_H

#ifdef BIDE_KILL_POINTS
void bide_kill_point(const char *name); /* any thread */
#define BIDE_KILL_POINT(name) bide_kill_point(name)
#else
#define BIDE_KILL_POINT(name) ((void)0)
#endif

#endif
