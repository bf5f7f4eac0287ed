"""The verbs of problems: make, read, edit, clone, render."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

from gateway.accounts.models import Identity
from gateway.accounts.rights import Right, require_may, require_own
from gateway.datasets.service import Files
from gateway.errors import (
    ConflictError,
    FieldError,
    InvalidError,
    NotFoundError,
    TooManyRequestsError,
)
from gateway.ids import new_id
from gateway.jobs.models import ProblemRef
from gateway.jobs.prepare import Convert, ProblemForJob
from gateway.problems.bumps_json import check_json
from gateway.problems.bundle import StoredFiles, missing, render_element
from gateway.problems.examine import Examined, examine
from gateway.problems.json_reading import JsonLimits
from gateway.problems.known import known_parameters
from gateway.problems.models import (
    CurveDocument,
    Document,
    FitProblem,
    JsonDocument,
    ProblemVersion,
    ReadBlob,
    ScriptDocument,
    content_json,
    digest_of,
)
from gateway.problems.schemas import CurveSchema
from gateway.problems.store import KeptBundle, KeptVersion, ProblemStore
from gateway.records import now
from gateway.settings import Settings

_FILES: dict[type, str] = {
    CurveDocument: "/curve/data/digest",
    JsonDocument: "/json/file/digest",
    ScriptDocument: "/script/files",
}
"""Where in a document its files are named."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A problem and one of its versions."""

    problem: FitProblem
    kept: KeptVersion


