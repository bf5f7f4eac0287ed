"""What a model script needs, read from its text. It is parsed, never run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bumps_remote.errors import UsageError
from bumps_remote.text import clean_line

_LONGEST_NAME = 300
_JOINS = frozenset({"join", "joinpath", "Path", "PurePath"})
_WILD = frozenset("*?[")


@dataclass
class Needs:
    """Modules and names that scripts mention."""

    modules: set[Path] = field(default_factory=set)
    """Local modules, also those that other modules import."""

    names: set[str] = field(default_factory=set)
    """Texts that could name a file."""


def read_needs(script: Path) -> Needs:
    """Read a script and the local modules that it imports.

    Raises
    ------
    UsageError
        When a file cannot be parsed; it says where.
    """
    root = script.parent
    needs = Needs()
    waiting, seen = [script], set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        tree = _parse(path)
        needs.names.update(_names(tree))
        for module in _imported(tree, path, root):
            needs.modules.add(module)
            waiting.append(module)
    needs.modules.discard(script)
    return needs


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        where = f"{path}, line {error.lineno}" if error.lineno else str(path)
        line = clean_line(error.text or "", 80)
        raise UsageError(f"{where}: {error.msg}{': ' if line else ''}{line}") from error
    except (ValueError, RecursionError, OSError) as error:
        raise UsageError(f"{path} cannot be read as Python: {error}") from error


def _imported(tree: ast.Module, path: Path, root: Path) -> Iterator[Path]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _module_files(root, alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            yield from _imported_from(node, path, root)


def _imported_from(node: ast.ImportFrom, path: Path, root: Path) -> Iterator[Path]:
    base = root
    if node.level:
        base = path.parent
        for _ in range(node.level - 1):
            base = base.parent
        if not base.is_relative_to(root):
            return
    steps = node.module.split(".") if node.module else []
    yield from _module_files(base, steps)
    for alias in node.names:
        yield from _module_files(base, [*steps, alias.name])


def _module_files(base: Path, steps: list[str]) -> Iterator[Path]:
    """Find the files of a dotted name: the packages on its way, and the module itself."""
    here = base
    for step in steps:
        if (module := here / f"{step}.py").is_file():
            yield module
            return
        here = here / step
        if not here.is_dir():
            return
        if (package := here / "__init__.py").is_file():
            yield package


def _names(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        text = _text(node)
        if text and len(text) <= _LONGEST_NAME and text.isprintable():
            yield text


def _text(node: ast.AST) -> str | None:
    """Work out a text that is written as a constant, a path joined of constants or a sum."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div | ast.Add):
        return _joined([node.left, node.right], "/" if isinstance(node.op, ast.Div) else "")
    if isinstance(node, ast.Call) and _called(node.func) in _JOINS and not node.keywords:
        return _joined(_call_parts(node), "/")
    return None


def _call_parts(node: ast.Call) -> list[ast.expr]:
    """List what a call joins; ``p.joinpath(q)`` begins with p, ``os.path.join(p, q)`` does not."""
    if isinstance(node.func, ast.Attribute) and node.func.attr == "joinpath":
        return [node.func.value, *node.args]
    return list(node.args)


def _called(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _joined(parts: list[ast.expr], sign: str) -> str | None:
    """Join what can be worked out; a folder that is named by a variable is the script's own."""
    texts = [_text(part) for part in parts]
    if sign == "/" and texts and texts[0] is None:
        texts = texts[1:]
    known = [text for text in texts if text is not None]
    if len(known) < len(texts) or not known:
        return None
    return sign.join(
        text.strip("/") if sign and index else text for index, text in enumerate(known)
    )


def is_pattern(name: str) -> bool:
    """Whether a name has wild cards.

    >>> is_pattern("run*.dat"), is_pattern("run1.dat")
    (True, False)
    """
    return bool(_WILD & set(name))
