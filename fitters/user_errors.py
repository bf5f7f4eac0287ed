"""The user's own errors: what their model raised, in which file and line, in plain words."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .base import Document, FitError

LONGEST_TRACEBACK = 8000


@contextmanager
def user_code(folder: Path, *, code: str, doing: str) -> Iterator[None]:
    """Turn whatever the user's code raises into a `FitError` that says where.

    Parameters
    ----------
    folder
        Where the user's files lie.
    code
        The verdict code of such a failure.
    doing
        What was being done, as "loading model.py".
    """
    try:
        yield
    except FitError:
        raise
    except (Exception, SystemExit) as error:
        raise to_fit_error(error, folder, code=code, doing=doing) from error


def to_fit_error(error: BaseException, folder: Path, *, code: str, doing: str) -> FitError:
    """Say what a user's code raised."""
    described = describe_error(error, folder)
    where = described["file"] or "a library that it uses"
    if described["line"]:
        where = f"{where}, line {described['line']}"
    text = f"{doing} failed in {where}: {in_words(error)}"
    return FitError(text, code=code, error=described)


def describe_error(error: BaseException, folder: Path) -> Document:
    """Give type, message, file, line and traceback of an exception.

    File and line are those of the last frame in the user's own files, relative to *folder*.
    """
    file, line = _own_place(error, folder)
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    return {
        "type": type(error).__name__,
        "message": str(error),
        "file": file,
        "line": line,
        "traceback": "".join(lines)[-LONGEST_TRACEBACK:],
    }


def has_own_frame(error: BaseException, folder: Path) -> bool:
    """Say whether the error came through one of the user's own files."""
    return _own_place(error, folder)[0] is not None


def _own_place(error: BaseException, folder: Path) -> tuple[str | None, int | None]:
    places = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if isinstance(error, SyntaxError) and error.filename:
        places.append((error.filename, error.lineno))
    for filename, line in reversed(places):
        if (name := _relative(filename, folder)) is not None:
            return name, line
    return None, None


def _relative(filename: str, folder: Path) -> str | None:
    path = Path(filename)
    for root in {folder, folder.resolve()}:
        if path.is_absolute() and path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return None


def in_words(error: BaseException) -> str:
    """Say an exception so that its user knows what to do."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return (
            f"no module named {error.name!r} is installed where the job ran; if it is a file of "
            f"yours, add {error.name.partition('.')[0]}.py to the job"
        )
    if isinstance(error, SyntaxError):
        return f"it is not valid Python: {error.msg}"
    if isinstance(error, SystemExit):
        return f"it called exit({error.code!r}) instead of defining a problem"
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"there is no file {str(error.filename)!r}; add it to the job"
    return f"{type(error).__name__}: {error}"
