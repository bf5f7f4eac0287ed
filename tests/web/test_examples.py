"""The examples in the docstrings of these two rooms hold."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import gateway.accounts
import gateway.web

MODULES = [
    f"{room.__name__}.{module.name}"
    for room in (gateway.accounts, gateway.web)
    for module in pkgutil.iter_modules(room.__path__)
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
