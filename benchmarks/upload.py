"""Send a large file with the client over a line that is cut three times.

``python -m benchmarks.upload [--megabytes 1000]`` prints how long it took, how many bytes went over
the line, and how much memory the gateway's processes took. The command is given once: each cut it
goes on by itself. The file has holes on the disk, and none on the line.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from tests.client.line import line_to
from tests.client.site import make_shell
from tests.live import live_gateway

_MB = 1_000_000
_MODEL = "from bumps.names import *\nproblem = None\n"
_CUTS = (0.2, 0.5, 0.9)
_COMMAND = ("submit", "model.py", "--data=big.dat", "--check", "--json")


def main() -> None:
    """Measure it, and print it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--megabytes", type=int, default=1000)
    size = parser.parse_args().megabytes * _MB
    limits = {"GATEWAY_LIMITS__FILE_BYTES": str(size)}
    with (
        tempfile.TemporaryDirectory(prefix="bgw-upload-") as folder,
        live_gateway(**limits) as live,
        line_to(live.port) as line,
    ):
        shell = make_shell(Path(folder), line.url, live.add_user("ada"))
        shell.write("model.py", _MODEL)
        make_file(shell.work / "big.dat", size)
        line.cuts = [int(part * size) for part in _CUTS]
        began = time.monotonic()
        done = shell.run(*_COMMAND)
        took_s = time.monotonic() - began
        peak = peak_bytes(live.process.pid) if live.process else 0
    job = done.json
    sys.stdout.write(
        f"job {job['id']} made, {len(line.cuts)} of {len(_CUTS)} cuts left\n"
        f"{size / _MB:.0f} MB in {took_s:.1f} s, digests and the making of the problem included\n"
        f"{line.sent / _MB:.1f} MB went over the line; largest process {peak / _MB:.0f} MB\n"
    )


def make_file(path: Path, size: int) -> None:
    """Write a file whose pieces differ, though most of it are zeros."""
    with path.open("wb") as file:
        file.truncate(size)
        for offset in range(0, size, 10 * _MB):
            file.seek(offset)
            file.write(os.urandom(min(4096, size - offset)))


def peak_bytes(pid: int) -> int:
    """Say how much memory the largest of a process and its descendants has taken at most."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    own = [int(line.split()[1]) * 1024 for line in status.splitlines() if line[:5] == "VmHWM"]
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return max([*own, *(peak_bytes(int(child)) for child in children)])


if __name__ == "__main__":
    main()
