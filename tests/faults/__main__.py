"""``python -m tests.faults N SITE``: N faults at named points, half as many at random moments.

Where Slurm is, its controller is killed in a campaign of its own. What it acknowledged and had not
saved it takes back, a job as well as its end, so there only that nothing ran twice is demanded;
what it took back is told.
"""

from __future__ import annotations

import argparse
import sys

from tests.faults.campaign import at_points, at_random
from tests.faults.sites import SiteMaker
from tests.faults.slurm_sites import SITES

_S_A_KILL = 3.0
_POINTS = 25  # about so many there are at any site
_CONTROLLER = "slurmctld"
_CONTROLLER_KILLS = 20
_ENOUGH = 20  # hits of each point, for which no more than so many times as many faults are needed


def times_each(faults: int) -> int:
    """Say how often each point is hit: 400 faults are enough for 20 times.

    >>> [times_each(faults) for faults in (30, 100, 400, 1000)]
    [2, 5, 20, 40]
    """
    return max(-(-faults // _POINTS), min(faults // _ENOUGH, _ENOUGH))


def main() -> int:
    """Run two campaigns; answer the status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("faults", type=int, nargs="?", default=1000)
    parser.add_argument("site", choices=SITES, nargs="?", default="local")
    asked = parser.parse_args()
    times, make_site = times_each(asked.faults), SITES[asked.site]
    points = at_points(times, within_s=60 + asked.faults * _S_A_KILL, make_site=make_site)
    print(points.table(), end="\n\n", flush=True)  # noqa: T201 - it is a command
    moments = at_random(asked.faults // 2, make_site=make_site, spared=(_CONTROLLER,))
    print(moments.table(), flush=True)  # noqa: T201
    double = _controller_kills(make_site) if asked.site != "local" else []
    short = [name for name, count in points.hits.items() if count < times]
    if short:
        print("not hit often enough:", ", ".join(short))  # noqa: T201
    return 1 if short or points.verdict.faults or moments.verdict.faults or double else 0


def _controller_kills(make_site: SiteMaker) -> list[str]:
    """Kill Slurm's controller at random moments; answer what ran twice."""
    killed = at_random(_CONTROLLER_KILLS, make_site=make_site, only=(_CONTROLLER,))
    told = "\nthe controller alone; what is not called double it has taken back itself"
    print(told, killed.table(), sep="\n", flush=True)  # noqa: T201 - it is a command
    return killed.verdict.double


if __name__ == "__main__":
    sys.exit(main())
