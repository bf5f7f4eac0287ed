"""The elements of an array: many short fits in interpreters that are warm already.

The task imports its libraries once and forks workers, as many as it has CPUs. A worker does one
element after the other; if an element kills it, that element alone has failed, and a fresh worker
is forked for the rest. An element that takes far longer than the others is overtaken: another
worker goes on beside it.
"""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import sys
import time
import traceback
from collections import deque
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any

from .base import Document, FitError, Job
from .events import Events
from .files import make_folder, read_json, write_json
from .kinds import load_kind

POLL_S = 0.1
PATIENCE_S = 10.0
"""An element is overtaken after this long, or ten times what the others took."""

MOST_OVERTAKEN = 4
GRACE_S = 20.0
"""After a stop, a worker that does not end for so long is killed: Slurm would soon kill all."""

SUMMARY = ("status", "verdict", "chisq", "parameters", "error")


def run_elements(job: Job, events: Events) -> tuple[Document, list[Path]]:
    """Do this task's elements and give their summary, and the folders with their files."""
    pack = int(job.document.get("pack") or 1)
    elements: list[Document] = job.document["elements"]
    indices = list(range(len(elements)))[job.task * pack : (job.task + 1) * pack]
    kind = load_kind(str(job.document["kind"]))
    prepare = getattr(kind, "prepare", None)
    if prepare is not None:
        prepare()
    crew = Crew(job, events, indices)
    crew.run()
    documents = [_summary(job, index) for index in indices]
    statuses = {document["status"] for document in documents}
    status = "done" if statuses <= {"done"} else "partial" if "done" in statuses else "failed"
    if statuses == {"stopped"} or (statuses == {"stopped", "failed"}):
        status = "partial" if "stopped" in statuses else "failed"
    result = {
        "format": 1,
        "kind": job.document["kind"],
        "status": status,
        "elements": documents,
    }
    return result, [element_out(job, index) for index in indices]


def element_out(job: Job, index: int) -> Path:
    """Say where the result files of an element go."""
    return job.out / str(index)


def _summary(job: Job, index: int) -> Document:
    result = read_json(element_out(job, index) / "result.json")
    label = job.document["elements"][index].get("label", str(index))
    return {"index": index, "label": label, **{name: result.get(name) for name in SUMMARY}}


@dataclass(kw_only=True)
class Worker:
    """A forked process that does elements."""

    process: int
    pipe: Connection
    element: int | None = None
    since: float = 0.0


class Crew:
    """The workers of a task, and the elements that wait for one."""

    def __init__(self, job: Job, events: Events, indices: list[int]) -> None:
        self._job = job
        self._events = events
        self._waiting = deque(indices)
        self._workers: list[Worker] = []
        self._durations: list[float] = []
        self._wanted = min(int(job.document["run"].get("cpus") or 1), len(indices))

    def run(self) -> None:
        """Do every element; after a stop, those not begun are written down as stopped."""
        stop_passed_on = False
        while self._waiting or any(worker.element is not None for worker in self._workers):
            if self._job.stopping():
                if not stop_passed_on:
                    self._pass_stop_on()
                    stop_passed_on = True
                self._kill_the_deaf()
            self._hire()
            self._hand_out()
            self._listen()
        for worker in self._workers:
            worker.pipe.close()
            os.waitpid(worker.process, 0)

    def _hire(self) -> None:
        slow = sum(1 for worker in self._workers if self._is_slow(worker))
        room = self._wanted + min(slow, MOST_OVERTAKEN) - len(self._workers)
        for _ in range(min(room, len(self._waiting))):
            self._fork()

    def _is_slow(self, worker: Worker) -> bool:
        usual = statistics.median(self._durations) if self._durations else 0.0
        patience = max(PATIENCE_S, 10 * usual)
        return worker.element is not None and time.monotonic() - worker.since > patience

    def _fork(self) -> None:
        ours, theirs = Pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        process = os.fork()
        if process == 0:
            for pipe in [ours, *(worker.pipe for worker in self._workers)]:
                pipe.close()
            _work(self._job, self._events, theirs)
        theirs.close()
        self._workers.append(Worker(process=process, pipe=ours))

    def _hand_out(self) -> None:
        for worker in self._workers:
            if worker.element is None and self._waiting:
                worker.element, worker.since = self._waiting.popleft(), time.monotonic()
                try:
                    worker.pipe.send_bytes(str(worker.element).encode())
                except OSError:
                    continue  # it died while idle; _listen finds it

    def _listen(self) -> None:
        wait([worker.pipe for worker in self._workers], POLL_S)
        for worker in list(self._workers):
            if worker.pipe.poll() and self._heard(worker):
                self._durations.append(time.monotonic() - worker.since)
                worker.element = None
            elif (ended := _ended(worker.process)) is not None:
                # Not by the end of its pipe: a child of the model may hold that open.
                self._bury(worker, ended)

    @staticmethod
    def _heard(worker: Worker) -> bool:
        try:
            return bool(worker.pipe.recv_bytes())
        except (EOFError, OSError):
            return False

    def _bury(self, worker: Worker, ended: int) -> None:
        self._workers.remove(worker)
        worker.pipe.close()
        if worker.element is None:
            return
        out = make_folder(element_out(self._job, worker.element))
        events = self._events.of(worker.element)
        if (out / "result.json").is_file():
            return
        text = f"The element ended its process: {_how(ended)}. The model crashed the interpreter."
        if self._job.stopping() and ended == -signal.SIGKILL:
            text = f"The element did not end within {GRACE_S:g} s of the stop and was killed."
        _write_failure(self._job, out, events, FitError(text, code="model_error"))

    def _pass_stop_on(self) -> None:
        for worker in self._workers:
            os.kill(worker.process, signal.SIGTERM)

    def _kill_the_deaf(self) -> None:
        asked_at = getattr(self._job.stopping, "asked_at", time.time())
        if time.time() - asked_at > GRACE_S:
            for worker in self._workers:
                if worker.element is not None:
                    os.kill(worker.process, signal.SIGKILL)


