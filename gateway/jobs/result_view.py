"""Results as the pages show them: read from documents that a job wrote, so nothing is trusted.

What is not of the form of the contract becomes absent, never an error and never a wrong number.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

from gateway.datasets.blobs import BlobStore
from gateway.datasets.models import Dataset, FileRef
from gateway.jobs.concise import concise, plain
from gateway.jobs.documents import read_stored, result_documents
from gateway.jobs.named import by_name
from gateway.records import Document, is_number

_LABEL = 200
_TEXT = 4_000
_TRACEBACK = 20_000
_PARAMETERS = 2_000
_ELEMENTS = 20_000
_FIXED = 50
_FIXED_COLUMNS, _FITTED_COLUMNS = 50, 100
"""Of a table of all elements: names are as many as a job likes, and each is a cell in each row."""

_AGREED = 1.1
"""Below it the chains agree, as the verdict of dream has it."""

_DIGITS = 5
_MOST_DIGITS = 15
Interval = tuple[float | None, float | None]


@dataclass(frozen=True, kw_only=True)
class ParameterRow:
    """One fitted parameter."""

    label: str
    value: float | None
    uncertainty: float | None = None
    bounds: Interval = (None, None)
    start: float | None = None
    at_limit: str = ""
    """``low`` or ``high`` where it sits at a bound, else empty."""

    mean: float | None = None
    median: float | None = None
    interval_68: Interval | None = None
    interval_95: Interval | None = None
    r_hat: float | None = None
    """How well dream's chains agree on it: 1 is best."""

    @property
    def is_mixed(self) -> bool:
        """Whether the chains agree on it, or nobody asked them."""
        return self.r_hat is None or self.r_hat < _AGREED

    @property
    def is_open(self) -> bool:
        """Whether its uncertainty is wider than its range: the data say nothing of it."""
        low, high = self.bounds
        if self.uncertainty is None or low is None or high is None:
            return False
        return self.uncertainty > high - low

    @property
    def concise(self) -> str:
        """Value and uncertainty in the short form."""
        if self.is_open:  # in its last digits nothing would be left of the value
            return f"{plain(self.value, _DIGITS)} ± {plain(self.uncertainty, 2)}"
        return concise(self.value, self.uncertainty)

    @property
    def full(self) -> str:
        """Value and uncertainty with all their digits."""
        value = "-" if self.value is None else repr(self.value)
        return value if self.uncertainty is None else f"{value} ± {self.uncertainty!r}"

    @property
    def digits(self) -> tuple[tuple[str, str], ...]:
        """All that is known of it, each number with all its digits."""
        found: list[tuple[str, str]] = [("value", self.full)]
        numbers = {"mean": self.mean, "median": self.median}
        found += [(name, repr(value)) for name, value in numbers.items() if value is not None]
        for name, interval in (("68 %", self.interval_68), ("95 %", self.interval_95)):
            if interval is not None:
                ends = ("-" if end is None else repr(end) for end in interval)
                found.append((name, " … ".join(ends)))
        return tuple(found)

    @property
    def position(self) -> float | None:
        """Where between its bounds the value lies, from 0 to 1; None when one is open."""
        low, high = self.bounds
        if self.value is None or low is None or high is None or not high > low:
            return None
        return min(1.0, max(0.0, (self.value - low) / (high - low)))


@dataclass(frozen=True, kw_only=True)
class UserError:
    """What the user's own code raised."""

    type: str
    message: str
    file: str
    line: int | None
    traceback: str


@dataclass(frozen=True, kw_only=True)
class ResultView:
    """A result, read."""

    status: str = ""
    code: str = ""
    text: str = ""
    method: str = ""
    label: str = ""
    numbers: Mapping[str, float | None] = field(default_factory=dict)
    """``chisq``, ``dof``, ``points``, ``start_chisq``, ``steps``, ``evaluations`` ..."""

    parameters: tuple[ParameterRow, ...] = ()
    fixed: Mapping[str, float] = field(default_factory=dict)
    """Parameters that this element of a campaign held at these values."""

    convergence: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    error: UserError | None = None
    check: tuple[Document, ...] = ()
    models: tuple[str, ...] = ()

    @property
    def chisq(self) -> float | None:
        """The reduced chi-square."""
        return self.numbers.get("chisq")

    @property
    def has_intervals(self) -> bool:
        """Whether there are credible intervals to show."""
        return any(row.interval_68 for row in self.parameters)

    @property
    def has_r_hat(self) -> bool:
        """Whether there is a word on how well chains agree."""
        return any(row.r_hat is not None for row in self.parameters)

    @property
    def at_limits(self) -> tuple[ParameterRow, ...]:
        """The parameters that sit at a bound."""
        return tuple(row for row in self.parameters if row.at_limit)


