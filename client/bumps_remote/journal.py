"""What was about to be submitted, so that a dead laptop neither loses a job nor makes two.

Before anything is sent, a submission or another attempt of a job is written down with its
Idempotency-Key; after the answer it is struck out. Whoever asks for the same again meanwhile uses
the same key, and so finds the job or the attempt that the first one may have made.

===================  ==================================================================
file                 holds
===================  ==================================================================
``<content>.json``   an entry, named by the digest of what it asks for; never changed
``<key>.problem``    the id of its problem, once the server has it; from then on the job
                     itself may have been sent
===================  ==================================================================
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bumps_remote.config import (
    private_folder,
    problems_folder,
    state_folder,
    sync_folder,
    write_private,
)
from bumps_remote.errors import UsageError

Document = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class LocalFile:
    """A file that belongs to a submission."""

    name: str
    """Its name for the server."""

    path: str
    """Where it lies here, absolute."""

    digest: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Draft:
    """Everything that a submission says."""

    url: str
    user: str
    entry: str
    """Name of the model among the files."""

    files: tuple[LocalFile, ...]
    problem: Document
    """Body of POST /problems."""

    job: Document
    """Body of POST /jobs, still without its problem."""

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"submission of {self.entry}"

    def digest(self) -> str:
        """Name the content: the same content has the same name, wherever its files lie."""
        document = asdict(self)
        document["files"] = sorted((file.name, file.digest) for file in self.files)
        return _digest(document)


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """Everything that a request for another attempt of a job says."""

    url: str
    user: str
    verb: str
    """``resume`` or ``rerun``."""

    job: str
    """Id of the job."""

    body: Document

    @property
    def title(self) -> str:
        """What it is, for people."""
        return f"{self.verb} of {self.job}"

    def digest(self) -> str:
        """Name the content."""
        return _digest(asdict(self))


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Something that was begun and of which we know no end."""

    draft: Draft | Repetition
    key: str
    begun: datetime
    path: Path
    is_new: bool = True
    """False when it was in the journal already."""

    @property
    def problem_path(self) -> Path:
        """Where the id of its problem is written down."""
        return self.path.with_name(f"{self.key}.problem")

    @property
    def problem_id(self) -> str | None:
        """The id of its problem; None while none is known, and so no job can have been sent."""
        try:
            return self.problem_path.read_text(encoding="ascii").strip() or None
        except FileNotFoundError:
            return None

    @property
    def age_s(self) -> float:
        """How long ago it began."""
        return (datetime.now(timezone.utc) - self.begun).total_seconds()


class Journal:
    """What this user has under way on this computer."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or state_folder() / "journal"

    def begin(self, draft: Draft | Repetition) -> Entry:
        """Write something down, or find it where it already stands."""
        private_folder(self.folder.parent)
        private_folder(self.folder)
        path = self.folder / f"{draft.digest()}.json"
        key = str(uuid.uuid4())
        begun = datetime.now(timezone.utc)
        what = "draft" if isinstance(draft, Draft) else "repetition"
        document = {"format": 1, "key": key, "begun": begun.isoformat(), what: asdict(draft)}
        if not _write_once(path, json.dumps(document, indent=1)):
            return self._read(path)
        return Entry(draft=draft, key=key, begun=begun, path=path)

    def keep_problem(self, entry: Entry, problem_id: str) -> str:
        """Write down the id of an entry's problem; whoever comes second takes the first one's."""
        if _write_once(entry.problem_path, problem_id):
            return problem_id
        return entry.problem_id or problem_id

    def finish(self, entry: Entry, *, with_files: bool = True) -> None:
        """Strike an entry out, with the files that were made for it alone."""
        # In this order: an entry without its problem would send another body with the same key.
        entry.path.unlink(missing_ok=True)
        entry.problem_path.unlink(missing_ok=True)
        sync_folder(self.folder)
        if with_files and isinstance(entry.draft, Draft):
            for file in entry.draft.files:
                if Path(file.path).parent == problems_folder():
                    Path(file.path).unlink(missing_ok=True)

    def entries(self) -> list[Entry]:
        """Read all entries, the oldest first."""
        if not self.folder.is_dir():
            return []
        found = [self._read(path) for path in self.folder.glob("*.json")]
        return sorted(found, key=lambda entry: entry.begun)

    def _read(self, path: Path) -> Entry:
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return Entry(
                draft=_read_draft(document),
                key=str(document["key"]),
                begun=datetime.fromisoformat(document["begun"]),
                path=path,
                is_new=False,
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(
                f"the journal's {path} cannot be read ({error}). Look with 'bumps-remote list' "
                "whether its job exists, then delete that file"
            ) from error


def _read_draft(document: Mapping[str, Any]) -> Draft | Repetition:
    if "repetition" in document:
        return Repetition(**document["repetition"])
    draft: Mapping[str, Any] = document["draft"]
    files: Sequence[Mapping[str, Any]] = draft["files"]
    return Draft(**{**draft, "files": tuple(LocalFile(**file) for file in files)})


def _digest(document: Document) -> str:
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def digest_file(path: Path) -> tuple[str, int]:
    """Measure a file: its SHA-256 and its size."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
    return digest.hexdigest(), size


def _write_once(path: Path, text: str) -> bool:
    """Write a file unless there is one; whole or not at all. False when there is one."""
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    write_private(unfinished, text)
    try:
        os.link(unfinished, path)
    except FileExistsError:
        return False
    finally:
        unfinished.unlink()
    sync_folder(path.parent)
    return True
