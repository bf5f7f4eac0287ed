"""A whole gateway for tests: store, worker and web server in a state directory of its own."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from gateway.accounts.models import Identity, Scope, expand
from gateway.errors import ConflictError
from gateway.services import Gateway, open_gateway
from gateway.settings import load_settings
from tests.contract import SPEC, Contract, hold_to
from tests.helpers import eventually, free_port, processes

PASSWORD = "correct horse battery staple"  # noqa: S105 - of throw-away users
PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Trusts nobody, for plain http: else each client reads all certificates of the world, 30 ms."""

_READY_S = 90.0
_STOP_S = 30.0


@dataclass
class LiveGateway:
    """A gateway that runs, and ways to talk to it."""

    state: Path
    port: int
    environment: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    tokens: dict[str, str] = field(default_factory=dict)
    clients: list[httpx.Client] = field(default_factory=list)
    described: Contract | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def contract(self) -> Contract:
        """What its API says of itself."""
        if self.described is None:
            self.described = Contract(httpx.get(f"{self.url}{SPEC}", verify=PLAIN).json())
        return self.described

    @property
    def log(self) -> str:
        """All that it has said."""
        return (self.state.parent / "gateway.log").read_text(encoding="utf-8")

    def start(self) -> None:
        """Start it and wait until it is ready."""
        with (self.state.parent / "gateway.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", "run"],
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        eventually(
            self.ready, within_s=_READY_S, what=lambda: f"the gateway to be ready\n{self.log}"
        )

    def ready(self) -> bool:
        """Whether it answers that it is."""
        if self.process is not None and self.process.poll() is not None:
            raise AssertionError(f"the gateway ended at once:\n{self.log}")
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2, verify=PLAIN).status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> None:
        """Stop it as an administrator would."""
        for client in self.clients:
            client.close()
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(timeout=_STOP_S)
        self.process = None

    def command(self, *arguments: str, stdin: str = "") -> str:
        """Run ``bumps-gateway`` and answer what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "gateway.cli", *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def add_user(self, name: str, *, admin: bool = False) -> str:
        """Make a user, without the second that a command takes; answer an API token of theirs."""
        scope = Scope.ADMIN if admin else Scope.SUBMIT
        who = Identity(user=name, admin=admin, scopes=expand([scope]))
        with self.services() as services:
            services.accounts.add_user(name, PASSWORD, admin=admin)
            self.tokens[name] = services.accounts.make_token(who, "test", [scope], None).secret
        return self.tokens[name]

    def user(self) -> Api:
        """Make a new user with a name of their own."""
        name = f"u{uuid.uuid4().hex[:10]}"
        self.add_user(name)
        return Api(self, name)

    @contextmanager
    def services(self) -> Iterator[Gateway]:
        """Open the parts of it, behind its back."""
        services = open_gateway(load_settings(self.environment))
        try:
            yield services
        finally:
            services.redis.close()


class Api:
    """A program that talks to the API as one user."""

    def __init__(self, live: LiveGateway, name: str) -> None:
        self.name = name
        self.live = live
        self.http = httpx.Client(
            base_url=f"{live.url}/api/v1",
            headers={"Authorization": f"Bearer {live.tokens[name]}"},
            timeout=30,
            verify=PLAIN,
            event_hooks={"response": [hold_to(live.contract)]},
        )
        live.clients.append(self.http)

    def upload(self, name: str, content: bytes) -> str:
        """Upload a file; answer its digest."""
        answer = self.http.post("/files", params={"name": name}, content=content)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["digest"])

    def problem(self, document: Mapping[str, Any]) -> dict[str, Any]:
        """Make a problem."""
        answer = self.http.post("/problems", json=dict(document))
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def script_problem(self, text: str, **files: bytes) -> dict[str, Any]:
        """Make a problem from a model script and its data files (``data_dat=`` for data.dat)."""
        named = {"model.py": text.encode()}
        named |= {name.replace("_", "."): content for name, content in files.items()}
        refs = [{"name": name, "digest": self.upload(name, data)} for name, data in named.items()]
        return self.problem(
            {
                "name": "script",
                "type": "script",
                "script": {"entry": "model.py", "files": refs, "args": []},
            }
        )

    def submit(self, key: str | None = None, **request: Any) -> dict[str, Any]:
        """Queue a job; answer it."""
        headers = {"Idempotency-Key": key or uuid.uuid4().hex}
        answer = self.http.post("/jobs", json=request, headers=headers)
        assert answer.status_code == 202, answer.text
        return dict(answer.json())

    def job(self, id: str) -> dict[str, Any]:
        """Read a job."""
        answer = self.http.get(f"/jobs/{id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def wait(self, id: str, within_s: float = 60.0) -> dict[str, Any]:
        """Wait until a job has ended; answer it."""
        eventually(lambda: self.job(id)["final"], within_s=within_s, what=f"the end of {id}")
        return self.job(id)

    def wait_for_state(self, id: str, state: str, within_s: float = 30.0) -> dict[str, Any]:
        """Wait until a job is in a state; answer it."""
        eventually(lambda: self.job(id)["state"] == state, within_s=within_s, what=f"{state} {id}")
        return self.job(id)

    def wait_for_field(self, id: str, name: str) -> None:
        """Wait until something is known of a job."""
        eventually(lambda: self.job(id)[name], what=f"{name} of {id}")

    def cancel_all(self) -> None:
        """Cancel what has not ended, also when the test has ended the user's own access."""
        who = Identity(user=self.name, admin=False, scopes=expand([Scope.SUBMIT]))
        with self.live.services() as services:
            for job in services.job_store.active():
                if job.owner == self.name and not job.final:
                    with suppress(ConflictError):  # it has just ended
                        services.jobs.cancel(who, job.id)

    def results(self, id: str) -> dict[str, Any]:
        """Read the results of a job."""
        answer = self.http.get(f"/jobs/{id}/results")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())


@contextmanager
def live_gateway(**overrides: str) -> Iterator[LiveGateway]:
    """Run a gateway in a directory of its own, and leave nothing behind.

    Parameters
    ----------
    overrides
        Further environment, such as ``GATEWAY_WORKER__TICK_S="0.2"``.
    """
    with tempfile.TemporaryDirectory(prefix="bgw-") as folder:
        port = free_port()
        kept = {key: text for key, text in os.environ.items() if not key.startswith("GATEWAY_")}
        environment = {
            **kept,
            "GATEWAY_STATE": f"{folder}/state",
            "GATEWAY_SERVER__PORT": str(port),
            "GATEWAY_WORKER__TICK_S": "0.2",
            **overrides,
        }
        if "GATEWAY_CONFIG" not in overrides:  # a site of its own may have no local cluster
            environment.setdefault("GATEWAY_CLUSTERS__LOCAL__TRUSTED_USERS", "true")
        gateway = LiveGateway(state=Path(folder) / "state", port=port, environment=environment)
        gateway.start()
        try:
            yield gateway
        finally:
            gateway.stop()
            end_executors(gateway.state)
            eventually(
                lambda: not processes_of(gateway.state), within_s=10, what="all processes to end"
            )
    assert not Path(folder).exists()


def end_executors(state: Path) -> None:
    """End what local execution left running, so that a test leaves no process behind."""
    for pid in processes_of(state):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def processes_of(state: Path) -> list[int]:
    """Find the processes that work for a state directory."""
    return [process.pid for process in processes(str(state))]
