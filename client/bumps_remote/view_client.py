"""Talk to a bumps web view that runs: load a session into it.

It speaks socket.io, which bumps brings along. It answers anybody, so only one on this computer is
spoken to.
"""

from __future__ import annotations

from datetime import datetime, timezone
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bumps_remote.config import is_loopback, private_folder, state_folder
from bumps_remote.errors import UnreachableError, UsageError
from bumps_remote.text import clean_line

_ANSWER_S = 120.0
VIEW = "http://localhost:5148"
"""Where bumps puts its view unless told otherwise."""


def load_session(path: Path, url: str = VIEW) -> Path | None:
    """Show a session in a web view that runs, and answer where what it showed before is kept.

    Parameters
    ----------
    url
        Where the view is.

    Raises
    ------
    UsageError
        When it is not on this computer, or bumps is not installed beside this program.
    UnreachableError
        When nothing answers there, or the view could not read the session.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not is_loopback(parts.hostname or ""):
        raise UsageError(
            f"{clean_line(url, 80)}: only a view on this computer is spoken to, as {VIEW}"
        )
    # Not at the top: they are a tenth of what each command imports, and few show a view.
    import asyncio
    from concurrent.futures import ThreadPoolExecutor

    loading = _loaded(f"http://{parts.netloc}", path.absolute())
    # A notebook's own thread has a loop that runs already.
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, loading).result()


async def _loaded(address: str, path: Path) -> Path | None:
    try:
        sio: Any = import_module("socketio")
        msgpack: Any = import_module("msgpack")
    except ImportError as error:
        raise UsageError(f"this needs bumps beside bumps-remote: {error}") from error

    async def call(client: Any, verb: str, *words: Any) -> Any:
        answer = await client.call(verb, words, timeout=_ANSWER_S)
        return msgpack.unpackb(answer) if isinstance(answer, bytes) else answer

    client = sio.AsyncClient(reconnection=False)
    try:
        await client.connect(address)
        before = await call(client, "get_history")
        kept = None
        if before["problem_history"]:
            kept = _free_place()
            await call(client, "save_session_copy", list(kept.parent.parts), kept.name)
        await call(client, "load_session", list(path.parent.parts), path.name, True)
        after = await call(client, "get_history")
    except sio.exceptions.SocketIOError as error:
        raise UnreachableError(
            f"no web view of bumps answers at {address} ({type(error).__name__}): start it with "
            "'bumps', or with 'python -m bumps_remote.webview'"
        ) from error
    finally:
        await client.disconnect()
    if not after["problem_history"] or _names(after) == _names(before):
        raise UnreachableError(f"the web view at {address} could not read {path}: its log says why")
    return kept


def _names(history: dict[str, Any]) -> set[str]:
    return {str(item["name"]) for item in history["problem_history"]}


def _free_place() -> Path:
    folder = state_folder() / "webview"
    private_folder(state_folder())
    private_folder(folder)
    return folder / f"before-{datetime.now(timezone.utc):%Y%m%d-%H%M%S-%f}.h5"