def _ended(process: int) -> int | None:
    """Give the exit code of a child, negative for a signal; None while it runs."""
    found, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def _how(ended: int) -> str:
    return f"signal {signal.Signals(-ended).name}" if ended < 0 else f"exit code {ended}"


def _work(job: Job, events: Events, pipe: Connection) -> None:
    """Do elements until the other end is closed; never return."""
    code = 1
    try:
        while True:
            index = int(pipe.recv_bytes())
            run_element(job, events, index)
            sys.stdout.flush()
            sys.stderr.flush()
            pipe.send_bytes(b"done")
    except (EOFError, OSError):
        code = 0
    except BaseException:  # noqa: BLE001 - a forked process must not go on as a second driver
        traceback.print_exc()
    finally:
        os._exit(code)


def run_element(job: Job, events: Events, index: int) -> None:
    """Do one element and write its result."""
    from .driver import run_one

    out = make_folder(element_out(job, index))
    own = events.of(index)
    if job.stopping():
        result: Document = _stopped_result(job)
        own("end", status="stopped", chisq=None)
    else:
        modules = set(sys.modules)
        folder = _own_data(job, index)
        try:
            result = run_one(_element_job(job, index, folder, out), own)
        finally:
            os.chdir(job.directory)
            _forget_modules(modules, folder)
            if folder != job.data:
                shutil.rmtree(folder, ignore_errors=True)
    write_json(out / "result.json", result)


def _element_job(job: Job, index: int, folder: Path, out: Path) -> Job:
    element = job.document["elements"][index]
    problem = dict(job.document.get("problem") or {})
    if element.get("args") is not None:
        problem["args"] = element["args"]
    document = {
        **job.document,
        "problem": problem,
        "start": element.get("start") or job.document.get("start") or [],
        # The CPUs are shared out already: each element has one.
        "run": {**job.document["run"], "cpus": 1},
        "options": dict(job.document["options"]),
    }
    resume = job.resume / str(index)
    return replace(job, document=document, data=folder, out=out, resume=resume)


def _own_data(job: Job, index: int) -> Path:
    """Give the folder of an element's files: data/ itself, or a copy with some replaced.

    Files are hard links: nothing is copied, and a script's ``__file__`` stays in its folder.
    """
    files: dict[str, str] = job.document["elements"][index].get("files") or {}
    if not files:
        return job.data
    folder = job.directory / "work" / str(index)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(job.data, folder, copy_function=_link, ignore=_leave_out_elements(job.data))
    for name, source in files.items():
        target, origin = folder / name, job.data / source
        if not target.resolve().is_relative_to(folder) or not origin.is_file():
            text = f"elements[{index}].files: there is no file {source!r} in data/ for {name!r}"
            raise FitError(text, code="load_error")
        target.unlink(missing_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        _link(str(origin), str(target))
    return folder


def _leave_out_elements(data: Path) -> Any:
    def leave_out(folder: str, _names: list[str]) -> set[str]:
        return {"elements"} if Path(folder) == data else set()

    return leave_out


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def _forget_modules(before: set[str], folder: Path) -> None:
    """Forget the helper modules of an element, so that the next one reads its own."""
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(folder):
            del sys.modules[name]
    if str(folder) in sys.path:
        sys.path.remove(str(folder))


def _stopped_result(job: Job) -> Document:
    text = "The job was stopped before this element began."
    return {
        "format": 1,
        "kind": job.document["kind"],
        "status": "stopped",
        "verdict": {"code": "stopped", "text": text},
        "chisq": None,
        "parameters": [],
        "error": None,
    }


def _write_failure(job: Job, out: Path, events: Events, error: FitError) -> None:
    from .driver import failed_result

    head = {"format": 1, "kind": job.document["kind"]}
    write_json(out / "result.json", {**head, **failed_result(job.document, error)})
    events.message("error", str(error))
    events("end", status="failed", chisq=None)
