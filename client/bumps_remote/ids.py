"""Which job is meant: a whole id, its beginning or its end, or the newest."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from bumps_remote.errors import NotFoundError, RefusedError, UsageError
from bumps_remote.text import clean_line
from bumps_remote.transport import Document

LAST = "last"
_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}")
_PART = re.compile(r"[0-9A-Za-z]{4,26}")


def find_id(text: str, jobs: Callable[..., Iterator[Document]]) -> str:
    """Find the whole id that is meant.

    Parameters
    ----------
    jobs
        Lists one's jobs, the newest first, narrowed by *q* and *limit*; those of others that one
        may read with *shared*.

    Raises
    ------
    NotFoundError
        When no job of one's own is meant.
    RefusedError
        When more than one is.
    """
    if _ID.fullmatch(text.upper()):
        return text.upper()
    if text == LAST:
        newest = next(iter(jobs(limit=1)), None)
        if newest is None:
            raise NotFoundError("you have no jobs yet: submit one with 'bumps-remote model.py'")
        return str(newest["id"])
    if not _PART.fullmatch(text):
        raise UsageError(
            f"{clean_line(text, 40)!r} is no job id: give an id, at least 4 signs of its "
            "beginning or end, or 'last'"
        )
    part = text.upper()
    meant = _meant(part, jobs(q=part)) or _meant(part, jobs(q=part, shared="true"))
    if len(meant) > 1:
        raise RefusedError(f"{text} means {len(meant)} jobs: {', '.join(meant[:5])}")
    if not meant:
        raise NotFoundError(f"you have no job {text}: 'bumps-remote list' shows those you have")
    return meant[0]


def _meant(part: str, jobs: Iterator[Document]) -> list[str]:
    ids = [str(job["id"]) for job in jobs]
    return [one for one in ids if one.startswith(part)] or [
        one for one in ids if one.endswith(part)
    ]
