"""A small real server that misbehaves on purpose, and ways to run the real client."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.helpers import started

TOKEN = "bgw_a_token_for_tests"  # noqa: S105 - of no real site
JOB_ID = "01J00000000000000000000001"
PROBLEM = "application/problem+json"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def key(self) -> str:
        return self.headers.get("Idempotency-Key", "")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What is answered, and how badly."""

    status: int = 200
    body: bytes | Mapping[str, Any] = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """So many bytes of the body are sent, then the line is cut; -1: not even the status."""

    wait: threading.Event | None = None
    """Nothing is sent until this is set."""

    length: int | None = None
    """A Content-Length that is not true."""

    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(dict(self.body)).encode()

    def kind(self) -> str:
        if "Content-Type" in self.headers:
            return self.headers["Content-Type"]
        if isinstance(self.body, bytes):
            return "application/octet-stream"
        return PROBLEM if self.status >= 400 else "application/json"


Answer = Callable[[Seen], Reply]


@dataclass
class Misbehaving:
    """A server whose answers a test chooses, request by request."""

    url: str
    routes: dict[tuple[str, str], Answer] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    def on(self, method: str, path: str, *replies: Reply | Answer) -> None:
        """Answer requests in this order; the last answer stays."""
        waiting = list(replies)

        def next_reply(seen: Seen) -> Reply:
            found = waiting.pop(0) if len(waiting) > 1 else waiting[0]
            return found if isinstance(found, Reply) else found(seen)

        self.routes[method, path] = next_reply

    def asked(self, method: str, path: str) -> list[Seen]:
        return [seen for seen in self.seen if (seen.method, seen.path) == (method, path)]


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True
    site: Misbehaving

    def handle_error(self, *_: Any) -> None:
        """Clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _QuietServer

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        seen = Seen(
            method=self.command,
            path=parts.path.removeprefix("/api/v1"),
            query=dict(parse_qsl(parts.query)),
            headers=dict(self.headers.items()),
            body=self.rfile.read(length),
        )
        site = self.server.site
        site.seen.append(seen)
        missing = Reply(status=404, body={"detail": f"nothing at {seen.path}"})
        answer = site.routes.get((seen.method, seen.path))
        self._send(answer(seen) if answer else missing)

    def _send(self, reply: Reply) -> None:
        if reply.wait is not None:
            reply.wait.wait(30)
        self.close_connection = self.close_connection or reply.cut_after is not None
        if reply.cut_after == -1:
            return
        content = reply.content()
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.kind())
        self.send_header("Content-Length", str(reply.length or len(content)))
        for name, value in reply.headers.items():
            if name != "Content-Type":
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: reply.cut_after])


@contextmanager
def misbehaving() -> Iterator[Misbehaving]:
    """Run a server on a free port."""
    site = Misbehaving(url="")
    server = _QuietServer(("127.0.0.1", 0), _Handler)
    server.site = site
    site.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True, kw_only=True)
class Shell:
    """Somebody's computer with the client on it."""

    home: Path
    work: Path
    environment: dict[str, str]

    def run(self, *arguments: str, stdin: str = "", code: int | None = 0, **env: str) -> Done:
        """Run the real program in a process of its own; *code* None takes any exit code."""
        done = subprocess.run(
            [sys.executable, "-m", "bumps_remote.cli", *arguments],
            cwd=self.work,
            env={**self.environment, **env},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        found = Done(code=done.returncode, out=done.stdout, err=done.stderr)
        assert code is None or found.code == code, f"{found.code}: {found.out}\n{found.err}"
        return found

    @contextmanager
    def started(self, *arguments: str, **env: str) -> Iterator[subprocess.Popen[str]]:
        """Run the real program beside a test, as in a terminal: it hears Ctrl-C."""
        # A shell without a terminal has its children ignore SIGINT, and so would the program.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            program = started(
                [sys.executable, "-m", "bumps_remote.cli", *arguments],
                cwd=self.work,
                env={**self.environment, **env},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            with program as process:
                yield process
        finally:
            signal.signal(signal.SIGINT, before)

    def write(self, name: str, text: str) -> Path:
        path = self.work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    @property
    def journal(self) -> Path:
        return self.home / "state" / "bumps-remote" / "journal"


def make_shell(folder: Path, url: str = "", token: str = "") -> Shell:
    """Set up a computer on which nobody has used the client yet."""
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    kept = {key: text for key, text in os.environ.items() if not key.startswith("BUMPS_REMOTE_")}
    environment = {
        **kept,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_STATE_HOME": str(home / "state"),
        "BUMPS_REMOTE_PATIENCE": "10",
        "BUMPS_REMOTE_KEYRING": "off",
        "BUMPS_REMOTE_CHECK": "off",  # models of tests are often empty
    }
    if url:
        environment |= {"BUMPS_REMOTE_URL": url}
    if token:
        environment |= {"BUMPS_REMOTE_TOKEN": token}
    return Shell(home=home, work=work, environment=environment)


NO_STREAM = Reply(status=503)
"""What a server without room for another event stream answers: then the client asks instead."""


def job_document(**changes: Any) -> dict[str, Any]:
    """Write a job as a server would."""
    return {
        "id": JOB_ID,
        "state": "COMPLETED",
        "reason": "",
        "reason_text": "Finished.",
        "final": True,
        "title": "model",
        "tags": [],
        "options": {"fit": "lm"},
        "problem": {"name": "model", "version": 1},
        "verdict": None,
        "chisq": 1.0,
        "progress": None,
        "attempt": 1,
        "created": "2026-01-01T00:00:00Z",
        **changes,
    }


def serve_submissions(site: Misbehaving) -> None:
    """Take files, problems and jobs as a gateway does: one job for one key."""
    jobs: dict[str, str] = {}

    def keep_file(seen: Seen) -> Reply:
        digest = hashlib.sha256(seen.body).hexdigest()
        return Reply(status=201, body={"digest": digest, "size": len(seen.body)})

    def make_job(seen: Seen) -> Reply:
        known = seen.key in jobs
        number = jobs.setdefault(seen.key, f"01J{len(jobs):023d}")
        headers = {"Idempotent-Replayed": "true"} if known else {}
        return Reply(status=202, body=job_document(id=number), headers=headers)

    site.on("GET", "/me", Reply(body={"name": "kim", "scopes": ["submit"]}))
    site.on("GET", "/methods", Reply(body={"items": []}))
    site.on("POST", "/files", keep_file)
    site.on("POST", "/problems", Reply(status=201, body={"id": "01P", "version": 1}))
    site.on("POST", "/jobs", make_job)


def serve_results(site: Misbehaving, files: Mapping[str, bytes], **changes: Any) -> None:
    """Have a job that has ended with these files."""
    rows = [
        {"path": path, "size": len(content), "digest": hashlib.sha256(content).hexdigest()}
        for path, content in files.items()
    ]
    body = {"job": JOB_ID, "attempt": 1, "complete": True, "results": [], "files": rows, **changes}
    site.on("GET", f"/jobs/{JOB_ID}", Reply(body=job_document()))
    site.on("GET", f"/jobs/{JOB_ID}/events", NO_STREAM)
    site.on("GET", f"/jobs/{JOB_ID}/results", Reply(body=body))
    for path, content in files.items():
        site.on("GET", f"/jobs/{JOB_ID}/files/{path}", Reply(body=content))
