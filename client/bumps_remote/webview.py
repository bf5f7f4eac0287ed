"""bumps's own web view with a gateway in it: what it shows is fitted on a cluster.

::

    python -m bumps_remote.webview model.py --fit=dream     # what bumps takes; or --with=refl1d

opens the view beneath a bar that submits the problem as it is shown, with the fitter and settings
chosen there. The view shows the fit as one of its own, its Stop button ends it early, and the
result comes into its history. In a notebook, before the view is started::

    from bumps_remote import webview
    webview.install()

bumps answers anybody who reaches its port, and any page of the browser. So what is added here wants
a key, which is in the address that is printed, and nowhere else.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import wraps
from importlib.metadata import entry_points
from inspect import signature
from pathlib import Path
from typing import Any

from bumps_remote.connection import Connection
from bumps_remote.errors import RemoteError, UsageError
from bumps_remote.options import RESOURCES
from bumps_remote.text import clean_line
from bumps_remote.view_fit import ViewFit, open_job, selected
from bumps_remote.view_parts import Parts, bumps_parts

__all__ = ["View", "install", "main"]

_PAGE = Path(__file__).with_name("webview.html")
_TAKEN = ("cluster", "title", "seed", *RESOURCES)
_WHOLE = ("cpus", "seed")
_WITH = "--with="
_NEWEST = 8
Answer = dict[str, Any]


class View:
    """What is registered with bumps: functions that its page, a notebook or a program calls."""

    def __init__(self, parts: Parts, connection: Connection | None = None, key: str = "") -> None:
        self._parts = parts
        self._connection = connection
        self._fit: ViewFit | None = None
        self._task: asyncio.Task[None] | None = None
        self._starting = False
        self.key = key or secrets.token_urlsafe(16)

    @property
    def connection(self) -> Connection:
        """The server of the last login."""
        if self._connection is None:
            self._connection = Connection()
        return self._connection

    @property
    def url(self) -> str:
        """Where the bar with the view beneath it is; known once the server has started."""
        return f"{self._parts.server.get_server_url()}remote?key={self.key}"

    async def remote_submit(self, **wanted: Any) -> Answer:
        """Submit the problem that is shown, with the method and settings that are chosen."""
        # It takes seconds until there is a job: a second click, or a second page, makes no other.
        if self._starting or (self._task is not None and not self._task.done()):
            raise UsageError("the last one has not ended: stop it first")
        given = _read(wanted)
        self._starting = True
        try:
            self._fit = await ViewFit.start(self._parts, self.connection, **given)
            self._task = asyncio.ensure_future(self._fit.follow())
        finally:
            self._starting = False
        return await self.remote_status()

    async def remote_status(self) -> Answer:
        """Say what would be submitted, and how what was submitted fares."""
        answer: Answer = {"url": self.connection.server.url, "problem": "", "method": ""}
        try:
            problem, answer["method"], answer["settings"] = selected(self._parts)
            answer["problem"] = str(getattr(problem, "name", None) or "")
        except UsageError as error:
            answer["advice"] = str(error)
        if self._fit is not None and self._task is not None:
            document = self._fit.job.job.document
            kept = ("id", "state", "final", "reason_text", "chisq", "title")
            answer["job"] = {name: document.get(name) for name in kept}
            answer["progress"] = dict(self._fit.progress)
            answer["said"], answer["done"] = self._fit.said, self._task.done()
            if self._task.done() and (fault := self._task.exception()) is not None:
                answer["said"] = (
                    f"job {document.get('id')}: this bumps cannot show what came of it "
                    f"({clean_line(fault) or type(fault).__name__}): it is kept there, and "
                    "'bumps-remote fetch' brings it"
                )
        return answer

    async def remote_stop(self) -> Answer:
        """Ask the one that runs to end early with its result."""
        if self._fit is None:
            raise UsageError("nothing was submitted from here")
        await self._fit.stop()
        return await self.remote_status()

    async def remote_jobs(self) -> Answer:
        """List one's newest jobs, to be opened here, and the clusters there are."""
        found = await asyncio.to_thread(self.connection.list, _NEWEST)
        clusters = await asyncio.to_thread(self.connection.clusters)
        names = ("id", "state", "title", "chisq", "created")
        jobs = [{name: job.document.get(name) for name in names} for job in found]
        return {"jobs": jobs, "clusters": [str(cluster["name"]) for cluster in clusters]}

    async def remote_open(self, id: str = "last") -> Answer:
        """Bring the session of a job into the view; what it has stays in its history."""
        return {"opened": await open_job(self._parts, self.connection, str(id))}

    async def page(self, request: Any) -> Any:
        """Answer the bar, with the view beneath it."""
        from aiohttp import web

        if not self._knows(request.query.get("key")):
            return web.Response(status=403, text="The address is the one that was printed.\n")
        text = _PAGE.read_text(encoding="utf-8")
        headers = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}
        return web.Response(text=text, content_type="text/html", headers=headers)

    def register(self) -> None:
        """Make bumps answer these functions, by GET and by socket.io."""
        for verb in (
            self.remote_submit,
            self.remote_status,
            self.remote_stop,
            self.remote_jobs,
            self.remote_open,
        ):
            self._parts.api.register(self._guarded(verb))

    def _knows(self, key: object) -> bool:
        return secrets.compare_digest(str(key or "").encode(), self.key.encode())

    def _guarded(
        self, verb: Callable[..., Coroutine[Any, Any, Answer]]
    ) -> Callable[..., Coroutine[Any, Any, Answer]]:
        @wraps(verb)
        async def guarded(
            key: str = "", wanted: Mapping[str, Any] | None = None, **more: Any
        ) -> Answer:
            if not self._knows(key):
                return {"error": "the key is missing or wrong: it is in the address printed"}
            if not isinstance(wanted or {}, Mapping):
                return {"error": "wanted: give names with values"}
            given = {**(wanted or {}), **more}
            try:
                signature(verb).bind(**given)
            except TypeError as error:
                return {"error": str(error)}
            try:
                return await verb(**given)
            except RemoteError as error:
                return {"error": str(error)}

        return guarded


