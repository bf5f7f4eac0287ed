"""The nodes of a bumps JSON problem, one by one: arrays, parameters, operators, functions."""

from __future__ import annotations

import base64
import binascii
import itertools
import math
import pickletools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.records import is_number

DTYPES = frozenset({"float64", "float32", "int64", "int32", "int16", "int8", "uint8", "bool"})
# bumps.parameter.Operators of bumps 1.0, and its name for division in draft-02.
OPERATORS = frozenset(
    {
        *("neg", "pos", "add", "sub", "mul", "truediv", "div", "floordiv", "pow", "abs", "exp"),
        *("expm1", "log", "log10", "log1p", "sqrt", "degrees", "radians", "sin", "cos", "tan"),
        *("arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh"),
        *("ceil", "floor", "trunc", "rint", "round", "arctan2", "min", "max"),
    }
)
COMPARISONS = frozenset({">", ">=", "<=", "<"})
_SLOTS = (
    "bumps.parameter.Expression",
    "bumps.parameter.Constant",
    "bumps.parameter.Calculation",
    "Reference",
)
_SOURCE_LIMIT = 20_000
_GLOBALS_LIMIT = 200
Fault = tuple[str, str]
"""The part that is wrong, as the rest of a pointer, and what is wrong."""


@dataclass(frozen=True, kw_only=True)
class JsonParameter:
    """A parameter of a serialised problem."""

    id: str
    label: str
    value: float | None
    bounds: tuple[float | None, float | None]
    fitted: bool
    prior: bool
    pointer: str

    @property
    def shared(self) -> bool:
        """Whether it stands among the references."""
        return self.pointer.startswith("/references/")


@dataclass(frozen=True, kw_only=True)
class JsonFunction:
    """A pickled function: code that a job would run."""

    pointer: str
    name: str
    source: str | None
    """What the file says the source is; the pickle may hold something else."""
    names: tuple[str, ...]
    """What the pickle imports, found without loading it."""


def array_fault(node: Mapping[str, Any]) -> str:
    """Say what is wrong with an array; empty where nothing is."""
    dtype = node.get("dtype", "float64")
    if not isinstance(dtype, str) or dtype not in DTYPES:
        return f"the dtype {str(dtype)[:40]!r} is not one of {', '.join(sorted(DTYPES))}"
    return "" if array_shape(node) is not None else "the values are no array of finite numbers"


def array_shape(node: Any) -> tuple[int, ...] | None:
    """Give the shape of an array of numbers, () of one number; None where it is none."""
    values = node.get("values") if isinstance(node, dict) else node
    if is_number(values):
        return ()
    if not isinstance(values, list):
        return None
    shape: list[int] = []
    level = [values]
    for _ in range(4):
        lengths = {len(row) for row in level}
        if len(lengths) != 1:
            return None
        shape.append(lengths.pop())
        items = list(itertools.chain.from_iterable(level))
        if all(is_number(item) or isinstance(item, bool) for item in items):
            return tuple(shape)
        if not all(isinstance(item, list) for item in items):
            return None
        level = items
    return None


def has_nonpositive(array: Any) -> bool:
    """Say whether an array of uncertainties has one that is not positive."""
    rows = [array["values"] if isinstance(array, dict) else array]
    while rows:
        row = rows.pop()
        if isinstance(row, list):
            rows.extend(row)
        elif not row > 0:
            return True
    return False


def expression_fault(node: Mapping[str, Any], *, is_constraint: bool) -> str:
    """Say what is wrong with an expression or a constraint; empty where nothing is."""
    allowed = COMPARISONS if is_constraint else OPERATORS
    operator = node.get("op")
    if not isinstance(operator, str) or operator not in allowed:
        return f"{str(operator)[:40]!r} is no operator; allowed are {', '.join(sorted(allowed))}"
    if is_constraint:
        return "" if "a" in node and "b" in node else "a constraint compares a with b"
    return "" if isinstance(node.get("args"), list) else "an expression has a list of args"


def read_parameter(pointer: str, node: Mapping[str, Any]) -> tuple[JsonParameter, list[Fault]]:
    """Read a parameter and list its faults."""
    faults: list[Fault] = []
    slot = node.get("slot")
    is_variable = isinstance(slot, dict) and slot.get("__class__") == "bumps.parameter.Variable"
    value = slot.get("value") if is_variable and isinstance(slot, dict) else None
    number = float(value) if is_number(value) else None
    fixed = node.get("fixed", True)
    if not isinstance(fixed, bool):
        faults.append(("fixed", "must be true or false"))
    fitted = is_variable and fixed is False
    if not is_variable and not _is_slot(slot):
        faults.append(("slot", "must be a variable, an expression, a constant or a reference"))
    if fitted and number is None:
        faults.append(("slot/value", f"the start value {str(value)[:40]} is no finite number"))
    bounds = _interval(node.get("bounds"))
    limits = _interval(node.get("limits"))
    for key, interval in (("bounds", bounds), ("limits", limits)):
        faults.extend((key, text) for text in _interval_faults(interval, number, fitted))
    parameter = JsonParameter(
        id=str(node.get("id", "")),
        label=str(node.get("name") or "unnamed")[:200],
        value=number,
        bounds=_open_ends(bounds),
        fitted=fitted,
        prior=_is_normal(node.get("distribution")),
        pointer=pointer,
    )
    return parameter, [*faults, *_distribution_faults(node.get("distribution"))]


