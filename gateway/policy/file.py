"""The policy that holds: one file in the state directory, read again when it has changed.

It is put there whole by ``bumps-gateway policy set``, which refuses a wrong one. Were it damaged
all the same, nobody gets more than before: nothing new is taken, and what waits goes on waiting.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import structlog

from gateway.disk import create, told_when_full
from gateway.errors import UnavailableError
from gateway.policy.models import Policy
from gateway.policy.reading import PolicyError, read_policy

NAME = "policy.toml"
UNREADABLE = "the policy of this site cannot be read, and its administrators have to mend it"

_log = structlog.get_logger("policy")
_Stamp = tuple[int, int, int, int]


class NoPolicyError(UnavailableError):
    """The policy cannot be read: nobody knows what is allowed."""

    retry_after_s = 60


@dataclass(frozen=True, kw_only=True)
class _Read:
    stamp: _Stamp | None
    policy: Policy | None


class PolicyFile:
    """Reads the policy as often as somebody asks, and the file only when it is another."""

    def __init__(self, state: Path) -> None:
        self.path = state / NAME
        self._read: _Read | None = None

    def current(self) -> Policy:
        """Give the policy that holds now.

        Raises
        ------
        NoPolicyError
            When there is one, and it cannot be read.
        """
        stamp = self._stamp()
        if self._read is None or self._read.stamp != stamp:
            self._read = _Read(stamp=stamp, policy=self._load() if stamp else Policy())
        if self._read.policy is None:
            raise NoPolicyError(UNREADABLE)
        return self._read.policy

    def checked(self) -> Policy:
        """Read it anew; PolicyError says what is wrong."""
        return read_policy(self.text(), str(self.path))

    def text(self) -> str:
        """Give it as it was written; empty when there is none."""
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise PolicyError(f"{self.path}: {error}") from error

    def put(self, text: str, where: str) -> Policy:
        """Let another policy hold from now on; a wrong one changes nothing."""
        policy = read_policy(text, where)
        unfinished = self.path.with_name(f".{NAME}.{os.getpid()}")
        with told_when_full():
            try:
                with os.fdopen(create(unfinished), "w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                unfinished.replace(self.path)
            finally:
                unfinished.unlink(missing_ok=True)
        return policy

    def _load(self) -> Policy | None:
        try:
            return self.checked()
        except PolicyError as error:
            _log.exception("the policy cannot be read", exc_info=error)
            return None

    def _stamp(self) -> _Stamp | None:
        """Say which file it is; None when there is none.

        Its rights count too: a file that could not be read is tried again when they change.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise NoPolicyError(UNREADABLE) from error
        return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino
