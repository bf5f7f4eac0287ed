"""Read an expression into a program in postfix order, by a parser of our own.

No ``ast``, no ``eval``: text of any shape costs a bounded amount and cannot crash the process.
What is not on the lists of `gateway.problems.functions` is an error with its column and the nearest
name.
"""

from __future__ import annotations

import difflib
import keyword
import math
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.problems.functions import CONSTANTS, FUNCTIONS

LENGTH_LIMIT = 2000
OPERATION_LIMIT = 500
DEPTH_LIMIT = 60
NAME_LIMIT = 64

# What bumps.curve.Curve or the written model.py use themselves; a test compares with bumps.
RESERVED = frozenset(
    {
        *("dx", "dy", "y", "fn", "name", "pars", "state", "labels", "plot", "plot_x", "plotter"),
        *("numpoints", "nllf", "parameters", "register_webview_plot", "residuals", "save"),
        *("simulate_data", "theory", "update", "webview_plots"),
        *("data", "np", "special", "bumps", "pmath", "model", "curve", "problem"),
    }
)

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<number>(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<operator>\*\*|<=|>=|==|!=|[-+*/^<>(),\[\]])
    )""",
    re.VERBOSE,
)
_HINTS = {
    "\u2212": "-",
    "\u2013": "-",
    "\u00d7": "*",
    "\u00b7": "*",
    "\u00b2": "**2",
    "\u00b3": "**3",
    "\u03c0": "pi",
    "\u221a": "sqrt(...)",
    ";": "nothing: one expression is all there is",
    "=": "only the right side of y = ...",
    "%": "* and / (there is no %)",
    "{": "(",
    "}": ")",
    "&": "products of comparisons",
    "|": "max(...) of comparisons",
}
_CLOSING = {"(": ")", "[": "]"}
# Binding powers; a comparison binds least, a power most and to the right.
_POWERS = {"<": 1, "<=": 1, ">": 1, ">=": 1, "+": 2, "-": 2, "*": 3, "/": 3, "**": 5}
_UNARY = 4


class ExpressionError(ValueError):
    """The expression is not one that is understood; *column* counts from 1."""

    def __init__(self, column: int, message: str) -> None:
        self.column = column
        super().__init__(f"column {column}: {message}")


@dataclass(frozen=True, kw_only=True)
class Number:
    """Push a number."""

    value: float
    text: str


@dataclass(frozen=True, kw_only=True)
class Name:
    """Push x, a parameter or a constant."""

    name: str


@dataclass(frozen=True, kw_only=True)
class Apply:
    """Replace the last *arity* values by what an operator or a function makes of them."""

    name: str
    arity: int


Operation = Number | Name | Apply


@dataclass(frozen=True, kw_only=True)
class Token:
    """A word of the expression."""

    kind: str
    text: str
    column: int


def tokenize(text: str) -> list[Token]:
    """Split an expression into words; the last has the kind ``end``."""
    if len(text) > LENGTH_LIMIT:
        raise ExpressionError(
            LENGTH_LIMIT + 1,
            f"the expression has {len(text)} characters; at most {LENGTH_LIMIT} are read",
        )
    tokens: list[Token] = []
    position = 0
    while match := _TOKEN.match(text, position):
        kind = str(match.lastgroup)
        _check_gap(tokens, kind, match.start(kind))
        tokens.append(Token(kind=kind, text=match[kind], column=match.start(kind) + 1))
        position = match.end()
    rest = text[position:].lstrip()
    if rest:
        raise _strange(rest[0], len(text) - len(rest) + 1)
    return [*tokens, Token(kind="end", text="", column=len(text) + 1)]


def _check_gap(tokens: Sequence[Token], kind: str, start: int) -> None:
    last = tokens[-1] if tokens else None
    touching = last is not None and last.column - 1 + len(last.text) == start
    if touching and last is not None and last.kind == "number" and kind in ("name", "number"):
        raise ExpressionError(start + 1, "write * between a number and what follows, as in 2*x")


def _strange(character: str, column: int) -> ExpressionError:
    name = unicodedata.name(character, f"U+{ord(character):04X}")
    shown = character if character.isprintable() else name
    hint = _HINTS.get(character)
    advice = f"; write {hint}" if hint else ""
    what = f"{shown!r}" if character.isascii() else f"{shown!r} ({name})"
    return ExpressionError(
        column,
        f"{what} is not understood{advice}; allowed are numbers, names of ASCII letters, "
        "+ - * / ** ^ < <= > >= ( ) and commas between arguments",
    )


class _Parser:
    """A Pratt parser that writes postfix."""

    def __init__(self, tokens: Sequence[Token], variables: frozenset[str]) -> None:
        self.tokens = tokens
        self.variables = variables
        self.position = 0
        self.depth = 0
        self.output: list[Operation] = []

    @property
    def next(self) -> Token:
        return self.tokens[self.position]

    def take(self) -> Token:
        token = self.next
        self.position += 1
        return token

    def emit(self, operation: Operation, token: Token) -> None:
        if len(self.output) >= OPERATION_LIMIT:
            raise ExpressionError(
                token.column, f"more than {OPERATION_LIMIT} numbers, names and operations"
            )
        self.output.append(operation)

    def expression(self, least: int = 0) -> None:
        """Read operands and operators that bind more than *least*."""
        self.depth += 1
        if self.depth > DEPTH_LIMIT:
            raise ExpressionError(self.next.column, f"nested more than {DEPTH_LIMIT} deep")
        self.operand()
        while True:
            token = self.next
            symbol = "**" if token.text == "^" else token.text
            bound = _POWERS.get(symbol, 0) if token.kind == "operator" else 0
            if bound <= least:
                break
            self.take()
            # A power binds to the right: its exponent may be a power or a negative number again.
            self.expression(bound - 1 if symbol == "**" else bound)
            self.emit(Apply(name=symbol, arity=2), token)
            if bound == 1 and self.next.text in _POWERS and _POWERS[self.next.text] == 1:
                raise ExpressionError(self.next.column, "compare two values, not three in a row")
        self.depth -= 1

    def operand(self) -> None:
        token = self.take()
        if token.kind == "number":
            self.number(token)
        elif token.kind == "name":
            self.name(token)
        elif token.text in _CLOSING:
            self.expression()
            self.close(token)
        elif token.text in ("+", "-"):
            self.expression(_UNARY)
            if token.text == "-":
                self.emit(Apply(name="neg", arity=1), token)
        else:
            found = f"{token.text!r} stands" if token.text else "the expression ends"
            raise ExpressionError(token.column, f"{found} where a number, a name or ( is expected")

    def number(self, token: Token) -> None:
        value = float(token.text)
        if math.isinf(value):
            raise ExpressionError(token.column, f"the number {token.text} is too large")
        self.emit(Number(value=value, text=token.text), token)

    def name(self, token: Token) -> None:
        if self.next.text in _CLOSING and self.next.kind == "operator":
            self.call(token)
            return
        if token.text in FUNCTIONS:
            raise ExpressionError(
                token.column, f"{token.text} is a function; write {token.text}(...)"
            )
        if token.text not in self.variables and token.text not in CONSTANTS:
            check_name(token.text, token.column)
        self.emit(Name(name=token.text), token)

    def call(self, token: Token) -> None:
        function = FUNCTIONS.get(token.text)
        if function is None:
            raise _no_function(token)
        bracket = self.take()
        count = 1
        self.expression()
        while self.next.text == ",":
            self.take()
            self.expression()
            count += 1
        self.close(bracket)
        if count != function.arity:
            usage = f"; {function.help}" if function.help else ""
            raise ExpressionError(
                token.column,
                f"{token.text} takes {function.arity} arguments, not {count}{usage}",
            )
        self.emit(Apply(name=token.text, arity=function.arity), token)

    def close(self, bracket: Token) -> None:
        token = self.take()
        wanted = _CLOSING[bracket.text]
        if token.text == wanted:
            return
        if token.text == ",":
            raise ExpressionError(
                token.column, "a comma only separates arguments; decimals have a point, as in 0.5"
            )
        found = f"not {token.text!r}" if token.text else "but the expression ends"
        raise ExpressionError(
            token.column,
            f"{wanted!r} is expected for the {bracket.text!r} in column {bracket.column}, {found}",
        )


def check_name(name: str, column: int = 1) -> None:
    """Refuse what cannot be the name of a parameter."""
    if keyword.iskeyword(name) or name.startswith("_") or name in RESERVED or name == "x":
        raise ExpressionError(
            column,
            f"{name!r} cannot be a parameter: it has a meaning of its own; take another name",
        )
    if len(name) > NAME_LIMIT:
        raise ExpressionError(
            column, f"the name {name[:20]}... has more than {NAME_LIMIT} characters"
        )


def _no_function(token: Token) -> ExpressionError:
    near = difflib.get_close_matches(token.text[:NAME_LIMIT], FUNCTIONS, n=1)
    advice = f"did you mean {near[0]!r}? " if near else ""
    return ExpressionError(
        token.column,
        f"there is no function {token.text[:NAME_LIMIT]!r}; {advice}Allowed are "
        + ", ".join(sorted(FUNCTIONS))
        + " (a product is written with *)",
    )


def parse_program(text: str, variables: frozenset[str]) -> tuple[Operation, ...]:
    """Read an expression; raise `ExpressionError` where it is none."""
    parser = _Parser(tokenize(text), variables)
    parser.expression()
    token = parser.next
    if token.text == ",":
        raise ExpressionError(
            token.column, "a comma only separates arguments; decimals have a point, as in 0.5"
        )
    if token.text in ("==", "!="):
        raise ExpressionError(token.column, "compare with < <= > >= only")
    if token.kind != "end":
        raise ExpressionError(
            token.column, f"an operator is expected before {token.text!r}, such as *"
        )
    return tuple(parser.output)
