"""Problems that are not of NIST's suite: known truth, made data, a start far away.

The answer of a fit with noise is not the truth but the best point near it: scipy finds it from
the truth, independently of the method under test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares, minimize
from scipy.special import voigt_profile

Array = NDArray[np.float64]
Bounds = tuple[float, float]
FREE = (-np.inf, np.inf)


@dataclass(frozen=True, kw_only=True)
class FarProblem:
    """A problem and its truth."""

    name: str
    make: Callable[[], Any]
    """Makes a bumps FitProblem at its start."""

    truth: dict[str, float]
    """By label."""

    at_limit: tuple[str, ...] = ()
    exchangeable: tuple[tuple[str, ...], ...] = field(default=())

    def truth_of(self, labels: list[str]) -> Array:
        """Order the truth as the problem does."""
        return np.array([self.truth[label] for label in labels])


def reference(far: FarProblem) -> tuple[Array, float]:
    """Find the best point near the truth by scipy: the point and its nllf."""
    problem = far.make()
    low, high = problem.bounds()
    x = np.clip(far.truth_of(problem.labels()), low, high)
    scale = np.where(x == 0, 1.0, np.abs(x))

    def residuals(z: Array) -> Array:
        problem.setp(z * scale)
        found: Array = np.asarray(problem.residuals(), float)
        return found

    def cost(z: Array) -> float:
        return float(problem.nllf(z * scale))

    squares = abs(0.5 * float(np.sum(residuals(x / scale) ** 2)) - cost(x / scale)) < 1e-6
    if squares and len(residuals(x / scale)) >= len(x):
        edge = np.clip(x / scale, low / scale + 1e-9, high / scale - 1e-9)
        options = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-15, "jac": "3-point"}
        found = least_squares(residuals, edge, bounds=(low / scale, high / scale), **options)
        return found.x * scale, cost(found.x)
    tight = {"xatol": 1e-12, "fatol": 1e-13, "maxiter": 100000, "maxfev": 100000}
    at = minimize(cost, x / scale, method="Nelder-Mead", options=tight).x
    at = minimize(cost, at, method="Nelder-Mead", options=tight).x
    return at * scale, cost(at)


def _curve(
    model: Callable[..., Array],
    x: Array,
    truth: dict[str, float],
    start: dict[str, tuple[float, Bounds]],
    *,
    noise: float | Callable[[Array], Array],
    seed: int = 1,
) -> Any:
    from bumps.names import Curve, FitProblem

    exact = model(x, **truth)
    dy = noise(exact) if callable(noise) else np.full(exact.shape, noise)
    y = exact + dy * np.random.default_rng(seed).standard_normal(exact.shape)
    curve = Curve(model, x, y, dy, **{name: value for name, (value, _) in start.items()})
    for name, (_, bounds) in start.items():
        curve.pars[name].range(*bounds)
    return FitProblem(curve)


def _simple(
    name: str,
    model: Callable[..., Array],
    x: Array,
    truth: dict[str, float],
    start: dict[str, tuple[float, Bounds]],
    noise: float | Callable[[Array], Array],
    **more: Any,
) -> FarProblem:
    return FarProblem(
        name=name,
        truth=truth,
        make=lambda: _curve(model, x, truth, start, noise=noise),
        **more,
    )


def damped(t: Array, a: float, tau: float, f: float, phase: float, c: float) -> Array:
    return a * np.exp(-t / tau) * np.sin(2 * np.pi * f * t + phase) + c


def voigt(x: Array, area: float, center: float, sigma: float, gamma: float, bg: float) -> Array:
    return np.asarray(area * voigt_profile(x - center, sigma, gamma) + bg, float)


def two_lorentzians(
    x: Array, a1: float, x1: float, w1: float, a2: float, x2: float, w2: float, c: float, d: float
) -> Array:
    first = a1 / (1 + ((x - x1) / w1) ** 2)
    return first + a2 / (1 + ((x - x2) / w2) ** 2) + c + d * x


def stretched(t: Array, a: float, tau: float, beta: float, c: float) -> Array:
    return a * np.exp(-((t / tau) ** beta)) + c


def michaelis_menten(s: Array, vmax: float, km: float) -> Array:
    return vmax * s / (km + s)


def logistic(t: Array, top: float, rate: float, middle: float, bottom: float) -> Array:
    return bottom + (top - bottom) / (1 + np.exp(-rate * (t - middle)))


def sphere(q: Array, scale: float, radius: float, background: float) -> Array:
    qr = q * radius
    return scale * (3 * (np.sin(qr) - qr * np.cos(qr)) / qr**3) ** 2 + background


def guinier_porod(q: Array, scale: float, rg: float, d: float, background: float) -> Array:
    q1 = np.sqrt(1.5 * d) / rg
    low = scale * np.exp(-((q * rg) ** 2) / 3)
    high = scale * np.exp(-d / 2) * q1**d * q ** (-d)
    return np.where(q <= q1, low, high) + background


def fringes(
    q: Array, thick1: float, sld1: float, thick2: float, sld2: float, rough: float
) -> Array:
    """Log10 of the reflectivity of two layers on silicon (Parratt; SLD in 1e-6 per square A)."""
    sld = np.array([0.0, sld1, sld2, 2.07]) * 1e-6
    thick = (0.0, thick1, thick2)
    k = np.sqrt((q / 2) ** 2 - 4 * np.pi * sld[:, None] + 0j)
    r = np.zeros_like(q, dtype=complex)
    for j in (2, 1, 0):
        fresnel = (k[j] - k[j + 1]) / (k[j] + k[j + 1])
        fresnel = fresnel * np.exp(-2 * k[j] * k[j + 1] * rough**2)
        r = (fresnel + r) / (1 + fresnel * r)
        r = r * np.exp(2j * k[j] * thick[j])
    return np.asarray(np.log10(np.abs(r) ** 2 + 1e-9), float)


def valley(x: Array, a: float, b: float) -> Array:
    """Rosenbrock's function, whose residuals are 10 (b - a^2) and 1 - a."""
    return np.where(x == 0, 10 * (b - a**2), 1 - a)


