"""Which files make up a problem: the model, the data that it names, the modules beside it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path, PurePosixPath

from bumps_remote.errors import UsageError
from bumps_remote.imports import is_pattern, read_needs
from bumps_remote.journal import LocalFile, digest_file
from bumps_remote.text import clean_line

_PICKLES = frozenset({".pickle", ".pkl", ".dill", ".cloudpickle"})
_NAME_BYTES = 200


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A problem as files."""

    type: str
    """``script`` or ``json``."""

    entry: str
    files: tuple[LocalFile, ...]
    args: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    """What the user should look at."""

    folder: Path = Path()
    """Where the model lies."""

    python: str | None = None
    """The minor version of Python that pickled the functions of a JSON problem."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)


def make_bundle(
    model: Path | str,
    *,
    args: Sequence[str] = (),
    data: Sequence[str] = (),
    automatic: bool = True,
) -> Bundle:
    """Collect the files of a problem.

    Parameters
    ----------
    args
        What the script gets as ``sys.argv[1:]``; files among them are taken along.
    data
        Further files: ``path``, or ``name=path`` for another name. A pattern takes all it matches.
    automatic
        Take along what the script names or imports from its own folder.

    Raises
    ------
    UsageError
        When a file is missing or cannot be sent.
    """
    script = Path(model).expanduser().absolute()
    _check_model(script)
    found: dict[str, Path] = {script.name: script}
    hints: list[str] = []
    is_script = script.suffix != ".json"
    if not is_script and args:
        raise UsageError("--args is for scripts: a .json problem takes no arguments")
    if is_script and automatic:
        _find_needed(script, args, found, hints)
    for text in data:
        found.update(_given(text, script.parent))
    return Bundle(
        type="script" if is_script else "json",
        entry=script.name,
        files=tuple(measured(name, path) for name, path in sorted(found.items())),
        args=tuple(args),
        hints=tuple(hints),
        folder=script.parent,
    )


def check_name(name: str) -> str:
    """Take a plain relative name with '/' between its parts.

    >>> check_name("data/a.dat")
    'data/a.dat'

    Raises
    ------
    UsageError
        For one that could leave its folder or that a server would not take.
    """
    text = unicodedata.normalize("NFC", name)
    parts = text.split("/")
    wrong = (
        not text.isprintable()
        or any(sign in text for sign in "\\:")
        or len(text.encode("utf-8", "replace")) > _NAME_BYTES
        or any(part in ("", ".", "..") or part != part.strip() for part in parts)
    )
    if wrong:
        raise UsageError(
            f"{clean_line(name, 80)!r} cannot be a file name there: use a plain relative name "
            f"of at most {_NAME_BYTES} bytes without '..', '\\' or ':' (--data name=path)"
        )
    return text


def _check_model(script: Path) -> None:
    if not script.is_file():
        raise UsageError(f"there is no file {clean_line(script)}")
    if script.suffix in _PICKLES:
        raise UsageError(
            f"{script.name} is a pickle, which nobody can check before it runs: send the .py "
            "that makes it, or the problem as bumps JSON"
        )
    if script.suffix not in (".py", ".json"):
        raise UsageError(f"{clean_line(script.name)} must be a .py model or a bumps .json problem")


def _find_needed(
    script: Path, args: Sequence[str], found: dict[str, Path], hints: list[str]
) -> None:
    root = script.parent
    needs = read_needs(script)
    unsure = []
    for module in needs.modules:
        found[module.relative_to(root).as_posix()] = module
    for text in sorted({*needs.names, *args}):
        name = _beside(text, root)
        if name is not None:
            found[name] = root / name
        else:
            unsure.append(text)
    taken = {parent.as_posix() for name in found for parent in PurePosixPath(name).parents}
    hints += [hint for text in unsure if text not in taken and (hint := _hint(text, root))]


def _beside(text: str, root: Path) -> str | None:
    """Say under which name a text is a file in the script's folder; None when it is none."""
    pure = PurePosixPath(text.replace("\\", "/"))
    hidden = any(part.startswith(".") for part in pure.parts)  # also '..'
    if pure.is_absolute() or hidden or not pure.parts:
        return None
    return pure.as_posix() if _is_file(root / pure) else None


def _hint(text: str, root: Path) -> str | None:
    """Say something about a text that means files which we do not take by ourselves."""
    shown = clean_line(text, 80)
    pure = PurePosixPath(text)
    if is_pattern(text) and "." in text and "/" not in text:
        many = sum(1 for path in root.glob(text) if path.is_file())
        return (
            f"{shown!r} matches {many} files here: --data={text} takes them along" if many else None
        )
    if text.isidentifier() and (root / text).is_dir():
        return f"{shown!r} is a folder here: --data='{shown}/*' takes its files along"
    if not _is_file(root / pure):
        return None
    if pure.is_absolute() or ".." in pure.parts:
        return f"{shown} lies outside the model's folder, which is all that the job will see"
    return f"{shown} is hidden, so it stays here unless you say --data={shown}"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _given(text: str, root: Path) -> dict[str, Path]:
    """Read one --data."""
    name, equals, target = text.partition("=")
    if not equals or _is_file(Path(text)):
        name, target = "", text
    found = find_files(target, root, "--data")
    if name and len(found) > 1:
        raise UsageError(f"--data {clean_line(text)!r} gives one name to {len(found)} files")
    if name:
        return {check_name(name): found[0]}
    return {_own_name(path, root): path for path in found}


def find_files(text: str, root: Path, option: str) -> list[Path]:
    """Find a file, or all that a pattern matches: from where we are, else from a folder.

    Parameters
    ----------
    option
        What asked for it, for the message.

    Raises
    ------
    UsageError
        When there is none.
    """
    path = Path(text).expanduser()
    shown = clean_line(text)
    if is_pattern(text) and not path.exists():
        matches = [Path(match).absolute() for match in _matching(text, root)]
        if not matches:
            raise UsageError(f"{option} {shown!r} matches no file")
        return matches
    if not path.is_file() and (root / path).is_file():
        path = root / path
    if path.is_dir():
        raise UsageError(f"{option}: {shown} is a folder; '{shown.rstrip('/')}/*' means its files")
    if not path.is_file():
        raise UsageError(f"{option}: there is no file {shown}")
    return [path.absolute()]


def _matching(pattern: str, root: Path) -> list[str]:
    """Find files by a pattern: from where we are, else from the model's folder."""
    expanded = str(Path(pattern).expanduser())
    here = [name for name in glob(expanded) if _is_file(Path(name))]  # noqa: PTH207 - may be absolute
    there = glob(str(root / expanded))  # noqa: PTH207
    return sorted(here or [name for name in there if _is_file(Path(name))])


def _own_name(path: Path, root: Path) -> str:
    """Name a file by its place in the model's folder, or else by its last part."""
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    return path.name if ".." in PurePosixPath(name).parts else name


def measured(name: str, path: Path) -> LocalFile:
    """Take the digest and the size of a file.

    Raises
    ------
    UsageError
        When it cannot be read, or its name is not one for the server.
    """
    try:
        digest, size = digest_file(path)
    except OSError as error:
        raise UsageError(f"{clean_line(path)} cannot be read: {error.strerror}") from error
    return LocalFile(name=check_name(name), path=str(path), digest=digest, size=size)
