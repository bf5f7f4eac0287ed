"""How fast fits reach Slurm, beside a loop of sbatch in a shell on the login node."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, in_parallel, percentile, timed
from benchmarks.requests import Connection
from benchmarks.slurm_site import LATER, Bench
from tests.helpers import eventually
from tests.live import Api

_CLIENTS = 8
_CAMPAIGNS = 5
_LONG_S = 600.0
_PAUSE_S = 1.0
_POSTS = 20
_TURNS = 4
_AT_ONCE = 25
_ALL = 1000
"""So many fits are what the goal of a campaign was set for."""


_Post = Callable[[Api, Mapping[str, Any], int], None]


def measure_submission(bench: Bench, api: Api, fit: Mapping[str, Any], number: int) -> list[Row]:
    """Submit fits through the API between two halves of a loop of sbatch, and as one campaign.

    Campaigns once where nothing else waits, as the loop begins, and once beside all of the others.
    """
    waits = {**fit, "resources": LATER}
    script = _first(bench, api, waits)
    alone = [_campaign_s(bench, api, waits, number) for _ in range(_CAMPAIGNS)]
    loop_s = bench.submit_by_hand(script, number // 2)
    ours = _Ours(bench, api, waits, number, _post)
    crowds = _Ours(bench, api, waits, number, _post_many)
    loop_s += bench.submit_by_hand(script, number - number // 2)
    beside = [_campaign_s(bench, api, waits, number) for _ in range(_CAMPAIGNS)]
    return [
        Row(name="fits to Slurm through the API over SSH, times a local loop of sbatch",
            value=ours.whole_s / loop_s, unit="x", goal=2,
            note=f"{number}: {ours.whole_s:.1f} s from the first POST until squeue has the last "
            f"(POSTs {ours.posts_s:.1f} s, {ours.cpu_s:.1f} s of processors), loop {loop_s:.1f} s"),
        Row(name=f"the same, {_AT_ONCE} in a request",
            value=crowds.whole_s / loop_s, unit="x", goal=2,
            note=f"{number}: {crowds.whole_s:.1f} s (POSTs {crowds.posts_s:.1f} s, "
            f"{crowds.cpu_s:.1f} s of processors)"),
        _campaign(f"a campaign of {number} elements, of that loop", alone, loop_s, number),
        _campaign(f"the same beside {2 * number} live jobs", beside, loop_s, number),
    ]  # fmt: skip


def _campaign(name: str, took: Sequence[float], loop_s: float, number: int) -> Row:
    said = ", ".join(f"{1000 * one:.0f} ms" for one in took)
    return Row(
        name=name, value=100 * statistics.median(took) / loop_s, unit="%",
        goal=2 * _ALL / number, note=f"from POST to squeue, median of {said}",
    )  # fmt: skip


def _first(bench: Bench, api: Api, request: Mapping[str, Any]) -> Path:
    """Submit one; answer its directory: the loop submits the same script."""
    first = str(api.submit(**request)["id"])
    eventually(lambda: api.job(first)["native_id"], within_s=_LONG_S, what="a first job")
    return bench.directory(first)


class _Ours:
    """Fits that go through the API, and how long that took."""

    def __init__(
        self, bench: Bench, api: Api, request: Mapping[str, Any], number: int, post: _Post
    ) -> None:
        before, cpu_s = bench.known_to_slurm(), bench.cpu_s()
        begun = time.perf_counter()
        self.posts_s = timed(lambda: post(api, request, number))
        _await_slurm(bench, before + number)
        self.whole_s = time.perf_counter() - begun
        self.cpu_s = bench.cpu_s() - cpu_s


def _post(api: Api, request: Mapping[str, Any], number: int) -> None:
    body = json.dumps(request).encode()
    connections = [Connection(api) for _ in range(_CLIENTS)]
    in_parallel([partial(one.submit, body) for one in connections], number // _CLIENTS)
    for _ in range(number % _CLIENTS):
        connections[0].submit(body)


def _post_many(api: Api, request: Mapping[str, Any], number: int) -> None:
    """Post so many at once, over as many connections as one by one."""
    left = [min(_AT_ONCE, number - first) for first in range(0, number, _AT_ONCE)]
    bodies = [json.dumps({"jobs": [request] * count}).encode() for count in left]

    def post(mine: list[bytes]) -> None:
        connection = Connection(api)
        for body in mine:
            connection.submit_many(body)

    in_parallel([partial(post, bodies[turn::_CLIENTS]) for turn in range(_CLIENTS)], 1)


def _await_slurm(bench: Bench, number: int, every_s: float = 0.5) -> None:
    # Not more often: each look at thousands of jobs takes processor time that submitting needs.
    eventually(
        lambda: bench.known_to_slurm() >= number,
        within_s=_LONG_S,
        every_s=every_s,
        what=f"{number} jobs in Slurm",
    )


def _campaign_s(bench: Bench, api: Api, request: Mapping[str, Any], number: int) -> float:
    elements = [{"label": f"s{k}", "start": [1 + k / number, 0.0]} for k in range(number)]
    body = json.dumps({**request, "elements": elements, "pack": 1}).encode()
    connection, before = Connection(api), bench.known_to_slurm()
    time.sleep(_PAUSE_S)  # nudges keep a distance, and nobody submits two such in a second
    begun = time.perf_counter()
    connection.submit(body)
    _await_slurm(bench, before + 1, every_s=0.01)
    return time.perf_counter() - begun


# With the cluster away


def measure_outages(bench: Bench, api: Api, fit: Mapping[str, Any]) -> list[Row]:
    """Submit in turns with the cluster up and away: nobody's click waits for a cluster."""
    body = json.dumps({**fit, "resources": LATER}).encode()
    server, cluster = bench.site.server, bench.cluster
    outages = {
        "sshd stands still": (server.freeze, server.thaw),
        "the controller stands still": (cluster.freeze, cluster.thaw),
    }
    return [_outage(api, body, name, *ways) for name, ways in outages.items()]


def _outage(
    api: Api,
    body: bytes,
    name: str,
    freeze: Callable[[], None],
    thaw: Callable[[], None],
) -> Row:
    up: list[float] = []
    away: list[float] = []
    for _ in range(_TURNS):
        up += _turn(api, body)
        freeze()
        try:
            away += _turn(api, body)
        finally:
            thaw()
    ups, aways = ([1000 * percentile(some, part) for part in (50, 95)] for some in (up, away))
    return Row(
        name=f"POST while {name}, times one while all is well, p50", value=aways[0] / ups[0],
        unit="x", goal=1.25,
        note=f"p50 {aways[0]:.1f} and {ups[0]:.1f} ms, p95 {aways[1]:.1f} and {ups[1]:.1f} ms, "
        "in turns",
    )  # fmt: skip


def _turn(api: Api, body: bytes) -> list[float]:
    connection = Connection(api)
    connection.get("/api/v1/me")
    return in_parallel([partial(connection.submit, body)], _POSTS)
