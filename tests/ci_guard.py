"""In continuous integration a skipped test is a failure: what is not run there is not known.

Each case that may be skipped for a reason is listed in `ALLOWED`, by the start of its node id.
"""

from __future__ import annotations

import os

import pytest

ALLOWED: tuple[str, ...] = (
    # pyslurm must be of the release of Slurm on the host, and none is of that of Debian 12.
    "tests/scheduler/test_real_pyslurm.py::",
    "tests/end_to_end/test_full_disk.py",  # where a container may mount nothing
)


SKIPPED_STATUS = 10
"""What the run ends with: another number than that of failures, which may be run again."""


class SkipGuard:
    """Notes what is skipped and ends the run as failed."""

    def __init__(self) -> None:
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note a test; an expected failure is reported as skipped too, but did run."""
        if report.skipped and not hasattr(report, "wasxfail"):
            self._note(report.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a whole module."""
        if report.skipped:
            self._note(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the run."""
        if self.skipped:
            session.exitstatus = SKIPPED_STATUS

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say why."""
        for nodeid in self.skipped:
            terminalreporter.write_line(f"SKIPPED WHERE NOTHING MAY BE: {nodeid}", red=True)

    def _note(self, nodeid: str) -> None:
        if not nodeid.startswith(ALLOWED or ("\0",)):
            self.skipped.append(nodeid)


def guard(config: pytest.Config) -> None:
    """Watch this run if it is one of continuous integration."""
    if os.environ.get("CI") == "true":
        config.pluginmanager.register(SkipGuard(), "skip-guard")
