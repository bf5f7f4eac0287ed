"""A gateway, in Python's hand: every verb of the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from bumps_remote import like_bumps
from bumps_remote.additions import expert_of
from bumps_remote.after import After
from bumps_remote.array import Element, choose_pack, choose_throttle, make_elements
from bumps_remote.campaign import Grid, Starts, make_campaign
from bumps_remote.config import Server, check_url, find_server
from bumps_remote.errors import NotFoundError, UsageError
from bumps_remote.events import Event, Follower
from bumps_remote.files import make_bundle
from bumps_remote.job import Job
from bumps_remote.journal import Journal
from bumps_remote.live import is_live, live_bundle
from bumps_remote.live_array import live_elements
from bumps_remote.options import (
    check_fit,
    read_pars,
    read_text,
    take_resources,
)
from bumps_remote.reading import PAGE, Reading
from bumps_remote.shares import Shares
from bumps_remote.signin import Wish, with_password
from bumps_remote.submission import Submitter, Wanted
from bumps_remote.tags import Tags
from bumps_remote.transport import Call, Document, Notice, Patience, Transport
from bumps_remote.upload import Told

_TITLE = 100
Model = Any
"""The path of a ``.py`` script or ``.json`` problem, or a FitProblem of bumps."""


class Connection(Reading):
    """Somebody's connection to a gateway; best used in a ``with`` statement.

    Parameters
    ----------
    url, token
        Without them: those of the environment, or of the last login.
    profile
        Instead of both: a name given to ``bumps-remote login --profile``.
    insecure
        Allow plain http to another computer.
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | None = None,
        *,
        profile: str | None = None,
        insecure: bool = False,
        patience: Patience | None = None,
        notice: Notice | None = None,
    ) -> None:
        server = find_server(url, token, profile=profile, insecure=insecure)
        super().__init__(Transport(server, patience, notice))
        self._notice = notice

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
        try:
            made = with_password(transport, who, Wish(label=label, days=days))
        finally:
            transport.close()
        return cls(address, made.token, insecure=insecure, patience=patience)

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

    @property
    def tags(self) -> Tags:
        """The tags of one's jobs."""
        return Tags(self)

    @property
    def shares(self) -> Shares:
        """Who else may read one's jobs, and what others let one read."""
        return Shares(self)

    # ---- submitting

    def submit(
        self,
        model: Model,
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
        proposal: str | None = None,
        after: Sequence[str] = (),
        after_kind: str = "afterok",
        files: Sequence[str | Path] = (),
        replace: str | None = None,
        grid: Grid | None = None,
        from_starts: Starts | None = None,
        pack: int | None = None,
        throttle: int | None = None,
        new: bool = False,
        **options: Any,
    ) -> Job:
        """Submit a model script, a bumps JSON problem or a problem in memory.

        Parameters
        ----------
        model
            The path of a ``.py`` script or a ``.json`` problem, or a FitProblem of bumps.
        args, data, automatic
            Of a script: see `files.make_bundle`.
        fit, options
            The method and its options as bumps names them, such as ``samples=20000``; among
            *options* also ``cpus, wall, mem, partition, account, qos``, other options of sbatch
            such as ``gres, constraint, ntasks``, and ``mpi``. Where the site's policy allows it,
            ``directives={"nodelist": "node7"}`` and shell ``lines`` before the fit.
        simulate, noise
            Replace the data by theory and so many percent of noise; None: as uncertain as the data.
        pars
            A ``.par`` file with start values.
        proposal
            The name of one of yours, which decides account, QOS and reservation.
        after, after_kind
            Ids of jobs that must have ended before it begins: well (``afterok``), without success
            (``afternotok``) or somehow (``afterany``); that have begun (``after``). ``singleton``
            names none: after all older ones of its title.
        files, replace, pack
            Makes it an array: see `map`.
        grid
            Parameters, and the values at which each is held: a fit of the others for each
            combination, as in ``{"m": [1, 2, 3]}``.
        from_starts
            So many random starts within bounds and priors, or start values by name for each.
        throttle
            With files, grid or from_starts: at most so many processes at once.

        Raises
        ------
        RefusedError
            Naming each field that the server does not take.
        """
        resources, expert = take_resources(options), expert_of(options)
        given = {**({"fit": fit} if fit else {}), **options}
        check_fit(given, self.methods())
        elements: tuple[Element, ...] = ()
        campaign = make_campaign(grid, from_starts)
        if campaign and files:
            raise UsageError("give files, a grid or starts: one of them makes the elements")
        if not is_live(model):
            bundle = make_bundle(model, args=args, data=data, automatic=automatic)
            elements = make_elements(bundle, files, replace) if files else ()
        elif args or data or replace:
            raise UsageError("args, data and replace are for scripts, not for problems in memory")
        elif files:
            bundle, elements = live_elements(model, files)
        else:
            bundle = live_bundle(model)
        wanted = Wanted(
            bundle=bundle,
            options=given,
            mode=mode,
            seed=seed,
            shake=shake,
            simulate={"noise_percent": noise} if simulate else None,
            start=read_pars(read_text(pars)) if pars else (),
            title=title or str(getattr(model, "name", "") or "")[:_TITLE],
            notes=notes,
            tags=tuple(tags),
            cluster=cluster,
            proposal=proposal,
            after=After(tuple(after), after_kind),
            resources=resources,
            expert=expert,
            elements=elements,
            campaign=campaign,
            pack=pack if campaign else choose_pack(len(elements), pack),
            throttle=choose_throttle(throttle, several=bool(campaign or elements)),
        )
        return self.send(wanted, new=new)

    def fit(self, problem: Model, method: str = "amoeba", **wanted: Any) -> Any:
        """Fit there as ``bumps.fitters.fit`` does here: see `like_bumps.fit`."""
        return like_bumps.fit(self, problem, method, **wanted)

    def map(
        self,
        model: Model,
        files: Sequence[str | Path],
        *,
        replace: str | None = None,
        pack: int | None = None,
        **wanted: Any,
    ) -> Job:
        """Fit one model to many data files: one job with an element for each.

        Parameters
        ----------
        model
            The path of a script; or a FitProblem of one Curve, whose x, y and dy the three columns
            of each file replace; or a function that makes the FitProblem of a path.
        files
            Paths, or patterns such as ``data/*.dat``.
        replace
            Of a script: name of the data file that each of them replaces; None if it has only one.
        pack
            So many elements are done by one process, one after the other; None: so many as make 20
            processes.
        wanted
            As in `submit`.

        Raises
        ------
        UsageError
            When there are no files, or it is not clear which one they replace.
        """
        if not files:
            raise UsageError("map: which files? There are none")
        return self.submit(model, files=files, replace=replace, pack=pack, **wanted)

    def send(self, wanted: Wanted, *, new: bool = False, told: Told | None = None) -> Job:
        """Submit what is wanted; the same content, cut short before, finds its job.

        Parameters
        ----------
        told
            Hears how many bytes of its files are there.
        """
        accepted = self.submitter(told=told).submit(self.meant(wanted), new=new)
        if accepted.replayed and self._notice:
            self._notice("the earlier submission had arrived: this is its job")
        return Job(self, accepted.job)

    def meant(self, wanted: Wanted) -> Wanted:
        """Find the jobs that it begins after."""
        return replace(wanted, after=wanted.after.found(self.find, self.server.url))

    def submitter(self, journal: Journal | None = None, told: Told | None = None) -> Submitter:
        """Make what submits, with a journal of its own if wished."""
        return Submitter(self.transport, journal, self._notice, told)

    # ---- looking

    def list(self, limit: int = 50, **query: str | None) -> Sequence[Job]:
        """List one's newest jobs, narrowed by *state, kind, tag, q*."""
        found: Any = []
        for document in self.jobs(**query, limit=min(limit, PAGE)):
            found.append(Job(self, document))
            if len(found) >= limit:
                break
        return tuple(found)

    def job(self, id: str) -> Job:
        """Take a job by its id, or what `find` takes."""
        return Job(self, self.info(id))

    def events(self, id: str, timeout_s: float | None = None) -> Iterator[Event]:
        """Follow a job live until it has ended."""
        return iter(Follower(self.transport, self.find(id), timeout_s, self._notice))

    def wait(self, id: str, timeout_s: float | None = None) -> Document:
        """Wait until a job has ended, and answer it."""
        return self.job(id).wait(timeout_s).document

    # ---- acting

    def stop(self, id: str) -> Document:
        """Ask a job to stop early and keep its result."""
        return self._end("stop", id)

    def cancel(self, id: str) -> Document:
        """Ask for a job's end; its result does not matter."""
        return self._end("cancel", id)

    def instead(self, id: str) -> Document:
        """Cancel a job that can never start, and ask for what its ``alarm`` proposes: the new one.

        However often it is asked, one job comes of it.
        """
        return self._end("instead", id)

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
        self,
        id: str,
        *,
        seed: int | None = None,
        new: bool = False,
        failed: bool = False,
        **change: Any,
    ) -> Document:
        """Run a job that has ended once more from its start: see `resume`.

        Parameters
        ----------
        failed
            Of an array, only the elements that are not done; the results of the others are kept.
        """
        return self._again("rerun", id, seed, change, new=new, failed=failed)

    def delete(self, id: str) -> None:
        """Forget a job that has ended, with its results."""
        whole = str(self.info(id)["id"])
        try:
            self.transport.send(Call(method="DELETE", path=f"/jobs/{whole}"))
        except NotFoundError:
            return  # it was there: an earlier answer got lost

    def _again(
        self,
        verb: str,
        id: str,
        seed: int | None,
        change: dict[str, Any],
        *,
        new: bool,
        failed: bool = False,
    ) -> Document:
        resources, expert = take_resources(change), expert_of(change)
        body: Document = {"options": change, "resources": resources}
        if expert is not None:
            body["expert"] = expert
        if seed is not None:
            body["seed"] = seed
        if failed:
            body["elements"] = "failed"
        return self.submitter().repeat(verb, self.find(id), body, new=new).job

    def _end(self, verb: str, id: str) -> Document:
        path = f"/jobs/{self.find(id)}/{verb}"
        return self.transport.document(Call(method="POST", path=path, harmless=True))
