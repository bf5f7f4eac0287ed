"""Check a request against its problem and its site, and complete it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, replace
from typing import Protocol

from fitters.bumps_options import METHODS, OptionsError
from gateway.accounts.models import Identity
from gateway.clusters.models import Survey
from gateway.clusters.settings import ClusterSettings
from gateway.datasets.service import Files
from gateway.errors import FieldError, InvalidError
from gateway.jobs.asked_once import asked_once
from gateway.jobs.campaign import Known, campaign_errors, check_throttle, fit_pack, pack_warning
from gateway.jobs.declared import as_declared, shape_errors
from gateway.jobs.expert import Additions, expert_errors, unheeded
from gateway.jobs.kinds import check_kind_options, is_resumable_method
from gateway.jobs.models import ProblemRef
from gateway.jobs.plan import Wanted, with_defaults
from gateway.jobs.ranks import check_ranks
from gateway.jobs.resources import Limits, Resources, check_limits, parse_time
from gateway.jobs.schemas import JobRequest
from gateway.jobs.surveyed import Compared, Surveyed, compare
from gateway.records import Document, altered, now
from gateway.settings import Settings

_SEEDS = 2**31
NO_PROBLEM = ProblemRef(id=None, version=0, name="", type="none", digest="")


class Convert(Protocol):
    """Read a file as the problem reads its own, and write it as the model wants it."""

    def __call__(self, raw: bytes, pointer: str) -> bytes:
        """Convert one file; InvalidError at *pointer* when it cannot be read so."""


@dataclass(frozen=True, kw_only=True)
class ProblemForJob:
    """What a job needs to know of its problem."""

    ref: ProblemRef
    job: Document
    """``problem`` of job.json: type, entry, args, python."""

    files: Mapping[str, str]
    """Name below ``data/`` -> digest."""

    n_parameters: int | None
    """How many parameters are fitted; None when nobody knows before it runs."""

    n_points: int | None
    known: Known | None = None
    """Its parameters by name; None when nobody knows them before it runs."""

    convert: Convert | None = None
    """Turns an uploaded file of an element into what the model reads; None: as it is."""


class Rules(Protocol):
    """What a site allows, whoever asks."""

    def resources(self, user: str, proposal: str, cluster: str, asked: Resources, /) -> Resources:
        """Say what a request asks for under its proposal; InvalidError for what may not be."""

    def errors(self, user: str, proposal: str, asked: Resources, /) -> list[FieldError]:
        """Say what of a request would never go."""

    def additions(self, user: str, /) -> Additions:
        """Say what somebody may add to the script."""


class Problems(Protocol):
    """Where the problems come from."""

    def for_job(self, identity: Identity, id: str, version: int | None) -> ProblemForJob:
        """Find one that somebody may use; NotFoundError otherwise."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A request that can run."""

    wanted: Wanted
    cluster: str
    problem: ProblemRef
    warnings: tuple[str, ...]
    notes: tuple[FieldError, ...] = ()
    """Those of the warnings that are about one field."""

    proposal: str = ""
    """What it is submitted under; empty: under none."""


@dataclass(frozen=True, kw_only=True)
class Naming:
    """What the request itself does not say."""

    id: str
    attempt: int
    correlation_id: str
    seed: int | None = None
    """What a preview has drawn; None: take the request's, or draw one."""

    owner: str | None = None
    """Whose job it is; None: of who asks."""


