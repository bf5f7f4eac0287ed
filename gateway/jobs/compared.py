"""Two to ten results side by side: what they found, how far apart that is, what was set otherwise.

A member is a job, one attempt of it (``ID:2``), or one element of an array (``ID::7``, ``ID:2:7``).
The first is the reference: differences are taken from it.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from gateway.accounts.models import Identity
from gateway.datasets.blobs import BlobStore
from gateway.datasets.models import Dataset
from gateway.errors import InvalidError, NotFoundError
from gateway.ids import is_id
from gateway.jobs.documents import read_document
from gateway.jobs.models import Attempt, Job, Plan
from gateway.jobs.named import by_name
from gateway.jobs.result_view import ParameterRow, ResultView, read_element, read_results
from gateway.jobs.service import find_attempt
from gateway.records import Document
from gateway.services import Gateway

FEWEST, MOST = 2, 10
FAR = 2.0
"""So many standard deviations apart, and two values are said to differ."""

POINTER = "/query/ids"
_CURVES_BYTES = 2_000_000
"""Of larger curves nobody says whether the data in them are the same."""

_REF = re.compile(r"([0-9A-Z]{26})(?::(\d{1,6})?(?::(\d{1,6}))?)?")


@dataclass(frozen=True, kw_only=True)
class Ref:
    """What is to be compared."""

    job: str
    attempt: int | None = None
    element: int | None = None

    def __str__(self) -> str:
        attempt = "" if self.attempt is None else str(self.attempt)
        if self.element is not None:
            return f"{self.job}:{attempt}:{self.element}"
        return f"{self.job}:{attempt}" if attempt else self.job


@dataclass(frozen=True, kw_only=True)
class Member:
    """One of those that are compared, read."""

    ref: Ref
    job: Job
    attempt: Attempt
    plan: Plan
    result: ResultView | None
    """None while it has none, and of an array as a whole."""

    curves: str | None = None
    """Path of the file with its curves; None when it left none."""

    data: str = ""
    """Digest of the data that it was fitted to; empty when nobody knows."""

    @cached_property
    def rows(self) -> Mapping[str, ParameterRow]:
        """Its parameters by name."""
        return by_name(self.result.parameters if self.result else ())

    @property
    def element(self) -> Document:
        """What `job.json` says of its element; empty when it is none."""
        rows = self.plan.job.get("elements")
        if self.ref.element is None or not isinstance(rows, list):
            return {}
        found = rows[self.ref.element] if self.ref.element < len(rows) else {}
        return found if isinstance(found, dict) else {}

    @property
    def title(self) -> str:
        """What to call it beside others, of the same job perhaps."""
        parts = [self.job.title]
        if self.ref.element is not None:
            parts.append(f"element {self.element.get('label') or self.ref.element}")
        if len(self.job.attempts) > 1:
            parts.append(f"attempt {self.attempt.number}")
        return ", ".join(parts)

    @property
    def information(self) -> tuple[float | None, float | None]:
        """Akaike's and the Bayesian information criterion, each with the same constant for all."""
        if self.result is None:
            return None, None
        nllf, points = self.result.numbers.get("nllf"), self.result.numbers.get("points")
        if nllf is None or not points or points <= 0:
            return None, None
        count = len(self.result.parameters)
        return _finite(2 * nllf + 2 * count), _finite(2 * nllf + count * math.log(points))


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A parameter in one member, beside the reference."""

    row: ParameterRow
    difference: float | None = None
    """Less the value of the reference; None in the reference itself."""

    uncertainty: float | None = None
    """Of the difference, as if the two were independent."""

    @property
    def sigmas(self) -> float | None:
        """The difference in units of its uncertainty."""
        if self.difference is None or not self.uncertainty:
            return None
        return _finite(self.difference / self.uncertainty)

    @property
    def differs(self) -> bool:
        """Whether it is farther from the reference than chance would have it."""
        if self.difference is None:
            return False
        return bool(self.difference) if self.sigmas is None else abs(self.sigmas) > FAR


@dataclass(frozen=True, kw_only=True)
class Line:
    """A parameter over all members."""

    label: str
    cells: tuple[Cell | None, ...]

    @property
    def known(self) -> tuple[Cell, ...]:
        """The members that have it."""
        return tuple(cell for cell in self.cells if cell is not None)

    @property
    def differs(self) -> bool:
        """Whether any is far from the reference, or does not have it at all."""
        return len(self.known) < len(self.cells) or any(cell.differs for cell in self.known)

    @property
    def spread(self) -> float | None:
        """The largest value less the smallest."""
        values = [cell.row.value for cell in self.known if cell.row.value is not None]
        return _finite(max(values) - min(values)) if len(values) > 1 else None

    @property
    def farthest(self) -> float | None:
        """The largest distance from the reference, in standard deviations."""
        found = [abs(cell.sigmas) for cell in self.known if cell.sigmas is not None]
        return max(found, default=None)

    @cached_property
    def mean(self) -> tuple[float, float] | None:
        """The mean, weighted by the uncertainties, and its own."""
        known = _measured(self.known)
        if len(known) < FEWEST:
            return None
        least = min(error for _, error in known)
        weights = [(least / error) ** 2 for _, error in known]  # at most 1: none overflows
        total = sum(weights)
        pairs = zip(known, weights, strict=True)
        mean = _finite(sum(value * weight for (value, _), weight in pairs) / total)
        return None if mean is None else (mean, least / math.sqrt(total))

    @property
    def chisq(self) -> float | None:
        """Reduced chi-square of the values about that mean: about 1 when they agree."""
        if self.mean is None:
            return None
        known = _measured(self.known)
        mean = self.mean[0]
        distances = [(value - mean) / error for value, error in known]
        return _finite(sum(one * one for one in distances) / (len(known) - 1))


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All members, and what can be said of them together."""

    members: tuple[Member, ...]

    @property
    def reference(self) -> Member:
        """The member from which differences are taken."""
        return self.members[0]

    @cached_property
    def lines(self) -> tuple[Line, ...]:
        """Every parameter that any member fitted, in the order in which they come."""
        labels = dict.fromkeys(label for one in self.members for label in one.rows)
        first = self.reference.rows
        return tuple(
            Line(
                label=label,
                cells=tuple(
                    _cell(one.rows.get(label), None if index == 0 else first.get(label))
                    for index, one in enumerate(self.members)
                ),
            )
            for label in labels
        )

    @property
    def same_data(self) -> bool | None:
        """Whether all were fitted to the same numbers; None when that is not known of some."""
        known = {one.data for one in self.members if one.data}
        if len(known) > 1:
            return False
        return True if all(one.data for one in self.members) else None

    def versus_best(self, which: int) -> tuple[float | None, ...]:
        """Give a criterion of `Member.information` less the smallest, where data are the same.

        Parameters
        ----------
        which
            0: Akaike's, 1: the Bayesian one.
        """
        found = [one.information[which] if self.same_data else None for one in self.members]
        best = min((value for value in found if value is not None), default=None)
        return tuple(None if value is None or best is None else value - best for value in found)