def _read(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Read what is wanted of a submission; what is left empty is not wanted.

    Raises
    ------
    UsageError
        For a word that there is not, or a number that is none.
    """
    if unknown := [name for name in wanted if name not in _TAKEN]:
        raise UsageError(f"{', '.join(unknown)}: there is only {', '.join(_TAKEN)}")
    given = {name: value for name, value in wanted.items() if value not in ("", None)}
    for name in given.keys() & set(_WHOLE):
        if not str(given[name]).isdecimal():
            raise UsageError(f"{name} must be a whole number, not {given[name]!r}")
        given[name] = int(given[name])
    return given


def install(connection: Connection | None = None, *, tell: bool = True) -> View:
    """Add the functions and the page to bumps's web view, before that is started.

    Parameters
    ----------
    connection
        None: to the server of the last login.
    tell
        Print the address when the view has started.
    """
    parts = bumps_parts()
    view = View(parts, connection)
    view.register()
    begin = parts.server.init_web_app

    async def say(_app: Any) -> None:
        print(f"submit what is shown to {view.connection.server.url}: {view.url}")  # noqa: T201

    @wraps(begin)
    def init_web_app() -> None:
        begin()
        parts.server.app.router.add_get("/remote", view.page)
        if tell:
            parts.server.app.on_startup.append(say)

    parts.server.init_web_app = init_web_app
    return view


def main(argv: Sequence[str] | None = None) -> None:
    """Run bumps, or what else has its view, with the words of its command line."""
    words = list(sys.argv[1:] if argv is None else argv)
    named = [word.removeprefix(_WITH) for word in words if word.startswith(_WITH)]
    program = named[-1] if named else "bumps"
    rest = [word for word in words if not word.startswith(_WITH)]
    view = install()
    if "--headless" not in rest:
        rest.append("--headless")  # ours is opened instead of the bare one
        _open_browser(view, bumps_parts())
    sys.argv = [program, *rest]
    _program(program)()


def _program(name: str) -> Callable[[], None]:
    if name == "bumps":
        main: Callable[[], None] = bumps_parts().cli.main
        return main
    found = list(entry_points(group="console_scripts", name=name))
    if not found:
        raise UsageError(f"there is no program {name!r} in this Python: install it beside bumps")
    program: Callable[[], None] = found[0].load()
    return program


def _open_browser(view: View, parts: Parts) -> None:
    import webbrowser

    begin = parts.server.init_web_app

    async def soon(_app: Any) -> None:
        asyncio.get_running_loop().call_later(0.5, lambda: webbrowser.open_new_tab(view.url))

    @wraps(begin)
    def init_web_app() -> None:
        begin()
        parts.server.app.on_startup.append(soon)

    parts.server.init_web_app = init_web_app


if __name__ == "__main__":
    try:
        main()
    except RemoteError as error:
        sys.exit(f"bumps-remote: {error}")
