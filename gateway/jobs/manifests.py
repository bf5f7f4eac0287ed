"""Manifests: what a task says that it wrote, held against what is there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from gateway.datasets.models import FileRef
from gateway.jobs.models import Attempt
from gateway.records import Document

MOST_FAULTS = 50


def vouch(
    manifests: Iterable[tuple[int, Document | None]],
    attempt: Attempt,
    files: Mapping[str, FileRef],
    faults: list[str],
) -> bool:
    """Hold files against manifests; say whether these vouch for the result of each task.

    Parameters
    ----------
    manifests
        Of tasks, by number. None for one that is too long to be read: it vouches by being there,
        as it is written last.
    files
        What there is, by path.
    faults
        Takes what is not as it was said.
    """
    told, vouched = 0, set[str]()
    for number, manifest in manifests:
        told += 1
        if manifest is None:
            vouched.add(_result(number))
            continue
        vouched |= _vouched(manifest, files)
        faults.extend(islice(_differences(manifest, files), MOST_FAULTS))
    if told < attempt.tasks:
        absent = attempt.tasks - told
        faults.append(f"{absent} of {attempt.tasks} tasks left no manifest that can be read")
    return all(_result(number) in vouched for number in attempt.numbers)


def _result(number: int) -> str:
    return f"result.{number}.json"


def _vouched(manifest: Document, files: Mapping[str, FileRef]) -> set[str]:
    """Name the files that are as a manifest says."""
    rows = (row for row in manifest["files"] if isinstance(row, dict))
    named = ((row.get("path"), row.get("sha256")) for row in rows)
    return {
        path
        for path, digest in named
        if isinstance(path, str) and path in files and files[path].digest == digest
    }


def _differences(manifest: Document, files: Mapping[str, FileRef]) -> Iterator[str]:
    for row in manifest["files"]:
        path = row.get("path") if isinstance(row, dict) else None
        if not isinstance(path, str):
            yield "a manifest has a row without a path"
            continue
        ref = files.get(path)
        if ref is None:
            yield f"{path[:80]!r} is in the manifest and not there"
        elif ref.digest != row.get("sha256") or ref.size != row.get("size"):
            yield f"{path[:80]!r} is not as its manifest says"