def parse_refs(texts: Iterable[str]) -> tuple[Ref, ...]:
    """Read what is to be compared: in one text with commas between, or in several.

    >>> id = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
    >>> [str(ref).replace(id, "ID") for ref in parse_refs([f"{id}:2, {id}::3", id])]
    ['ID:2', 'ID::3', 'ID']

    Raises
    ------
    InvalidError
        If one is not of the form ``ID``, ``ID:attempt`` or ``ID:attempt:element``, or comes twice.
    """
    words = [word.strip() for text in texts for word in text.split(",")]
    refs = [_ref(word) for word in words if word]
    for ref in refs:
        if refs.count(ref) > 1:
            raise InvalidError.at(POINTER, f"{ref} is there twice: compare different results")
    return tuple(refs)


def _ref(word: str) -> Ref:
    found = _REF.fullmatch(word)
    if found is None or not is_id(found[1]):
        raise InvalidError.at(
            POINTER,
            f"{word[:60]!r} names no job: give its id, or ID:attempt, or ID:attempt:element",
        )
    attempt, element = (int(text) if text else None for text in found.groups()[1:])
    return Ref(job=found[1], attempt=attempt, element=element)


def compare(services: Gateway, who: Identity, refs: Sequence[Ref]) -> Comparison:
    """Read all that are to be compared.

    Raises
    ------
    InvalidError
        If they are too few or too many, or come to the same result by two names.
    NotFoundError
        If there is no such job, attempt or element that *who* may see.
    """
    if not FEWEST <= len(refs) <= MOST:
        raise InvalidError.at(
            POINTER,
            f"{len(refs)} given: name {FEWEST} to {MOST} jobs, with commas between their ids",
        )
    members = [_member(services, who, ref) for ref in refs]
    found = [(one.job.id, one.attempt.number, one.ref.element) for one in members]
    for index, place in enumerate(found):
        if place in found[:index]:
            raise InvalidError.at(POINTER, f"{refs[index]} is there twice, by two names")
    return Comparison(members=tuple(members))


