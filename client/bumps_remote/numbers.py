"""Numbers, with the digits that their uncertainty leaves them."""

from __future__ import annotations

import math


def number(value: object, digits: int = 6) -> str:
    """Write a number; what is none is a dash.

    >>> number(1.23456789), number(None)
    ('1.23457', '-')
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "-"
    return f"{value:.{digits}g}"


def with_uncertainty(value: object, uncertainty: object) -> str:
    """Write a value with the digits that its uncertainty leaves it.

    >>> with_uncertainty(238.94212918, 2.7070075241), with_uncertainty(5.5e-4, 7.3e-6)
    ('238.9 ± 2.7', '0.0005500 ± 0.0000073')
    >>> with_uncertainty(3.0, None)
    '3'
    """
    plain = number(value, 8)
    if not isinstance(value, int | float) or not isinstance(uncertainty, int | float):
        return plain
    if not math.isfinite(uncertainty) or uncertainty <= 0:
        return plain
    places = 1 - math.floor(math.log10(uncertainty))
    if not -4 <= places <= 10 or abs(value) > 1e12:
        return f"{value:.8g} ± {uncertainty:.2g}"
    return f"{value:.{max(0, places)}f} ± {uncertainty:.{max(0, places)}f}"
