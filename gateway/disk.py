"""Files that are whole or not there, and a disk that may be full."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.errors import NoSpaceError

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@contextmanager
def told_when_full() -> Iterator[None]:
    """Tell a full disk, which its administrator can mend, apart from what nobody expects.

    Raises
    ------
    NoSpaceError
        For a full disk, a used up quota of the account, or a file that grew too large.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise NoSpaceError(
            f"the gateway's disk takes no more ({error.strerror}), so nothing was kept: "
            "ask its administrator, and try again"
        ) from error


def create(path: Path) -> int:
    """Make a new file that only the gateway can read; answer its handle."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
