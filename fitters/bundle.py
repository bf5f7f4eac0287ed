"""The driver as one zip application, which goes to the cluster with the job.

Inside, this package is called ``gateway_driver`` and imports itself only relatively, so that a
user's own ``fitters.py`` is not shadowed. The same sources give the same bytes.

Beside each source lies its byte code, for the minor version of Python that built the zip: to
compile everything anew took a tenth of a second of each job. Another version passes over it, and so
does any once the source was changed.
"""

from __future__ import annotations

import ast
import functools
import importlib.metadata
import importlib.util
import io
import json
import marshal
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
CHECKED_HASH = (0b11).to_bytes(4, "little")
"""Of a pyc (PEP 552): it counts only beside the very source that it was compiled from."""

WITHOUT_DOCSTRINGS = 2
WITHOUT_REFERENCES = 2
"""The format of marshal whose bytes do not depend on what else the process holds."""


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
    members: dict[str, bytes] = {}
    for path in own_sources():
        name, source = f"{PACKAGE}/{path.name}", path.read_bytes()
        members |= {name: source, f"{name}c": _compiled(name, source)}
    members["__main__.py"] = MAIN.encode()
    members[f"{PACKAGE}/{TABLE}"] = json.dumps(dict(kinds)).encode()
    for _, target in kinds:
        members.update(_stranger_sources(target.partition(":")[0]))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in sorted(members):
            member = zipfile.ZipInfo(name, LONG_AGO)
            # A copy lies in each job: a third of the size is worth 4 ms of each import.
            member.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(member, members[name])
    return buffer.getvalue()


def _compiled(name: str, source: bytes) -> bytes:
    code = compile(
        source, f"driver.pyz/{name}", "exec", dont_inherit=True, optimize=WITHOUT_DOCSTRINGS
    )
    head = importlib.util.MAGIC_NUMBER + CHECKED_HASH + importlib.util.source_hash(source)
    return head + marshal.dumps(code, WITHOUT_REFERENCES)


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
