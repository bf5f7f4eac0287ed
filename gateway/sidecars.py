"""A JSON file beside each record of the store, so that the store can be built again from files.

They lie in the gateway's own state directory, never in a job's: a user could write there.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from gateway.records import Document


class Sidecars:
    """The sidecars of one kind of record, in folders by the last two signs of the id."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, id: str, document: Document) -> None:
        """Write one, whole or not at all, and on the disk before this returns."""
        self._written(id, document).replace(self._path(id))

    def write_first(self, id: str, document: Document) -> None:
        """Write one that is not there yet; one that is there is as new, or newer."""
        if self._path(id).exists():
            return
        unfinished = self._written(id, document)
        try:
            self._path(id).hardlink_to(unfinished)
        except FileExistsError:
            pass
        finally:
            unfinished.unlink()

    def _written(self, id: str, document: Document) -> Path:
        path = self._path(id)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = path.with_name(f".{id}.{secrets.token_hex(4)}.part")
        handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(json.dumps(document, separators=(",", ":")))  # dump writes in tiny pieces
            file.flush()
            os.fsync(file.fileno())
        return unfinished

    def remove(self, id: str) -> None:
        """Remove one; one that is not there is no error."""
        self._path(id).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[Document]:
        """Read all of them, in no order."""
        for path in sorted(self._root.glob("*/*.json")):
            yield json.loads(path.read_text(encoding="utf-8"))

    def _path(self, id: str) -> Path:
        return self._root / id[-2:] / f"{id}.json"
