"""What the driver costs beside plain bumps, and what an array saves.

Like beside like: the same model, options, seed and one process, imports included, each a process of
its own that leaves a session file. Processor time is compared, the least of a few runs taken in
turns: on a computer with other work, wall time tells more of the others. ``bumps --export`` draws
pictures, which the gateway's pages do by themselves; it is told but not compared.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import Row
from benchmarks.requests import LINE
from tests.live import Api, LiveGateway

ELEMENTS = 1000
PLAIN = 10
_PACK = 500
_DATA = 5
_TIMES = 3
_CLOSE = 0.1
"""Two fits agree if their values differ by less than this part of the uncertainty."""

_OUTPUTS = ("out", "events.*", "result.*", "manifest.*", "exit.*", "claim.*", "submit.*", "std*")
_IMPORTS = ("-c", "import bumps.webview.server.cli")
# name, options that bumps itself takes on its command line
FITS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("lm", {"fit": "lm"}),
    ("amoeba, 2,000 steps", {"fit": "amoeba", "steps": 2000, "starts": 3}),
    ("dream, 20,000 samples", {"fit": "dream", "samples": 20_000}),
    ("dream, 20 s", {"fit": "dream", "samples": 400_000}),
)


@dataclass(frozen=True, kw_only=True)
class Took:
    """What a process took, with those that it waited for."""

    cpu_s: float
    wall_s: float


def measure_fits(live: LiveGateway) -> list[Row]:
    """Measure driver beside bumps."""
    api = live.user()
    problem = api.problem(LINE)["id"]
    return [row for name, options in FITS for row in _one_fit(live, api, problem, name, options)]


def _one_fit(
    live: LiveGateway, api: Api, problem: str, name: str, options: dict[str, Any]
) -> list[Row]:
    """Run a job's own directory again by hand, in turns with bumps on the same model."""
    job = api.submit(problem={"id": problem}, options=options, seed=1)
    if api.wait(job["id"], within_s=600)["state"] != "COMPLETED":
        raise RuntimeError(f"{name} did not end well: {api.job(job['id'])}")
    directory = _directory(live, job["id"])
    arguments = [f"--{option}={value}" for option, value in options.items()]
    _check_same(directory, arguments)
    runs: dict[str, Callable[[], Took]] = {
        "driver": lambda: _run_driver(directory),
        "bumps": lambda: _run_bumps(directory, arguments),
        "export": lambda: _run_bumps(directory, [*arguments, "--export=store"]),
        "imports": lambda: _run([sys.executable, *_IMPORTS], directory),
    }
    took = _in_turns(runs)
    cpu = {what: min(one.cpu_s for one in some) for what, some in took.items()}
    wall = {what: min(one.wall_s for one in some) for what, some in took.items()}
    work = cpu["bumps"] - cpu["imports"]
    note = (
        f"{cpu['driver']:.2f} s beside {cpu['bumps']:.2f} s of a processor (wall "
        f"{wall['driver']:.2f} and {wall['bumps']:.2f} s); {cpu['imports']:.2f} s of it are "
        f"imports, and the difference is {100 * (cpu['driver'] - cpu['bumps']) / work:+.0f} % of "
        f"the rest. With --export bumps takes {cpu['export']:.2f} s"
    )
    value = 100 * (cpu["driver"] / cpu["bumps"] - 1)
    return [Row(name=f"driver over bumps --batch --session: {name}", value=value, unit="%",
                goal=5, note=note)]  # fmt: skip


def _in_turns(runs: dict[str, Callable[[], Took]]) -> dict[str, list[Took]]:
    took: dict[str, list[Took]] = {what: [] for what in runs}
    for _ in range(_TIMES):
        for what, run in runs.items():
            took[what].append(run())
    return took


def _directory(live: LiveGateway, job: str) -> Path:
    return next(live.state.glob(f"jobs/**/{job}/1"))


def _check_same(directory: Path, arguments: Sequence[str]) -> None:
    """Make sure that driver and bumps do the same fit.

    Raises
    ------
    RuntimeError
        If a value differs by more than a tenth of its uncertainty.
    """
    result = json.loads((directory / "result.0.json").read_bytes())
    ours = {row["label"]: row for row in result["parameters"]}
    with _copy(directory / "data") as copy:
        _run(_bumps(*arguments, "--export=store"), copy)
        lines = (copy / "store" / "model.par").read_text(encoding="utf-8").splitlines()
    theirs = {label: float(value) for label, value in (line.rsplit(None, 1) for line in lines)}
    apart = {
        label: abs(ours[label]["value"] - value) / ours[label]["uncertainty"]
        for label, value in theirs.items()
    }
    if set(theirs) != set(ours) or max(apart.values()) > _CLOSE:
        raise RuntimeError(f"driver and bumps do not do the same fit: {ours} and {theirs}")


@contextmanager
def _copy(source: Path, leave: Sequence[str] = ()) -> Iterator[Path]:
    """Copy a folder for a while, without the files of some patterns."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        copy = Path(folder) / "copy"
        shutil.copytree(source, copy, ignore=shutil.ignore_patterns(*leave))
        yield copy


def _run_driver(directory: Path, task: int = 0) -> Took:
    with _copy(directory, _OUTPUTS) as copy:
        took = _run([sys.executable, "driver.pyz", ".", f"--task={task}"], copy)
        result = json.loads((copy / f"result.{task}.json").read_bytes())
        if result["status"] != "done":
            raise RuntimeError(f"the driver did not finish: {result}")
    return took


def _run_bumps(directory: Path, arguments: Sequence[str], data: Path | None = None) -> Took:
    """Run bumps on the model of a job, with other data if given."""
    with _copy(directory / "data", ["elements"]) as copy:
        if data is not None:
            shutil.copyfile(data, copy / "data.dat")
        return _run(_bumps("--session=session.h5", *arguments), copy)


def _bumps(*arguments: str) -> list[str]:
    # Without --parallel=1 it would share a fit of 60 us an evaluation out to all processors.
    return [sys.executable, "-m", "bumps", "model.py", "--batch", "--seed=1", "--parallel=1",
            *arguments]  # fmt: skip


def _run(command: Sequence[str], directory: Path) -> Took:
    """Run a command to its end and measure it alone, whatever else runs beside it."""
    with tempfile.TemporaryFile() as said:
        begun = time.perf_counter()
        process = subprocess.Popen(command, cwd=directory, stdout=said, stderr=said)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.perf_counter() - begun
        if process.returncode != 0:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)}: {said.read()[-2000:].decode()}")
    return Took(cpu_s=usage.ru_utime + usage.ru_stime, wall_s=wall_s)


def measure_packed(live: LiveGateway) -> list[Row]:
    """Submit short fits as one packed array; run bumps once for each of a few of them."""
    api = live.user()
    problem = api.problem(LINE)["id"]
    data = [f"{x} {2 * x + 1 + 0.1 * (-1) ** x} 0.1\n" for x in range(50)]
    digests = [api.upload("data.dat", "".join(data[k:]).encode()) for k in range(_DATA)]
    elements = [
        {"label": f"s{k}", "files": {"data.dat": digests[k % _DATA]}} for k in range(ELEMENTS)
    ]
    begun = time.perf_counter()
    job = api.submit(problem={"id": problem}, options={"fit": "lm"}, elements=elements, pack=_PACK)
    ended = api.wait(job["id"], within_s=600)
    ours_s = time.perf_counter() - begun
    if ended["state"] != "COMPLETED" or ended["verdict"]["code"] != "elements":
        raise RuntimeError(f"the array did not end well: {ended}")
    directory = _directory(live, job["id"])
    files = [directory / "data" / "elements" / str(k) / "data.dat" for k in range(PLAIN)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        begun = time.perf_counter()
        each = list(pool.map(lambda file: _run_bumps(directory, ["--fit=lm"], file), files))
        theirs_s = (time.perf_counter() - begun) * ELEMENTS / PLAIN
    ours_cpu_s = sum(_run_driver(directory, task).cpu_s for task in range(ELEMENTS // _PACK))
    theirs_cpu_s = min(one.cpu_s for one in each) * ELEMENTS
    note = f"{PLAIN} processes of bumps --batch --session, times {ELEMENTS // PLAIN}"
    return [
        Row(name=f"{ELEMENTS} lm fits packed: fits a core-hour, times those of bumps --batch",
            value=theirs_cpu_s / ours_cpu_s, unit="x", goal=20, least=True,
            note=f"{ours_cpu_s:.1f} s of a processor against {theirs_cpu_s:.0f} s: {note}"),
        Row(name=f"{ELEMENTS} lm fits packed, faster by", value=theirs_s / ours_s, unit="x",
            goal=5, least=True,
            note=f"{ours_s:.1f} s from POST to its end, against {theirs_s:.0f} s: {note}, on all "
            "processors"),
    ]  # fmt: skip
