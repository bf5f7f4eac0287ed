"""What it costs to know how jobs on Slurm are, beside Slurm's own questions."""

from __future__ import annotations

import resource
import signal
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.life import end_seen, end_written
from benchmarks.measure import Row
from benchmarks.requests import Connection
from benchmarks.slurm_site import Bench, cpu_s
from gateway.jobs.reconcile import Reconciler
from gateway.notifications.ends import Ends
from gateway.reach.reach import Reach
from gateway.services import open_gateway
from gateway.settings import load_settings
from gateway.worker import make_reconciler
from scheduler.processes import send_signal
from tests.live import Api

_USERS = 5
_MINUTE_S = 60.0
_TICKS = 5
_RUNNING = 20
_DUMMY = {"seconds": 600, "steps": 1200}
_BEGIN_S = 300.0
_TURNS = 5
_GETS = 100
_QUESTIONS = 20
_AT_ONCE = {"LOOK_S": "0", "LOOK_MOST_S": "0", "CALLS_PER_MINUTE": "0", "FOLLOW_S": "0"}


def measure_ends(bench: Bench, problem: Mapping[str, Any]) -> list[Row]:
    """Let users submit a fit each, one after the other, for a minute and no faster than it ends."""
    users = [bench.live.user() for _ in range(_USERS)]
    problems = [api.problem(problem)["id"] for api in users]
    time.sleep(_MINUTE_S)  # what was asked before takes from the same minute
    asked, begun = len(bench.calls()), time.monotonic()
    delays: list[float] = []
    for api, known in zip(users, problems, strict=True):
        job = str(api.submit(problem={"id": known}, options={"fit": "lm"})["id"])
        seen = end_seen(api, job)
        delays.append(seen - end_written(bench.directory(job)))
        pause_s = _MINUTE_S / _USERS * len(delays) - (time.monotonic() - begun)
        time.sleep(max(0.0, pause_s))
    took_s = time.monotonic() - begun
    calls = bench.calls()[asked:]
    counts = Counter(name for _, name in calls)
    said = ", ".join(f"{name} {count}" for name, count in counts.items())
    most = _most_in_a_minute([when for when, _ in calls])
    return [
        Row(name="end of a fit on Slurm until a reader sees it", value=statistics.median(delays),
            unit="s", goal=5,
            note="median of " + ", ".join(f"{delay:.1f}" for delay in delays) + " s"),
        Row(name=f"most questions to Slurm in a minute while fits of {_USERS} users end",
            value=most, unit="", goal=6,
            note=f"of {said} in {took_s:.0f} s, counted on the login node"),
    ]  # fmt: skip


def _most_in_a_minute(moments: Sequence[float]) -> int:
    """Count the moments of the fullest minute, wherever it begins."""
    return max(
        (sum(first <= one < first + _MINUTE_S for one in moments) for first in moments), default=0
    )


def measure_reading(bench: Bench, api: Api) -> list[Row]:
    """Read a live job in turns with asking Slurm for it; compare the processors' time of both.

    The worker stands still meanwhile: the store's time is to be that of the requests.
    """
    with _standing_still(bench.processes("gateway.cli worker")):
        return _measure_reading(bench, api)


def _measure_reading(bench: Bench, api: Api) -> list[Row]:
    waiting = api.http.get("/jobs", params={"state": "PENDING", "limit": 50}).json()["items"]
    job = next(one for one in waiting if not one["elements"])  # the campaigns came last
    connection = Connection(api)
    serving = [*bench.processes("gunicorn"), *bench.processes("redis-server")]
    controller = bench.cluster.daemons["slurmctld"].pid
    ours, theirs, controllers = 0.0, 0.0, 0.0
    for _ in range(_TURNS):
        before = sum(map(cpu_s, serving))
        for _ in range(_GETS):
            connection.get(f"/api/v1/jobs/{job['id']}")
        ours += sum(map(cpu_s, serving)) - before
        before = cpu_s(controller)
        theirs += sum(_squeue_cpu_s(bench, job["native_id"]) for _ in range(_QUESTIONS))
        controllers += cpu_s(controller) - before
    ours, theirs = 1000 * ours / _GETS / _TURNS, 1000 * theirs / _QUESTIONS / _TURNS
    controllers = 1000 * controllers / _QUESTIONS / _TURNS
    note = f"{ours:.1f} ms of web and store, {theirs:.1f} ms of squeue"
    return [
        Row(name="GET of a job on Slurm, times squeue -j", value=ours / theirs, unit="x", goal=0.5,
            note=f"{note}: processor time, in turns"),
        Row(name="GET of a job on Slurm, times squeue -j and its controller",
            value=ours / (theirs + controllers), unit="x",
            note=f"{note} and {controllers:.1f} ms of the controller for it"),
    ]  # fmt: skip


def _squeue_cpu_s(bench: Bench, native_id: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    bench.cluster.run("squeue", "-h", "-j", native_id)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure_ticks(bench: Bench, api: Api, live: int, known: int) -> Row:
    """Make rounds here while the worker stands still, each with its question to Slurm.

    Some of the jobs run, and each round reads what they have printed since the last one.
    """
    running = [str(api.submit(kind="dummy", options=_DUMMY)["id"]) for _ in range(_RUNNING)]
    for job in running:
        api.wait_for_state(job, "RUNNING", within_s=_BEGIN_S)
    environment = {f"GATEWAY_CLUSTERS__HPC__{name}": text for name, text in _AT_ONCE.items()}
    settings = load_settings({**bench.live.environment, **environment})
    with _standing_still(bench.processes("gateway.cli worker")):
        gateway = open_gateway(settings)
        gateway.live.drop_leases()
        reach = Reach(settings, gateway.cluster_accounts)
        ends = Ends(gateway.notification_store, gateway.job_store)
        reconciler = make_reconciler(gateway, reach, ends)
        try:
            alive = reconciler.round()  # signs in
            before = gateway.live.followed_many(running)
            rounds = [_round(reconciler) for _ in range(_TICKS)]
            read = gateway.live.followed_many(running)
        finally:
            reach.close()
            gateway.redis.close()
    for job in running:
        api.http.post(f"/jobs/{job}/cancel").raise_for_status()
    if alive < live:
        raise RuntimeError(f"only {alive} jobs are alive, not {live}")
    if silent := [job for job in running if read[job] == before[job]]:
        raise RuntimeError(f"nothing was read of {len(silent)} of {_RUNNING} running jobs")
    wall, cpu = (statistics.median(column) for column in zip(*rounds, strict=True))
    note = f"median of {_TICKS}, each with its squeue; {cpu:.2f} s of a processor"
    name = f"a tick with {alive} live jobs of {known} known, {_RUNNING} of them running and read"
    return Row(name=name, value=wall, unit="s", goal=2, note=note)


def _round(reconciler: Reconciler) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    reconciler.round()
    return time.perf_counter() - wall, time.process_time() - cpu


@contextmanager
def _standing_still(pids: list[int]) -> Iterator[None]:
    send_signal(pids, signal.SIGSTOP)
    try:
        yield
    finally:
        send_signal(pids, signal.SIGCONT)
