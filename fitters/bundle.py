"""The driver as one zip application, which goes to the cluster with the job.

Inside, this package is called ``gateway_driver`` and imports itself only relatively, so that a
user's own ``fitters.py`` is not shadowed. The same sources give the same bytes.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import importlib.util
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from .kinds import BUILTIN, TABLE

PACKAGE = "gateway_driver"
GROUP = "gateway.fitters"
MAIN = f"from {PACKAGE}.driver import main\n\nraise SystemExit(main())\n"
LONG_AGO = (1980, 1, 1, 0, 0, 0)
HERE = Path(__file__).parent
ONLY_HERE = {"bundle.py"}


def registered_kinds() -> dict[str, str]:
    """Find the kinds that others registered: name to ``module:Class``."""
    found = importlib.metadata.entry_points(group=GROUP)
    return {point.name: point.value for point in found if point.name not in BUILTIN}


def build_driver(extra_modules: Mapping[str, str] | None = None) -> bytes:
    """Build the zip application.

    Parameters
    ----------
    extra_modules
        Kinds of strangers: name to ``module:Class``; None for all that are registered. The
        module's file, or its whole top-level package, goes along under its own name.

    Raises
    ------
    ValueError
        If a kind's module cannot be found as Python source.
    """
    kinds = registered_kinds() if extra_modules is None else dict(extra_modules)
    return _build(tuple(sorted(kinds.items())))


@functools.cache
def _build(kinds: tuple[tuple[str, str], ...]) -> bytes:
    members = {f"{PACKAGE}/{path.name}": path.read_bytes() for path in own_sources()}
    members["__main__.py"] = MAIN.encode()
    members[f"{PACKAGE}/{TABLE}"] = json.dumps(dict(kinds)).encode()
    for _, target in kinds:
        members.update(_stranger_sources(target.partition(":")[0]))
    buffer = io.BytesIO()
    # Stored, not deflated: compressors differ in their bytes, and an import is faster so.
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name, LONG_AGO), members[name])
    return buffer.getvalue()


def own_sources() -> list[Path]:
    """Name the modules that go along."""
    return sorted(path for path in HERE.glob("*.py") if path.name not in ONLY_HERE)


def _stranger_sources(module: str) -> Iterator[tuple[str, bytes]]:
    top = module.partition(".")[0]
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ValueError(f"the module {module!r} of a kind of job is not there as Python source")
    origin = Path(spec.origin)
    if spec.submodule_search_locations is None:
        yield _checked(origin.name, origin)
        return
    for path in sorted(origin.parent.rglob("*.py")):
        yield _checked(f"{top}/{path.relative_to(origin.parent).as_posix()}", path)


def _checked(name: str, path: Path) -> tuple[str, bytes]:
    source = path.read_bytes()
    try:
        ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"{path} of a kind of job is not valid Python: {error}") from error
    return name, source
