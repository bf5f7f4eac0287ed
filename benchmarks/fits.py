"""What the driver adds to plain bumps, and what an array saves."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.measure import Row, timed
from benchmarks.requests import LINE
from tests.live import Api, LiveGateway

ELEMENTS = 100
PLAIN = 10
_PACK = 50
_TIMES = 3
_OUTPUTS = ("out", "events.*", "result.*", "manifest.*", "exit.*", "claim.*", "submit.*", "std*")
# name, options that bumps itself takes on its command line
FITS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("lm", {"fit": "lm"}),
    ("amoeba, 2,000 steps", {"fit": "amoeba", "steps": 2000, "starts": 3}),
    ("dream, 20,000 samples", {"fit": "dream", "samples": 20_000}),
    ("dream, 20 s", {"fit": "dream", "samples": 400_000}),
)


def measure_fits(live: LiveGateway) -> list[Row]:
    """Measure driver beside bumps, then an array beside bumps."""
    api = live.user()
    problem = api.problem(LINE)["id"]
    rows = [row for name, options in FITS for row in _one_fit(live, api, problem, name, options)]
    return [*rows, *_array(live, api, problem)]


def _one_fit(
    live: LiveGateway, api: Api, problem: str, name: str, options: dict[str, Any]
) -> list[Row]:
    """Run a job's own directory again by hand, in turns with bumps on the same model."""
    job = api.submit(problem={"id": problem}, options=options, seed=1)
    if api.wait(job["id"], within_s=600)["state"] != "COMPLETED":
        raise RuntimeError(f"{name} did not end well: {api.job(job['id'])}")
    directory = next(live.state.glob(f"jobs/**/{job['id']}/1"))
    ours, theirs = [], []
    for _ in range(_TIMES):
        ours.append(_time_driver(directory))
        theirs.append(_time_bumps(directory, options))
    ratio = statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
    driver_s, bumps_s = statistics.median(ours), statistics.median(theirs)
    note = f"{driver_s:.1f} s beside {bumps_s:.1f} s, imports included"
    return [Row(name=f"driver over bumps --batch: {name}", value=100 * (ratio - 1), unit="%",
                goal=5, note=note)]  # fmt: skip


def _time_driver(directory: Path) -> float:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "job"
        shutil.copytree(directory, copy, ignore=shutil.ignore_patterns(*_OUTPUTS))
        took = timed(lambda: _run([sys.executable, "driver.pyz", "."], copy))
        result = json.loads((copy / "result.0.json").read_bytes())
        if result["status"] != "done":
            raise RuntimeError(f"the driver did not finish: {result['verdict']}")
    return took


def _time_bumps(directory: Path, options: dict[str, Any]) -> float:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "data"
        shutil.copytree(directory / "data", copy)
        arguments = [f"--{name}={value}" for name, value in options.items()]
        return timed(lambda: _run(_bumps(*arguments), copy))


def _bumps(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "bumps", "model.py", "--batch", "--seed=1", "--export=store",
            *arguments]  # fmt: skip


def _run(command: Sequence[str], directory: Path) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")


def _array(live: LiveGateway, api: Api, problem: str) -> list[Row]:
    """Submit short fits as one array; run bumps once for each of a tenth of them."""
    data = [f"{x} {2 * x + 1} 0.1\n" for x in range(50)]
    name = next(iter(api.http.get(f"/problems/{problem}").json()["files"]), "data.dat")
    digests = [api.upload(name, "".join(data[k % 5 :]).encode()) for k in range(ELEMENTS)]
    elements = [{"label": f"s{k}", "files": {"data.dat": d}} for k, d in enumerate(digests)]
    begun = time.perf_counter()
    job = api.submit(problem={"id": problem}, options={"fit": "lm"}, elements=elements, pack=_PACK)
    ended = api.wait(job["id"], within_s=600)
    ours = time.perf_counter() - begun
    if ended["state"] != "COMPLETED" or ended["verdict"]["code"] != "elements":
        raise RuntimeError(f"the array did not end well: {ended}")
    directory = next(live.state.glob(f"jobs/**/{job['id']}/1"))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        begun = time.perf_counter()
        list(pool.map(lambda _: _time_bumps(directory, {"fit": "lm"}), range(PLAIN)))
        theirs = (time.perf_counter() - begun) * ELEMENTS / PLAIN
    note = (
        f"{ours:.1f} s from POST to its end, against {theirs:.0f} s: {PLAIN} processes of "
        f"bumps --batch on all cores, times {ELEMENTS // PLAIN}"
    )
    return [Row(name=f"{ELEMENTS} lm fits as one array, faster by", value=theirs / ours, unit="x",
                goal=5, least=True, note=note)]  # fmt: skip