@dataclass(frozen=True, kw_only=True)
class ElementView:
    """One element of an array."""

    index: int
    result: ResultView

    def row(self, label: str) -> ParameterRow | None:
        """Find a parameter; None when this element has no such one."""
        return self.rows.get(label)

    @cached_property
    def rows(self) -> Mapping[str, ParameterRow]:
        """Its parameters by names of which no two are the same."""
        return by_name(self.result.parameters)


@dataclass(frozen=True, kw_only=True)
class ResultsView:
    """All that came out of an attempt."""

    files: tuple[FileRef, ...]
    complete: bool
    result: ResultView | None = None
    """The result of a job without elements."""

    elements: tuple[ElementView, ...] = ()

    def has(self, path: str) -> bool:
        """Whether there is a file of this name."""
        return any(ref.path == path for ref in self.files)

    @property
    def labels(self) -> tuple[str, ...]:
        """The first parameters that any element has, in the order in which they come."""
        return self._labels[:_FITTED_COLUMNS]

    @property
    def fixed(self) -> tuple[str, ...]:
        """The first parameters that any element held, in the order in which they come."""
        return self._fixed[:_FIXED_COLUMNS]

    @property
    def fixed_left_out(self) -> int:
        """How many more any element held."""
        return len(self._fixed) - len(self.fixed)

    @property
    def left_out(self) -> str:
        """Say what a table of `fixed` and `labels` does not have; empty when it has all."""
        counts = {"fixed": self.fixed_left_out, "fitted": len(self._labels) - len(self.labels)}
        parts = [f"{count} {what}" for what, count in counts.items() if count]
        said = f"left out here: {' and '.join(parts)} parameters; parameters.json has all"
        return said if parts else ""

    # The rows of a table ask for them, and elements are many.
    @cached_property
    def _labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for item in self.elements for name in item.rows))

    @cached_property
    def _fixed(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for item in self.elements for name in item.result.fixed))


def read_results(blobs: BlobStore, dataset: Dataset, elements_asked: int) -> ResultsView:
    """Read what an attempt left.

    Parameters
    ----------
    elements_asked
        How many elements its job has, whatever the result says; 0: it is no array.
    """
    single: ResultView | None = None
    elements: list[ElementView] = []
    for document in result_documents(blobs, dataset.files):
        if elements_asked and isinstance(document.get("elements"), list):
            room = min(elements_asked, _ELEMENTS) - len(elements)
            elements.extend(islice(_elements(document["elements"], elements_asked), room))
        elif single is None:
            single = read_result(document)
    elements.sort(key=lambda item: item.index)
    return ResultsView(
        files=dataset.files,
        complete=dataset.complete,
        result=single if not elements else None,
        elements=tuple(elements),
    )


def read_element(blobs: BlobStore, dataset: Dataset, index: int) -> ResultView | None:
    """Read the whole result of one element; None when it left none."""
    document = read_stored(blobs, dataset.file(f"out/{index}/result.json"))
    return None if document is None else read_result(document)


def read_result(document: Document) -> ResultView:
    """Read a result document of a driver."""
    verdict = _mapping(document.get("verdict"))
    convergence = _mapping(document.get("convergence"))
    check = _mapping(document.get("check"))
    names = ("chisq", "nllf", "dof", "points", "start_chisq", "steps", "evaluations", "time_s",
             "evaluation_s", "seed", "cpus")  # fmt: skip
    return ResultView(
        status=_text(document.get("status"), 40),
        code=_text(verdict.get("code"), 64),
        text=_text(verdict.get("text"), _TEXT),
        method=_text(document.get("method"), 40),
        label=_text(document.get("label"), _LABEL),
        numbers={name: _number(document.get(name)) for name in names},
        parameters=tuple(_parameters(document.get("parameters"), convergence.get("r_hat"))),
        fixed=dict(islice(_fixed(document.get("fixed")), _FIXED)),
        convergence=_convergence(convergence),
        versions={
            _text(name, 40): _text(version, 60)
            for name, version in list(_mapping(document.get("versions")).items())[:40]
        },
        warnings=tuple(_texts(document.get("warnings")) + _texts(check.get("warnings"))),
        error=_error(document.get("error")),
        check=tuple(_checked(check.get("parameters"))),
        models=tuple(_texts(check.get("models"))),
    )


