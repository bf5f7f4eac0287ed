"""From a site's settings to its scheduler."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from scheduler.base import Scheduler, SchedulerError
from scheduler.local import Local
from scheduler.spool import LocalConfig


def connect(name: str, settings: Mapping[str, object]) -> Scheduler:
    """Open a scheduler.

    Parameters
    ----------
    name
        Of the scheduler: ``local``.
    settings
        For ``local``: ``state_directory``, and any field of `LocalConfig`; ``cpus`` of 0 or absent
        means all processors that this process may use. What only the gateway needs is not here.

    Raises
    ------
    SchedulerError
        If there is no such scheduler, or its settings do not fit.
    """
    if name != "local":
        raise SchedulerError(f"scheduler {name!r} is not known: choose local")
    options = dict(settings)
    try:
        state_directory = Path(str(options.pop("state_directory")))
    except KeyError:
        raise SchedulerError("scheduler 'local' needs state_directory") from None
    known = {field.name for field in fields(LocalConfig)}
    if strange := sorted(set(options) - known):
        raise SchedulerError(
            f"scheduler 'local' has no setting {', '.join(strange)}; "
            f"there are {', '.join(sorted(known))}"
        )
    return Local(state_directory, _local_config(options))


def _local_config(options: dict[str, object]) -> LocalConfig:
    available = len(os.sched_getaffinity(0))
    # A sandboxed job sees the gateway's Python, unless the site says what else lies where.
    options.setdefault("readable", tuple(dict.fromkeys((sys.prefix, sys.base_prefix))))
    options["cpus"] = int(str(options.get("cpus") or available))
    return LocalConfig(**options)  # type: ignore[arg-type]  # names are checked above
