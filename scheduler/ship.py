"""Our code in one piece, and the line that starts it in a Python elsewhere.

Nothing is installed on a login node and nothing of ours lies there between connections: the code
comes down the same line as all else, is checked against its digest, and lives in memory. So what
runs there is always of the same version as the gateway.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

MODULES = (
    "base",
    "put",
    "files",
    "directory",
    "faults",
    "frames",
    "look",
    "slurm_argv",
    "slurm_text",
    "submitter",
    "agent",
)

# One line without a quote, a "!" or a line end: a login shell may be csh, which knows each of them
# even within quotes. It says that it is there before it reads, since what a shell's start-up files
# read from the line would be missing later; and it reads no byte more than its code.
_BOOT = (
    'import sys;sys.version_info<(3,10)and sys.exit("Python 3.10 or later is needed here, this is "'
    "+sys.version.split()[0]);import hashlib,os,zlib;m,n,h=sys.argv[1:4];"
    "r=lambda n,b:b if len(b)>=n else(lambda c:r(n,b+c)if c else b)(os.read(0,n-len(b)));"
    'os.write(1,("\\n"+m+"\\n").encode());d=r(int(n),b"");'
    'hashlib.sha256(d).hexdigest()==h or sys.exit("the code of the agent arrived damaged");'
    "exec(zlib.decompress(d))"
)


@dataclass(frozen=True, kw_only=True)
class Shipment:
    """The agent as bytes, and how it is started."""

    content: bytes
    sha256: str

    def argv(self, python: str, sentinel: str) -> Sequence[str]:
        """Say how to start it; after *sentinel* on a line of its own it reads its content."""
        return [python, "-I", "-S", "-c", _BOOT, sentinel, str(len(self.content)), self.sha256]


@cache
def agent_shipment() -> Shipment:
    """Pack the modules that the agent is made of."""
    folder = Path(__file__).parent
    texts = {f"scheduler.{name}": _text(folder / f"{name}.py") for name in MODULES}
    texts["scheduler"] = _text(folder / "__init__.py")
    start = (
        f"{_text(folder / 'unpack.py')}\n"
        f"install({json.dumps(texts)})\n"
        "from scheduler.agent import main\nmain()\n"
    )
    content = zlib.compress(start.encode(), 9)
    return Shipment(content=content, sha256=hashlib.sha256(content).hexdigest())


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
