"""An SSH connection: over every machine on the way, each known by its host key and signed in to.

The only module that knows paramiko. A host is believed only by its pinned keys, before anything
else is said to it: no name, no key, no signature. What goes wrong becomes one line that says what
to do about it; private keys are in none of them.
"""

from __future__ import annotations

import io
import logging
import socket
import stat
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

import paramiko
from paramiko.ssh_exception import IncompatiblePeer

from scheduler.deadlines import within
from scheduler.hosts import KEY_TYPES, Hop, HostKey, Identity, SSHRoute
from scheduler.key_files import certificate_end, passphrase_rounds
from scheduler.shell import ShellUnavailableError

Channel = paramiko.Channel
ChannelRefusedError = paramiko.ChannelException
FAILURES = (paramiko.SSHException, EOFError, OSError)
"""What paramiko raises when a line fails."""

TICK_S = 0.1
"""How often who waits for a channel looks up."""

_SLACK_S = 5.0
_DEAD_AFTER_MS = 60_000
_AGENT_KEYS = 5
_ROUNDS = 1024
_RSA = ("rsa-sha2-512", "rsa-sha2-256")
_DAMAGED = (ValueError, TypeError, IndexError, AssertionError, struct.error)
_UNREADABLE = (paramiko.SSHException, *_DAMAGED)
"""What paramiko raises over damaged keys, for all that it promises one of its own."""

_PRIVATE_KEYS = (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey)

# paramiko reports each failure with its traceback, where one line of ours says what to do. Its
# words, for somebody who looks for a fault of it, come when this logger is given a level.
_WIRE = "scheduler.ssh_line.wire"
logging.getLogger(_WIRE).setLevel(logging.CRITICAL)


class HostKeyError(ShellUnavailableError):
    """A host shows a key that is not pinned; it is not asked again until the settings change."""


class SignInError(ShellUnavailableError):
    """An account was not let in, or has nothing to sign in with."""


class _Closable(Protocol):
    def close(self) -> None: ...


class Line:
    """The sockets and transports on the way to a login node, the nearest first."""

    def __init__(self) -> None:
        self.where = ""
        """The machine that is talked to now."""

        self.late = False
        self._parts: list[_Closable] = []
        self._dead = False
        self._lock = threading.Lock()

    def add(self, part: _Closable) -> None:
        """Close this one too in the end, at once if that was already."""
        with self._lock:
            self._parts.append(part)
            dead = self._dead
        if dead:
            part.close()
            raise EOFError("nobody waits for this line any more")

    @property
    def transport(self) -> paramiko.Transport:
        """The line to the last machine."""
        found = [part for part in self._parts if isinstance(part, paramiko.Transport)]
        if not found:
            raise EOFError("there is no line yet")
        return found[-1]

    @property
    def alive(self) -> bool:
        """Whether it can be used: a forked process has the object and not its thread."""
        return not self._dead and self.transport.is_active() and self.transport.is_alive()

    def give_up(self) -> None:
        """Close it because it took too long."""
        self.late = True
        self.kill()

    def kill(self) -> None:
        """Close all of it; the nearest first, because what lies behind hangs in it."""
        with self._lock:
            self._dead = True
            parts = list(self._parts)
        for part in parts:
            with suppress(*FAILURES):
                part.close()


def dial(name: str, route: SSHRoute) -> Line:
    """Connect and sign in, over all machines on the way.

    Raises
    ------
    HostKeyError, SignInError, ShellUnavailableError
        If that was not possible, or not in time.
    """
    line = Line()
    seconds = route.connect_s * len(route.hops)

    def work() -> None:
        for hop in route.hops:
            _enter(line, hop, hop.identity or route.identity, route.connect_s)
            line.transport.set_keepalive(route.keepalive_s)

    _carry_out(name, line, seconds, work)
    return line


def fetch_host_keys(
    host: str,
    port: int = 22,
    *,
    jumps: Sequence[Hop] = (),
    identity: Identity | None = None,
    timeout_s: float = 10.0,
) -> list[HostKey]:
    """Ask a host for its keys, to be shown and compared; none is trusted by this.

    Parameters
    ----------
    jumps
        What lies before the host; these must be pinned already.
    identity
        With what to sign in to the jumps. Nobody signs in to the host itself.

    Raises
    ------
    ShellUnavailableError
        If it cannot be asked.
    """
    line, keys = Line(), []

    def work() -> None:
        for hop in jumps:
            _enter(line, hop, hop.identity or identity or Identity(agent=True), timeout_s)
        way = line.transport if jumps else None
        for kind in KEY_TYPES:
            line.where = f"{host}:{port}"
            sock = _reach(line, way, host, port, timeout_s)
            with suppress(IncompatiblePeer):
                transport = _greet(line, sock, [kind], timeout_s)
                keys.append(_shown(transport))
                transport.close()

    try:
        _carry_out(f"{host}:{port}", line, timeout_s * (len(jumps) + 1), work)
    finally:
        line.kill()
    return keys


