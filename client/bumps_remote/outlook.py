"""What a job would be: its script, how long, when it could start. Nothing is queued."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from bumps_remote.errors import RefusedError
from bumps_remote.submission import Wanted
from bumps_remote.transport import Call, Document, Transport
from bumps_remote.upload import Sender, Told

_ASK_S, _PAUSE_S = 20.0, 2.0


@contextmanager
def staged(transport: Transport, wanted: Wanted, told: Told | None = None) -> Iterator[str]:
    """Put a problem there for as long as something is asked about it; answer its id.

    Parameters
    ----------
    told
        Hears how many bytes of its files are there.
    """
    Sender(transport, told).send(wanted.files())
    body = wanted.problem()
    made = transport.document(
        Call(method="POST", path="/problems", json=body, key=f"look-{uuid.uuid4()}")
    )
    try:
        yield str(made["id"])
    finally:
        transport.send(Call(method="DELETE", path=f"/problems/{made['id']}"))


def preview(transport: Transport, wanted: Wanted, problem_id: str) -> Document:
    """Ask what a job would be; wait a little for what its cluster says of a start."""
    body = {**wanted.job(), "problem": {"id": problem_id}}
    call = Call(method="POST", path="/jobs/preview", json=body, harmless=True)
    end = time.monotonic() + _ASK_S
    while True:
        found = transport.document(call)
        waiting = (found.get("earliest") or {}).get("waiting")
        if not waiting or time.monotonic() > end:
            return found
        time.sleep(_PAUSE_S)


def compare(transport: Transport, refs: list[str]) -> Document:
    """Lay results side by side; each is ``ID``, ``ID:attempt`` or ``ID:attempt:element``.

    Raises
    ------
    RefusedError
        When one has no result, or there are not 2 to 10.
    """
    found = transport.document(
        Call(method="GET", path="/jobs/compare", params={"ids": ",".join(refs)})
    )
    if not isinstance(found.get("jobs"), list):
        raise RefusedError("the server sent no comparison")
    return found
