"""The 27 nonlinear data sets of NIST's StRD, and their models as a user would type them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "data" / "nist_strd"

_GAUSS = "b1*exp(-b2*x) + b3*exp(-(x-b4)**2/b5**2) + b6*exp(-(x-b7)**2/b8**2)"
_LANCZOS = "b1*exp(-b2*x) + b3*exp(-b4*x) + b5*exp(-b6*x)"
_CHWIRUT = "exp(-b1*x)/(b2+b3*x)"
_CUBIC = "(b1 + b2*x + b3*x**2 + b4*x**3) / (1 + b5*x + b6*x**2 + b7*x**3)"

MODELS = {
    "Bennett5": "b1 * (b2+x)**(-1/b3)",
    "BoxBOD": "b1*(1-exp[-b2*x])",
    "Chwirut1": _CHWIRUT,
    "Chwirut2": _CHWIRUT,
    "DanWood": "b1*x^b2",
    "ENSO": "b1 + b2*cos( 2*pi*x/12 ) + b3*sin( 2*pi*x/12 ) + b5*cos( 2*pi*x/b4 )"
    " + b6*sin( 2*pi*x/b4 ) + b8*cos( 2*pi*x/b7 ) + b9*sin( 2*pi*x/b7 )",
    "Eckerle4": "(b1/b2) * exp[-0.5*((x-b3)/b2)**2]",
    "Gauss1": _GAUSS,
    "Gauss2": _GAUSS,
    "Gauss3": _GAUSS,
    "Hahn1": _CUBIC,
    "Kirby2": "(b1 + b2*x + b3*x**2) / (1 + b4*x + b5*x**2)",
    "Lanczos1": _LANCZOS,
    "Lanczos2": _LANCZOS,
    "Lanczos3": _LANCZOS,
    "MGH09": "b1*(x**2+x*b2) / (x**2+x*b3+b4)",
    "MGH10": "b1 * exp[b2/(x+b3)]",
    "MGH17": "b1 + b2*exp[-x*b4] + b3*exp[-x*b5]",
    "Misra1a": "b1*(1-exp[-b2*x])",
    "Misra1b": "b1 * (1-(1+b2*x/2)**(-2))",
    "Misra1c": "b1 * (1-(1+2*b2*x)**(-.5))",
    "Misra1d": "b1*b2*x*((1+b2*x)**(-1))",
    "Nelson": "b1 - b2*x * exp[-b3*x2]",
    "Rat42": "b1 / (1+exp[b2-b3*x])",
    "Rat43": "b1 / ((1+exp[b2-b3*x])**(1/b4))",
    "Roszman1": "b1 - b2*x - arctan[b3/(x-b4)]/pi",
    "Thurber": _CUBIC,
}


@dataclass(frozen=True, kw_only=True)
class Certified:
    """One data set with what NIST certifies."""

    model: str
    start: dict[str, float]
    values: dict[str, float]
    sum_of_squares: float
    y: list[float]
    x: list[float]
    x2: list[float]


def read(name: str) -> Certified:
    """Read a file of the suite: parameters from line 41, data from line 61."""
    lines = (FOLDER / f"{name}.dat").read_text(encoding="ascii").splitlines()
    rows = [line.split() for line in lines[40:60] if line.strip().startswith("b")]
    residual = next(line for line in lines if line.startswith("Residual Sum of Squares"))
    columns = list(
        zip(*(map(float, line.split()) for line in lines[60:] if line.split()), strict=True)
    )
    return Certified(
        model=MODELS[name],
        start={row[0]: float(row[3]) for row in rows},
        values={row[0]: float(row[4]) for row in rows},
        sum_of_squares=float(residual.split(":")[1]),
        y=list(columns[0]),
        x=list(columns[1]),
        x2=list(columns[2]) if len(columns) > 2 else [],
    )
