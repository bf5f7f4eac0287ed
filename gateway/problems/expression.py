"""Expressions in x and parameters: parsed, evaluated in plain Python, written as numpy source."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gateway.problems.functions import BINARY, COMPARISONS, CONSTANTS, FUNCTIONS
from gateway.problems.syntax import (
    Apply,
    ExpressionError,
    Name,
    Number,
    Operation,
    check_name,
    parse_program,
)

__all__ = [
    "Expression",
    "ExpressionError",
    "check_name",
    "cost",
    "evaluate",
    "helpers",
    "parameters",
    "parse",
    "to_bumps",
    "to_python",
    "value_of",
]

Value = float | list[float]


@dataclass(frozen=True, kw_only=True)
class Expression:
    """An expression that was read and found harmless."""

    text: str
    program: tuple[Operation, ...]
    """In postfix order, so that nothing that walks it recurses."""
    variables: frozenset[str] = frozenset({"x"})
    """Names that stand for columns of the data."""


def parse(text: str, variables: Sequence[str] = ("x",)) -> Expression:
    """Read an expression; ``^`` is a power and square brackets are parentheses.

    >>> parameters(parse("b1*(1-exp[-b2*x])"))
    ('b1', 'b2')
    """
    names = frozenset(variables)
    return Expression(text=text, program=parse_program(text, names), variables=names)


def parameters(expression: Expression) -> tuple[str, ...]:
    """Name the parameters in the order in which they first appear."""
    names = (item.name for item in expression.program if isinstance(item, Name))
    known = expression.variables | CONSTANTS.keys()
    return tuple(dict.fromkeys(name for name in names if name not in known))


def uses(expression: Expression, name: str) -> bool:
    """Say whether a name stands in an expression."""
    return any(isinstance(item, Name) and item.name == name for item in expression.program)


def cost(expression: Expression) -> int:
    """Count what one evaluation at one point costs, in additions."""
    calls = (i.name for i in expression.program if isinstance(i, Apply) and i.name in FUNCTIONS)
    return len(expression.program) + sum(FUNCTIONS[name].weight for name in calls)


def evaluate(
    expression: Expression,
    x: Sequence[float],
    values: Mapping[str, float | Sequence[float]],
) -> list[float]:
    """Evaluate at each x; what is not finite becomes nan, and nothing raises.

    Parameters
    ----------
    values
        A number for each parameter; a sequence as long as *x* for each further variable.

    >>> evaluate(parse("a/x"), [2.0, 0.0], {"a": 1.0})
    [0.5, nan]
    """
    columns: dict[str, Value] = {
        name: float(value) if isinstance(value, int | float) else list(value)
        for name, value in values.items()
    }
    columns["x"] = list(x)
    result = _run(expression.program, columns, len(x))
    column = result if isinstance(result, list) else [result] * len(x)
    return [item if math.isfinite(item) else math.nan for item in column]


def value_of(expression: Expression, values: Mapping[str, float]) -> float:
    """Evaluate an expression of parameters alone; nan where it is not finite."""
    result = _run(expression.program, dict(values), 1)
    number = result[0] if isinstance(result, list) else result
    return number if math.isfinite(number) else math.nan


def _run(program: Sequence[Operation], columns: Mapping[str, Value], points: int) -> Value:
    stack: list[Value] = []
    for item in program:
        if isinstance(item, Number):
            stack.append(item.value)
        elif isinstance(item, Name):
            # Constants win, so that no parameter can take the place of pi.
            constant = CONSTANTS.get(item.name)
            stack.append(constant[0] if constant else columns[item.name])
        else:
            arguments = stack[-item.arity :]
            del stack[-item.arity :]
            stack.append(_apply(_python(item), arguments, points))
    return stack[0]


def _python(item: Apply) -> Callable[..., float]:
    if item.name == "neg":
        return _negate
    return BINARY.get(item.name) or FUNCTIONS[item.name].python


def _negate(value: float) -> float:
    return -value


def _apply(function: Callable[..., float], arguments: Sequence[Value], points: int) -> Value:
    if not any(isinstance(argument, list) for argument in arguments):
        return function(*arguments)
    columns = [
        argument if isinstance(argument, list) else [argument] * points for argument in arguments
    ]
    return list(map(function, *columns))


@dataclass(frozen=True, kw_only=True)
class _Source:
    """A part of the source that is being written."""

    text: str
    binding: int
    """How strongly its last operator binds; 9 for what needs no parentheses."""
    constant: float | None = None
    """Its value, where no name of the user stands in it."""
    faulty: bool = False
    """A constant that plain Python would not compute: 1/0, (-8)**(1/3), 9**9**9**9."""
    whole: bool = False
    """A short integer, which may stay one as an exponent."""
    logical: bool = False


_BINDING = {"+": 2, "-": 2, "*": 3, "/": 3, "neg": 4, "**": 5, "<": 1, "<=": 1, ">": 1, ">=": 1}


def to_python(expression: Expression, names: Mapping[str, str] | None = None) -> str:
    """Write numpy source for an expression; needs ``np``, ``special`` and the `helpers`.

    >>> to_python(parse("b1*(1-exp(-b2*x))^2"))
    'b1 * (1.0 - np.exp(-b2 * x)) ** 2'
    """
    calls = {name: function.numpy for name, function in FUNCTIONS.items()}
    constants = {name: source for name, (_, source) in CONSTANTS.items()}
    return _write(expression, {**constants, **(names or {})}, calls)


def to_bumps(expression: Expression, names: Mapping[str, str]) -> str:
    """Write a tie as bumps computes it: parameters under *names*, functions from ``pmath``."""
    calls = {name: f"pmath.{function.pmath}" for name, function in FUNCTIONS.items()}
    calls["abs"] = "abs"
    constants = {name: source for name, (_, source) in CONSTANTS.items()}
    return _write(expression, {**names, **constants}, calls)


def check_tie(expression: Expression) -> None:
    """Refuse functions that bumps has not for parameters."""
    for item in expression.program:
        if not isinstance(item, Apply):
            continue
        if item.name in COMPARISONS or (item.name in FUNCTIONS and not FUNCTIONS[item.name].pmath):
            allowed = ", ".join(sorted(n for n, function in FUNCTIONS.items() if function.pmath))
            raise ExpressionError(
                1, f"{item.name} cannot tie parameters; allowed are + - * / ** and {allowed}"
            )


def helpers(expression: Expression) -> list[str]:
    """List the source of the functions that numpy and scipy have not."""
    names = dict.fromkeys(i.name for i in expression.program if isinstance(i, Apply))
    functions = (FUNCTIONS[name] for name in names if name in FUNCTIONS)
    return [function.helper for function in functions if function.helper]


def _write(expression: Expression, names: Mapping[str, str], calls: Mapping[str, str]) -> str:
    stack: list[_Source] = []
    for item in expression.program:
        if isinstance(item, Number):
            stack.append(_number(item))
        elif isinstance(item, Name):
            constant = CONSTANTS.get(item.name)
            value = constant[0] if constant else None
            stack.append(_Source(text=names.get(item.name, item.name), binding=9, constant=value))
        else:
            parts = stack[-item.arity :]
            del stack[-item.arity :]
            stack.append(_combine(item, parts, calls))
    return _sound(_numeric(stack[0])).text


def _number(item: Number) -> _Source:
    whole = item.text.isdigit() and len(item.text) <= 2
    return _Source(text=repr(item.value), binding=9, constant=item.value, whole=whole)


def _combine(item: Apply, parts: Sequence[_Source], calls: Mapping[str, str]) -> _Source:
    value = _constant(item, parts)
    faulty = value is not None and (not math.isfinite(value) or any(part.faulty for part in parts))
    if value is None:
        parts = [_sound(part) for part in parts]
    if item.name in FUNCTIONS:
        text = f"{calls[item.name]}({', '.join(part.text for part in _arguments(item, parts))})"
        return _Source(text=text, binding=9, constant=value, faulty=faulty)
    parts = [_numeric(part) for part in parts]
    binding = _BINDING[item.name]
    text = _operator(item.name, parts, binding)
    return _Source(
        text=text,
        binding=binding,
        constant=value,
        faulty=faulty,
        logical=item.name in COMPARISONS,
    )


def _constant(item: Apply, parts: Sequence[_Source]) -> float | None:
    values = [part.constant for part in parts if part.constant is not None]
    return _python(item)(*values) if len(values) == len(parts) else None


def _arguments(item: Apply, parts: Sequence[_Source]) -> list[_Source]:
    # The condition of np.where stays a comparison; elsewhere numpy does not compute with booleans.
    first = 1 if item.name == "where" else 0
    return [*parts[:first], *(_numeric(part) for part in parts[first:])]


def _numeric(part: _Source) -> _Source:
    if not part.logical:
        return part
    return _Source(
        text=f"np.where({part.text}, 1.0, 0.0)",
        binding=9,
        constant=part.constant,
        faulty=part.faulty,
    )


def _operator(name: str, parts: Sequence[_Source], binding: int) -> str:
    if name == "neg":
        # -(a + b) keeps its parentheses; -a**2 and -a*b mean the same without.
        return f"-{_bracket(parts[0], binding)}"
    left, right = parts
    if name == "**":
        exponent = str(int(right.constant)) if right.whole and right.constant is not None else ""
        return f"{_bracket(left, binding + 1)} ** {exponent or _bracket(right, _BINDING['neg'])}"
    return f"{_bracket(left, binding)} {name} {_bracket(right, binding + 1)}"


def _bracket(part: _Source, least: int) -> str:
    return part.text if part.binding >= least else f"({part.text})"


def _sound(part: _Source) -> _Source:
    """Replace a constant that plain Python would not compute by its value."""
    if not part.faulty or part.constant is None:
        return part
    value = part.constant
    texts = {math.inf: "np.inf", -math.inf: "-np.inf"}
    text = "np.nan" if math.isnan(value) else texts.get(value, repr(value))
    return _Source(text=text, binding=9 if value >= 0 or math.isnan(value) else 4, constant=value)