def _carry_out(name: str, line: Line, seconds: float, work: Callable[[], None]) -> None:
    try:
        within(seconds, work, f"ssh to {name}")
    except ShellUnavailableError as error:
        line.kill()
        raise type(error)(f"{name}: {error}") from error
    except FAILURES as error:
        line.kill()
        raise ShellUnavailableError(f"{name}: {_explained(error, line.where)}") from error


def _enter(line: Line, hop: Hop, identity: Identity, seconds: float) -> None:
    way = line.transport if line.where else None
    line.where = hop.address
    sock = _reach(line, way, hop.host, hop.port, seconds)
    types = [pin.type for pin in hop.pins]
    transport = _greet(line, sock, [] if "" in types else types, seconds)
    key = _shown(transport)
    if not any(pin.fits(key) for pin in hop.pins):
        pinned = ", ".join(map(str, hop.pins))
        raise HostKeyError(
            f"{hop.address} shows another host key than the pinned: {key}, not {pinned}; somebody "
            "else may answer there, so nothing was sent and nobody tries again. If the site "
            "changed it, compare with what the site publishes, correct host_keys and restart"
        )
    _sign_in(transport, hop, identity)


def _reach(
    line: Line, way: paramiko.Transport | None, host: str, port: int, seconds: float
) -> socket.socket | Channel:
    """Open a way for bytes to a machine: over the one before it, or from here."""
    if way is not None:
        channel = way.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=seconds)
        line.add(channel)
        return channel
    plain = socket.create_connection((host, port), timeout=seconds)
    line.add(plain)
    # A machine that vanished is found by the keepalive that it does not acknowledge; the kernel
    # alone would go on trying for a quarter of an hour.
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_MS)
    plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return plain


def _greet(
    line: Line, sock: socket.socket | Channel, key_types: Sequence[str], seconds: float
) -> paramiko.Transport:
    """Agree on keys with a machine, which proves that it has the private part of its host key."""
    transport = paramiko.Transport(sock)
    line.add(transport)
    transport.set_log_channel(_WIRE)
    # Longer than ours, which close the line and know what to say.
    transport.banner_timeout = transport.handshake_timeout = seconds + _SLACK_S
    transport.auth_timeout = seconds + _SLACK_S
    wanted = [kind for kind in KEY_TYPES if kind in (key_types or KEY_TYPES)]
    transport.get_security_options().key_types = tuple(
        name for kind in wanted for name in (_RSA if kind == "ssh-rsa" else (kind,))
    )
    transport.start_client(timeout=seconds + _SLACK_S)
    return transport


def _shown(transport: paramiko.Transport) -> HostKey:
    key = transport.get_remote_server_key()
    return HostKey(type=key.get_name(), blob=key.asbytes())


def _sign_in(transport: paramiko.Transport, hop: Hop, identity: Identity) -> None:
    offered = []
    with _keys(identity) as keys:
        for key in keys:
            offered.append(HostKey(type=key.get_name(), blob=key.asbytes()).fingerprint)
            try:
                more = transport.auth_publickey(hop.user, key)
            except paramiko.BadAuthenticationType as error:
                raise SignInError(
                    f"{hop.address} takes no keys from {hop.user}, only "
                    f"{', '.join(error.allowed_types)}; see PubkeyAuthentication there"
                ) from error
            except paramiko.AuthenticationException as error:
                if not transport.is_active():
                    # A line that ends at the first key says nothing about the account.
                    kind = SignInError if len(offered) > 1 else ShellUnavailableError
                    raise kind(
                        f"{hop.address} closed the line while {hop.user} signed in ({error}); "
                        "see its log, AllowUsers and MaxAuthTries"
                    ) from error
                continue
            if more:
                raise SignInError(
                    f"{hop.address} wants more than a key from {hop.user}: {', '.join(more)}; such "
                    "sites give short-lived certificates: set certificate_file"
                )
            return
    raise SignInError(
        f"{hop.address} does not let {hop.user} in with {', '.join(offered) or 'no key'}; is the "
        "public key in ~/.ssh/authorized_keys there, or the certificate's principal allowed, and "
        "is the home directory writable by its owner alone?"
    )


