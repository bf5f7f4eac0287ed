"""A real job directory and the real driver as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitters.bumps_options import check_options
from fitters.bundle import build_driver

LINE = """
import numpy as np
from bumps.names import Curve, FitProblem

x = np.linspace(0, 10, 30)
y = 2.5 * x + 1 + 0.3 * (-1.0) ** np.arange(30)


def line(x, m, b):
    return m * x + b


model = Curve(line, x, y, 0.3 * np.ones(30), m=1, b=0)
model.m.range(0, 10)
model.b.range(-5, 5)
problem = FitProblem(model)
"""

SLOW_LINE = LINE.replace(
    "    return m * x + b\n", "    import time\n\n    time.sleep(SECONDS)\n    return m * x + b\n"
)


def slow_line(seconds: float) -> str:
    """A line whose every evaluation takes this long."""
    return SLOW_LINE.replace("SECONDS", str(seconds))


@dataclass
class JobFolder:
    """The directory of an attempt."""

    path: Path

    @property
    def data(self) -> Path:
        return self.path / "data"

    @property
    def out(self) -> Path:
        return self.path / "out"

    def read(self, name: str) -> Any:
        return json.loads((self.path / name).read_text())

    def result(self, task: int = 0) -> Any:
        return self.read(f"result.{task}.json")

    def manifest(self, task: int = 0) -> list[str]:
        return [file["path"] for file in self.read(f"manifest.{task}.json")["files"]]

    def events(self, task: int = 0) -> list[Any]:
        path = self.path / f"events.{task}.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text().splitlines()]

    def events_named(self, name: str, task: int = 0) -> list[Any]:
        return [event for event in self.events(task) if event["event"] == name]

    def argv(self, *more: str) -> list[str]:
        return [sys.executable, "driver.pyz", ".", *more]

    def run(
        self, *more: str, expect: int = 0, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run the driver to its end."""
        done = subprocess.run(
            self.argv(*more),
            cwd=self.path,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )
        assert done.returncode == expect, done.stderr + done.stdout
        return done

    @contextmanager
    def started(self, *more: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start the driver; it is killed in the end, if it still runs."""
        with (
            (self.path / "stdout.0.txt").open("wb") as out,
            subprocess.Popen(
                self.argv(*more), cwd=self.path, stdout=out, stderr=out, start_new_session=True
            ) as process,
        ):
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def resume_from(self, earlier: "JobFolder") -> None:
        """Take over what an earlier attempt left, as the gateway does."""
        (self.path / "resume").mkdir()
        for name in ("session.h5", "resume.json"):
            if (earlier.out / name).exists():
                (self.path / "resume" / name).write_bytes((earlier.out / name).read_bytes())


def make_job(
    path: Path,
    model: str = LINE,
    *,
    fit: str = "lm",
    kind: str = "fit",
    files: Mapping[str, str] | None = None,
    problem: Mapping[str, Any] | None = None,
    run: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    extra_modules: Mapping[str, str] | None = None,
    **document: Any,
) -> JobFolder:
    """Write a job directory; ``options`` are completed as the gateway does."""
    folder = JobFolder(path)
    folder.data.mkdir(parents=True)
    for name, text in {"model.py": model, **(files or {})}.items():
        target = folder.data / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    complete = check_options(fit, options or {}) if kind == "fit" else dict(options or {})
    settings = {
        "mode": "fit",
        "seed": 42,
        "cpus": 1,
        "checkpoint_s": 300.0,
        "time_limit_s": None,
        "resume": False,
        "shake": False,
        "simulate": None,
    }
    job = {
        "format": 1,
        "id": "01JCZ0000000000000000000AB",
        "attempt": 1,
        "kind": kind,
        "title": "a test",
        "problem": {"type": "script", "entry": "model.py", "args": [], "python": None}
        | dict(problem or {}),
        "options": complete,
        "run": settings | dict(run or {}),
        "start": [],
        "elements": [],
        "pack": 1,
        **document,
    }
    (path / "job.json").write_text(json.dumps(job))
    (path / "driver.pyz").write_bytes(build_driver(extra_modules or {}))
    return folder
