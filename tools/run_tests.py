"""Run all tests: side by side, then those that compare durations, then once more what was late.

Three processes of tests share two processors, so now and then a test waits longer than it was
given. The files of a few failures are run once more, whole and alone, and what passes then is told
by name at the end (``docs/decisions/0020-a-second-look-at-a-late-test.rst``). No second look is
given where one failure is proof: a job that ran twice or was lost, whenever that was.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FAILURES = Path(".pytest_cache/v/cache/lastfailed")
MOST_FILES = 4
"""More broken files than this are a broken project, whatever they do alone."""

PROOF = (
    "tests/faults/",
    "tests/jobs/test_decide",
    "tests/client/test_journal",
    "tests/client/test_again",
)
"""Where one failure is enough: these look for a second run of a job, and for a lost one."""

_TESTS_FAILED = 1
Run = Callable[[Sequence[str]], int]


def late_files(cache: Path) -> list[str]:
    """Name the files to look at once more; none when the failures are too many, or proof."""
    if not cache.is_file():
        return []
    names = json.loads(cache.read_text(encoding="utf-8"))
    files = sorted({name.partition("::")[0] for name in names})
    if len(files) > MOST_FILES or any(one.startswith(PROOF) for one in files):
        return []
    return files


def alone_files(root: Path) -> list[str]:
    """Name the files with tests that run alone: to collect all others as well takes 14 seconds."""
    return sorted(
        str(path.relative_to(root))
        for path in (root / "tests").rglob("test_*.py")
        if "mark.alone" in path.read_text(encoding="utf-8")
    )


def run_all(run: Run, root: Path, workers: Sequence[str]) -> int:
    """Run everything; the exit status of the first run that stays bad.

    Parameters
    ----------
    run
        Runs pytest with arguments, answers its exit status, and leaves its list of failures
        beneath *root*.
    """
    cache = root / FAILURES
    cache.unlink(missing_ok=True)
    status = run([*workers, "-m", "not alone"])
    late = late_files(cache) if status == _TESTS_FAILED else []
    if status and not late:
        return status
    if late and (status := run(["-m", "not alone", *late])):
        return status
    status = run(["-m", "alone", *alone_files(root)])
    if late:
        sys.stderr.write(f"These failed beside others and passed alone: {', '.join(late)}\n")
    return status


def _pytest(arguments: Sequence[str]) -> int:
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False).returncode


if __name__ == "__main__":
    sys.exit(run_all(_pytest, ROOT, sys.argv[1:]))
