"""Follow docs/deployment.rst on a fresh Debian under a running systemd: ``make units``, as root.

Debian is made in a folder and started with systemd-nspawn, on this host's network. The guide's own
commands set it up. Then a job runs while its worker is restarted and killed, the web server is
killed and the store is restarted: it must end well, in the process that it began in. Folders of
this host that pip needs, such as a mirror of its index, are named in ``UNITS_BIND``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]
SITE = "http://127.0.0.1:8080"
_PACKAGES = "systemd,systemd-sysv,dbus,python3-venv,redis-server,bubblewrap,ca-certificates,procps"
_MIRROR = "http://deb.debian.org/debian"
_HERE = ("/etc/ssl/certs", "/etc/pip.conf", "/etc/resolv.conf", "/etc/hosts")
_INSTALL_S = 900.0
_JOB_S = 30
_JOB = {"kind": "dummy", "options": {"seconds": _JOB_S, "steps": _JOB_S}}
_SIGN_IN = """
from gateway.accounts.models import Identity, Scope, expand
from gateway.services import open_gateway
from gateway.settings import load_settings

who = Identity(user="ada", admin=True, scopes=expand([Scope.ADMIN]))
print(open_gateway(load_settings()).accounts.make_token(who, "try", [Scope.ADMIN], None).secret)
"""


class Site:
    """A Debian that runs, and the way into it."""

    def __init__(self, pid: str) -> None:
        self._enter = ("nsenter", "-t", pid, "-m", "-p", "-u", "-i")

    def argv(self, *words: str) -> list[str]:
        """Say how a program is started in it."""
        return [*self._enter, *words]

    def run(self, script: str, stdin: str = "") -> str:
        """Run a script in it as root; whatever fails is an error."""
        done = subprocess.run(
            self.argv("/bin/bash", "-e", "-c", script),
            input=stdin, capture_output=True, text=True, timeout=_INSTALL_S, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{script}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def drivers(self) -> set[str]:
        """List the processes that work on jobs."""
        return set(self.run("pgrep -f '^/opt/bumps-gateway/bin/python3 driver' || true").split())


def install_commands() -> str:
    """Take the commands of the guide's part *Install* until TLS, without their packages."""
    text = (ROOT / "docs" / "deployment.rst").read_text(encoding="utf-8")
    block = re.search(r"^\.\. code-block:: bash\n\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    if block is None:
        raise SystemExit("docs/deployment.rst has no commands")
    lines = [line.strip() for line in block[1].splitlines()]
    kept = [line for line in lines if not line.startswith("apt-get ")]
    return "\n".join(kept).replace("YOUR.NAME", "localhost").replace("ADMIN", "ada")


@contextmanager
def debian(folder: Path) -> Iterator[Site]:
    """Make a Debian in a folder, start it, and end it."""
    _call("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", folder, _MIRROR)
    sources = folder / "src.tar"
    _call("git", "-C", ROOT, "archive", f"--output={sources}", "HEAD")
    shutil.unpack_archive(sources, folder / "src", filter="data")
    binds = [f"--bind-ro={path}" for path in _HERE if Path(path).exists()]
    binds += [f"--bind-ro={path}" for path in os.environ.get("UNITS_BIND", "").split() if path]
    argv = ["systemd-nspawn", "--register=no", "--keep-unit", "-b", "-D", str(folder), *binds]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
        site = Site(_first_process(process.pid))
        try:
            yield site
        finally:
            subprocess.run(site.argv("systemctl", "poweroff"), check=False)
            process.wait(60)


def _first_process(pid: int, within_s: float = 60.0) -> str:
    until = time.monotonic() + within_s
    children = Path(f"/proc/{pid}/task/{pid}/children")
    while time.monotonic() < until:
        for child in children.read_text().split():
            if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                time.sleep(5)  # until it answers systemctl
                return child
        time.sleep(0.5)
    raise SystemExit("systemd did not start")


def _call(*argv: str | Path) -> None:
    subprocess.run(argv, stdout=subprocess.DEVNULL, check=True)


def ask(web: httpx.Client, path: str, body: object = None, within_s: float = 30.0) -> Any:
    """Ask the gateway, again while its web server is away."""
    until = time.monotonic() + within_s
    method, key = ("GET", {}) if body is None else ("POST", {"Idempotency-Key": "units"})
    while True:
        try:
            answer = web.request(method, path, json=body, headers=key)
            if answer.status_code < 500:
                return answer.raise_for_status().json()
        except httpx.TransportError as error:
            if time.monotonic() > until:
                raise SystemExit(f"the web server does not come back: {error}") from error
        time.sleep(0.5)


def try_restarts(site: Site, web: httpx.Client) -> None:
    """Run a job while all around it is restarted and killed."""
    job = ask(web, "/jobs", _JOB)["id"]
    _await(lambda: site.drivers(), "a process of the job")
    begun = site.drivers()
    for command in (
        "restart bumps-gateway-worker",
        "kill --signal=KILL bumps-gateway-web",
        "restart bumps-gateway-store",
        "kill --signal=KILL --kill-who=main bumps-gateway-worker",
    ):
        site.run(f"systemctl {command}")
        print(f"systemctl {command}")
        if site.drivers() != begun:
            raise SystemExit(f"the job's processes were {begun} and are {site.drivers()}")
    _await(lambda: ask(web, f"/jobs/{job}")["final"], "the end of the job")
    found = ask(web, f"/jobs/{job}")
    if (found["state"], len(found["attempts"])) != ("COMPLETED", 1):
        raise SystemExit(f"the job ended as {found['state']}: {found}")


def _await(reached: Callable[[], object], what: str, within_s: float = _JOB_S + 60.0) -> None:
    until = time.monotonic() + within_s
    while not reached():
        if time.monotonic() > until:
            raise SystemExit(f"{what} did not come within {within_s:g} s")
        time.sleep(0.5)


def main() -> int:
    """Set it up, try it, and say what was seen."""
    folder = Path(tempfile.mkdtemp(prefix="bumps-gateway-units-"))
    settings = "set -a; . /etc/bumps-gateway/environment; set +a; cd /"
    python = "runuser -u bumps-gateway -- /opt/bumps-gateway/bin/python -"
    folder.chmod(0o755)  # it is the root of a system with more than one user
    begun = time.monotonic()
    try:
        with debian(folder) as site:
            made = time.monotonic()
            pip = "export PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_QUIET=1"
            print(site.run(f"{pip}; cd /src; {install_commands()}"))
            set_up = time.monotonic()
            token = site.run(f"{settings}; {python}", _SIGN_IN).split()[-1]
            headers = {"Authorization": f"Bearer {token}", "Host": "localhost"}
            with httpx.Client(base_url=f"{SITE}/api/v1", headers=headers) as web:
                try_restarts(site, web)
            print(site.run("systemctl list-units 'bumps-gateway*' --no-legend"))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = "Debian {:.0f} s, the guide's commands {:.0f} s; the job ended well"
    print(text.format(made - begun, set_up - made))
    return 0


if __name__ == "__main__":
    sys.exit(main())
