"""Numbers for people: a value with its uncertainty, no longer than it must be."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Decimal

_DIGITS = 2
"""Significant digits of an uncertainty."""

_MOST_DIGITS = 15
_SMALL, _LARGE = -4, 6
"""Powers of ten outside of which a number is written with its exponent."""


def concise(value: float | None, uncertainty: float | None) -> str:
    """Write a value with its uncertainty in parentheses, in units of the last digits.

    >>> concise(238.94212, 2.707), concise(5.5015e-4, 7.267e-6), concise(123456.0, 1234.0)
    ('238.9(27)', '0.0005502(73)', '1.235(12)e5')
    >>> concise(1.0, 0.0996), concise(-0.00001234, 2e-7), concise(3.25, None), concise(None, 1.0)
    ('1.00(10)', '-1.234(20)e-5', '3.25', '-')
    """
    if value is None or not math.isfinite(value):
        return "-"
    if uncertainty is None or not math.isfinite(uncertainty) or uncertainty <= 0:
        return plain(value)
    error = Decimal(uncertainty)
    place = error.adjusted() - _DIGITS + 1
    if (error.scaleb(-place)).quantize(Decimal(1)) >= 10**_DIGITS:
        place += 1
    power = max(Decimal(value).adjusted() if value else place, place)
    if power - place > _MOST_DIGITS:
        return plain(value, _MOST_DIGITS)  # the uncertainty is below what a float can say
    exponent = power if place > 0 or power < _SMALL or power > _LARGE else 0
    digits = int(error.scaleb(-place).quantize(Decimal(1), ROUND_HALF_EVEN))
    mantissa = _fixed(Decimal(value).scaleb(-exponent), exponent - place)
    return f"{mantissa}({digits})" + (f"e{exponent}" if exponent else "")


def plus_minus(value: float | None, uncertainty: float | None) -> tuple[str, str, int]:
    r"""Give value and uncertainty to the same digits, and their common power of ten.

    >>> plus_minus(238.94212, 2.707), plus_minus(123456.0, 1234.0), plus_minus(2.5, None)
    (('238.9', '2.7', 0), ('1.235', '0.012', 5), ('2.5', '', 0))
    """
    text = concise(value, uncertainty)
    mantissa, open_, rest = text.partition("(")
    if not open_:
        return text, "", 0
    digits, _, exponent = rest.partition(")")
    after_point = len(mantissa.partition(".")[2])
    error = _fixed(Decimal(int(digits)).scaleb(-after_point), after_point)
    return mantissa, error, int(exponent[1:] or 0)


def plain(value: float | None, digits: int = 6) -> str:
    """Write a number to some significant digits.

    >>> plain(0.1), plain(12345678.0), plain(None), plain(-3.0)
    ('0.1', '1.23457e7', '-', '-3')
    """
    if value is None or not math.isfinite(value):
        return "-"
    mantissa, _, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa


def _fixed(value: Decimal, places: int) -> str:
    return f"{value.quantize(Decimal(1).scaleb(-max(places, 0)), ROUND_HALF_EVEN):f}"
