"""Everything that can be read from a gateway: who one is, jobs, logs, results, files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bumps_remote.array import find_element, summaries
from bumps_remote.config import Server
from bumps_remote.errors import NotFoundError, RefusedError
from bumps_remote.fetch import Fetched, Fetcher, Told, read_document, read_files
from bumps_remote.ids import find_id
from bumps_remote.options import Methods, built_in_methods, methods_of
from bumps_remote.text import clean_line
from bumps_remote.transport import Call, Document, Transport
from bumps_remote.whole import fetch_whole

PAGE = 200
_LOG_BYTES = 500_000


class Reading:
    """The half of a connection that changes nothing.

    Parameters
    ----------
    transport
        The line to the server.
    """

    def __init__(self, transport: Transport) -> None:
        self.transport = transport

    @property
    def server(self) -> Server:
        """The server, with the token in use."""
        return self.transport.server

    def require_own(self, job: Document) -> None:
        """See that a session is one's own before it is loaded: it may hold pickled code.

        Raises
        ------
        RefusedError
            When the job is somebody else's, who has shared it.
        """
        owner = job.get("owner")
        if owner != self.me()["name"]:
            raise RefusedError(
                f"job {job['id']} is {clean_line(owner)}'s: who loads its session runs what their "
                "model has put into it; 'bumps-remote open --trust' does so, if you trust it"
            )

    def me(self) -> Document:
        """Say who one is there."""
        return self._get("/me")

    def policy(self) -> Document:
        """Say what the site's policy gives to one; empty where the server knows of none."""
        try:
            return self._get("/me/policy")
        except NotFoundError:
            return {}

    def clusters(self) -> list[Document]:
        """List where jobs can run, with the limits of each."""
        return list(self._get("/clusters")["items"])

    def methods(self) -> Methods:
        """List the fit methods of the server with their options."""
        return methods_of(self._get("/methods")) or built_in_methods()

    def jobs(self, **query: str | int | None) -> Iterator[Document]:
        """Walk through one's jobs, newest first, narrowed by *state, kind, tag, q*."""
        params = {name: value for name, value in query.items() if value is not None}
        params.setdefault("limit", PAGE)
        while True:
            page = self.transport.document(Call(method="GET", path="/jobs", params=params))
            yield from page["items"]
            if not page.get("next_cursor"):
                return
            params["cursor"] = page["next_cursor"]

    def find(self, text: str) -> str:
        """Find the whole id: from ``last``, or from its unique beginning or end.

        Raises
        ------
        NotFoundError
            When no job of one's own, or more than one, is meant.
        """
        return find_id(text, self.jobs)

    def info(self, id: str) -> Document:
        """Read everything about a job."""
        return self._get(f"/jobs/{self.find(id)}")

    def status(self, id: str) -> str:
        """Read a job's state, in Slurm's words."""
        return str(self.info(id)["state"])

    def results(self, id: str) -> Document:
        """Read what came out, with the list of files."""
        response = self.transport.send(Call(method="GET", path=f"/jobs/{self.find(id)}/results"))
        if response.status_code != 200:
            state = clean_line(self.transport.read(response).get("state") or "not at its end", 40)
            raise RefusedError(
                f"job {id} has no results yet, it is {state}: 'bumps-remote watch {id}' shows it",
                response.status_code,
            )
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
        elements: Sequence[str | int] = (),
        replace: bool = False,
        trust: bool = False,
        told: Told | None = None,
    ) -> Fetched:
        """Fetch result files into a folder, each checked against its digest.

        Parameters
        ----------
        only
            Paths to fetch; empty for all.
        elements
            Of an array: fetch only the files of these, by label or number.
        trust
            Also pickles: who loads one runs what the job has put into it.
        told
            Hears how many bytes have come, of how many.
        """
        whole = self.find(id)
        results = self.results(whole)
        rows = summaries(results["results"])
        folders = tuple(f"out/{find_element(rows, which)}/" for which in elements)
        if folders:
            only = [*only, *(f.path for f in read_files(results) if f.path.startswith(folders))]
        fetcher = Fetcher(self.transport, whole, Path(folder), told)
        return fetcher.fetch(results, only, replace=replace, trust=trust)

    def element(self, id: str, which: str | int) -> Document:
        """Read the whole result of one element of an array, by its label or number."""
        whole = self.find(id)
        results = self.results(whole)
        name = f"out/{find_element(summaries(results['results']), which)}/result.json"
        file = next((file for file in read_files(results) if file.path == name), None)
        if file is None:
            raise RefusedError(f"job {whole} left no {name}: its task ended before it was written")
        return read_document(self.transport, whole, file)

    def fetch_bundle(self, id: str, target: str | Path) -> Path:
        """Fetch everything that is needed to do a job again, as one zip file.

        Raises
        ------
        UsageError
            When there is a file of that name already.
        """
        path = f"/jobs/{self.find(id)}/bundle.zip"
        return fetch_whole(self.transport, path, Path(target))

    def _get(self, path: str) -> Document:
        return self.transport.document(Call(method="GET", path=path))