class Preparer:
    """Turns requests into what is planned."""

    def __init__(
        self,
        problems: Problems,
        files: Files,
        settings: Settings,
        rules: Rules | None = None,
        surveys: Surveyed | None = None,
    ) -> None:
        self._surveys = surveys
        self._rules = rules  # None: what an administrator adopts was not asked for here
        self._problems = problems
        self._files = files
        self._settings = settings

    def of_one_request(self) -> Preparer:
        """Give the same for many jobs of one request: a problem of theirs is read once."""
        own = copy(self)
        own._problems = asked_once(self._problems)
        return own

    def prepare(
        self,
        identity: Identity,
        request: JobRequest,
        naming: Naming,
        problem: ProblemForJob | None = None,
    ) -> Prepared:
        """Check and complete a request.

        Parameters
        ----------
        problem
            What an earlier attempt ran; None looks the request's problem up.

        Raises
        ------
        InvalidError
            With every field that is wrong.
        """
        errors: list[FieldError] = []
        name = request.cluster or self._settings.default_cluster
        cluster = self._cluster(name)
        request = as_declared(request, cluster)
        request = self._by_rules(request, naming.owner or identity.user, name, errors)
        if problem is None:
            problem = self._problem(identity, request)
            errors.extend(self._element_errors(identity, request, problem))
            if not errors:
                request = self._converted(identity, request, problem)
        request = self._written_out(request, problem, errors)
        pack = fit_pack(len(request.elements), request.pack, most_tasks(cluster))
        options = self._options(request, problem, errors)
        wanted = altered(_wanted(identity, request, naming, problem, options), pack=pack)
        errors.extend(check_throttle(request.throttle, len(wanted.elements), wanted.tasks))
        errors.extend((*shape_errors(request), *_rank_errors(request, cluster, options)))
        compared = self._compared(name, request.resources, wanted.tasks)
        errors.extend(compared.errors)
        if errors:
            raise InvalidError(errors)
        return Prepared(
            wanted=wanted,
            cluster=name,
            problem=problem.ref,
            proposal=request.proposal or "",
            warnings=(*_warnings(request, cluster, options, problem, pack), *compared.sentences),
            notes=compared.notes,
        )

    def _cluster(self, name: str) -> ClusterSettings:
        cluster = self._settings.clusters.get(name)
        if cluster is None:
            known = ", ".join(self._settings.clusters)
            raise InvalidError.at("/cluster", f"{name[:64]!r} is no cluster here; known: {known}")
        return cluster

    def _compared(self, name: str, asked: Resources, tasks: int) -> Compared:
        """Hold what is asked against the site's settings and what its cluster was found to be."""
        cluster = self._settings.clusters[name]
        resources = with_defaults(asked, cluster)
        survey = self._surveys.known(name) if self._surveys else Survey()
        found = compare(resources, survey, cluster, now(), tasks)
        wrong = check_limits(resources, _limits(cluster), tasks)
        return replace(found, errors=(*wrong, *found.errors))

    def _by_rules(
        self, request: JobRequest, user: str, cluster: str, errors: list[FieldError]
    ) -> JobRequest:
        """Give a request what its proposal decides, and note what the site does not allow."""
        if self._rules is None:
            return request
        proposal, there = request.proposal or "", self._settings.clusters[cluster]
        if request.expert:
            allowed = self._rules.additions(user)
            errors.extend(
                expert_errors(request.expert, allowed, request.resources, there.scheduler)
            )
        try:
            resources = self._rules.resources(user, proposal, cluster, request.resources)
        except InvalidError as error:
            errors.extend(error.errors)
            return request
        errors.extend(self._rules.errors(user, proposal, resources))
        return altered(request, resources=resources)

    def _problem(self, identity: Identity, request: JobRequest) -> ProblemForJob:
        if request.problem_id is None:
            return ProblemForJob(ref=NO_PROBLEM, job={}, files={}, n_parameters=None, n_points=None)
        return self._problems.for_job(identity, request.problem_id, request.problem_version)

    def _converted(
        self, identity: Identity, request: JobRequest, problem: ProblemForJob
    ) -> JobRequest:
        """Write the files of elements as the model wants them."""
        if problem.convert is None:
            return request
        rows = []
        known: dict[str, str] = {}  # many elements may have the same file
        for index, row in enumerate(request.elements):
            for name, digest in row["files"].items():
                if digest not in known:
                    pointer = f"/elements/{index}/files/{name}"
                    raw = self._files.read(identity.user, digest, pointer)
                    content = problem.convert(raw, pointer)
                    known[digest] = self._files.put(identity.user, name, content).digest
            files = {name: known[digest] for name, digest in row["files"].items()}
            rows.append({**row, "files": files})
        return replace(request, elements=tuple(rows))

    def _written_out(
        self, request: JobRequest, problem: ProblemForJob, errors: list[FieldError]
    ) -> JobRequest:
        """Make the elements of a campaign, unless something is wrong with it."""
        if request.campaign is None:
            return request
        most = self._settings.limits.elements_per_job
        if found := campaign_errors(request.campaign, problem.known, most):
            errors.extend(found)
            return request
        return replace(request, elements=request.campaign.elements())

    def _options(
        self, request: JobRequest, problem: ProblemForJob, errors: list[FieldError]
    ) -> Document:
        try:
            return check_kind_options(
                request.kind, request.options, problem.n_parameters, problem.n_points
            )
        except OptionsError as error:
            errors.extend(
                FieldError(pointer=f"/options/{name}", detail=text) for name, text in error.problems
            )
            return {}

    def _element_errors(
        self, identity: Identity, request: JobRequest, problem: ProblemForJob
    ) -> list[FieldError]:
        most = self._settings.limits.elements_per_job
        if len(request.elements) > most:
            text = f"{len(request.elements)} elements are more than this site takes: at most {most}"
            return [FieldError(pointer="/elements", detail=text)]
        errors = []
        for index, row in enumerate(request.elements):
            where = f"/elements/{index}/files"
            for name, digest in row["files"].items():
                if name not in problem.files:
                    known = ", ".join(sorted(problem.files))
                    text = f"the problem has no file {name!r} to replace; it has {known}"
                    errors.append(FieldError(pointer=where, detail=text))
                elif not self._files.owns(identity.user, digest):
                    text = f"you have no file with the digest {digest}: upload it first"
                    errors.append(FieldError(pointer=f"{where}/{name}", detail=text))
        return errors