class ProblemService:
    """Problems, for those who may."""

    def __init__(self, *, store: ProblemStore, files: Files, settings: Settings) -> None:
        self._store = store
        self._files = files
        self._settings = settings

    def create(
        self, identity: Identity, document: Document, key: str = "", request_hash: str = ""
    ) -> Found:
        """Check a document and keep it as a new problem."""
        owner = identity.user
        if key and (earlier := self._store.replayed(owner, key, request_hash)):
            return self.get(identity, earlier)
        self._require_room(owner)
        kept = self._keep(owner, new_id(), 1, document)
        made = self._store.put(
            _problem(owner, kept, document), kept, key=key, request_hash=request_hash
        )
        return self.get(identity, made)

    def update(
        self, identity: Identity, id: str, document: Document, expected: int | None
    ) -> Found:
        """Edit a problem: new content is a new version, new words are not."""
        problem = self._own(identity, id, Right.WRITE)
        problem = replace(
            problem,
            updated=now(),
            name=document.name,
            tags=document.tags,
            notes=document.notes,
        )
        kept = self._keep(problem.owner, id, problem.version + 1, document)
        if kept.version.digest == problem.digest:
            self._store.describe(problem)
            return self.get(identity, id)
        changed = replace(
            problem,
            version=kept.version.number,
            digest=kept.version.digest,
            type=kept.version.type,
        )
        self._store.put(changed, kept, replaces=problem.version if expected is None else expected)
        return self.get(identity, id)

    def clone(self, identity: Identity, id: str, name: str | None) -> Found:
        """Copy the newest version of a problem into a new one."""
        source = self.get(identity, id)
        self._require_room(identity.user)
        return self._copy(identity, source, name or f"{source.problem.name} (copy)")

    def _copy(self, identity: Identity, source: Found, name: str) -> Found:
        copy_id = new_id()
        kept = replace(
            source.kept,
            version=replace(source.kept.version, problem_id=copy_id, number=1, created=now()),
        )
        copy = replace(
            source.problem,
            id=copy_id,
            owner=identity.user,
            name=name,
            created=now(),
            updated=now(),
            version=1,
            cloned_from=source.problem.id,
        )
        self._files.keep(kept)
        self._store.put(copy, kept)
        return Found(problem=copy, kept=kept)

    def copy_for(self, who: Identity, ref: ProblemRef, elements: object) -> Found:
        """Copy what a job ran with into a problem of somebody who may see the job.

        All contents that it names, and its elements do, are theirs then, too.
        """
        try:
            source, kept = self._store.both(ref.id or "", ref.version or None)
        except NotFoundError as error:
            raise ConflictError(
                "the problem of this job was deleted: download everything, and upload its model"
            ) from error
        self._require_room(who.user)
        for digest, name in _named_files([kept.version.document, elements]).items():
            self._files.put(who.user, name, self._files.content(digest))
        bare = replace(source, notes="", tags=())  # its owner's own words are no part of the job
        return self._copy(who, Found(problem=bare, kept=kept), source.name)

    def _require_room(self, owner: str) -> None:
        most = self._settings.limits.problems_per_user
        if self._store.count(owner) >= most:
            raise TooManyRequestsError(f"you have {most} problems: delete some", 60)

    def delete(self, identity: Identity, id: str) -> None:
        """Forget a problem; jobs keep what they ran with."""
        self._store.delete(self._own(identity, id, Right.WRITE))

    def get(self, identity: Identity, id: str, number: int | None = None) -> Found:
        """Read a problem with its newest version, or with a given one."""
        try:
            problem, kept = self._store.both(id, number)
        except NotFoundError:
            self._own(identity, id, Right.READ)  # a stranger does not learn that only this lacks
            raise
        require_may(identity, Right.READ, problem.owner, f"problem {id[:40]}")
        return Found(problem=problem, kept=kept)

    def versions(self, identity: Identity, id: str) -> list[KeptVersion]:
        """Read all versions, the newest first."""
        self._own(identity, id, Right.READ)
        return self._store.versions(id)

    def find(
        self, identity: Identity, words: str, limit: int, before: str | None
    ) -> tuple[list[FitProblem], str | None]:
        """Answer a page of problems, newest first, and the id that it ends with."""
        found: list[FitProblem] = []
        last = None
        for problem in self._store.newest(identity.user, before):
            if len(found) == limit:
                return found, last
            last = problem.id
            text = " ".join((problem.name, problem.notes, *problem.tags)).casefold()
            if all(word in text for word in words.casefold().split()):
                found.append(problem)
        return found, None

    def for_job(self, identity: Identity, id: str, version: int | None) -> ProblemForJob:
        """Give a job what it needs of a problem."""
        found = self.get(identity, id, version)
        kept = found.kept
        return ProblemForJob(
            ref=ProblemRef(
                id=id,
                version=kept.version.number,
                name=found.problem.name,
                type=kept.version.type,
                digest=kept.version.digest,
            ),
            job={
                "type": kept.bundle.type,
                "entry": kept.bundle.entry,
                "args": list(kept.bundle.args),
                "python": kept.bundle.python,
            },
            files=kept.bundle.files,
            n_parameters=kept.n_parameters,
            n_points=kept.n_points,
            known=known_parameters(kept.version.document, kept.details),
            convert=self._converter(kept),
        )

    def examine(self, identity: Identity, document: Document) -> Examined:
        """Check a document and say what is known of it; nothing is kept.

        Raises
        ------
        InvalidError
            With every field that is wrong.
        """
        return self._examine(identity.user, document)

    def file_sizes(self, kept: KeptVersion) -> dict[str, int]:
        """Say how large the files are that a version renders to."""
        return {name: self._files.size(digest) for name, digest in kept.bundle.files.items()}

    def entry_text(self, kept: KeptVersion, most_bytes: int) -> str:
        """Read the beginning of what a version runs."""
        digest = kept.bundle.files[kept.bundle.entry]
        return self._files.beginning(digest, most_bytes).decode("utf-8", "replace")

    def _keep(self, owner: str, id: str, number: int, document: Document) -> KeptVersion:
        """Check the content, render it once, and keep what it renders to."""
        examined = self._examine(owner, document)
        files = self._keep_files(owner, examined.bundle.files)
        content = content_json(replace(document, content=examined.content))
        return KeptVersion(
            version=ProblemVersion(
                problem_id=id,
                number=number,
                digest=digest_of(content),
                type=document.type,
                document=content,
                created=now(),
                classification=examined.classification,
                warnings=examined.warnings,
            ),
            bundle=KeptBundle(
                type=examined.bundle.type,
                entry=examined.bundle.entry,
                files=files,
                args=examined.bundle.args,
                python=examined.bundle.python,
            ),
            labels=examined.labels,
            n_parameters=examined.n_parameters,
            n_points=examined.n_points,
            details=dict(examined.details),
        )

    def _keep_files(self, owner: str, files: Mapping[str, bytes]) -> dict[str, str]:
        """Keep what a problem renders to; what its owner has uploaded is here already."""
        if isinstance(files, StoredFiles):
            return files.digests
        return {name: self._files.put(owner, name, data).digest for name, data in files.items()}

    def _examine(self, owner: str, document: Document) -> Examined:
        where = _FILES[type(document.content)]
        examined = examine(
            document,
            lambda digest: self._files.read(owner, digest, where),
            self._settings.limits,
            self._settings.problems.allowed_classes,
        )
        if isinstance(document.content, ScriptDocument):
            self._require_files(owner, document.content)
        return examined

    def _require_files(self, owner: str, script: ScriptDocument) -> None:
        """See that all files are there and stay, without reading them."""
        errors = [
            missing(file, f"/script/files/{index}")
            for index, file in enumerate(script.files)
            if not self._files.owns(owner, file.digest)
        ]
        if errors:
            raise InvalidError(errors)

    def _converter(self, kept: KeptVersion) -> Convert | None:
        """Say how the files of an array's elements are checked and made what the model reads."""
        converters: dict[str, Convert] = {
            "curve": partial(_read_curve, kept),
            "json": self._read_json,
        }
        return converters.get(kept.version.type)

    def _read_json(self, raw: bytes, pointer: str) -> bytes:
        """Look at another JSON problem as at the first; it is loaded in its place."""
        limits = JsonLimits(size_bytes=self._settings.limits.model_bytes)
        try:
            check_json(raw, self._settings.problems.allowed_classes, limits)
        except InvalidError as error:
            raise InvalidError([_at(pointer, item) for item in error.errors]) from error
        return raw

    def _own(self, identity: Identity, id: str, right: Right) -> FitProblem:
        return require_own(self._store.get, identity, right, id, "problem")


