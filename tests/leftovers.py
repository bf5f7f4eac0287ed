"""Lets go of what a failed test has left behind, so that it cannot fail another one.

A failed test does not reach the lines that end its processes and close its files. Its traceback
keeps them alive until the garbage collector comes by, in the middle of some other test: there the
warning about them is an error, and a test is reported that did nothing wrong.
"""

from __future__ import annotations

import gc
import sys
import warnings
from collections.abc import Generator

import pytest

_FAILED = pytest.StashKey[bool]()


class Leftovers:
    """Collects garbage after each test that failed; what a passing test leaves stays an error."""

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Note that a test has failed."""
        report = yield
        item.stash[_FAILED] = item.stash.get(_FAILED, False) or report.failed
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, bool, bool]:
        """Drop what only the traceback still holds."""
        done = yield
        if item.stash.get(_FAILED, False):
            for name in ("last_type", "last_value", "last_traceback", "last_exc"):
                vars(sys).pop(name, None)  # pytest keeps them for a debugger
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()
        return done
