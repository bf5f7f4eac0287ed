"""Make the directory of a job for people who submit it themselves, with ``sbatch`` on a login node.

No gateway need run, and none is told: all that the job is made of comes from files that are there.
Script, driver, inputs and claim are what a gateway would stage, byte for byte, so a directory that
is submitted twice runs once, and `gateway.by_hand.adopt` can bring it under watch later.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any

from marshmallow import ValidationError

from gateway.accounts.models import NAME_LENGTH, NAME_PATTERN, NAME_RULE, Identity, Scope, expand
from gateway.clusters.settings import ClusterSettings
from gateway.errors import InvalidError, NotFoundError
from gateway.ids import is_id, new_id
from gateway.jobs.models import ProblemRef
from gateway.jobs.plan import directory, make_plan, staged_plan
from gateway.jobs.prepare import Naming, Preparer, ProblemForJob
from gateway.jobs.schemas import JobRequest, JobRequestSchema
from gateway.problems.examine import examine
from gateway.problems.json_reading import JsonLimits, read_json
from gateway.problems.models import Document
from gateway.problems.schemas import load_document
from gateway.services import Gateway, open_gateway
from gateway.settings import Settings
from gateway.web.errors import field_errors
from scheduler.files import stage

CLUSTER = "by-hand"
"""Name of the cluster that the command line describes instead of the settings."""

Take = Callable[[Path], str]
"""Reads a file and answers its digest."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to be run."""

    problem: str
    """A file, or the id of a problem that this gateway keeps."""

    files: Mapping[str, Path]
    """What lies beside a model script: name there, file here."""

    args: tuple[str, ...]
    request: Mapping[str, Any]
    """As for ``POST /jobs``, without the problem."""

    user: str
    """Their name at the gateway, which the directory is under."""

    login: str
    """Their name on the cluster."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A directory that can be submitted."""

    directory: PurePosixPath
    script: str
    warnings: tuple[str, ...]


def make_directory(settings: Settings, name: str, asked: Asked) -> Made:
    """Make the directory of a job that nobody has submitted.

    Parameters
    ----------
    name
        Of the cluster, among those of the settings.

    Raises
    ------
    InvalidError
        With every field that is wrong.
    """
    if len(asked.user) > NAME_LENGTH or NAME_PATTERN.fullmatch(asked.user) is None:
        raise InvalidError.at("/user", f"{asked.user[:64]!r}: {NAME_RULE}; say --user NAME")
    if Path(asked.problem).is_file():
        with TemporaryDirectory(prefix="bumps-gateway-") as folder:
            # A store of its own that nobody keeps: what is there belongs to no gateway.
            alone = open_gateway(replace(settings, state_directory=Path(folder)))
            problem, notes = _read(alone, asked)
            made = _made(alone, name, asked, problem)
            return replace(made, warnings=(*notes, *made.warnings))
    if not is_id(asked.problem):
        detail = f"{asked.problem[:200]!r} is no file here, and no id of a problem"
        raise InvalidError.at("/problem", detail)
    gateway = open_gateway(settings)
    return _made(gateway, name, asked, gateway.problems.for_job(_who(asked), asked.problem, None))


def _made(gateway: Gateway, name: str, asked: Asked, problem: ProblemForJob) -> Made:
    cluster = gateway.settings.clusters[name]
    request = load_request(
        {"title": problem.ref.name, **asked.request, "cluster": name, "problem": {"id": new_id()}}
    )
    naming = Naming(id=new_id(), attempt=1, correlation_id=new_id())
    preparer = Preparer(gateway.problems, gateway.files, gateway.settings)
    prepared = preparer.prepare(_who(asked), request, naming, problem)
    here = replace(cluster, base=cluster.base_of(asked.login))
    plan = make_plan(prepared.wanted, here, gateway.blobs)
    place = directory(here, asked.user, naming.id, naming.attempt)
    _make_base(here, Path(place))
    stage(Path(place), staged_plan(str(place), plan, gateway.blobs).files)
    return Made(directory=place, script=plan.script, warnings=prepared.warnings)


