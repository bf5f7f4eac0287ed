"""The parts of bumps that its web view is made of, wherever this bumps has them.

bumps 1.0 has them under ``bumps.webview.server``; its next release moved them. ``bumps.cli`` is in
both, and in 1.0 it is an older program: which it is, only ``bumps.api`` tells, which 1.0 has not.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from bumps_remote.errors import UsageError

_BEFORE = "bumps.webview.server"


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Modules of bumps; they carry no types."""

    api: Any
    """What the page calls, and ``api.state``, what it shows."""

    cli: Any
    server: Any

    @property
    def state(self) -> Any:
        """The module with the classes of what the page shows."""
        return sys.modules[type(self.api.state).__module__]


def bumps_parts() -> Parts:
    """Import the parts of the web view.

    Raises
    ------
    UsageError
        When there is no bumps here, or none with a web view.
    """
    try:
        moved = find_spec("bumps.api") is not None
        package, server = ("bumps", "bumps.webview") if moved else (_BEFORE, _BEFORE)
        return Parts(
            api=import_module(f"{package}.api"),
            cli=import_module(f"{package}.cli"),
            server=import_module(f"{server}.webserver"),
        )
    except ImportError as error:
        raise UsageError(f"this needs bumps 1.0.4 or later beside bumps-remote: {error}") from error
