"""Job directories on this host: what schedulers do with files when no shell lies in between."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from scheduler import directory as job_directory
from scheduler import files
from scheduler.base import (
    READ_MANY_BYTES,
    FileEntry,
    Launch,
    Reading,
    SchedulerError,
    StagedJob,
    Trace,
)


class FilesHere:
    """The verbs of a `Scheduler` that are about files."""

    _base: Path | None = None
    """What must be mounted for a claim to be seen; None where all is on this host."""

    def stage(self, jobs: Sequence[StagedJob]) -> None:
        """Make job directories: each whole, checked against its digests, or not there at all."""
        for job in jobs:
            files.stage(Path(job.directory), job.files)

    def claim(self, directory: PurePosixPath, try_number: int, owner: str) -> str:
        """Take ``claim.<try>`` for an owner; answer who has it: that owner, or an earlier one."""
        try:
            return job_directory.take_claim(Path(directory), try_number, owner, self._base)
        except OSError as error:
            raise SchedulerError(f"claim.{try_number} cannot be taken: {error}") from error

    def traces(self, launches: Sequence[Launch]) -> list[Trace]:
        """Say what the tries of some launches left in their directories."""
        return [
            job_directory.read_trace(Path(launch.directory), launch.try_number)
            for launch in launches
        ]

    def read(
        self, directory: PurePosixPath, path: str, offset: int, limit_bytes: int
    ) -> bytes | None:
        """Read bytes of a regular file beneath a directory, following no link."""
        return files.read_beneath(Path(directory), path, offset, limit_bytes)

    def read_many(self, wanted: Sequence[Reading]) -> dict[Reading, bytes | None]:
        """Read parts of many files, each as `read` does; what is missing must be read alone."""
        return dict(files.read_all(wanted, READ_MANY_BYTES))

    def listing(
        self, directory: PurePosixPath, limit: int = 10_000, keep: str = ""
    ) -> list[FileEntry]:
        """List the files beneath a directory, sorted by path, without following links."""
        return files.list_beneath(Path(directory), limit, keep)

    def remove(self, directory: PurePosixPath) -> None:
        """Remove a job directory; one that is not there is no error."""
        try:
            files.remove_tree(Path(directory))
        except OSError as error:
            raise SchedulerError(f"{directory} cannot be removed: {error}") from error
