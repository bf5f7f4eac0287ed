"""Environments that know nothing of this checkout, and what to do in them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


def copy_source(target: Path) -> Path:
    """Copy what is tracked, or would be, as a clone has it: nothing that was built or installed."""
    listed = subprocess.run(
        ["/usr/bin/env", "git", "-c", "safe.directory=*", "ls-files", "-z",
         "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in listed.stdout.split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


class Environment:
    """A virtual environment of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"
        venv.create(folder, with_pip=False, symlinks=True)

    def pip(self, *arguments: str, timeout_s: float = 600) -> str:
        """Run our pip on that environment."""
        return run(
            [sys.executable, "-m", "pip", "--python", str(self.python), *arguments],
            timeout_s=timeout_s,
        ).stdout

    def install(self, *what: str | Path) -> None:
        """Install with the pins that the tests ran with."""
        pins = str(ROOT / "constraints.txt")
        self.pip("install", "--quiet", "--no-compile", "-c", pins, *map(str, what))

    def program(self, name: str, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """Run a program of that environment from a folder where nothing of ours lies."""
        return run(
            [str(self.folder / "bin" / name), *arguments],
            environment=clean_environment(**more),
            cwd=self.folder,
            check=False,
        )

    def importable(self, *names: str) -> list[str]:
        """Say which of these packages it has."""
        program = (
            "import importlib.util as u, sys; "
            "print(*[name for name in sys.argv[1:] if u.find_spec(name)])"
        )
        done = run([str(self.python), "-c", program, *names], cwd=self.folder)
        return done.stdout.split()


def clean_environment(**more: str) -> dict[str, str]:
    """Keep nothing of the process's environment that could lead back to this checkout."""
    kept = {
        key: text
        for key, text in os.environ.items()
        if not key.startswith(("GATEWAY_", "BUMPS_REMOTE_", "PYTHON", "VIRTUAL_ENV"))
    }
    return {**kept, **more}


def run(
    command: list[str],
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    check: bool = True,
    timeout_s: float = 600,
) -> subprocess.CompletedProcess[str]:
    """Run a command; when it fails, show what it said."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert not check or done.returncode == 0, f"{command}:\n{done.stdout[-2000:]}{done.stderr}"
    return done
