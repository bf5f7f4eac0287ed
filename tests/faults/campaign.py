"""Kill a gateway again and again while clients submit, then see what became of the jobs."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from redis import RedisError

from gateway.faults import WEB_POINTS, WORKER_POINTS
from gateway.jobs.models import Stage
from tests.faults.checks import Verdict, judge
from tests.faults.crowd import Crowd
from tests.faults.rig import Rig, running_rig
from tests.faults.sites import ENDS_A_JOB, SiteMaker, local_site
from tests.faults.watcher import Watcher
from tests.helpers import eventually

_GREATEST_CHANCE = 0.5
_AT_ONCE = 2
"""Points of one process that are tried at a time."""

_TURNS = 4
"""In so many turns each point gets its hits, so that a campaign cut short has some of each."""

_SETTLE_S = 240.0
"""A controller that was killed may have forgotten a job: that is believed after two minutes."""

_FLIGHT_S = 2.0
_FLYING = (Stage.NONE, Stage.STAGED, Stage.UNCERTAIN)


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
        return "\n".join([*lines, *verdict.notes, *verdict.faults])


def at_points(times: int, within_s: float, make_site: SiteMaker = local_site) -> Outcome:
    """Kill at every named point so many times."""
    return _campaign(lambda rig: _hit_points(rig, times, within_s), make_site)


def at_random(
    times: int,
    pause_s: float = 0.2,
    seed: int = 1,
    make_site: SiteMaker = local_site,
    spared: Sequence[str] = (),
    only: Sequence[str] = (),
) -> Outcome:
    """Hit parts at random moments, so many times in all and each as often as any other.

    Parameters
    ----------
    spared
        Parts that are left alone.
    only
        Parts that are hit, and no others; empty for all that are not spared.
    """
    dice = random.Random(seed)  # noqa: S311 - no secret

    def attack(rig: Rig) -> Counter[str]:
        victims = [name for name in only or rig.victims if name not in spared]
        return _hit_anybody(rig, victims, times, pause_s, dice)

    return _campaign(attack, make_site)


def _campaign(attack: Callable[[Rig], Counter[str]], make_site: SiteMaker) -> Outcome:
    begun = time.monotonic()
    with running_rig(make_site) as rig:
        api = rig.user()
        with Watcher(rig, api.name) as watcher:
            with Crowd(api, watcher) as crowd:
                hits = attack(rig)
                rig.plan({})
                rig.renew()
                calm = time.monotonic()
            settle(watcher, crowd.history.ids)
            settled_s = time.monotonic() - calm
            eventually(rig.live.ready, what=lambda: f"a ready gateway\n{rig.live.log[-4000:]}")
            verdict = judge(rig, api, crowd.history, watcher)
    return Outcome(hits=hits, verdict=verdict, settled_s=settled_s, took_s=time.monotonic() - begun)


def settle(watcher: Watcher, ids: set[str]) -> None:
    """Wait until all jobs have ended; one that does not is for the judge to report."""
    deadline = time.monotonic() + _SETTLE_S
    while not ids <= watcher.settled and time.monotonic() < deadline:
        time.sleep(0.05)


def _hit_points(rig: Rig, times: int, within_s: float) -> Counter[str]:
    """Let the parts crash, each point until it has been hit often enough."""
    site = rig.site
    gateway = (WEB_POINTS, (*WORKER_POINTS, *site.worker_points))
    groups = {**dict.fromkeys(gateway, ENDS_A_JOB), **dict.fromkeys(site.points, site.ends_a_job)}
    points = [name for group in groups for name in group]
    deadline = time.monotonic() + within_s
    aims: dict[str, int] = {}
    while time.monotonic() < deadline:
        hits = rig.hits()
        if all(hits[name] >= times for name in points):
            break
        if now := _aims(groups, aims, hits, times):
            aims = now
            web, *others = (_chances(group, aims, ends) for group, ends in groups.items())
            rig.plan({"web": web, "worker": {n: p for group in others for n, p in group.items()}})
            rig.renew()
        time.sleep(0.1)
    hits = rig.hits()
    return Counter({name: hits[name] for name in points})


def _aims(
    groups: Iterable[tuple[str, ...]], aims: Mapping[str, int], hits: Counter[str], times: int
) -> dict[str, int]:
    """Say which points are wanted next, and how many hits of each; empty while nothing changes.

    A point that is passed once in a call for many jobs is hit far more seldom than one that each
    job passes: so of each process the points that are furthest behind have it to themselves.
    """
    if aims and not any(hits[name] >= aim for name, aim in aims.items()):
        return {}
    step = -(-times // _TURNS)
    wanted: dict[str, int] = {}
    for group in groups:
        going_on = {n: aims[n] for n in group if n in aims and hits[n] < aims[n]}
        behind = sorted((n for n in group if hits[n] < times), key=lambda n: hits[n])
        for name in behind:
            if len(going_on) < _AT_ONCE and name not in going_on:
                going_on[name] = min(times, hits[name] + step)
        wanted |= going_on
    return wanted


def _chances(group: tuple[str, ...], aims: Iterable[str], ends_a_job: float) -> dict[str, float]:
    """Say how likely a pass of each point is to be the last: the fewer points, the likelier."""
    names = [name for name in aims if name in group]
    return {name: min(_GREATEST_CHANCE, ends_a_job / len(names)) for name in names}


def _hit_anybody(
    rig: Rig, victims: Sequence[str], times: int, pause_s: float, dice: random.Random
) -> Counter[str]:
    hits = Counter(dict.fromkeys(victims, 0))
    while hits.total() < times:
        victim = min(victims, key=lambda name: (hits[name], dice.random()))
        time.sleep(dice.uniform(0, 2 * pause_s))
        if _submitting(rig):
            hits[victim] += rig.hit(victim)
    return hits


def _submitting(rig: Rig) -> bool:
    """Wait a moment until a job is on its way to its scheduler; False when none came."""
    deadline = time.monotonic() + _FLIGHT_S
    while time.monotonic() < deadline:
        with suppress(RedisError):  # the store is one of the victims
            if any(job.attempt.stage in _FLYING for job in rig.gateway.job_store.active()):
                return True
        time.sleep(0.01)
    return False
