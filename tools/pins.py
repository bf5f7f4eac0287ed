"""Write ``constraints.txt``: the exact version of everything that both distributions bring along.

Only what is reached from our own requirements is pinned, so that what else lies in somebody's
environment does not get in.
"""

from __future__ import annotations

from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
OURS = {"bumps-gateway": ("dev",), "bumps-remote": ()}
_BUILD = ("setuptools",)
_HEAD = """\
# What the tests ran with: python -m tools.pins writes this file. Install with
#   pip install -c constraints.txt -e '.[dev]' -e client
"""


def reached(names: dict[str, tuple[str, ...]]) -> dict[str, Distribution]:
    """Follow requirements through what is installed; a marker that is false ends the path."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    todo = [(name, extra) for name, extras in names.items() for extra in ("", *extras)]
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            raise SystemExit(f"{name} is not installed: run 'make setup' first") from None
        for text in found[name].requires or ():
            requirement = Requirement(text)
            if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
                continue
            wanted = canonicalize_name(requirement.name)
            todo += [(wanted, also) for also in ("", *requirement.extras)]
    return found


def constraints() -> str:
    """Render the file."""
    found = reached(OURS | dict.fromkeys(_BUILD, ()))
    pins = sorted(f"{name}=={item.version}" for name, item in found.items() if name not in OURS)
    return _HEAD + "\n".join(pins) + "\n"


if __name__ == "__main__":
    (ROOT / "constraints.txt").write_text(constraints(), encoding="ascii")