def _is_slot(slot: Any) -> bool:
    if isinstance(slot, dict):
        return slot.get("__class__") in (*_SLOTS, "bumps.parameter.Parameter")
    return is_number(slot)


Interval = tuple[float, float] | None | str


def _interval(pair: Any) -> Interval:
    """Read two ends; "-inf", "inf" and null leave one open. A text is what is wrong."""
    if pair is None:
        return None
    if not isinstance(pair, list) or len(pair) != 2:
        return "must be two numbers"
    ends = []
    for end, open_end in zip(pair, (-math.inf, math.inf), strict=True):
        if end is None or end in ("inf", "-inf"):
            ends.append(open_end if end is None else float(end))
        elif is_number(end):
            ends.append(float(end))
        else:
            return f"{str(end)[:40]!r} is no number"
    return ends[0], ends[1]


def _interval_faults(interval: Interval, value: float | None, fitted: bool) -> Iterator[str]:
    if interval is None:
        return
    if isinstance(interval, str):
        yield interval
        return
    low, high = interval
    if not low < high:
        yield f"the lower end {low} is not below the upper end {high}"
    elif fitted and value is not None and not low <= value <= high:
        yield f"the start value {value} lies outside {low} to {high}"


def _open_ends(interval: Interval) -> tuple[float | None, float | None]:
    if not isinstance(interval, tuple):
        return (None, None)
    low, high = interval
    return (low if math.isfinite(low) else None, high if math.isfinite(high) else None)


def _is_normal(distribution: Any) -> bool:
    return (
        isinstance(distribution, dict) and distribution.get("__class__") == "bumps.parameter.Normal"
    )


def _distribution_faults(distribution: Any) -> Iterator[Fault]:
    if not _is_normal(distribution):
        return
    mean, std = distribution.get("mean"), distribution.get("std")
    if not is_number(mean) or not is_number(std) or not std > 0:
        yield "distribution", "a normal prior has a finite mean and a positive std"


def read_function(pointer: str, node: Mapping[str, Any]) -> tuple[JsonFunction, Fault | None]:
    """Read a pickled function without loading it."""
    name, source = node.get("name"), node.get("source")
    fault: Fault | None = None
    names: tuple[str, ...] = ()
    if node.get("pickler", "dill") not in ("cloudpickle", "dill"):
        fault = ("pickler", f"{str(node.get('pickler'))[:40]!r} is not cloudpickle or dill")
    else:
        try:
            data = base64.b64decode(str(node.get("pickle", "")), validate=True)
            names = _pickled_names(data)
        except (binascii.Error, ValueError) as error:
            fault = ("pickle", f"is no pickle in base64: {str(error)[:80]}")
    function = JsonFunction(
        pointer=pointer,
        name=str(name)[:200],
        source=source[:_SOURCE_LIMIT] if isinstance(source, str) else None,
        names=names,
    )
    return function, fault


def _pickled_names(data: bytes) -> tuple[str, ...]:
    """List what a pickle imports; `pickletools.genops` reads, it does not run anything."""
    found: dict[str, None] = {}
    memo: dict[int, str] = {}
    strings: list[str] = []
    last = ""
    ended = False
    for opcode, argument, _ in pickletools.genops(data):
        ended = ended or opcode.name == "STOP"
        if opcode.name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):
            memo[len(memo)] = last
            continue
        last = memo.get(int(argument or 0), "") if opcode.name in _RECALLS else _text(argument)
        if opcode.name == "GLOBAL":
            found[last.replace(" ", ".")] = None
        elif opcode.name == "STACK_GLOBAL":
            found[".".join(strings[-2:])] = None
        elif last:
            strings = [*strings[-1:], last]
        if len(found) >= _GLOBALS_LIMIT:
            return tuple(found)
    if not ended:
        raise ValueError("it does not end")
    return tuple(found)


_RECALLS = ("BINGET", "LONG_BINGET")


def _text(argument: object) -> str:
    return argument if isinstance(argument, str) else ""
