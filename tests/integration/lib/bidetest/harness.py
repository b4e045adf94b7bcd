"""How a test file runs: named cases, each with a project of its own, and an exit code that can be trusted.

    from bidetest.harness import main

    def something_holds(project):
        ...
        assert x == y, f"{x} is not {y}"

    main(something_holds)

--case GLOB chooses cases (64 where none matches); --broker sqlite|rabbitmq|redis chooses the broker, whose URL for a
server comes from BIDE_TEST_BROKER_URL. BIDE_BUILD is the build folder (default: build/release).
"""

import argparse
import fnmatch
import os
import sys
import time
import traceback

from bidetest.project import Project


class Skip(Exception):
    """Raised by a case that cannot run here; tests/run counts it as a failure unless skips are allowed."""


def expect(condition, text):
    """An assertion that stays with python -O."""
    if not condition:
        raise AssertionError(text)


def run_case(case, broker):
    started = time.monotonic()
    print(f"[ RUN      ] {case.__name__}", flush=True)
    verdict = "      OK"
    try:
        with Project(broker) as project:
            case(project)
    except Skip as reason:
        print(f"SKIPPED {case.__name__}: {reason}")
        verdict = " SKIPPED"
    except Exception:  # whatever it is, the next case runs
        traceback.print_exc(file=sys.stdout)
        verdict = " FAILED "
    print(f"[ {verdict} ] {case.__name__} ({time.monotonic() - started:.1f} s)", flush=True)
    return verdict != " FAILED "


def main(*cases):
    os.umask(0o022)  # some cases read as nobody what they have written
    parser = argparse.ArgumentParser()
    parser.add_argument("--broker", default="sqlite", choices=("sqlite", "rabbitmq", "redis"))
    parser.add_argument("--case", default="*", metavar="GLOB")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    chosen = [case for case in cases if fnmatch.fnmatchcase(case.__name__, arguments.case)]
    if arguments.list:
        print("\n".join(case.__name__ for case in chosen))
        sys.exit(0)
    if not chosen:
        print(f"no case matches '{arguments.case}'", file=sys.stderr)
        sys.exit(64)
    results = [run_case(case, arguments.broker) for case in chosen]
    print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
    sys.exit(0 if all(results) else 1)
