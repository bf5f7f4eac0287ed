"""The verbs of `bumps_remote` for ``await``: in notebooks, and for several fits at once.

::

    from bumps_remote import aio

    result = await aio.fit(problem, method="dream", samples=20000)
    both = await asyncio.gather(*(aio.fit(one, method="lm") for one in problems))

Giving up an ``await`` gives up the waiting: the job goes on, and is found by ``aio.jobs()``. While
it is being submitted that cannot be given up; asked again, the same submission finds its job.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from bumps_remote import like_bumps
from bumps_remote.aio_events import follow
from bumps_remote.connection import Connection, Model
from bumps_remote.errors import WaitTimeoutError
from bumps_remote.events import Event
from bumps_remote.fetch import Fetched
from bumps_remote.job import Job
from bumps_remote.notebook import in_notebook

__all__ = ["AsyncJob", "fit", "job", "jobs", "map", "submit"]


class AsyncJob:
    """A job whose verbs are awaited; ``async for event in job`` follows it live."""

    def __init__(self, connection: Connection, job: Job) -> None:
        self._connection = connection
        self.job = job
        """The same job, for code that does not await."""

    def __repr__(self) -> str:
        return f"<AsyncJob {self.id} {self.state}>"

    def _repr_html_(self) -> str:
        return self.job._repr_html_()

    @property
    def id(self) -> str:
        """Its id on the server."""
        return self.job.id

    @property
    def state(self) -> str:
        """Its state as it was read last, in Slurm's words."""
        return self.job.state

    @property
    def final(self) -> bool:
        """Whether it has ended."""
        return self.job.final

    def __await__(self) -> Generator[Any, None, AsyncJob]:
        """Wait until it has ended, well or not."""
        return self.wait().__await__()

    def events(self) -> AsyncGenerator[Event, None]:
        """Follow it live: what ``async for event in job`` does."""
        return self.__aiter__()

    async def __aiter__(self) -> AsyncGenerator[Event, None]:
        """Follow it live; the last event is the job as it ended."""
        async with aclosing(follow(self._connection.transport, self.job)) as events:
            async for event in events:
                yield event

    async def wait(self, timeout_s: float | None = None) -> AsyncJob:
        """Wait until it has ended, well or not.

        Raises
        ------
        WaitTimeoutError
            When that takes longer than *timeout_s*.
        """
        return await self._followed(timeout_s, quiet=True)

    async def watch(self, timeout_s: float | None = None) -> AsyncJob:
        """Wait until it has ended, and show it meanwhile: see `Job.watch`."""
        return await self._followed(timeout_s, quiet=False)

    async def _followed(self, timeout_s: float | None, *, quiet: bool) -> AsyncJob:
        async def shown() -> None:
            with self.job.progress(quiet=quiet) as progress:
                async with aclosing(self.__aiter__()) as events:
                    async for event in events:
                        progress.show(event)

        try:
            await asyncio.wait_for(shown(), timeout_s)
        except asyncio.TimeoutError as error:
            raise WaitTimeoutError(
                f"job {self.id} has not ended within {timeout_s:g} s; it goes on"
            ) from error
        return self

    async def result(self, timeout_s: float | None = None) -> dict[str, Any]:
        """Wait for it and answer its result document: see `Job.result`."""
        await self.wait(timeout_s)
        return await asyncio.to_thread(self.job.result)

    async def fit_result(self, element: str | int | None = None) -> Any:
        """Wait for a fit and answer it as ``bumps.fitters.fit`` does: see `Job.fit_result`."""
        await self.wait()
        return await asyncio.to_thread(self.job.fit_result, element)

    async def elements(self, timeout_s: float | None = None) -> list[dict[str, Any]]:
        """Wait for an array and answer its elements: see `Job.elements`."""
        await self.wait(timeout_s)
        return await asyncio.to_thread(self.job.elements)

    async def results(self) -> dict[str, Any]:
        """Read everything that came out, with the list of files."""
        return await asyncio.to_thread(self.job.results)

    async def element(self, which: str | int) -> dict[str, Any]:
        """Read the whole result of one element of an array, by its label or number."""
        return await asyncio.to_thread(self.job.element, which)

    async def log(self, stream: str = "stdout") -> str:
        """Read its log: see `Job.log`."""
        return await asyncio.to_thread(self.job.log, stream)

    async def refresh(self) -> AsyncJob:
        """Read it anew."""
        await asyncio.to_thread(self.job.refresh)
        return self

    async def stop(self) -> AsyncJob:
        """Ask it to stop early and keep its result."""
        await asyncio.to_thread(self.job.stop)
        return self

    async def cancel(self) -> AsyncJob:
        """Ask for its end; its result does not matter."""
        await asyncio.to_thread(self.job.cancel)
        return self

    async def resume(self, **change: Any) -> AsyncJob:
        """Continue it: see `Connection.resume`."""
        await asyncio.to_thread(lambda: self.job.resume(**change))
        return self

    async def rerun(self, **change: Any) -> AsyncJob:
        """Run it once more from its start: see `Connection.rerun`."""
        await asyncio.to_thread(lambda: self.job.rerun(**change))
        return self

    async def share(self, **whom: Any) -> dict[str, Any]:
        """Let others read it: see `Job.share`."""
        return await asyncio.to_thread(lambda: self.job.share(**whom))

    async def delete(self) -> None:
        """Forget it with its results; it must have ended."""
        await asyncio.to_thread(self.job.delete)

    async def fetch(self, folder: str | Path, only: Sequence[str] = (), **how: Any) -> Fetched:
        """Fetch its files into a folder: see `Connection.fetch`."""
        return await asyncio.to_thread(lambda: self.job.fetch(folder, only, **how))


async def submit(model: Model, *, connection: Connection | None = None, **wanted: Any) -> AsyncJob:
    """Submit to the server of the last login, or of a connection: see `Connection.submit`."""
    where = connection or Connection()
    return AsyncJob(where, await asyncio.to_thread(lambda: where.submit(model, **wanted)))


async def map(  # noqa: A001 - as in `bumps_remote`
    model: Model,
    files: Sequence[str | Path],
    *,
    connection: Connection | None = None,
    **wanted: Any,
) -> AsyncJob:
    """Fit one model to many files: see `Connection.map`."""
    where = connection or Connection()
    return AsyncJob(where, await asyncio.to_thread(lambda: where.map(model, files, **wanted)))


async def fit(
    problem: Model,
    method: str = "amoeba",
    *,
    connection: Connection | None = None,
    verbose: bool | None = None,
    timeout_s: float | None = None,
    **wanted: Any,
) -> Any:
    """Fit a problem there and answer what ``bumps.fitters.fit`` would: see `like_bumps.fit`."""
    where = connection or Connection()
    asked = await asyncio.to_thread(lambda: like_bumps.ask(where, problem, method, **wanted))
    submitted = AsyncJob(where, asked.job)
    shown = in_notebook() if verbose is None else verbose
    await (submitted.watch(timeout_s) if shown else submitted.wait(timeout_s))
    return await asyncio.to_thread(asked.answer)


async def job(id: str, *, connection: Connection | None = None) -> AsyncJob:
    """Take a job by its id, or ``last``."""
    where = connection or Connection()
    return AsyncJob(where, await asyncio.to_thread(where.job, id))


async def jobs(
    limit: int = 50, *, connection: Connection | None = None, **query: str | None
) -> Sequence[AsyncJob]:
    """List one's newest jobs: see `Connection.list`."""
    where = connection or Connection()
    found = await asyncio.to_thread(lambda: where.list(limit, **query))
    return tuple(AsyncJob(where, one) for one in found)
