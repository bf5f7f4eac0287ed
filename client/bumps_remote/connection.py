"""A gateway, in Python's hand: every verb of the command line."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from bumps_remote.config import Server, check_url, find_server
from bumps_remote.errors import NotFoundError, RefusedError
from bumps_remote.events import Event, Follower
from bumps_remote.fetch import Fetched, Fetcher, fetch_whole
from bumps_remote.files import make_bundle
from bumps_remote.ids import find_id
from bumps_remote.job import Job
from bumps_remote.journal import Journal
from bumps_remote.options import (
    RESOURCES,
    Methods,
    built_in_methods,
    check_fit,
    check_resources,
    methods_of,
    read_pars,
    read_text,
)
from bumps_remote.submission import Submitter, Wanted
from bumps_remote.tags import Tags
from bumps_remote.transport import Call, Document, Notice, Patience, Transport

_PAGE = 200
_LOG_BYTES = 500_000


class Connection:
    """Somebody's connection to a gateway; best used in a ``with`` statement.

    Parameters
    ----------
    url, token
        Without them: those of the environment, or of the last login.
    insecure
        Allow plain http to another computer.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        insecure: bool = False,
        patience: Patience | None = None,
        notice: Notice | None = None,
    ) -> None:
        server = find_server(url, token, insecure=insecure)
        self._notice = notice
        self.transport = Transport(server, patience, notice)

    @classmethod
    def login(
        cls,
        url: str,
        name: str = "",
        password: str = "",
        *,
        uid: str = "",
        label: str = "",
        days: int | None = 90,
        insecure: bool = False,
        patience: Patience | None = None,
    ) -> Connection:
        """Get a token from a server, and connect with it; nothing is stored.

        Parameters
        ----------
        uid
            Instead of name and password: what a self-registered user got.
        days
            How long the token lives; None for ever.
        """
        address = check_url(url, insecure=insecure)
        transport = Transport(Server(url=address), patience)
        who = {"uid": uid} if uid else {"name": name, "password": password}
        label = label or f"bumps-remote on {platform.node() or 'a computer'}"
        body = {**who, "label": label[:100], "expires_days": days}
        try:
            made = transport.document(
                Call(method="POST", path="/auth/tokens", json=body, public=True)
            )
        finally:
            transport.close()
        return cls(address, str(made["token"]), insecure=insecure, patience=patience)

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self.transport.close()

    def logout(self) -> None:
        """Revoke the token in use."""
        self.transport.send(Call(method="POST", path="/auth/logout", harmless=True))

    # ---- what there is

    @property
    def server(self) -> Server:
        """The server, with the token in use."""
        return self.transport.server

    @property
    def tags(self) -> Tags:
        """The tags of one's jobs."""
        return Tags(self)

    def me(self) -> Document:
        """Say who one is there."""
        return self._get("/me")

    def clusters(self) -> list[Document]:
        """List where jobs can run, with the limits of each."""
        return list(self._get("/clusters")["items"])

    def methods(self) -> Methods:
        """List the fit methods of the server with their options."""
        return methods_of(self._get("/methods")) or built_in_methods()

    # ---- submitting

    def submit(
        self,
        model: str | Path,
        *,
        fit: str | None = None,
        args: Sequence[str] = (),
        data: Sequence[str] = (),
        automatic: bool = True,
        mode: str = "fit",
        seed: int | None = None,
        shake: bool = False,
        simulate: bool = False,
        noise: float | None = 5.0,
        pars: str | Path | None = None,
        title: str = "",
        notes: str = "",
        tags: Sequence[str] = (),
        cluster: str | None = None,
        new: bool = False,
        **options: Any,
    ) -> Job:
        """Submit a model script or a bumps JSON problem with all that it needs.

        Parameters
        ----------
        model, args, data, automatic
            See `files.make_bundle`.
        fit, options
            The method and its options as bumps names them, such as ``samples=20000``; among
            *options* also ``cpus, wall, mem, partition, account, qos``.
        simulate, noise
            Replace the data by theory and so many percent of noise; None: as uncertain as the data.
        pars
            A ``.par`` file with start values.

        Raises
        ------
        RefusedError
            Naming each field that the server does not take.
        """
        resources = {
            RESOURCES[name]: options.pop(name) for name in list(options) if name in RESOURCES
        }
        given = {**({"fit": fit} if fit else {}), **options}
        check_fit(given, self.methods())
        wanted = Wanted(
            bundle=make_bundle(model, args=args, data=data, automatic=automatic),
            options=given,
            mode=mode,
            seed=seed,
            shake=shake,
            simulate={"noise_percent": noise} if simulate else None,
            start=read_pars(read_text(pars)) if pars else (),
            title=title,
            notes=notes,
            tags=tuple(tags),
            cluster=cluster,
            resources=check_resources(resources),
        )
        return self.send(wanted, new=new)

    def send(self, wanted: Wanted, *, new: bool = False) -> Job:
        """Submit what is wanted; the same content, cut short before, finds its job."""
        accepted = self.submitter().submit(wanted, new=new)
        if accepted.replayed and self._notice:
            self._notice("the earlier submission had arrived: this is its job")
        return Job(self, accepted.job)

    def submitter(self, journal: Journal | None = None) -> Submitter:
        """Make what submits, with a journal of its own if wished."""
        return Submitter(self.transport, journal, self._notice)

    # ---- looking

    def jobs(self, **query: str | int | None) -> Iterator[Document]:
        """Walk through one's jobs, newest first, narrowed by *state, kind, tag, q*."""
        params = {name: value for name, value in query.items() if value is not None}
        params.setdefault("limit", _PAGE)
        while True:
            page = self.transport.document(Call(method="GET", path="/jobs", params=params))
            yield from page["items"]
            if not page.get("next_cursor"):
                return
            params["cursor"] = page["next_cursor"]

    def list(self, limit: int = 50, **query: str | None) -> Sequence[Job]:
        """List one's newest jobs, narrowed by *state, kind, tag, q*."""
        found: Any = []
        for document in self.jobs(**query, limit=min(limit, _PAGE)):
            found.append(Job(self, document))
            if len(found) >= limit:
                break
        return tuple(found)

    def find(self, text: str) -> str:
        """Find the whole id: from ``last``, or from its unique beginning or end.

        Raises
        ------
        NotFoundError
            When no job of one's own, or more than one, is meant.
        """
        return find_id(text, self.jobs)

    def job(self, id: str) -> Job:
        """Take a job by its id, or what `find` takes."""
        return Job(self, self.info(id))

    def info(self, id: str) -> Document:
        """Read everything about a job."""
        return self._get(f"/jobs/{self.find(id)}")

    def status(self, id: str) -> str:
        """Read a job's state, in Slurm's words."""
        return str(self.info(id)["state"])

    def events(self, id: str, timeout_s: float | None = None) -> Iterator[Event]:
        """Follow a job live until it has ended."""
        return iter(Follower(self.transport, self.find(id), timeout_s, self._notice))

    def wait(self, id: str, timeout_s: float | None = None) -> Document:
        """Wait until a job has ended, and answer it."""
        return self.job(id).wait(timeout_s).document

    def results(self, id: str) -> Document:
        """Read what came out, with the list of files."""
        response = self.transport.send(Call(method="GET", path=f"/jobs/{self.find(id)}/results"))
        if response.status_code != 200:
            raise RefusedError(f"job {id} has no results yet", response.status_code)
        return self.transport.read(response)

    def script(self, id: str) -> Document:
        """Read the batch script that was, or will be, submitted."""
        return self._get(f"/jobs/{self.find(id)}/script")

    def log_part(self, id: str, stream: str = "stdout", offset: int = 0, task: int = 0) -> Document:
        """Read a part of a log, from *offset* in bytes; a negative one counts from the end."""
        params: dict[str, str | int] = {
            "stream": stream,
            "task": task,
            "offset": offset,
            "limit": _LOG_BYTES,
        }
        call = Call(method="GET", path=f"/jobs/{self.find(id)}/log", params=params)
        return self.transport.document(call)

    def log(
        self, id: str, stream: str = "stdout", *, offset: int = 0, task: int = 0
    ) -> Iterator[str]:
        """Read a log piece by piece, as far as it goes now."""
        whole = self.find(id)
        while True:
            part = self.log_part(whole, stream, offset, task)
            yield str(part["text"])
            if part["next_offset"] >= part["size"] or part["next_offset"] == part["offset"]:
                return
            offset = int(part["next_offset"])

    def fetch(
        self,
        id: str,
        folder: str | Path,
        only: Sequence[str] = (),
        *,
        replace: bool = False,
    ) -> Fetched:
        """Fetch result files into a folder, each checked against its digest."""
        whole = self.find(id)
        fetcher = Fetcher(self.transport, whole, Path(folder))
        return fetcher.fetch(self.results(whole), only, replace=replace)

    def fetch_bundle(self, id: str, target: str | Path) -> Path:
        """Fetch everything that is needed to do a job again, as one zip file.

        Raises
        ------
        UsageError
            When there is a file of that name already.
        """
        path = f"/jobs/{self.find(id)}/bundle.zip"
        return fetch_whole(self.transport, path, Path(target))

    # ---- acting

    def stop(self, id: str) -> Document:
        """Ask a job to stop early and keep its result."""
        return self._end("stop", id)

    def cancel(self, id: str) -> Document:
        """Ask for a job's end; its result does not matter."""
        return self._end("cancel", id)

    def resume(
        self, id: str, *, seed: int | None = None, new: bool = False, **change: Any
    ) -> Document:
        """Continue a fit that has ended with what it has: ``samples=50000, wall="4:00:00"``.

        Parameters
        ----------
        new
            Ask for another attempt even if the same request, cut short before, may have made one.
        """
        return self._again("resume", id, seed, change, new=new)

    def rerun(
        self, id: str, *, seed: int | None = None, new: bool = False, **change: Any
    ) -> Document:
        """Run a job that has ended once more from its start: see `resume`."""
        return self._again("rerun", id, seed, change, new=new)

    def delete(self, id: str) -> None:
        """Forget a job that has ended, with its results."""
        whole = str(self.info(id)["id"])
        try:
            self.transport.send(Call(method="DELETE", path=f"/jobs/{whole}"))
        except NotFoundError:
            return  # it was there: an earlier answer got lost

    def _again(
        self, verb: str, id: str, seed: int | None, change: dict[str, Any], *, new: bool
    ) -> Document:
        resources = {RESOURCES[key]: change.pop(key) for key in list(change) if key in RESOURCES}
        body: Document = {"options": change, "resources": check_resources(resources)}
        if seed is not None:
            body["seed"] = seed
        return self.submitter().repeat(verb, self.find(id), body, new=new).job

    def _get(self, path: str) -> Document:
        return self.transport.document(Call(method="GET", path=path))

    def _end(self, verb: str, id: str) -> Document:
        path = f"/jobs/{self.find(id)}/{verb}"
        return self.transport.document(Call(method="POST", path=path, harmless=True))


def submit(model: str | Path, **wanted: Any) -> Job:
    """Submit to the server of the last login: see `Connection.submit`."""
    return Connection().submit(model, **wanted)
