"""Names of files in a bundle, so that they are the same on every file system."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from gateway.errors import FieldError


def clashes(names: Sequence[str], pointer: str) -> list[FieldError]:
    """Find names that some file systems take for the same, or for a folder of another.

    >>> [error.pointer for error in clashes(["a.py", "A.py", "d", "d/e"], "/files")]
    ['/files/1/name', '/files/3/name']
    """
    seen: dict[str, str] = {}
    errors = []
    for index, name in enumerate(names):
        key = unicodedata.normalize("NFKC", name).casefold()
        if key in seen:
            detail = f"{name!r} is the same name as {seen[key]!r} where case does not count"
            errors.append(FieldError(pointer=f"{pointer}/{index}/name", detail=detail))
        seen.setdefault(key, name)
    for index, name in enumerate(names):
        key = unicodedata.normalize("NFKC", name).casefold()
        parents = [key[:at] for at, character in enumerate(key) if character == "/"]
        hidden = next((parent for parent in parents if parent in seen), None)
        if hidden is not None:
            detail = f"{name!r} lies in {seen[hidden]!r}, which is a file"
            errors.append(FieldError(pointer=f"{pointer}/{index}/name", detail=detail))
    return errors
