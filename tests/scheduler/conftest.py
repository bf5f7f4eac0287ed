"""Schedulers to keep the promises."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scheduler.site import LocalSite, Site, open_local

LIMITS = {"cpus": 2, "kill_wait_s": 2.0, "log_limit_bytes": 100_000}
SANDBOXES = {"local": "none", "local in bubblewrap": "bwrap"}


@pytest.fixture(params=SANDBOXES)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """A scheduler with two processors, and a place for its jobs."""
    with open_local(tmp_path, sandbox=SANDBOXES[request.param], **LIMITS) as site:
        yield site


@pytest.fixture
def make_local(tmp_path: Path) -> Iterator[Callable[..., LocalSite]]:
    """Open local execution with other limits; ended with the test."""
    with contextlib.ExitStack() as stack:
        yield lambda **limits: stack.enter_context(open_local(tmp_path, **{**LIMITS, **limits}))
