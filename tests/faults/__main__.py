"""``python -m tests.faults N``: N kills at the named points and half as many at random moments."""

from __future__ import annotations

import sys

from tests.faults.campaign import POINTS, at_points, at_random

_S_A_KILL = 3.0

if __name__ == "__main__":
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    times = -(-wanted // len(POINTS))
    outcomes = [at_points(times, within_s=60 + wanted * _S_A_KILL), at_random(wanted // 2)]
    for outcome in outcomes:
        print(outcome.table(), end="\n\n", flush=True)  # noqa: T201 - it is a command
    short = [name for name, count in outcomes[0].hits.items() if count < times]
    if short:
        print("not hit often enough:", ", ".join(short))  # noqa: T201
    sys.exit(1 if short or any(outcome.verdict.faults for outcome in outcomes) else 0)
