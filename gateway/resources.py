"""Where the cupboards are: beside the packages in a checkout, inside ``gateway`` in a wheel."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).resolve().parent


def cupboard(name: str) -> Path:
    """Find ``templates``, ``config`` or ``client``."""
    inside = _HERE / name
    return inside if inside.is_dir() else _HERE.parent / name
