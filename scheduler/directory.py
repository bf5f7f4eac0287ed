"""Who may run in a job directory: the lock of a try, and its claim.

``submit.<try>/`` is made once and never removed, so a try is submitted at most once.
``claim.<try>`` is a hard link of a file that holds its owner: a link appears whole, and only for
the first.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from scheduler.base import VOID, SchedulerError, Trace
from scheduler.files import link_whole, names_in, read_beneath, sync_folder, write_whole

_OWNER = re.compile(rf"[0-9]{{1,18}}|{VOID}")


def take_lock(directory: Path, try_number: int) -> bool:
    """Take the lock of a try; False when it was taken before, by whomever."""
    try:
        (directory / f"submit.{try_number}").mkdir(mode=0o700)
    except FileExistsError:
        return False
    sync_folder(directory)
    return True


def write_native_id(directory: Path, try_number: int, native_id: str) -> None:
    """Remember beside the lock what the try came to."""
    write_whole(directory / f"submit.{try_number}" / "native_id", f"{native_id}\n".encode())


def read_native_id(directory: Path, try_number: int) -> str | None:
    """Read what a try came to; None when nobody wrote it."""
    text = _first_word(directory, f"submit.{try_number}/native_id")
    return text if text != VOID else None


def write_refusal(directory: Path, try_number: int, text: str) -> None:
    """Remember that a try was refused, and why."""
    write_whole(directory / f"submit.{try_number}" / "refused", text.encode())


def read_refusal(directory: Path, try_number: int) -> str | None:
    """Read why a try was refused; None when it was not."""
    content = read_beneath(directory, f"submit.{try_number}/refused", 0, 4096)
    return None if content is None else content.decode("utf-8", "replace")


def take_claim(directory: Path, try_number: int, owner: str, base: Path | None = None) -> str:
    """Take the claim of a try, and answer who has it now.

    A directory that was never made, or is gone, is made for it: what comes late finds the claim.

    Parameters
    ----------
    base
        What must be there beforehand: beneath a file system that is not mounted now, a claim would
        be seen by nobody. None where the directories lie on this host.
    """
    if _OWNER.fullmatch(owner) is None:
        raise SchedulerError(f"{owner!r} cannot own a claim: want a native id or {VOID!r}")
    if base is not None and not base.is_dir():
        raise SchedulerError(f"{base} is not there: is its file system mounted?")
    if not directory.is_dir():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync_folder(directory.parent)
    link_whole(directory / f"claim.{try_number}", f"{owner}\n".encode())
    holder = read_claim(directory, try_number)
    if holder is None:
        raise SchedulerError(
            f"{directory}/claim.{try_number} is there but names no owner: "
            "something other than the job's script wrote it"
        )
    return holder


def read_claim(directory: Path, try_number: int) -> str | None:
    """Read who has the claim of a try; None when nobody has."""
    path = directory / f"claim.{try_number}"
    # Two names for the moment in which its taker has not yet removed the first.
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _owner(os.read(handle, 64))
    except OSError:
        return None
    finally:
        os.close(handle)


def read_trace(directory: Path, try_number: int) -> Trace:
    """Read what a try left."""
    with suppress(OSError):
        names_in(directory)  # NFS believes in absence until a directory is listed
    return Trace(
        claim=read_claim(directory, try_number), native_id=read_native_id(directory, try_number)
    )


def _first_word(directory: Path, path: str) -> str | None:
    content = read_beneath(directory, path, 0, 64)
    return None if content is None else _owner(content)


def _owner(content: bytes) -> str | None:
    text = content.decode("ascii", "replace").strip()
    return text if _OWNER.fullmatch(text) else None
