"""Modules from memory: how our code gets into a Python on a login node without a file there.

This text is sent ahead of all others and runs by itself, so it imports nothing of ours.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Mapping, Sequence


class Shipped(importlib.abc.InspectLoader, importlib.abc.MetaPathFinder):
    """Finds and loads modules from a table of their texts."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - importlib's words
        target: types.ModuleType | None = None,  # noqa: ARG002 - the same
    ) -> importlib.machinery.ModuleSpec | None:
        """Find a module that was sent; all others are looked for elsewhere."""
        if fullname not in self._texts:
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=self.is_package(fullname))

    def get_source(self, fullname: str) -> str:
        """Give the text of a module."""
        return self._texts[fullname]

    def is_package(self, fullname: str) -> bool:
        """Whether other modules lie beneath."""
        return any(name.startswith(f"{fullname}.") for name in self._texts)


def install(texts: Mapping[str, str]) -> None:
    """Let ``import`` find these modules before all others."""
    sys.meta_path.insert(0, Shipped(texts))