@contextmanager
def _keys(identity: Identity) -> Iterator[list[paramiko.PKey]]:
    """Give the keys to offer; the agent is there while they are used."""
    keys: list[paramiko.PKey] = []
    if identity.key_file or identity.key:
        keys.append(_private_key(identity))
    agent = paramiko.Agent() if identity.agent else None
    try:
        if agent:
            keys += agent.get_keys()[:_AGENT_KEYS]
        if not keys:
            raise SignInError("the SSH agent has no keys; see SSH_AUTH_SOCK and ssh-add -l")
        yield keys
    finally:
        if agent:
            agent.close()


def check_identities(name: str, route: SSHRoute) -> None:
    """Look whether keys can be read and certificates are good, before any host is asked.

    Raises
    ------
    SignInError
        If not.
    """

    def look() -> None:
        for identity in {hop.identity or route.identity for hop in route.hops}:
            with _keys(identity):
                pass

    try:
        within(route.connect_s, look, f"keys for {name}")
    except SignInError as error:
        raise SignInError(f"{name}: {error}") from error
    except FAILURES as error:
        raise SignInError(f"{name}: the SSH agent does not answer: {error}") from error


def _private_key(identity: Identity) -> paramiko.PKey:
    name = f"key_file {identity.key_file}" if identity.key_file else "the private key"
    text = identity.key
    if identity.key_file:
        text = _read(name, identity.key_file)
        if identity.key_file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise SignInError(f"{name} is open to others: chmod 600 {identity.key_file}")
    key = _parsed_key(name, text, identity.passphrase)
    if identity.certificate_file:
        _certify(key, identity.certificate_file)
    return key


def _parsed_key(name: str, text: str, passphrase: str) -> paramiko.PKey:
    unreadable = SignInError(
        f"{name} cannot be read: it is no private key of type ed25519, ecdsa or rsa in the "
        "format of ssh-keygen, or the passphrase is wrong"
    )
    try:
        rounds = passphrase_rounds(text)
    except ValueError:
        raise unreadable from None
    if rounds > _ROUNDS:
        raise SignInError(f"{name}: {rounds} rounds for its passphrase, more than {_ROUNDS}")
    for kind in _PRIVATE_KEYS:
        try:
            return kind.from_private_key(io.StringIO(text), passphrase or None)
        except paramiko.PasswordRequiredException:
            raise SignInError(f"{name} has a passphrase: give it, or use the SSH agent") from None
        except _UNREADABLE:
            continue
    # Without the cause, which may quote what it could not read.
    raise unreadable from None


def _certify(key: paramiko.PKey, path: Path) -> None:
    name = f"certificate_file {path}"
    text = _read(name, path)
    try:
        end = certificate_end(text)
        key.load_certificate(text)
    except _UNREADABLE as error:
        raise SignInError(f"{name} does not fit the key: {error}") from error
    if end and end <= datetime.now(UTC):
        raise SignInError(f"{name} ended at {end:%Y-%m-%d %H:%M} UTC: get a new one")


def _read(name: str, path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SignInError(f"{name} cannot be read: {error}") from error


def _explained(error: Exception, where: str) -> str:
    """Say what a failure means and what to do about it."""
    match error:
        case paramiko.ChannelException():
            return (
                f"the machine before {where} does not connect us to it ({error.text}); "
                "see AllowTcpForwarding there, and host and port here"
            )
        case IncompatiblePeer():
            return (
                f"{where} has nothing in common with us ({error}); is its host key of the type "
                "that is pinned, and sshd from this decade?"
            )
        case socket.gaierror():
            return f"the name of {where} is not known; see host in the cluster's settings, and DNS"
        case ConnectionRefusedError():
            return f"{where} refuses connections; does sshd run there, and is the port right?"
        case TimeoutError():
            return f"{where} did not answer in time; is it up, and does no firewall drop us?"
        case paramiko.SSHException() if "banner" in str(error):
            return (
                f"{where} does not greet us as an SSH server; is the port right, or does it turn "
                "us away (MaxStartups, a ban)?"
            )
        case _:
            return f"the line to {where} failed: {str(error) or 'it was closed from there'}"
