"""What the gateway knows of a dataset: a set of files with an owner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, kw_only=True)
class FileRef:
    """A file of a dataset, by name and content."""

    path: str
    digest: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Usage:
    """How many bytes a user keeps; a file that is kept twice counts once, a result each time."""

    files: int = 0
    results: int = 0

    @property
    def total(self) -> int:
        """All that counts."""
        return self.files + self.results


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A closed set of files: its manifest is its files with their SHA-256."""

    id: str
    owner: str
    type: str
    created: datetime
    files: tuple[FileRef, ...]
    complete: bool = True
    """False for what a job left that did not come to its end."""

    provenance: Mapping[str, Any] = field(default_factory=dict)
    """What it came from: job, attempt, inputs by digest, options, versions."""

    def file(self, path: str) -> FileRef | None:
        """Find a file by its path; None when there is none."""
        return next((ref for ref in self.files if ref.path == path), None)