def decay(t: Array, a: float, tau: float, c: float) -> Array:
    return a * np.exp(-t / tau) + c


def peak(x: Array, height: float, center: float, width: float, bg: float) -> Array:
    return height * np.exp(-0.5 * ((x - center) / width) ** 2) + bg


PEAK = {"height": 40.0, "center": 6.4, "width": 0.5, "bg": 3.0}


def _counts() -> Any:
    from bumps.curve import PoissonCurve
    from bumps.names import FitProblem

    x = np.linspace(0, 10, 80)
    counts = np.random.default_rng(3).poisson(peak(x, **PEAK)).astype(float)
    curve = PoissonCurve(peak, x, counts, height=5.0, center=4.0, width=2.0, bg=1.0)
    curve.height.range(0.1, 1000)
    curve.center.range(0, 10)
    curve.width.range(0.05, 10)
    curve.bg.range(0.01, 100)
    return FitProblem(curve)


def crooked(x: float, y: float, z: float) -> float:
    """A likelihood without residuals: a bent valley, and a sharper hollow far from it."""
    bent = 0.5 * ((x - 1) ** 2 + 20 * (y - x**2) ** 2 + 4 * (z - x * y) ** 2)
    hollow = 8 * np.exp(-0.5 * ((x + 2) ** 2 + (y + 2) ** 2 + (z - 3) ** 2))
    return float(bent + 10 - hollow)


def _likelihood() -> Any:
    from bumps.names import FitProblem
    from bumps.pdfwrapper import PDF

    pdf = PDF(crooked, x=-4.0, y=4.5, z=-4.0)
    for parameter in pdf.pars.values():
        parameter.range(-5, 5)
    return FitProblem(pdf)


def _tied() -> Any:
    """Two decays with one time constant, and amplitudes in the ratio of one to two."""
    from bumps.names import Curve, FitProblem

    t = np.linspace(0.1, 30, 60)
    random = np.random.default_rng(5)
    curves = []
    for a, c in ((4.0, 1.0), (8.0, 0.3)):
        y = decay(t, a, 3.7, c) + 0.05 * random.standard_normal(60)
        curves.append(Curve(decay, t, y, np.full(60, 0.05), a=100.0, tau=200.0, c=10.0))
    first, second = curves
    for name in ("a", "tau", "c"):
        first.pars[name].range(0, 1e4)
    second.c.range(0, 1e4)
    second.c.name = "c2"
    second.tau = first.tau
    second.a = first.a * 2
    return FitProblem([first, second])


