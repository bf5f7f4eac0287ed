"""The client as a wheel, made from the sources that lie beside the gateway.

So a site gives its users the client that fits its gateway, by a command that names no index: where
nobody has published a name, a stranger could. A wheel is a zip with a list of its files (PEP 427);
the same sources make the same bytes.
"""

from __future__ import annotations

import base64
import hashlib
import io
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gateway.resources import cupboard

PLACE = "/client"
_PACKAGE = "bumps_remote"
_KINDS = frozenset({".py", ".html", ".typed"})
_EPOCH = (1980, 1, 1, 0, 0, 0)
_WHEEL = "Wheel-Version: 1.0\nGenerator: bumps-gateway\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """An installable file."""

    name: str
    content: bytes

    @property
    def place(self) -> str:
        """Its path on this gateway."""
        return f"{PLACE}/{self.name}"


@cache
def client_wheel() -> Wheel:
    """Make the wheel of the client that came with this gateway."""
    return make_wheel(cupboard("client"))


def make_wheel(folder: Path) -> Wheel:
    """Make a wheel of a folder with a ``pyproject.toml`` and the package."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stem = f"{_PACKAGE}-{project['version']}"
    about = f"{stem}.dist-info"
    files = {
        **dict(_sources(folder)),
        f"{about}/METADATA": _metadata(project, folder).encode(),
        f"{about}/WHEEL": _WHEEL.encode(),
        f"{about}/entry_points.txt": _entry_points(project).encode(),
    }
    rows = [f"{name},sha256={_digest(content)},{len(content)}\n" for name, content in files.items()]
    files[f"{about}/RECORD"] = "".join([*rows, f"{about}/RECORD,,\n"]).encode()
    return Wheel(name=f"{stem}-py3-none-any.whl", content=_zip(files))


def _sources(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted((folder / _PACKAGE).rglob("*")):
        if path.suffix in _KINDS and path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _metadata(project: dict[str, Any], folder: Path) -> str:
    extras = project.get("optional-dependencies", {})
    lines = [
        "Metadata-Version: 2.4",
        f"Name: {project['name']}",
        f"Version: {project['version']}",
        f"Summary: {project['description']}",
        f"License-Expression: {project['license']}",
        f"Requires-Python: {project['requires-python']}",
        "Description-Content-Type: text/x-rst",
        *(f"Requires-Dist: {need}" for need in project["dependencies"]),
        *(f"Provides-Extra: {extra}" for extra in extras),
        *(f'Requires-Dist: {need}; extra == "{extra}"' for extra in extras
          for need in extras[extra]),
    ]  # fmt: skip
    readme = (folder / str(project["readme"])).read_text(encoding="utf-8")
    return "\n".join(lines) + "\n\n" + readme


def _entry_points(project: dict[str, Any]) -> str:
    rows = [f"{name} = {target}\n" for name, target in project["scripts"].items()]
    return "".join(["[console_scripts]\n", *rows])


def _digest(content: bytes) -> str:
    raw = hashlib.sha256(content).digest()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _zip(files: dict[str, bytes]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, content)
    return target.getvalue()
