"""Real SSH servers on loopback, and accounts to sign in to: both are gone after the test."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scheduler.hosts import Hop, HostKey, Identity
from scheduler.processes import children, descendants, send_signal
from scheduler.ssh import SSHShell
from tests.helpers import eventually, free_port, processes, started

Connect = Callable[..., SSHShell]
"""Opens a shell on a hop; the names of other settings are those of the route."""

SSHD = "/usr/sbin/sshd"
CONFIG = """
ListenAddress 127.0.0.1
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
MaxStartups 100
LogLevel VERBOSE
PidFile none
"""
# Newer servers slow down an address that fails to sign in, which tests do on purpose.
NEWER = "PerSourcePenalties no\n"


@dataclass(frozen=True, kw_only=True)
class Account:
    """A user of this host who has a key."""

    name: str
    home: Path
    key_file: Path

    @property
    def identity(self) -> Identity:
        """What the account signs in with."""
        return Identity(key_file=self.key_file)

    @property
    def uid(self) -> int:
        """Its number, and that of its group."""
        return self.home.stat().st_uid

    def bashrc(self, text: str) -> None:
        """Have the login shell run something first."""
        (self.home / ".bashrc").write_text(text)

    def change_shell(self, path: str) -> None:
        """Take another login shell."""
        run("usermod", "-s", path, self.name)


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class SSHServer:
    """An sshd of our own, with its configuration, host key and log."""

    def __init__(self, directory: Path, accounts: list[Account], options: str = "") -> None:
        self.directory = directory
        self.port = free_port()
        self._options = options
        self._stop = contextlib.ExitStack()
        self.keys = {"ed25519": make_key(directory / "host_ed25519")}
        for account in accounts:
            self.authorize(account, account.key_file.with_suffix(".pub").read_text())

    def authorize(self, account: Account, lines: str) -> None:
        """Set which public keys let an account in."""
        path = self.directory / "authorized" / account.name
        path.parent.mkdir(exist_ok=True, mode=0o755)
        path.write_text(lines)

    def new_host_key(self, kind: str = "ed25519") -> None:
        """Make another host key, of this or a further type."""
        path = self.directory / f"host_{kind}"
        path.unlink(missing_ok=True)
        self.keys[kind] = make_key(path, kind)

    def start(self) -> None:
        """Serve, on the same port as before."""
        Path("/run/sshd").mkdir(exist_ok=True, mode=0o755)
        config = self.directory / "sshd_config"
        lines = [f"Port {self.port}", f"AuthorizedKeysFile {self.directory}/authorized/%u"]
        lines += [f"HostKey {path}" for path in self.keys.values()]
        # The first value of an option counts.
        text = self._options + "\n" + "\n".join(lines) + CONFIG
        config.write_text(text + NEWER)
        if subprocess.run([SSHD, "-t", "-f", config], capture_output=True, check=False).returncode:
            config.write_text(text)
        argv = [SSHD, "-D", "-f", str(config), "-E", str(self.log_file)]
        self.process = self._stop.enter_context(started(argv))
        eventually(lambda: "Server listening" in self.log, what=lambda: self.log)

    def stop(self) -> None:
        """End it and all connections."""
        self.thaw()
        self.cut()
        self._stop.close()
        self.log_file.rename(self.log_file.with_suffix(f".{secrets.token_hex(4)}"))

    @property
    def log_file(self) -> Path:
        """Where it tells what it does."""
        return self.directory / "log"

    @property
    def log(self) -> str:
        """What it did since it was started."""
        return self.log_file.read_text() if self.log_file.exists() else ""

    @property
    def connections(self) -> list[int]:
        """The processes that serve one connection each."""
        return children(self.process.pid)

    @property
    def host_key(self) -> HostKey:
        """Its first public key."""
        return self.host_keys[0]

    @property
    def host_keys(self) -> list[HostKey]:
        """All its public keys."""
        lines = [path.with_suffix(".pub").read_text().split() for path in self.keys.values()]
        return [HostKey(type=kind, blob=base64.b64decode(blob)) for kind, blob, *_ in lines]

    def hop(self, account: Account, *pins: str) -> Hop:
        """How to sign in to it."""
        pins = pins or (self.host_key.line,)
        return Hop(host="127.0.0.1", port=self.port, user=account.name, host_keys=pins)

    def freeze(self) -> None:
        """Stop it and all that serves its connections, as a hanging machine would."""
        stopped: set[int] = set()
        # Until no process is found that another began before it was stopped.
        while new := {self.process.pid, *self.serving()} - stopped:
            send_signal(sorted(new), signal.SIGSTOP)
            stopped |= new

    def thaw(self) -> None:
        """Go on."""
        send_signal([self.process.pid, *self.serving()], signal.SIGCONT)

    def serving(self) -> list[int]:
        """The server's own processes below the first, without what users run."""
        # A process that was forked just now has its parent's command line.
        own = {one.pid for one in processes("sshd") if one.words[0].startswith(("sshd:", SSHD))}
        return [pid for pid in descendants(self.process.pid) if pid in own]

    def cut(self) -> None:
        """Kill what serves the connections, in the middle of whatever it does."""
        send_signal(self.serving(), signal.SIGKILL)


@contextlib.contextmanager
def account(directory: Path) -> Iterator[Account]:
    """Make a user with a home and a key, who is removed with all that runs as that user."""
    if os.geteuid():
        pytest.skip("only root may make accounts for tests of SSH")
    name = f"bgwtest{secrets.token_hex(4)}"
    directory.mkdir(exist_ok=True)
    # A star, not an exclamation mark: sshd refuses keys of accounts that are locked.
    run("useradd", "-m", "-p", "*", "-s", "/bin/bash", "-b", str(directory), name)
    try:
        made = Account(
            name=name, home=directory / name, key_file=make_key(directory / f"{name}_key")
        )
        made.bashrc("")
        yield made
    finally:
        subprocess.run(["/usr/bin/pkill", "-KILL", "-u", name], check=False)
        eventually(lambda: not processes_of(made.home.stat().st_uid))
        run("userdel", name)
        shutil.rmtree(directory / name)


def processes_of(uid: int) -> list[str]:
    """Name the processes that run as a user."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if path.stat().st_uid == uid and "State:\tZ" not in (path / "status").read_text():
                found.append(path.name)
    return found


@contextlib.contextmanager
def sshd(directory: Path, accounts: list[Account], options: str = "") -> Iterator[SSHServer]:
    """Serve these accounts."""
    directory.mkdir()
    server = SSHServer(directory, accounts, options)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    """Make a pair of keys."""
    size = ["-b", "2048"] if kind == "rsa" else []
    run("ssh-keygen", "-q", "-t", kind, *size, "-N", passphrase, "-C", "test", "-f", str(path))
    return path


def sign(authority: Path, key_file: Path, *, principal: str, validity: str) -> Path:
    """Make a certificate for a key."""
    public = str(key_file.with_suffix(".pub"))
    run(
        "ssh-keygen",
        "-q",
        "-s",
        str(authority),
        "-I",
        "test",
        "-n",
        principal,
        "-V",
        validity,
        public,
    )
    return key_file.with_name(f"{key_file.name}-cert.pub")


def run(*argv: str) -> str:
    """Run a program that must succeed, and give what it prints."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    done = subprocess.run(
        ["/usr/bin/env", f"PATH={path}", *argv], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout
