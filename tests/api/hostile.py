"""Model scripts that mean harm; each ends in its own way, and the gateway must not mind."""

from __future__ import annotations

GOOD = """
import numpy as np
from bumps.names import *
x = np.arange(6.0)
M = Curve(lambda x, m=1.0, b=0.0: m * x + b, x, 2 * x + 1, dy=np.ones(6))
M.m.range(0, 5)
M.b.range(-5, 5)
problem = FitProblem(M)
"""
PRINTS = (
    """
import sys
line = "x" * 1023 + "\\n"
for _ in range(1 << 20):
    sys.stdout.write(line)
sys.stdout.flush()
"""
    + GOOD
)
FORKS = (
    """
import os, sys, time
for _ in range(3):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            sleep = "import time; time.sleep(600) # {mark}"
            os.execv(sys.executable, [sys.executable, "-c", sleep])
        os._exit(0)
"""
    + GOOD
)
WRITES = (
    """
import os, pathlib
out = pathlib.Path("out") if pathlib.Path("out").is_dir() else pathlib.Path("../out")
out.mkdir(exist_ok=True)
os.symlink("/etc/passwd", out / "passwd.txt")
os.symlink("/etc", out / "etc")
os.mkfifo(out / "pipe")
os.link(__file__, out / "hard.py")
with open(out / "sparse", "wb") as file:
    try:
        file.truncate(1 << 40)
    except OSError:
        pass
for name in ("new\\nline.txt", "<img src=x onerror=alert(1)>.txt", "-rf", "x" * 250):
    (out / name).write_text("text")
for number in range(10_000):
    (out / f"n{number}").write_text("")
"""
    + GOOD
)
KILLED = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n"
SILENT = "import os\nos._exit(0)\n"
RAISES = "raise ValueError('<script>alert(1)</script> {{7*7}}')\n"
FORGES = """
import json, os, pathlib
top = pathlib.Path.cwd()
while not (top / "job.json").exists():
    top = top.parent
(top / "result.0.json").write_bytes(RESULT)
(top / "manifest.0.json").write_bytes(MANIFEST)
with open(top / "events.0.jsonl", "ab") as events:
    events.write(EVENTS)
os._exit(0)
"""
ODD = """
import hashlib, json, os, pathlib, socket, stat
top = pathlib.Path.cwd()
while not (top / "job.json").exists():
    top = top.parent
out = top / "out"
out.mkdir(exist_ok=True)
os.mkfifo(out / "pipe")
if os.geteuid() == 0:
    os.mknod(out / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    os.mknod(out / "full", stat.S_IFCHR | 0o666, os.makedev(1, 7))
os.symlink("/etc/passwd", out / "link")
os.symlink("/etc", out / "folder")
try:
    os.link("/etc/passwd", out / "hard")
except OSError:
    pass
(out / "directory").mkdir()
os.chdir(out)
socket.socket(socket.AF_UNIX).bind("socket")
(out / "plain").write_bytes(b"plain")
(top / "result.0.json").write_bytes(b'{"status": "done", "chisq": 1}')
files = []
def name(path, content):
    digest = hashlib.sha256(content).hexdigest()
    files.append({"path": path, "size": len(content), "sha256": digest})
for odd in ("pipe", "zero", "full", "directory", "socket"):
    name(f"out/{odd}", b"")
for stolen in ("link", "folder/passwd", "hard"):
    name(f"out/{stolen}", pathlib.Path("/etc/passwd").read_bytes())
name("out/plain", b"plain")
name("result.0.json", (top / "result.0.json").read_bytes())
(top / "manifest.0.json").write_text(json.dumps({"format": 1, "files": files}))
os._exit(0)
"""
EVENTS_LINK = """
import os, pathlib
top = pathlib.Path.cwd()
while not (top / "job.json").exists():
    top = top.parent
for name in ("events.0.jsonl", "result.0.json", "manifest.0.json", "exit.0.json"):
    (top / name).unlink(missing_ok=True)
    os.symlink("/etc/passwd", top / name)
for name in ("stdout.0.txt", "stderr.0.txt"):
    (top / name).unlink(missing_ok=True)
    os.symlink("/etc/passwd", top / name)
os._exit(0)
"""


def forger(result: bytes, manifest: bytes = b"{}", events: bytes = b"") -> str:
    """Write a script that leaves files of this content where the driver's belong."""
    names = {"RESULT": result, "MANIFEST": manifest, "EVENTS": events}
    text = FORGES
    for name, content in names.items():
        text = text.replace(name, repr(content))
    return text
