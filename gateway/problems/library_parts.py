"""What a curve function of the library is made of, and the sum of peaks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from gateway.problems.expression import Expression, parse

Bounds = tuple[float | None, float | None]
OPEN: Bounds = (None, None)
POSITIVE: Bounds = (0.0, None)
PEAK_LIMIT = 6
SHAPES = ("gaussian", "lorentzian", "voigt")
BACKGROUNDS = ("none", "constant", "line", "exponential")


@dataclass(frozen=True, kw_only=True)
class FunctionParameter:
    """A parameter of a curve function."""

    name: str
    label: str
    unit: str
    """In units of the data: ``x``, ``y``, ``1/x``, ``y*x`` ...; empty without unit."""
    value: float
    """A typical value: what is used where there are no data to guess from."""
    bounds: Bounds
    scan: str | tuple[float, ...]
    """How start values are sought: ``linear`` is solved for, ``position``, ``length``, ``inverse``
    are spread over the x of the data, numbers are tried as they are."""


@dataclass(frozen=True, kw_only=True)
class CurveFunction:
    """A function of x that data are fitted with."""

    name: str
    title: str
    group: str
    formula: str
    parameters: tuple[FunctionParameter, ...]
    domain: tuple[float, float]
    """Where the default parameters draw a typical curve."""
    help: str = ""
    peaks: int = 0
    """How many peaks there are to be found one after the other."""
    logarithmic: bool = False
    """The values span decades, so start values are sought by relative deviations."""

    @property
    def expression(self) -> Expression:
        """The formula, parsed."""
        return _parsed(self.formula)

    @property
    def defaults(self) -> dict[str, float]:
        """The typical values."""
        return {parameter.name: parameter.value for parameter in self.parameters}


@lru_cache(maxsize=256)
def _parsed(formula: str) -> Expression:
    return parse(formula)


def linear(
    name: str, label: str, value: float, bounds: Bounds = OPEN, unit: str = "y"
) -> FunctionParameter:
    """Describe a parameter in which the function is linear."""
    return FunctionParameter(
        name=name, label=label, unit=unit, value=value, bounds=bounds, scan="linear"
    )


def scanned(
    name: str,
    label: str,
    value: float,
    scan: str | Sequence[float],
    bounds: Bounds = OPEN,
    unit: str | None = None,
) -> FunctionParameter:
    """Describe a parameter whose start value is found by trying."""
    units = {"position": "x", "length": "x", "inverse": "1/x"}
    steps = scan if isinstance(scan, str) else tuple(scan)
    return FunctionParameter(
        name=name,
        label=label,
        unit=units.get(str(steps), "") if unit is None else unit,
        value=value,
        bounds=bounds,
        scan=steps,
    )


_PEAK_CALLS = {
    "gaussian": "gaussian(x, height{n}, center{n}, fwhm{n})",
    "lorentzian": "lorentzian(x, height{n}, center{n}, fwhm{n})",
    "voigt": "voigt(x, area{n}, center{n}, sigma{n}, gamma{n})",
}
_BACKGROUND_TERMS = {
    "none": "",
    "constant": "background",
    "line": "background + slope*x",
    "exponential": "background*exp(-decay*x)",
}


def peak_sum(peaks: int, shape: str, background: str) -> CurveFunction:
    """Make the sum of some peaks of one shape on a background.

    >>> peak_sum(2, "gaussian", "constant").formula
    'gaussian(x, height1, center1, fwhm1) + gaussian(x, height2, center2, fwhm2) + background'
    """
    numbers = [str(n) for n in range(1, peaks + 1)]
    terms = [_PEAK_CALLS[shape].format(n=n) for n in numbers]
    if background != "none":
        terms.append(_BACKGROUND_TERMS[background])
    parameters = [
        parameter
        for index, n in enumerate(numbers)
        for parameter in _peak(shape, n, 10.0 * (index + 1))
    ]
    return CurveFunction(
        name=f"{peaks} x {shape}, background: {background}",
        title=f"Sum of {peaks} peaks",
        group="Peaks",
        formula=" + ".join(terms),
        parameters=(*parameters, *_background(background)),
        domain=(0.0, 10.0 * (peaks + 1)),
        peaks=peaks,
    )


def _peak(shape: str, n: str, center: float) -> list[FunctionParameter]:
    where = scanned(f"center{n}", f"Position of peak {n}", center, "position")
    if shape == "voigt":
        return [
            linear(f"area{n}", f"Area of peak {n}", 60.0, unit="y*x"),
            where,
            scanned(f"sigma{n}", "Gaussian standard deviation", 1.0, "length", POSITIVE),
            scanned(f"gamma{n}", "Lorentzian half width", 0.7, "length", POSITIVE),
        ]
    return [
        linear(f"height{n}", f"Height of peak {n}", 20.0),
        where,
        scanned(f"fwhm{n}", "Full width at half maximum", 2.5, "length", POSITIVE),
    ]


def _background(background: str) -> list[FunctionParameter]:
    level = linear("background", "Background", 3.0)
    more = {
        "none": [],
        "constant": [level],
        "line": [level, linear("slope", "Slope of the background", 0.1, unit="y/x")],
        "exponential": [
            level,
            scanned("decay", "Decay rate of the background", 0.05, "inverse", POSITIVE),
        ],
    }
    return more[background]
