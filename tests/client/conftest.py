"""Fixtures of this room: a server that misbehaves, and a laptop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.site import TOKEN, Misbehaving, Shell, make_shell, misbehaving


@pytest.fixture
def site() -> Iterator[Misbehaving]:
    with misbehaving() as running:
        yield running


@pytest.fixture
def shell(tmp_path: Path, site: Misbehaving) -> Shell:
    """Give a laptop that is logged in to the misbehaving server."""
    return make_shell(tmp_path, site.url, TOKEN)
