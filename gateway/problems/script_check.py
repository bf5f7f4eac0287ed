"""Look at a model script without running it: syntax, imports, files, ``problem``.

The text is checked here (size, encoding, zero bytes); Python parses it in a limited child process.
"""

from __future__ import annotations

import codecs
import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from gateway.errors import FieldError, InvalidError, UnavailableError

SIZE_LIMIT_BYTES = 5_000_000
TIMEOUT_S = 15.0
_PARSER = Path(__file__).with_name("script_parser.py")
# What a compute environment for fits has; anything else may be missing there.
KNOWN_PACKAGES = frozenset(
    {
        *("bumps", "numpy", "scipy", "matplotlib", "h5py", "refl1d", "sasmodels", "sasdata"),
        *("periodictable", "numba", "pandas"),
    }
)


@dataclass(frozen=True, kw_only=True)
class ScriptReport:
    """What a model script and its helper modules are, as far as parsing tells."""

    standard: tuple[str, ...]
    """Modules of Python itself."""
    bundled: tuple[str, ...]
    """Modules that are files of the bundle."""
    environment: tuple[str, ...]
    """Modules that the compute environment must have."""
    opens: tuple[str, ...]
    """Files that are named as text where files are read."""
    warnings: tuple[str, ...]


def check_script(
    entry: str, files: Mapping[str, bytes], limit_bytes: int = SIZE_LIMIT_BYTES
) -> ScriptReport:
    """Check the entry script and the helper modules of a bundle.

    Raises
    ------
    InvalidError
        At ``/script/entry`` or ``/script/files/NAME`` with line, column and text.
    UnavailableError
        If the parser cannot be started.
    """
    if entry not in files:
        raise InvalidError.at("/script/entry", f"{entry!r} is not among the files of the problem")
    if not entry.endswith(".py"):
        raise InvalidError.at(
            "/script/entry", f"{entry!r} is no Python script; its name ends in .py"
        )
    modules: dict[str, bytes] = {}
    total = 0
    for name in (one for one in files if one.endswith(".py")):
        modules[name] = files[name]
        total += len(modules[name])
        if total > limit_bytes:  # the rest is not even read
            raise InvalidError.at(
                "/script/entry",
                f"the scripts have {total} bytes and more; at most {limit_bytes} are taken",
            )
    texts = {name: _decode(name, data, entry) for name, data in modules.items()}
    found = _parse(entry, texts)
    errors = [
        FieldError(pointer=_pointer(name, entry), detail=_syntax(name, item))
        for name, item in found.items()
        if "error" in item
    ]
    if errors:
        raise InvalidError(errors)
    return _report(entry, files, found)


def _pointer(name: str, entry: str) -> str:
    if name == entry:
        return "/script/entry"
    return "/script/files/" + name.replace("~", "~0").replace("/", "~1")


def _decode(name: str, data: bytes, entry: str) -> str:
    """Decode a script as UTF-8, which it must be whatever its coding line claims."""
    pointer = _pointer(name, entry)
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InvalidError.at(pointer, f"{name} is UTF-16; save it as UTF-8")
    if b"\0" in data:
        where = data.index(b"\0")
        raise InvalidError.at(pointer, f"{name} has a zero byte at {where}: it is no text")
    for line in data.removeprefix(codecs.BOM_UTF8).splitlines()[:2]:
        _check_coding(name, line, pointer)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidError.at(
            pointer, f"{name} is not UTF-8 at byte {error.start}; save it as UTF-8"
        ) from error


def _check_coding(name: str, line: bytes, pointer: str) -> None:
    # PEP 263. Another coding could make the text something else for Python than for us.
    if not line.lstrip().startswith(b"#") or b"coding" not in line:
        return
    words = line.split(b"coding", 1)[1].lstrip(b":= \t").split()
    coding = words[0].decode("ascii", errors="replace").lower() if words else ""
    plain = coding.strip("-*;,").replace("_", "-")
    if plain and plain not in ("utf-8", "utf8", "ascii", "us-ascii"):
        raise InvalidError.at(
            pointer, f"{name} claims the coding {coding[:40]!r}; only UTF-8 is taken"
        )


def _parse(entry: str, texts: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    request = json.dumps({"entry": entry, "modules": texts}).encode()
    command = [sys.executable, "-I", "-S", "-W", "ignore", str(_PARSER)]
    try:
        done = subprocess.run(
            command, input=request, capture_output=True, timeout=TIMEOUT_S, env={}, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise InvalidError.at(
            "/script/entry", f"parsing took more than {TIMEOUT_S:.0f} s; make the script simpler"
        ) from error
    except OSError as error:
        raise UnavailableError(f"the parser of scripts cannot be started: {error}") from error
    if done.returncode != 0:
        raise InvalidError.at("/script/entry", f"Python cannot parse the script: {_end(done)}")
    result: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return result


def _end(done: subprocess.CompletedProcess[bytes]) -> str:
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return f"the parser ended by {name}; the script is nested too deep or too large"
    last = done.stderr.decode("utf-8", errors="replace").strip().splitlines()
    return last[-1][:200] if last else f"the parser ended with {done.returncode}"


def _syntax(name: str, item: Mapping[str, Any]) -> str:
    text = f" in {item['text']!r}" if item.get("text") else ""
    return f"{name}, line {item['line']}, column {item['column']}: {item['error']}{text}"


def _report(
    entry: str, files: Mapping[str, bytes], found: Mapping[str, Mapping[str, Any]]
) -> ScriptReport:
    local = {name for path in files for name in _module_names(path)}
    used = sorted({module for item in found.values() for module in item["imports"]})
    bundled = [m for m in used if m.startswith(".") or m.partition(".")[0] in local]
    rest = [m for m in used if m not in bundled]
    standard = [m for m in rest if m.partition(".")[0] in sys.stdlib_module_names]
    environment = sorted({m.partition(".")[0] for m in rest if m not in standard})
    opens = sorted({path for item in found.values() for path in item["opens"]})
    report = ScriptReport(
        standard=tuple(standard),
        bundled=tuple(bundled),
        environment=tuple(environment),
        opens=tuple(opens),
        warnings=(),
    )
    return replace(report, warnings=tuple(_warnings(report, entry, files, found)))


def _module_names(path: str) -> list[str]:
    """Name what can be imported because a file is there: a module, or the package above it."""
    pure = PurePosixPath(path)
    if len(pure.parts) > 1:
        return [pure.parts[0]]
    return [pure.stem] if pure.suffix == ".py" else []


def _warnings(
    report: ScriptReport,
    entry: str,
    files: Mapping[str, bytes],
    found: Mapping[str, Mapping[str, Any]],
) -> list[str]:
    notes = []
    if not found[entry]["problem"]:
        notes.append(f"{entry} assigns no 'problem'; bumps needs problem = FitProblem(...)")
    strange = [name for name in report.environment if name not in KNOWN_PACKAGES]
    if strange:
        notes.append(f"the compute environment must have {', '.join(strange)}, or add it as a file")
    for path in report.opens:
        plain = path.removeprefix("./")
        if PurePosixPath(path).is_absolute():
            notes.append(f"{path!r} is an absolute path: the job may not find it; add the file")
        elif plain not in files and not any(name.startswith(f"{plain}/") for name in files):
            notes.append(f"{path!r} is read but is not among the files")
    return notes
