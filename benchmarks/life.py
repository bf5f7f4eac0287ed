"""How long starts and ends take to be seen, and what jobs cost in memory."""

from __future__ import annotations

import json
import statistics
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.measure import Row, timed
from benchmarks.requests import LINE
from gateway.database import Store, connect
from gateway.settings import load_settings
from scheduler.processes import having
from tests.helpers import eventually
from tests.live import Api, LiveGateway, live_gateway

_TIMES = 3
_ENDS = 7
_STORED = 40
_MEGA = 1e6
EVENTS_S = 200
"""How long live events stay here; the default is ten minutes."""


def measure_starts() -> list[Row]:
    """Measure from the command to the first answer, on a new and then on a used state directory."""
    with live_gateway() as live:
        took = []
        for _ in range(_TIMES):
            live.stop()
            took.append(timed(live.start))
    return [Row(name="bumps-gateway run until it is ready", value=statistics.median(took), unit="s",
                goal=3)]  # fmt: skip


def measure_ends(live: LiveGateway) -> list[Row]:
    """Measure from the driver's last event to the news of the end at a reader of live events."""
    api = live.user()
    problem = api.problem(LINE)["id"]
    delays = [_delay(live, api, problem) for _ in range(_ENDS)]
    note = f"median of {_ENDS} fits; at most {max(delays):.2f} s"
    return [Row(name="end of a fit until a reader sees it", value=statistics.median(delays),
                unit="s", goal=2, note=note)]  # fmt: skip


def _delay(live: LiveGateway, api: Api, problem: str) -> float:
    job = api.submit(problem={"id": problem}, options={"fit": "lm"})["id"]
    seen = end_seen(api, job)
    return seen - end_written(next(live.state.glob(f"jobs/**/{job}/1")))


def end_seen(api: Api, job: str) -> float:
    """Read a job's live events up to its end; answer when that came."""
    with api.http.stream("GET", f"/jobs/{job}/events") as answer:
        for document in _documents(answer.iter_lines()):
            if document.get("final"):
                return time.time()
    raise RuntimeError(f"the events of job {job} ended before it did")


def end_written(directory: Path) -> float:
    """Read when the driver of an attempt said that it had ended."""
    text = (directory / "events.0.jsonl").read_text(encoding="utf-8")
    events = [json.loads(line) for line in text.splitlines()]
    return float(next(event["t"] for event in events if event["event"] == "end"))


def _documents(lines: Iterator[str]) -> Iterator[dict[str, object]]:
    for line in lines:
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def measure_memory(live: LiveGateway) -> list[Row]:
    """Measure what the store holds for finished fits, and what a web process takes after work.

    The store lets go of live events by itself; only the time until then is shortened here.
    """
    api = live.user()
    problem = api.problem(LINE)["id"]
    client = connect(load_settings(live.environment))
    before = _held(client)

    def submit(_: int) -> str:
        key = uuid.uuid4().hex
        return str(api.submit(key, problem={"id": problem}, options={"fit": "lm"})["id"])

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(submit, range(_STORED)))
    for job in ids:
        api.wait(job, within_s=600)
    at_once = _held(client) - before

    def with_events() -> int:
        return sum(1 for _ in client.scan_iter(match="job:*:events"))

    if with_events() < _STORED:
        raise RuntimeError("some live events are gone already: raise EVENTS_S")
    eventually(lambda: not with_events(), within_s=EVENTS_S + 60, what="the live events to go")
    later = _held(client) - before
    client.close()
    scale = 1000 / _STORED / _MEGA
    note = f"{_STORED} real fits, scaled; in the first ten minutes, with their live events, "
    return [
        Row(name="store for 1,000 finished jobs", value=later * scale, unit="MB", goal=10,
            note=f"{note}{at_once * scale:.1f} MB"),
        Row(name="web process, resident", value=_web_bytes(live) / _MEGA, unit="MB", goal=150),
    ]  # fmt: skip


def _held(client: Store) -> int:
    """Add up what all keys take, names and values.

    The server's own figure moves by more than ten jobs take with the buffers of connections.
    """
    sizes = (client.memory_usage(key, samples=0) for key in client.scan_iter(count=1000))
    return sum(int(size or 0) for size in sizes)


def _web_bytes(live: LiveGateway) -> float:
    """Find the biggest process of the web server."""
    sizes = []
    for pid in having([f"GATEWAY_STATE={live.state}"]):
        folder = Path(f"/proc/{pid}")
        if b"gunicorn" in (folder / "cmdline").read_bytes():
            text = (folder / "status").read_text()
            sizes.append(int(text.partition("VmRSS:")[2].split()[0]) * 1024)
    eventually(lambda: sizes, what="a web process")
    return max(sizes)