def _far_problems() -> list[FarProblem]:
    t = np.linspace(0, 2, 120)
    wide = np.linspace(0, 100, 200)
    q = np.geomspace(0.003, 0.3, 120)
    return [
        _simple(
            "damped oscillation",
            damped,
            t,
            {"a": 3.0, "tau": 0.8, "f": 7.3, "phase": 0.6, "c": 1.0},
            {
                "a": (1.0, FREE),
                "tau": (5.0, (0.01, 100.0)),
                "f": (1.0, (0.1, 20.0)),
                "phase": (0.0, (-np.pi, np.pi)),
                "c": (0.0, FREE),
            },
            0.2,
        ),
        _simple(
            "voigt peak",
            voigt,
            wide,
            {"area": 500.0, "center": 63.0, "sigma": 2.0, "gamma": 3.0, "bg": 5.0},
            {
                "area": (10.0, FREE),
                "center": (30.0, (0.0, 100.0)),
                "sigma": (10.0, (0.1, 50.0)),
                "gamma": (10.0, (0.01, 50.0)),
                "bg": (0.0, FREE),
            },
            0.4,
        ),
        _simple(
            "two lorentzians",
            two_lorentzians,
            wide,
            {"a1": 8, "x1": 35, "w1": 3, "a2": 5, "x2": 44, "w2": 4, "c": 2, "d": 0.01},
            {
                "a1": (1.0, (0, 100)),
                "x1": (20.0, (0, 100)),
                "w1": (10.0, (0.5, 30)),
                "a2": (1.0, (0, 100)),
                "x2": (80.0, (0, 100)),
                "w2": (10.0, (0.5, 30)),
                "c": (0.0, FREE),
                "d": (0.0, FREE),
            },
            0.1,
            exchangeable=(("a1", "x1", "w1"), ("a2", "x2", "w2")),
        ),
        _simple(
            "stretched exponential",
            stretched,
            np.geomspace(0.01, 1000, 80),
            {"a": 0.8, "tau": 12.0, "beta": 0.6, "c": 0.1},
            {"a": (50.0, FREE), "tau": (3000.0, FREE), "beta": (1.0, FREE), "c": (0.0, FREE)},
            0.01,
        ),
        _simple(
            "michaelis-menten",
            michaelis_menten,
            np.array([0.02, 0.06, 0.11, 0.22, 0.56, 1.1] * 2),
            {"vmax": 212.7, "km": 0.064},
            {"vmax": (1.0, FREE), "km": (60.0, FREE)},
            5.0,
        ),
        _simple(
            "logistic with bounds",
            logistic,
            np.linspace(0, 40, 50),
            {"top": 9.0, "rate": 0.7, "middle": 22.0, "bottom": 0.5},
            {
                "top": (1.0, (0.0, 1000.0)),
                "rate": (5.0, (0.001, 50.0)),
                "middle": (1.0, (0.0, 40.0)),
                "bottom": (0.0, (-10.0, 10.0)),
            },
            0.15,
        ),
        _simple(
            "sphere",
            sphere,
            q,
            {"scale": 2500.0, "radius": 137.0, "background": 0.02},
            {
                "scale": (1.0, (0.0, 1e9)),
                "radius": (30.0, (5.0, 1000.0)),
                "background": (0.0, (0.0, 100.0)),
            },
            lambda y: 0.03 * y + 0.002,
        ),
        _simple(
            "guinier-porod",
            guinier_porod,
            q,
            {"scale": 40.0, "rg": 55.0, "d": 3.4, "background": 0.01},
            {
                "scale": (1.0, (0.0, 1e6)),
                "rg": (500.0, (1.0, 5000.0)),
                "d": (2.0, (0.5, 6.0)),
                "background": (0.1, (0.0, 10.0)),
            },
            lambda y: 0.02 * y + 0.001,
        ),
        _simple(
            "reflectivity fringes",
            fringes,
            np.linspace(0.008, 0.2, 160),
            {"thick1": 365.0, "sld1": 3.6, "thick2": 120.0, "sld2": 6.1, "rough": 5.0},
            {
                "thick1": (200.0, (10.0, 600.0)),
                "sld1": (2.0, (-1.0, 9.0)),
                "thick2": (60.0, (10.0, 300.0)),
                "sld2": (4.0, (-1.0, 9.0)),
                "rough": (10.0, (0.0, 20.0)),
            },
            0.03,
        ),
        _simple(
            "rosenbrock",
            valley,
            np.array([0.0, 1.0, 0.0, 1.0]),
            {"a": 1.0, "b": 1.0},
            {"a": (-120.0, FREE), "b": (100.0, FREE)},
            0.01,
        ),
        _simple(
            "decay at a limit",
            decay,
            np.linspace(0, 10, 40),
            {"a": 5.0, "tau": 2.0, "c": -0.3},
            {"a": (1.0, (0.0, 100.0)), "tau": (50.0, (0.01, 1000.0)), "c": (1.0, (0.0, 10.0))},
            0.05,
            at_limit=("c",),
        ),
        FarProblem(name="poisson counts", make=_counts, truth=PEAK),
        FarProblem(
            name="likelihood",
            make=_likelihood,
            # The hollow moves the lowest point of its own.
            truth={"x": 1.0, "y": 1.0, "z": 1.0},
        ),
        FarProblem(
            name="tied decays",
            make=_tied,
            truth={"a": 4.0, "tau": 3.7, "c": 1.0, "c2": 0.3},
        ),
    ]


FAR_PROBLEMS = {far.name: far for far in _far_problems()}


def in_order(far: FarProblem, labels: list[str], values: Array, like: Array) -> Array:
    """Exchange groups of parameters that may be, when that brings values nearer to others."""
    if not far.exchangeable:
        return values
    first, second = far.exchangeable
    swapped = values.copy()
    for a, b in zip(first, second, strict=True):
        i, j = labels.index(a), labels.index(b)
        swapped[i], swapped[j] = values[j], values[i]
    near, other = np.sum((values - like) ** 2), np.sum((swapped - like) ** 2)
    return values if near <= other else swapped
