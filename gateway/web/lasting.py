"""Styles and scripts under names that last: a browser fetches each once, packed.

Pages name ``/static/~<version>/jobs.css``; the version is a digest of all such files, and what
modules import stands beside them, so it has the same. Without it, or with that of another release,
files are there as ever, to be asked for each time.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from flask import Flask, Response, request
from jinja2 import Environment
from jinja2.ext import Extension

_MARK = "~"
_YEAR_S = 31_536_000
_PACKED = frozenset({".css", ".js", ".svg"})
_NAMED = re.compile(r'((?:href|src)=")/static/')
_MODULE = re.compile(r'<script type="module" src="/static/([\w/.-]+)"></script>')
_IMPORTED = re.compile(r"""^(?:import|export)\b[^;]*?["']\./([\w.-]+)["'];""", re.MULTILINE)


class LastingFiles:
    """The files of a folder, with the name of their release."""

    def __init__(self, folder: Path) -> None:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        self._folder = folder
        self._packed: dict[tuple[str, str | None], bytes] = {}
        digest = hashlib.sha256()
        for path in paths:
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder)} {len(content)}\n".encode() + content)
        self.version = digest.hexdigest()[:12]

    def split(self, name: str) -> tuple[str, bool]:
        """Give a file's own name, and whether it was asked for by that of this release."""
        version, _, rest = name.partition("/")
        if not version.startswith(_MARK):
            return name, False
        return rest, version == _MARK + self.version

    def finish(self, name: str, response: Response, *, lasting: bool) -> Response:
        """Let an answer be kept, and send it packed to who can unpack."""
        if lasting and response.status_code == 200:
            response.headers["Cache-Control"] = f"public, max-age={_YEAR_S}, immutable"
        if PurePosixPath(name).suffix not in _PACKED:
            return response
        response.vary.add("Accept-Encoding")
        whole = response.status_code == 200 and not request.range
        if whole and request.accept_encodings.quality("gzip") > 0:
            self._pack(name, response)
        return response

    def _pack(self, name: str, response: Response) -> None:
        key = name, response.headers.get("ETag")
        opened: Any = response.response
        response.direct_passthrough = False
        if key not in self._packed:
            self._packed[key] = gzip.compress(response.get_data(), mtime=0)
        opened.close()
        response.set_data(self._packed[key])
        response.headers["Content-Encoding"] = "gzip"
        tag, _ = response.get_etag()
        if tag:  # other bytes, so it must not be taken for those that are not packed
            response.set_etag(f"{tag}-gzip")

    def imported_by(self, name: str) -> list[str]:
        """Name all modules that a module imports, itself or by others."""
        found: dict[str, None] = {}
        left = [PurePosixPath(name)]
        while left:
            module = left.pop()
            text = (self._folder / module).read_text(encoding="utf-8")
            new = [module.parent / one for one in _IMPORTED.findall(text)]
            left += [one for one in new if str(one) not in found]
            found.update((str(one), None) for one in new)
        return list(found)


class LastingNames(Extension):
    """Writes the names of files in templates as those of this release, with what they import."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        files: Any = environment.globals["lasting"]
        self._files: LastingFiles = files

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        """Change a template before it is compiled."""
        del name, filename
        source = _MODULE.sub(lambda found: "".join(self._ahead(found)), source)
        return _NAMED.sub(rf"\1/static/{_MARK}{self._files.version}/", source)

    def _ahead(self, found: re.Match[str]) -> Iterator[str]:
        # Else each module is found out about only when the one that imports it has come.
        for one in self._files.imported_by(found[1]):
            yield f'<link rel="modulepreload" href="/static/{one}">'
        yield found[0]


def serve_lasting(app: Flask) -> None:
    """Have an app serve its static files so."""
    files = LastingFiles(Path(app.static_folder or ""))

    def static(filename: str) -> Response:
        """Send a file of the pages."""
        name, lasting = files.split(filename)
        return files.finish(name, app.send_static_file(name), lasting=lasting)

    app.view_functions["static"] = static
    app.jinja_env.globals["lasting"] = files
    app.jinja_env.add_extension(LastingNames)
