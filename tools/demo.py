"""Show the whole gateway at work: real fits, through its API, beside what NIST certifies.

Starts a gateway in a temporary directory and, as its first user, fits four nonlinear data sets of
NIST's StRD with the client that scientists use, compares each parameter with its certified value,
and stops everything again. Ends with 1 when a value is off.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from bumps_remote import Connection, Job, RemoteError
from bumps_remote.errors import JobFailedError
from bumps_remote.transport import Call, Document
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from tools.nist import Certified, digits, read

ROOT = Path(__file__).resolve().parent.parent
ENOUGH_DIGITS = 4
_READY_S = 60.0
_STOP_S = 30.0
_FIT_S = 150.0


@dataclass(frozen=True, kw_only=True)
class Case:
    """One fit of the demonstration."""

    name: str
    expression: str
    fit: str
    why: str


CASES = (
    Case(name="Misra1a", expression="b1*(1-exp(-b2*x))", fit="lm", why="from NIST's far start"),
    Case(name="Chwirut2", expression="exp(-b1*x)/(b2+b3*x)", fit="amoeba", why="a simplex"),
    Case(
        name="MGH09",
        expression="b1*(x**2+x*b2)/(x**2+x*b3+b4)",
        fit="auto",
        why="hard: the start is a hundred times off",
    ),
    Case(
        name="Gauss1",
        expression="b1*exp(-b2*x) + b3*exp(-(x-b4)**2/b5**2) + b6*exp(-(x-b7)**2/b8**2)",
        fit="auto",
        why="two peaks on a decaying background",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Site:
    """A gateway of our own."""

    state: Path
    url: str
    environment: dict[str, str]
    log: Path

    def first_user(self) -> tuple[str, str] | None:
        """Read name and password of the first user, which a new gateway says once."""
        said = self.log.read_text(encoding="utf-8")
        found = re.search(r"first user: (\S+) +password: (\S+)", said)
        return (found[1], found[2]) if found else None

    def command(self, *arguments: str) -> None:
        """Run ``bumps-gateway`` as an administrator would."""
        print("$ bumps-gateway", *arguments, flush=True)
        subprocess.run(
            [sys.executable, "-m", "gateway.cli", *arguments],
            env=self.environment,
            check=True,
        )


@contextmanager
def running() -> Iterator[Site]:
    """Run a gateway in a temporary directory, and leave nothing behind."""
    with tempfile.TemporaryDirectory(prefix="bgw-demo-") as folder:
        port = _free_port()
        site = Site(
            state=Path(folder) / "state",
            url=f"http://127.0.0.1:{port}",
            environment={
                **{key: text for key, text in os.environ.items() if not key.startswith("GATEWAY_")},
                "GATEWAY_STATE": f"{folder}/state",
                "GATEWAY_SERVER__PORT": str(port),
                "XDG_CONFIG_HOME": f"{folder}/config",
                "XDG_STATE_HOME": f"{folder}/client",
            },
            log=Path(folder) / "gateway.log",
        )
        site.command("init")
        print("$ bumps-gateway run", flush=True)
        with site.log.open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", "run"],
                env=site.environment,
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        try:
            _wait_until_ready(site, process)
            yield site
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=_STOP_S)
            _end_what_is_left(site.state)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_ready(site: Site, process: subprocess.Popen[bytes]) -> None:
    started = time.monotonic()
    while time.monotonic() - started < _READY_S and process.poll() is None:
        if _is_ready(site.url) and site.first_user():
            print(f"ready at {site.url} after {time.monotonic() - started:.1f} s", flush=True)
            return
        time.sleep(0.1)
    raise SystemExit(f"the gateway did not become ready:\n{site.log.read_text(encoding='utf-8')}")


def _is_ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2):  # noqa: S310 - our own
            return True
    except (urllib.error.URLError, OSError):
        return False


def _end_what_is_left(state: Path) -> None:
    """End the local executor, which outlives a gateway so that running fits do."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(state).encode() in path.read_bytes():
                os.kill(int(path.parent.name), signal.SIGTERM)
        except (FileNotFoundError, ProcessLookupError):
            continue


def problem_of(case: Case, certified: Certified) -> Document:
    """Describe a data set as a curve, as the form in the browser does."""
    rows = "\n".join(f"{x!r} {y!r}" for x, y in zip(certified.x, certified.y, strict=True))
    return {
        "name": case.name,
        "tags": ["nist"],
        "type": "curve",
        "curve": {
            "data": {"text": f"{rows}\n"},
            "columns": {
                "x": 0,
                "y": 1,
                "dy": {"from": "constant", "value": certified.residual_deviation},
            },
            "expression": case.expression,
            "parameters": [
                {"name": name, "value": value, "fit": True}
                for name, value in certified.start.items()
            ],
        },
    }


