"""Job directories on their way to a login node: many in one message, each content once.

A thousand jobs of one campaign share their driver and most of their files, so what is announced
refers to parts by digest, and the parts follow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from scheduler.base import SchedulerError, StagedFile, StagedJob
from scheduler.frames import CHUNK_BYTES, Frame


def announce(jobs: Sequence[StagedJob]) -> dict[str, Any]:
    """Say which directories are to be made of which parts."""
    return {
        "verb": "stage",
        "jobs": [
            {
                "directory": str(job.directory),
                "files": [
                    {
                        "path": str(file.path),
                        "sha256": file.sha256,
                        "mode": file.mode,
                        "part": file.sha256,
                    }
                    for file in job.files
                ],
            }
            for job in jobs
        ],
    }


def send_parts(jobs: Sequence[StagedJob]) -> Iterator[Frame]:
    """Give the parts in frames, and one without a part for the end."""
    sent: set[str] = set()
    for job in jobs:
        for file in job.files:
            if file.sha256 not in sent:
                sent.add(file.sha256)
                yield from _part(file)
    yield Frame(document={"end": True})


def _part(file: StagedFile) -> Iterator[Frame]:
    name = {"part": file.sha256}
    if file.source is None:
        for first in range(0, max(len(file.content), 1), CHUNK_BYTES):
            yield Frame(document=name, blob=file.content[first : first + CHUNK_BYTES])
        return
    try:
        with Path(file.source).open("rb") as stream:
            yield Frame(document=name, blob=stream.read(CHUNK_BYTES))
            while chunk := stream.read(CHUNK_BYTES):
                yield Frame(document=name, blob=chunk)
    except OSError as error:
        raise SchedulerError(f"{file.path} cannot be sent: {error}") from error