def _wanted(
    identity: Identity,
    request: JobRequest,
    naming: Naming,
    problem: ProblemForJob,
    options: Document,
) -> Wanted:
    seed = request.seed if request.seed is not None else naming.seed
    return Wanted(
        id=naming.id,
        attempt=naming.attempt,
        owner=identity.user,
        correlation_id=naming.correlation_id,
        kind=request.kind,
        title=request.title,
        mode=request.mode,
        problem=problem.job,
        files=problem.files,
        options=options,
        seed=seed if seed is not None else secrets.randbelow(_SEEDS),
        resources=request.resources,
        expert=request.expert,
        shake=request.shake,
        simulate=request.simulate,
        start=request.start,
        elements=request.elements,
        throttle=request.throttle,
        resumable=is_resumable_method(str(options.get("fit"))),
    )


def _rank_errors(
    request: JobRequest, cluster: ClusterSettings, options: Document
) -> list[FieldError]:
    return check_ranks(
        request.resources,
        cluster,
        kind=request.kind,
        mode=request.mode,
        method=str(options.get("fit", "")),
        elements=request.elements,
    )


def most_tasks(cluster: ClusterSettings) -> int:
    """Say how many tasks one job may have on a cluster: all of them are submitted at once."""
    return min(cluster.max_array, cluster.max_tasks or cluster.max_array)


def _limits(cluster: ClusterSettings) -> Limits:
    return Limits(
        max_time=parse_time(cluster.max_time),
        max_cpus_per_job=cluster.most_cpus,
        max_array=cluster.max_array,
        partitions=cluster.partitions,
        exclusive=cluster.exclusive,
    )


def _warnings(
    request: JobRequest,
    cluster: ClusterSettings,
    options: Document,
    problem: ProblemForJob,
    pack: int,
) -> list[str]:
    """Say what will work but was probably not meant."""
    method = METHODS.get(str(options.get("fit")))
    found = [text] if (text := pack_warning(len(request.elements), request.pack, pack)) else []
    found.extend(unheeded(request.expert, cluster.scheduler))
    cpus = request.resources.cpus
    if method and not method.parallel and cpus > 1:
        found.append(f"{method.name} uses one processor; the other {cpus - 1} would idle.")
    if method and method.name == "lm" and problem.n_parameters == 1:
        # mpfit.lmpar of bumps 1.0.5 leaves out a division when one column of the Jacobian is left.
        found.append("bumps's lm may stop early with a single parameter: auto or amoeba do not.")
    if problem.n_points is not None and problem.n_parameters is not None:
        dof = problem.n_points - problem.n_parameters
        if dof <= 0:
            found.append(f"{problem.n_points} points cannot fix {problem.n_parameters} parameters.")
    return found
