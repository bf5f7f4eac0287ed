"""Kill a gateway again and again while clients submit, then see what became of the jobs."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from gateway.faults import WEB_POINTS, WORKER_POINTS
from scheduler.faults import EXECUTOR_POINTS, SHEPHERD_POINTS, SUBMIT_POINTS
from tests.faults.checks import Verdict, judge
from tests.faults.crowd import Crowd
from tests.faults.rig import VICTIMS, Rig, running_rig
from tests.faults.watcher import Watcher
from tests.helpers import eventually

_GROUPS = (WEB_POINTS, (*WORKER_POINTS, *SUBMIT_POINTS), EXECUTOR_POINTS, SHEPHERD_POINTS)
POINTS = tuple(name for group in _GROUPS for name in group)
# How many ends a process may expect on the way of one job: high enough for hundreds of ends a
# minute, low enough that jobs still get somewhere.
_ENDS_A_JOB = 1.5
_GREATEST_CHANCE = 0.5
_SETTLE_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A campaign: who was hit how often, and what it did to the jobs."""

    hits: Counter[str]
    verdict: Verdict
    settled_s: float
    """From the last fault to the end of the last job."""

    took_s: float

    def table(self) -> str:
        """Write it for people."""
        lines = [f"{'killed':<30} {'times':>6}"]
        lines += [f"{name:<30} {count:>6}" for name, count in self.hits.items()]
        lines.append(f"{'all':<30} {self.hits.total():>6}")
        verdict = self.verdict
        states = ", ".join(f"{count} {state}" for state, count in sorted(verdict.states.items()))
        lines += [
            f"{verdict.jobs} jobs acknowledged in {verdict.requests} requests: {states}",
            f"lost: {len(verdict.lost)}   double: {len(verdict.double)}   "
            f"other faults: {len(verdict.other)}",
            f"settled {self.settled_s:.1f} s after the last fault; {self.took_s:.0f} s in all",
        ]
        return "\n".join([*lines, *verdict.faults])


def at_points(times: int, within_s: float) -> Outcome:
    """Kill at every named point so many times."""
    return _campaign(lambda rig: _hit_points(rig, times, within_s))


def at_random(times: int, pause_s: float = 0.2, seed: int = 1) -> Outcome:
    """Kill parts at random moments, so many times in all."""
    return _campaign(lambda rig: _hit_anybody(rig, times, pause_s, random.Random(seed)))  # noqa: S311


def _campaign(attack: Callable[[Rig], Counter[str]]) -> Outcome:
    begun = time.monotonic()
    with running_rig() as rig:
        api = rig.user()
        with Watcher(rig, api.name) as watcher:
            with Crowd(api, watcher) as crowd:
                hits = attack(rig)
                rig.plan({})
                rig.renew()
                calm = time.monotonic()
            settle(watcher, crowd.history.ids)
            settled_s = time.monotonic() - calm
            eventually(rig.live.ready, what="the gateway to be ready again")
            verdict = judge(rig, api, crowd.history, watcher)
    return Outcome(hits=hits, verdict=verdict, settled_s=settled_s, took_s=time.monotonic() - begun)


def settle(watcher: Watcher, ids: set[str]) -> None:
    """Wait until all jobs have ended; one that does not is for the judge to report."""
    deadline = time.monotonic() + _SETTLE_S
    while not ids <= set(watcher.ends) and time.monotonic() < deadline:
        time.sleep(0.05)


def _hit_points(rig: Rig, times: int, within_s: float) -> Counter[str]:
    """Let the parts crash, each point until it has been hit often enough."""
    deadline = time.monotonic() + within_s
    left: set[str] = set()
    while time.monotonic() < deadline:
        hits = rig.hits()
        now_left = {name for name in POINTS if hits[name] < times}
        if not now_left:
            break
        if now_left != left:
            left = now_left
            web, *others = (_chances(group, left) for group in _GROUPS)
            rig.plan({"web": web, "worker": {n: p for group in others for n, p in group.items()}})
            rig.renew()
        time.sleep(0.1)
    hits = rig.hits()
    return Counter({name: hits[name] for name in POINTS})


def _chances(group: tuple[str, ...], left: set[str]) -> dict[str, float]:
    """Say how likely a pass of each point is to be the last: the fewer points, the likelier."""
    names = [name for name in group if name in left]
    return {name: min(_GREATEST_CHANCE, _ENDS_A_JOB / len(names)) for name in names}


def _hit_anybody(rig: Rig, times: int, pause_s: float, dice: random.Random) -> Counter[str]:
    hits = Counter(dict.fromkeys(VICTIMS, 0))
    while hits.total() < times:
        victim = min(VICTIMS, key=lambda name: (hits[name], dice.random()))
        time.sleep(dice.uniform(0, 2 * pause_s))
        hits[victim] += rig.kill(victim)
    return hits