def submit(connection: Connection, case: Case) -> Job:
    """Make the problem and queue its fit."""
    body = problem_of(case, read(case.name))
    post = connection.transport.document
    problem = post(Call(method="POST", path="/problems", json=body, key=str(uuid4())))
    request: Document = {
        "problem": {"id": problem["id"]},
        "options": {"fit": case.fit},
        "title": f"{case.name} by {case.fit}",
        "seed": 1,
    }
    return Job(
        connection,
        post(Call(method="POST", path="/jobs", json=request, key=str(uuid4()))),
    )


def follow(progress: Progress, task: TaskID, job: Job) -> Document:
    """Watch a fit to its end, and answer its result."""
    for event in job.events(_FIT_S):
        if event.event == "step":
            chisq = event.data.get("chisq")
            progress.update(
                task,
                completed=event.data.get("step") or 0,
                total=event.data.get("steps") or None,
                chisq="" if chisq is None else f"chisq {chisq:.4g}",
            )
        elif event.event == "job":
            progress.update(task, state=job.state)
    progress.update(task, total=1, completed=1)
    try:
        return job.result()
    except JobFailedError as error:
        raise JobFailedError(f"{error}\n{job.log('stderr')[-2000:]}") from error


def fit_all(site: Site) -> list[tuple[Job, Document]]:
    """Submit all cases at once and watch them side by side."""
    name, password = site.first_user() or ("", "")
    connections = [Connection.login(site.url, name, password, label=case.name) for case in CASES]
    jobs = [submit(*pair) for pair in zip(connections, CASES, strict=True)]
    columns = (
        TextColumn("{task.description:<18}"),
        BarColumn(),
        TextColumn("{task.fields[state]:<10} {task.fields[chisq]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns) as progress, ThreadPoolExecutor(len(jobs)) as pool:
        waiting = [
            pool.submit(
                follow,
                progress,
                progress.add_task(f"{case.name} ({case.fit})", total=None, state="", chisq=""),
                job,
            )
            for case, job in zip(CASES, jobs, strict=True)
        ]
        results = [one.result() for one in waiting]
    for connection in connections:
        connection.close()
    return list(zip(jobs, results, strict=True))


def show(console: Console, case: Case, job_id: str, result: Document) -> int:
    """Print a fit beside its certificate; answer how many values are off."""
    certified = read(case.name)
    verdict = (result.get("verdict") or {}).get("text", "")
    table = Table(
        title=f"{case.name}: {case.fit}, {case.why}\n{job_id}  {verdict}", title_justify="left"
    )
    for title in ("parameter", "value", "+-", "NIST value", "NIST +-", "digits"):
        table.add_column(title, justify="left" if title == "parameter" else "right")
    off = 0
    for parameter in result["parameters"]:
        name, value = parameter["label"], parameter["value"]
        agreed = digits(value, certified.values[name])
        off += agreed < ENOUGH_DIGITS
        table.add_row(
            name,
            f"{value:.9g}",
            _number(parameter["uncertainty"]),
            f"{certified.values[name]:.9g}",
            _number(certified.deviations[name]),
            f"[{'green' if agreed >= ENOUGH_DIGITS else 'red'}]{agreed:.1f}",
        )
    missing = len(certified.values) - len(result["parameters"])
    console.print(table)
    return off + missing


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def compare(console: Console, found: Sequence[tuple[Job, Document]]) -> int:
    """Print all fits; answer how many values are off."""
    return sum(
        show(console, case, job.id, result)
        for case, (job, result) in zip(CASES, found, strict=True)
    )


def main() -> int:
    """Show it; answer the exit code."""
    started = time.monotonic()
    console = Console(width=None if sys.stdout.isatty() else 100)
    with running() as site:
        off = compare(console, fit_all(site))
    console.print(
        f"{len(CASES)} fits in {time.monotonic() - started:.0f} s; everything is stopped again. "
        "To see it in a browser: [bold]make run[/bold], then open http://127.0.0.1:8080"
    )
    if off:
        console.print(f"[red]{off} values agree to fewer than {ENOUGH_DIGITS} digits")
    return 1 if off else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except RemoteError as error:
        sys.exit(f"the demonstration failed: {error}")
