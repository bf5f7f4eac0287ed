"""What a machine tells of itself and of a directory, before anything of ours runs there.

This text is sent to machines where nothing of ours is, so it imports nothing of ours.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import tempfile
import time
from pathlib import Path


def loose(folder: Path) -> str:
    """Say where others could put something in place of a directory of ours; empty for nowhere.

    Whoever may write a directory may rename what lies in it, unless it has the sticky bit.
    """
    path = folder.resolve()
    own = os.getuid()
    for place in (path, *path.parents):
        status = place.stat()
        if status.st_uid not in (0, own) or (place == path and status.st_uid != own):
            return f"{place} belongs to uid {status.st_uid}, not to uid {own}"
        others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if others and (place == path or not status.st_mode & stat.S_ISVTX):
            who = "its group" if status.st_mode & stat.S_IWGRP else "everybody"
            repair = "chmod go-w" if place == path else "chmod +t"
            return f"{place} can be changed by {who}: {repair} {place}"
    return ""


def _unlinkable(path: str) -> str:
    """Say why no hard link can be made, by which a job is kept from running twice; empty if it can.

    Some file systems know none, such as those of Windows and of some gateways to object stores.
    """
    try:
        os.link(path, f"{path}.link")
        Path(f"{path}.link").unlink()
    except OSError as error:
        return f"no hard link can be made there ({error.strerror}), and claims of jobs are such"
    return ""


def look(base: str) -> dict[str, object]:
    """Make a directory, try to write there, and say how it went."""
    folder = Path(base)
    answer: dict[str, object] = {"now": time.time(), "uid": os.getuid(), "trouble": "", "loose": ""}
    os.umask(0o077)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".look.") as file:
            file.write(b"x")
            answer["trouble"] = _unlinkable(file.name)
        space = os.statvfs(folder)
        answer["free_bytes"] = space.f_bavail * space.f_frsize
        answer["free_files"] = space.f_favail
        answer["loose"] = loose(folder)
    except OSError as error:
        answer["trouble"] = str(error)
    return answer


if __name__ == "__main__":
    sys.stdout.write(json.dumps(look(sys.argv[1])) + "\n")