def _elements(rows: Sequence[Any], count: int) -> Iterator[ElementView]:
    for row in rows[:_ELEMENTS]:
        index = _mapping(row).get("index")
        if type(index) is int and 0 <= index < count:
            yield ElementView(index=index, result=read_result(row))


def _parameters(rows: Any, r_hat: Any) -> Iterator[ParameterRow]:
    agreed = r_hat if isinstance(r_hat, list) else []
    for index, row in enumerate((rows if isinstance(rows, list) else [])[:_PARAMETERS]):
        if not isinstance(row, dict):
            continue
        limit = row.get("at_limit")
        yield ParameterRow(
            label=_text(row.get("label"), _LABEL) or "(without a name)",
            value=_number(row.get("value")),
            uncertainty=_number(row.get("uncertainty")),
            bounds=_interval(row.get("bounds")) or (None, None),
            start=_number(row.get("start")),
            at_limit=limit if limit in ("low", "high") else "",
            mean=_number(row.get("mean")),
            median=_number(row.get("median")),
            interval_68=_interval(row.get("interval_68")),
            interval_95=_interval(row.get("interval_95")),
            r_hat=_number(agreed[index]) if index < len(agreed) else None,
        )


def _fixed(values: Any) -> Iterator[tuple[str, float]]:
    for name, value in _mapping(values).items():
        if is_number(value) and (label := _text(name, _LABEL)):
            yield label, float(value)


def _checked(rows: Any) -> Iterator[Document]:
    for row in (rows if isinstance(rows, list) else [])[:_PARAMETERS]:
        if isinstance(row, dict):
            yield {
                "label": _text(row.get("label"), _LABEL),
                "value": _number(row.get("value")),
                "bounds": _interval(row.get("bounds")) or (None, None),
                "in_bounds": row.get("in_bounds") is not False,
            }


def _convergence(found: Mapping[str, Any]) -> Document:
    converged = found.get("converged")
    return {
        "converged": converged if isinstance(converged, bool) else None,
        "r_hat": _worst(found.get("r_hat"), max),
        "ess": _worst(found.get("ess"), min),
        "acceptance": _number(found.get("acceptance")),
        "text": _text(found.get("text"), _TEXT),
    }


def _worst(values: Any, choose: Any) -> float | None:
    numbers = [value for value in values if is_number(value)] if isinstance(values, list) else []
    return float(choose(numbers)) if numbers else None


def _error(found: Any) -> UserError | None:
    if not isinstance(found, dict):
        return None
    line = found.get("line")
    return UserError(
        type=_text(found.get("type"), 100),
        message=_text(found.get("message"), _TEXT),
        file=_text(found.get("file"), _LABEL),
        line=line if type(line) is int else None,
        traceback=_text(found.get("traceback"), _TRACEBACK),
    )


def _interval(value: Any) -> Interval | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    return _number(value[0]), _number(value[1])


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    return float(value) if is_number(value) else None


def _text(value: Any, limit: int) -> str:
    return value[:limit] if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    return [_text(item, _TEXT) for item in value[:100]] if isinstance(value, list) else []


def interval_text(interval: Interval | None) -> str:
    """Write an interval with the digits that its width needs, so that no end is rounded away.

    >>> interval_text((1.9990274, 1.9999926)), interval_text((0.1, 12.0))
    ('1.999027 … 1.999993', '0.1 … 12')
    >>> interval_text((0.1, None)), interval_text(None), interval_text((2.5, 2.5))
    ('0.1 … -', '-', '2.5 … 2.5')
    """
    if interval is None:
        return "-"
    digits = max(_DIGITS, *(_needed(interval, end) for end in interval))
    return f"{plain(interval[0], digits)} … {plain(interval[1], digits)}"


def _needed(interval: Interval, end: float | None) -> int:
    """Say how many digits of an end show three of the width."""
    low, high = interval
    if not end or low is None or high is None or not 0 < high - low < math.inf:
        return 0
    power = math.floor(math.log10(abs(end))) - math.floor(math.log10(high - low))
    return min(_MOST_DIGITS, power + 3)