def _member(services: Gateway, who: Identity, ref: Ref) -> Member:
    job = services.jobs.get(who, ref.job)
    attempt = find_attempt(job, ref.attempt)
    plan = services.jobs.plan(job, attempt.number)
    if ref.element is not None and ref.element >= job.elements:
        raise NotFoundError(f"job {job.id} has no element {ref.element}; it has {job.elements}")
    bare = Member(ref=ref, job=job, attempt=attempt, plan=plan, result=None)
    if attempt.dataset is None:
        return bare
    dataset = services.files.dataset(attempt.dataset)
    folder = "out" if ref.element is None else f"out/{ref.element}"
    path = f"{folder}/curves.json"
    return replace(
        bare,
        result=_result(services.blobs, dataset, job, ref.element),
        curves=path if dataset.file(path) else None,
        data=_data_digest(services.blobs, dataset, path),
    )


def _result(blobs: BlobStore, dataset: Dataset, job: Job, element: int | None) -> ResultView | None:
    if element is not None:
        return read_element(blobs, dataset, element)
    return None if job.elements else read_results(blobs, dataset, 0).result


def _data_digest(blobs: BlobStore, dataset: Dataset, path: str) -> str:
    """Digest the measured numbers, wherever a fit had them from."""
    ref = dataset.file(path)
    if ref is None or ref.size > _CURVES_BYTES:
        return ""
    document = read_document(blobs.read(ref.digest))
    models = document.get("models") if isinstance(document, dict) else None
    if not isinstance(models, list) or not models:
        return ""
    data = [
        [model.get(name) for name in ("x", "y", "dy")] if isinstance(model, dict) else None
        for model in models
    ]
    return hashlib.sha256(json.dumps(data).encode()).hexdigest()


def _cell(row: ParameterRow | None, first: ParameterRow | None) -> Cell | None:
    if row is None:
        return None
    if first is None or first.value is None or row.value is None:
        return Cell(row=row)
    uncertainty = None
    if row.uncertainty is not None and first.uncertainty is not None:
        uncertainty = math.hypot(row.uncertainty, first.uncertainty)
    return Cell(row=row, difference=_finite(row.value - first.value), uncertainty=uncertainty)


def _finite(value: float) -> float | None:
    """Leave out what a hostile result makes infinite: JSON has no number for it."""
    return value if math.isfinite(value) else None


def _measured(cells: Sequence[Cell]) -> list[tuple[float, float]]:
    """Give value and uncertainty of those that have both."""
    pairs = [(cell.row.value, cell.row.uncertainty) for cell in cells]
    return [(value, error) for value, error in pairs if value is not None and error and error > 0]
