"""The elements of an array: many short fits in interpreters that are warm already.

The task imports its libraries once; the workers of `fitters.crew` are forked from it. Each
element has its own folder of results, its own random numbers and, if files are replaced in it, its
own copy of ``data/``.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from .base import Document, FitError, Job
from .crew import Crew
from .events import Events
from .files import make_folder, read_json, write_json
from .kinds import load_kind
from .task import failed_result, run_one

SUMMARY = ("status", "verdict", "chisq", "parameters", "error")


def run_elements(job: Job, events: Events) -> tuple[Document, list[Path]]:
    """Do this task's elements and give their summary, and the folders with their files."""
    pack = int(job.document.get("pack") or 1)
    elements: list[Document] = job.document["elements"]
    indices = list(range(len(elements)))[job.task * pack : (job.task + 1) * pack]
    todo = [index for index in indices if not _is_done_before(job, index)]
    for index in sorted(set(indices) - set(todo)):
        # Whoever follows the events counts it, wherever it was done.
        result = _read_result(element_out(job, index) / "result.json")
        events.of(index)("end", status="done", chisq=result.get("chisq"))
    prepare = getattr(load_kind(str(job.document["kind"])), "prepare", None)
    if prepare is not None and todo:
        prepare()

    def do(index: int) -> None:
        run_element(job, events, index)

    def failed(index: int, text: str) -> None:
        error = FitError(text, code="model_error")
        _write_failure(job, element_out(job, index), events.of(index), error)

    cpus = int(job.document["run"].get("cpus") or 1)
    Crew(do, failed, todo, cpus=cpus, stopping=job.stopping).run()
    documents = [_summary(job, index) for index in indices]
    statuses = {document["status"] for document in documents}
    result = {
        "format": 1,
        "kind": job.document["kind"],
        "status": statuses.pop() if statuses in ({"done"}, {"failed"}) else "partial",
        "elements": documents,
    }
    return result, [element_out(job, index) for index in indices]


def element_out(job: Job, index: int) -> Path:
    """Say where the result files of an element go."""
    return job.out / str(index)


def ran_through(path: Path) -> bool:
    """Say whether the task of a result file came to its end, not merely to a stop."""
    result = _read_result(path)
    statuses = [element.get("status") for element in result.get("elements", [])]
    return bool(result) and "stopped" not in {result.get("status"), *statuses}


def _is_done_before(job: Job, index: int) -> bool:
    """Say whether an element was done before the scheduler began this task again."""
    path = element_out(job, index) / "result.json"
    if not job.ended_before and _read_result(path).get("status") == "done":
        return True
    path.unlink(missing_ok=True)
    return False


def _read_result(path: Path) -> Document:
    try:
        return read_json(path)
    except (OSError, ValueError):
        return {}


def _summary(job: Job, index: int) -> Document:
    result = _read_result(element_out(job, index) / "result.json")
    element = job.document["elements"][index]
    label = element.get("label", str(index))
    summary = {name: result.get(name) for name in SUMMARY}
    if element.get("fixed"):
        # What it was done at is its own no less where it failed.
        summary["fixed"] = element["fixed"]
    if not isinstance(result.get("status"), str):
        # The model wrote over it.
        text = "The result of this element is not there or cannot be read."
        summary |= {"status": "failed", "verdict": {"code": "fit_error", "text": text}}
    return {"index": index, "label": label, **summary}


def run_element(job: Job, events: Events, index: int) -> None:
    """Do one element and write its result."""
    out = make_folder(element_out(job, index))
    own = events.of(index)
    if job.stopping():
        result = _stopped_result(job)
        own("end", status="stopped", chisq=None)
    else:
        result = _run_in_own_folder(job, own, index, out)
    if fixed := job.document["elements"][index].get("fixed"):
        result = {**result, "fixed": fixed}
    write_json(out / "result.json", result)


def _run_in_own_folder(job: Job, events: Events, index: int, out: Path) -> Document:
    modules = set(sys.modules)
    try:
        with element_data(job, index) as folder:
            try:
                return run_one(_element_job(job, index, folder, out), events)
            finally:
                os.chdir(job.directory)
                _forget_modules(modules, folder)
    except FitError as error:
        return _write_failure(job, out, events, error)


def _element_job(job: Job, index: int, folder: Path, out: Path) -> Job:
    element = job.document["elements"][index]
    problem = dict(job.document.get("problem") or {})
    if element.get("args") is not None:
        problem["args"] = element["args"]
    resume = job.resume / str(index)
    run = job.document["run"]
    own_run = {
        **run,
        # The CPUs are shared out already: each element has one.
        "cpus": 1,
        # Its own random numbers, or simulated data would have the same noise in each element.
        "seed": (int(run["seed"]) + index) % 2**32,
        # An element that had not begun when the earlier attempt ended begins now.
        "resume": bool(run.get("resume")) and resume.is_dir(),
        "shake": bool(run.get("shake") or element.get("shake")),
    }
    document = {
        **job.document,
        "problem": problem,
        "start": element.get("start") or job.document.get("start") or [],
        "fixed": element.get("fixed") or {},
        "values": element.get("values") or {},
        "run": own_run,
        "options": dict(job.document["options"]),
    }
    return replace(job, document=document, data=folder, out=out, resume=resume)


@contextmanager
def element_data(job: Job, index: int) -> Iterator[Path]:
    """Give the folder of an element's files: ``data/`` itself, or a copy with some replaced.

    Files are hard links: nothing is copied, and a script's ``__file__`` stays in its folder.

    Raises
    ------
    FitError
        If a file that shall replace another is not in ``data/``.
    """
    files: dict[str, str] = job.document["elements"][index].get("files") or {}
    if not files:
        yield job.data
        return
    folder = job.directory / "work" / str(index)
    shutil.rmtree(folder, ignore_errors=True)
    try:
        shutil.copytree(job.data, folder, copy_function=_link, ignore=_leave_out(job.data))
        for name, source in files.items():
            _replace(folder, name, job.data / source, f"elements[{index}].files")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _leave_out(data: Path) -> Callable[[str, list[str]], set[str]]:
    def leave_out(folder: str, _names: list[str]) -> set[str]:
        return {"elements"} if Path(folder) == data else set()

    return leave_out


def _replace(folder: Path, name: str, source: Path, field: str) -> None:
    target = folder / name
    if not source.is_file() or not target.resolve().is_relative_to(folder):
        text = f"{field}: {name!r} cannot be replaced by {source.name!r}: there is no such file."
        raise FitError(text, code="load_error")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    _link(str(source), str(target))


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


def _write_failure(job: Job, out: Path, events: Events, error: FitError) -> Document:
    head = {"format": 1, "kind": job.document["kind"]}
    result = {**head, **failed_result(job.document, error)}
    write_json(make_folder(out) / "result.json", result)
    events.message("error", str(error))
    events("end", status="failed", chisq=None)
    return result
