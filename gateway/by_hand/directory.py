"""Read the directory of a job that was made by hand: whatever lies there, anybody may have written.

Files are read without following links and to a limit; a directory that is not plainly one of ours
is refused in words.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Any

from gateway.clusters.settings import ClusterSettings
from gateway.errors import InvalidError
from gateway.jobs.documents import read_document
from gateway.jobs.plan import driver
from gateway.records import Document
from scheduler.base import VOID, FileEntry, Launch, Scheduler
from scheduler.directives import parse_options

DATA = "data/"
_JOB, _SCRIPT, _DRIVER = "job.json", "job.sh", "driver.pyz"
_LISTED = r"job\.json|job\.sh|driver\.pyz|data|claim\.\d+|submit\.\d+"
_JOB_BYTES = 4 << 20
_SCRIPT_BYTES = 256 << 10
_CHUNK_BYTES = 4 << 20
_PYTHON = re.compile(r"^    (\S.*) driver\.pyz \. >&", re.MULTILINE)
_COMMENT = re.compile(r"gw:([^:]{1,64}):([A-Za-z0-9_.@+-]{1,100})")
_OURS = frozenset(
    ("job-name", "comment", "chdir", "output", "error", "open-mode", "export", "signal")
)


@dataclass(frozen=True, kw_only=True)
class Left:
    """What lies in a directory, as far as it was read."""

    job: bytes
    document: Document
    script: str
    options: dict[str, str]
    """Of the script's ``#SBATCH`` lines."""

    owner: str
    correlation_id: str
    data: tuple[FileEntry, ...]

    @property
    def problem(self) -> Document:
        """What it says it fits."""
        return dict(self.document["problem"])

    @property
    def run(self) -> Document:
        """How it says that this runs."""
        return dict(self.document["run"])


def read_left(scheduler: Scheduler, place: PurePosixPath, most: int) -> Left:
    """Read what is small; all of it may have been written by anybody.

    Parameters
    ----------
    most
        How many files a problem may have.

    Raises
    ------
    InvalidError
        If this is no directory that was made by hand.
    """
    listing = scheduler.listing(place, most + 50, _LISTED)
    names = {entry.path: entry for entry in listing}
    _require_plain(place, listing, most)
    job = _content(scheduler, place, names[_JOB], _JOB_BYTES)
    document = read_document(job)
    if not isinstance(document, dict) or not all(
        isinstance(document.get(name), dict) for name in ("problem", "run")
    ):
        raise InvalidError.at("/job.json", "is no job that can be read")
    if document.get("kind") != "fit":
        raise InvalidError.at("/job.json", "is no fit: only those are made by hand")
    script = _content(scheduler, place, names[_SCRIPT], _SCRIPT_BYTES)
    text = script.decode("utf-8", "replace")
    try:
        options = parse_options(text)
    except ValueError as error:
        raise InvalidError.at("/job.sh", f"is no script of ours: {error}") from error
    comment = _COMMENT.fullmatch(options.get("comment", ""))
    if comment is None:
        raise InvalidError.at("/job.sh", "is no script of ours: it does not say whose it is")
    if _content(scheduler, place, names[_DRIVER], len(driver())) != driver():
        detail = "is not this gateway's: another version made it, or it was changed"
        raise InvalidError.at("/driver.pyz", detail)
    data = tuple(entry for entry in listing if _is_input(entry.path))
    return Left(
        job=job,
        document=document,
        script=text,
        options=options,
        owner=comment[1],
        correlation_id=comment[2],
        data=data,
    )


def resources_of(left: Left) -> dict[str, Any]:
    """Take what a user may ask for out of the options of a script, and out of how it starts."""
    asked: dict[str, Any] = {
        name.replace("-", "_"): value
        for name, value in left.options.items()
        if name not in _OURS and name not in ("requeue", "no-requeue")
    }
    if "exclusive" in asked:
        asked["exclusive"] = True
    if len(_start_of(left)) > 1:
        asked["mpi"] = True  # what starts the ranks stands before the Python
    return asked


def as_it_may_have_been(cluster: ClusterSettings, left: Left) -> Iterator[ClusterSettings]:
    """Give the site as whoever made the directory may have known it: its settings, or none."""
    python = _start_of(left)[-1]
    pause = left.run.get("checkpoint_s")
    if not isinstance(pause, int | float) or not 0 < pause < 1e6:
        raise InvalidError.at("/job.json", "run.checkpoint_s is no number of seconds")
    here = replace(cluster, python=python, checkpoint_s=pause)
    yield here
    yield replace(here, environment={}, prolog=())


def _start_of(left: Left) -> list[str]:
    """Read what a script starts its driver with: a Python, and before it what starts ranks."""
    found = _PYTHON.search(left.script)
    try:
        words = shlex.split(found[1]) if found else []
    except ValueError:
        words = []
    if not words:
        raise InvalidError.at("/job.sh", "is no script of ours: it names no Python")
    return words


def _is_input(path: str) -> bool:
    """Whether a file was there before the job ran: byte code comes from running."""
    return path.startswith(DATA) and "__pycache__" not in PurePosixPath(path).parts


def _require_plain(place: PurePosixPath, listing: Sequence[FileEntry], most: int) -> None:
    """See that all that a job is made of is there, in plain files, and nothing else."""
    names = {entry.path for entry in listing}
    if missing := [name for name in (_JOB, _SCRIPT, _DRIVER) if name not in names]:
        raise refused(place, f"there is no {missing[0]} in it")
    for entry in listing:
        claim = entry.path.startswith("claim.")
        if entry.path.startswith("submit."):
            raise refused(place, "a gateway submitted it: 'bumps-gateway rebuild' restores those")
        if claim and entry.path != "claim.1":
            raise refused(place, f"{entry.path} is there: it was run as another try than 1")
        if not entry.regular and not claim:  # while it is taken, a claim has two names
            raise refused(place, f"{entry.path} is a link or no plain file")
    if len(listing) > most:
        raise refused(place, f"it holds more than the {most} files that a problem may have")


def _content(scheduler: Scheduler, place: PurePosixPath, entry: FileEntry, most: int) -> bytes:
    if entry.size > most:
        raise refused(place, f"{entry.path} has {entry.size} bytes, more than {most}")
    return b"".join(chunks(scheduler, place, entry, most))


def chunks(
    scheduler: Scheduler, place: PurePosixPath, entry: FileEntry, most: int | None = None
) -> Iterator[bytes]:
    """Read a file to its listed size: one that grows meanwhile is not followed."""
    offset, end = 0, entry.size if most is None else min(entry.size, most)
    while offset < end:
        wanted = min(_CHUNK_BYTES, end - offset)
        chunk = scheduler.read(place, entry.path, offset, wanted)
        if not chunk:
            raise refused(place, f"{entry.path} changed while it was read")
        yield chunk
        offset += len(chunk)


def require_submitted(scheduler: Scheduler, place: PurePosixPath, name: str) -> None:
    """See that there is something to watch: what nobody submitted yet would be ended as lost."""
    launch = Launch(directory=place, marker=name, try_number=1)
    (trace,) = scheduler.traces([launch])
    if trace.claim == VOID:
        raise refused(place, "it was given up: whatever is submitted of it ends at once")
    if trace.claim is None and not scheduler.find([name]).get(name):
        raise refused(
            place, f"nothing of it is at the cluster: submit it first (sbatch {place}/job.sh)"
        )


def refused(place: PurePosixPath, why: str) -> InvalidError:
    """Make the error for a directory that is not taken in."""
    return InvalidError.at("/directory", f"{str(place)[:300]!r} cannot be adopted: {why}")
