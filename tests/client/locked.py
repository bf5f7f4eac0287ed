"""A keyring for tests, which keeps its secrets in a file that the environment names."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import KeyringLocked, PasswordDeleteError


class FileKeyring(KeyringBackend):
    """Locked when there is a file ``locked`` beside its own."""

    priority = 5.0

    def __init__(self) -> None:
        """Say the type that the library leaves open."""
        super().__init__()  # type: ignore[no-untyped-call]  # the library's own has none

    @property
    def path(self) -> Path:
        path = Path(os.environ["KEYRING_FILE"])
        if path.with_name("locked").exists():
            raise KeyringLocked("locked for the test")
        return path

    def _all(self) -> dict[str, str]:
        path = self.path
        found: dict[str, str] = json.loads(path.read_text("utf-8")) if path.exists() else {}
        return found

    def get_password(self, service: str, username: str) -> str | None:
        return self._all().get(f"{service}|{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        kept = {**self._all(), f"{service}|{username}": password}
        self.path.write_text(json.dumps(kept), "utf-8")

    def delete_password(self, service: str, username: str) -> None:
        kept = self._all()
        if kept.pop(f"{service}|{username}", None) is None:
            raise PasswordDeleteError("not there")
        self.path.write_text(json.dumps(kept), "utf-8")
