"""Files that readers see whole or not at all, and the list of what a task left."""

from __future__ import annotations

import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .base import Document

CHUNK_BYTES = 1 << 20


def to_plain(value: Any) -> Any:
    """Make a value JSON: arrays become lists, numbers that are not finite become None.

    >>> to_plain({"a": (1.0, float("nan")), "b": float("inf")})
    {'a': [1.0, None], 'b': None}
    """
    if isinstance(value, (bool, int, str)) or value is None:
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): to_plain(member) for name, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(member) for member in value]
    if hasattr(value, "tolist"):  # numpy's arrays and scalars, without importing numpy
        return to_plain(value.tolist())
    return str(value)


def to_json(document: Document) -> str:
    """Write a document as one line of strict JSON; see `to_plain`."""
    try:
        # Ten thousands of draws: to look at each one first takes longer than to write them all.
        return json.dumps(document, allow_nan=False, ensure_ascii=True, default=_plain_member)
    except (TypeError, ValueError):  # a key that is no text, a number that is not finite
        return json.dumps(to_plain(document), allow_nan=False, ensure_ascii=True)


def _plain_member(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else str(value)


def write_text(path: Path, text: str) -> None:
    """Write a file that readers see whole or not at all."""
    unfinished = path.with_name(path.name + ".part")
    # A model may have put a link of that name there: never write through it.
    unfinished.unlink(missing_ok=True)
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)


def write_json(path: Path, document: Document) -> None:
    """Write a document that readers see whole or not at all."""
    write_text(path, to_json(document) + "\n")


def read_json(path: Path) -> Document:
    """Read a JSON object.

    Raises
    ------
    ValueError
        If the file holds something else; it says what.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict):
        raise ValueError(  # noqa: TRY004 - the text is wrong, not a caller's type
            f"{path.name} must hold a JSON object, not {type(document).__name__}"
        )
    return document


def make_folder(path: Path) -> Path:
    """Make a folder for results; a link in its place is removed, never followed."""
    if path.is_symlink():
        path.unlink()
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def regular_files(folder: Path) -> Iterator[Path]:
    """Find the regular files beneath a folder, sorted; links and devices are left out."""
    if not folder.exists() or folder.is_symlink():
        return
    with os.scandir(folder) as found:
        entries = sorted(found, key=lambda entry: entry.name)
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from regular_files(Path(entry.path))
        elif entry.is_file(follow_symlinks=False) and not entry.name.endswith(".part"):
            yield Path(entry.path)


def describe_file(path: Path, root: Path) -> Document | None:
    """Say size and SHA-256 of a file, or None if it cannot be named or read as one."""
    name = path.relative_to(root).as_posix()
    try:
        name.encode("utf-8")
        # O_NONBLOCK: a file swapped for a named pipe must not hold the driver.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except (OSError, UnicodeEncodeError):
        return None
    digest, size = hashlib.sha256(), 0
    with os.fdopen(handle, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            return None
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return {"path": name, "size": size, "sha256": digest.hexdigest()}


def write_manifest(directory: Path, task: int, folders: list[Path]) -> None:
    """List what a task left, result included; the last file that it writes."""
    paths = [path for folder in folders for path in regular_files(folder)]
    paths.append(directory / f"result.{task}.json")
    described = [describe_file(path, directory) for path in paths]
    files = sorted((file for file in described if file), key=lambda file: str(file["path"]))
    write_json(directory / f"manifest.{task}.json", {"format": 1, "files": files})
