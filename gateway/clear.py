"""Make the store empty, as on the first day: for tests, and for a site that starts again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

from gateway.database import SCHEMA, connect, upgrade
from gateway.errors import ConflictError
from gateway.jobs.store import JobStore
from gateway.settings import Settings
from gateway.sidecars import Sidecars

_FOLDERS = ("blobs", "sidecars", "logs", "jobs")
"""What belongs to records that are gone; the secret and the local executor's counter stay."""


def clear(settings: Settings) -> Iterator[str]:
    """Forget everything; say what was done.

    Raises
    ------
    ConflictError
        While a job is alive: what runs would be forgotten, and go on.
    """
    client = connect(settings)
    state = settings.state_directory
    alive = len(JobStore(client, Sidecars(state / "sidecars" / "jobs")).active())
    if alive:
        raise ConflictError(f"{alive} jobs have not ended: cancel them first, or wait")
    count = int(client.dbsize())
    client.flushdb()
    upgrade(client)
    yield f"store: {count} keys forgotten; version {SCHEMA}"
    for name in _FOLDERS:
        if (state / name).is_dir():
            shutil.rmtree(state / name)
            (state / name).mkdir(mode=0o700)  # a gateway that runs goes on
            yield f"emptied {state / name}"
