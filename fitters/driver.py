"""Run one task of a job: ``python driver.pyz DIR [--task N]``.

Reads ``job.json``; writes ``events.<task>.jsonl``, ``out/``, ``result.<task>.json`` and, last,
``manifest.<task>.json``. TERM, INT and USR1 ask for a graceful stop. Exit codes: 0 a result was
written, also that of a failed fit; 3 the job directory cannot be read; 4 the driver itself failed;
143 ended by TERM after saving.
"""

from __future__ import annotations

import argparse
import atexit
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .base import Document, Job
from .elements import ran_through, run_elements
from .environment import prepare_environment
from .events import Events
from .files import make_folder, read_json, write_json, write_manifest
from .stopping import Stop
from .task import run_one
from .usage import usage_of

DONE, UNREADABLE, BROKEN, TERMINATED = 0, 3, 4, 143


def main(argv: Sequence[str] | None = None) -> int:
    """Run a task and return the exit code."""
    started = time.time()
    # At the end Python looks for garbage in all that bumps imports: a sixth of a short fit.
    atexit.register(gc.freeze)
    stop = Stop()
    stop.install()
    arguments = _parse(argv)
    directory = Path(arguments.directory).resolve()
    task = _task_number(arguments.task)
    try:
        document = _read_job(directory)
    except (OSError, ValueError) as error:
        sys.stderr.write(f"The job directory {directory} cannot be read: {error}\n")
        return UNREADABLE
    try:
        prepare_environment(directory)
        ranks = int(document["run"].get("ranks") or 1)
        if ranks > 1:
            stop.watch(directory / f"stop.{task}")
            return _run_ranks(ranks, document, directory, task, stop, started)
        _run_task(_job(document, directory, task, stop, started))
    except Exception:  # noqa: BLE001 - the outermost frame: say what broke, and that it was us
        traceback.print_exc()
        return BROKEN
    return _code(stop)


def _code(stop: Stop) -> int:
    return TERMINATED if stop.signal is signal.SIGTERM else DONE


def _run_ranks(
    ranks: int, document: Document, directory: Path, task: int, stop: Stop, started: float
) -> int:
    """Be one of several ranks: the first is the driver, the others evaluate for it."""
    # It takes numpy, which only the environments of some kinds have.
    from .ranks import RanksError, Team, join

    try:
        comm = join(ranks)
    except RanksError as error:
        sys.stderr.write(f"{error}\n")
        return BROKEN
    if comm.rank:
        return _serve(comm, _job(document, directory, task, stop, started))
    team = Team(comm)
    try:
        _run_task(_job(document, directory, task, stop, started, team))
    finally:
        team.end()
    return _code(stop)


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="driver.pyz", description="Run one task of a job.")
    parser.add_argument("directory", help="where job.json and data/ lie")
    parser.add_argument("--task", type=int, help="the array index; else $SLURM_ARRAY_TASK_ID, or 0")
    return parser.parse_args(argv)


def _task_number(given: int | None) -> int:
    if given is not None:
        return given
    return int(os.environ.get("SLURM_ARRAY_TASK_ID") or 0)


def _read_job(directory: Path) -> Document:
    document = read_json(directory / "job.json")
    if document.get("format") != 1:
        raise ValueError(f"job.json: format must be 1, not {document.get('format')!r}")
    for name in ("kind", "options", "run"):
        if name not in document:
            raise ValueError(f"job.json: {name} is missing")
    return document


def _serve(comm: Any, job: Job) -> int:
    """Be a rank that only evaluates; rank 0 stops it when the fit is to stop."""
    from .bumps_rank import serve_fit

    try:
        serve_fit(comm, job)
    except Exception:  # noqa: BLE001 - the outermost frame: say what broke
        traceback.print_exc()
        # To leave as usual would wait for rank 0, which waits for this one.
        comm.Abort(BROKEN)
    return DONE


def _job(
    document: Document, directory: Path, task: int, stop: Stop, started: float, team: Any = None
) -> Job:
    return Job(
        document=document,
        directory=directory,
        task=task,
        out=directory / "out",
        data=directory / "data",
        resume=directory / "resume",
        started=started,
        ended_before=ran_through(directory / f"result.{task}.json"),
        stopping=stop,
        team=team,
    )


def _run_task(job: Job) -> None:
    directory, task = job.directory, job.task
    folders = [make_folder(job.out)]
    events = Events(directory / f"events.{task}.jsonl")
    if job.document.get("elements"):
        result, folders = run_elements(job, events)
    else:
        result = run_one(job, events)
    os.chdir(directory)
    write_json(directory / f"result.{task}.json", {**result, "usage": usage_of(job)})
    write_manifest(directory, task, folders)
