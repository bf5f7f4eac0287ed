"""Which class does which kind of job, on the compute node."""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from .base import FitError, Fitter

BUILTIN = {"fit": "bumps_fit:BumpsFit", "dummy": "dummy:DummyFitter"}
TABLE = "kinds.json"
"""In the zip application: the kinds of strangers, name to ``module:Class``."""


def load_kind(name: str) -> Fitter:
    """Find the kind that a job asks for.

    Raises
    ------
    FitError
        If the driver was built without it; the message names those it has.
    """
    strangers = _strangers()
    if name in BUILTIN:
        module_name, _, class_name = BUILTIN[name].partition(":")
        module = importlib.import_module(f".{module_name}", __package__)
    elif name in strangers:
        module_name, _, class_name = strangers[name].partition(":")
        with _house_name():
            module = importlib.import_module(module_name)
    else:
        known = ", ".join(sorted({*BUILTIN, *strangers}))
        raise FitError(f"kind: no kind of job is named {name!r} in this driver; it has {known}")
    kind: Fitter = getattr(module, class_name)()
    return kind


def _strangers() -> dict[str, str]:
    try:
        text = pkgutil.get_data(__package__ or "", TABLE)
    except OSError:
        return {}
    table: dict[str, str] = json.loads(text or b"{}")
    return table


@contextmanager
def _house_name() -> Iterator[None]:
    """Let a stranger's module say ``from fitters.base import Option`` while it is imported.

    In the zip this package has another name, so that a user's own ``fitters.py`` is not shadowed;
    the house name therefore exists only for this moment.
    """
    house = {"fitters": __package__ or "", "fitters.base": f"{__package__}.base"}
    added = [name for name in house if name not in sys.modules]
    for name in added:
        sys.modules[name] = importlib.import_module(house[name])
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]
