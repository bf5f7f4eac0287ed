"""A rank that is not the driver: the same problem, loaded here, evaluated for rank 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .base import Document, Job
from .bumps_load import evaluate_start, load, seed_all
from .bumps_log import limit_tracebacks
from .pool import Pool
from .ranks import serve


def serve_fit(comm: Any, job: Job) -> None:
    """Load the problem of a job and evaluate it for rank 0 until it has enough."""

    def prepare(check: Callable[[], None]) -> tuple[float, Pool]:
        limit_tracebacks()
        # A model that draws random numbers as it is loaded draws those of rank 0.
        seed_all(int(job.document["run"]["seed"]), str(job.document["options"]["fit"]))
        loaded = load(job, _say_nothing)
        evaluate_start(loaded, job.data)
        return loaded.nllf, Pool(loaded.problem.nllf, cpus_of_rank(job.document), check)

    serve(comm, prepare)


def cpus_of_rank(document: Document) -> int:
    """Say how many processors each rank has."""
    run = document["run"]
    return max(1, int(run["cpus"]) // int(run["ranks"]))


def _say_nothing(_level: str, _text: str) -> None:
    """Leave it to rank 0, which loads the same."""