def _make_base(cluster: ClusterSettings, place: Path) -> None:
    """Make what lies above the directory, which itself only its owner can enter."""
    if cluster.ssh is not None and not Path(cluster.base).is_dir():
        detail = f"{cluster.base} is not on this machine: run this on {cluster.ssh.host}"
        raise InvalidError.at("/base", f"{detail}; if this is it, 'mkdir -p {cluster.base}' first")
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        detail = f"{cluster.base} cannot be written: {error}; say --base with a folder of yours"
        raise InvalidError.at("/base", detail) from error


def load_request(raw: Mapping[str, Any]) -> JobRequest:
    """Read a request as the API does.

    Raises
    ------
    InvalidError
        With every field that is wrong.
    """
    try:
        request: JobRequest = JobRequestSchema().load(dict(raw))
    except ValidationError as error:
        raise InvalidError(list(field_errors({"json": error.messages_dict}))) from error
    return request


def _who(asked: Asked) -> Identity:
    return Identity(user=asked.user, admin=False, scopes=expand([Scope.SUBMIT]))


# ---- a problem from files


def _read(gateway: Gateway, asked: Asked) -> tuple[ProblemForJob, list[str]]:
    """Check a problem that lies in files, and render it as the gateway would; with notes."""
    settings, path = gateway.settings, Path(asked.problem)
    contents: dict[str, bytes] = {}

    def take(file: Path) -> str:
        content = _content(file, settings.limits.file_bytes)
        digest = hashlib.sha256(content).hexdigest()
        contents[digest] = content
        return digest

    def found(digest: str) -> bytes:
        try:
            return contents[digest]
        except KeyError:
            raise NotFoundError(f"no --file has the digest {digest}") from None

    document = _document(asked, path, take, settings)
    limits, classes = settings.limits, settings.problems.allowed_classes
    examined = examine(document, found, limits, classes)
    bundle = examined.bundle
    problem = ProblemForJob(
        ref=ProblemRef(id=None, version=0, name=document.name, type=document.type, digest=""),
        job={
            "type": bundle.type,
            "entry": bundle.entry,
            "args": list(bundle.args),
            "python": bundle.python,
        },
        files={name: gateway.blobs.put(data).digest for name, data in bundle.files.items()},
        n_parameters=examined.n_parameters,
        n_points=examined.n_points,
    )
    opens = [str(name) for name in examined.details.get("opens", ())]
    return problem, [*examined.warnings, *_left_behind(path.parent, opens, bundle.files)]


def _left_behind(folder: Path, opens: list[str], given: Mapping[str, bytes]) -> list[str]:
    """Say which files a script reads that lie beside it but were not given."""
    names = {name.removeprefix("./") for name in opens if not PurePosixPath(name).is_absolute()}
    beside = sorted(name for name in names - set(given) if (folder / name).is_file())
    return [
        f"{name!r} lies beside the script, but the job will not have it: make it again with "
        f"--file {shlex.quote(f'{name}={folder / name}')}"
        for name in beside
    ]


def _document(asked: Asked, path: Path, take: Take, settings: Settings) -> Document:
    """Say which of the three kinds a file is, and make its document."""
    more = [{"name": name, "digest": take(file)} for name, file in asked.files.items()]
    own = {"name": path.name, "digest": take(path)}
    if path.suffix == ".py":
        content = {"entry": path.name, "files": [own, *more], "args": list(asked.args)}
        return load_document({"name": path.stem, "type": "script", "script": content})
    if path.suffix != ".json":
        detail = f"{path.name!r} is neither a model script (.py) nor a problem (.json)"
        raise InvalidError.at("/problem", detail)
    if asked.args:
        raise InvalidError.at("/args", "only a model script (.py) has arguments: leave out --arg")
    limits = JsonLimits(size_bytes=settings.limits.model_bytes)
    raw = read_json(_content(path, limits.size_bytes), limits, "/problem")
    if isinstance(raw, dict) and "type" in raw and "name" in raw:
        return load_document(raw)  # as for POST /problems
    return load_document({"name": path.stem, "type": "json", "json": {"file": own}})


def _content(path: Path, most: int) -> bytes:
    """Read a file that is not too large for a gateway to take."""
    try:
        with path.open("rb") as stream:
            content = stream.read(most + 1)
    except OSError as error:
        raise InvalidError.at("/files", f"{path} cannot be read: {error}") from error
    if len(content) > most:
        raise InvalidError.at("/files", f"{path} has more than the {most} bytes that are taken")
    return content