def _read_curve(kept: KeptVersion, raw: bytes, pointer: str) -> bytes:
    """Read the data of an element by the columns of the curve."""
    # Most jobs have no elements, and reading the schema takes a tenth of a submission.
    curve: CurveDocument = CurveSchema().load(dict(kept.version.document["curve"]))
    return render_element(curve, raw, pointer)


def _named_files(document: object) -> dict[str, str]:
    """Find the files that a document names: digest to name.

    >>> _named_files({"data": {"name": "a.dat", "digest": "0" * 64}, "args": ["x"]}) == {
    ...     "0" * 64: "a.dat"}
    True
    """
    if isinstance(document, list | tuple):
        return {key: name for part in document for key, name in _named_files(part).items()}
    if not isinstance(document, Mapping):
        return {}
    found = _named_files(list(document.values()))
    if isinstance(digest := document.get("digest"), str):
        found[digest] = str(document.get("name") or "data")
    if isinstance(files := document.get("files"), Mapping):  # of an element
        found |= {str(digest): str(path) for path, digest in files.items()}
    return found


def _at(pointer: str, item: FieldError) -> FieldError:
    detail = f"at {item.pointer}: {item.detail}" if item.pointer else item.detail
    return FieldError(pointer=pointer, detail=detail)


def _problem(owner: str, kept: KeptVersion, document: Document) -> FitProblem:
    version = kept.version
    return FitProblem(
        id=version.problem_id,
        owner=owner,
        name=document.name,
        type=version.type,
        created=version.created,
        updated=version.created,
        version=1,
        digest=version.digest,
        tags=document.tags,
        notes=document.notes,
    )


def data_reader(files: Files, owner: str) -> ReadBlob:
    """Read the files that a curve names, as its owner."""
    return lambda digest: files.read(owner, digest, "/curve/data/digest")
