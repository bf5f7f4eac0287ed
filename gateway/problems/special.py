"""Functions of the field, twice: in plain Python for the gateway, in numpy source for model.py.

Both follow the same algorithm with the same switch-over points, so that they agree to rounding.
Reflectivities take scattering length densities in 1e-6 per square angstrom.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

_FOUR_LN2 = 4 * math.log(2)
_SLD = 4e-6 * math.pi
"""A scattering length density of 1 as the square of a wave vector."""


@dataclass(frozen=True, kw_only=True)
class FieldFunction:
    """One function, with its arguments named in *help*."""

    name: str
    arity: int
    python: Callable[..., float]
    source: str
    help: str
    weight: int


def gaussian(x: float, height: float, center: float, fwhm: float) -> float:
    """Draw a Gaussian by height and full width at half maximum."""
    return height * math.exp(-_FOUR_LN2 * ((x - center) / fwhm) ** 2)


def lorentzian(x: float, height: float, center: float, fwhm: float) -> float:
    """Draw a Lorentzian by height and full width at half maximum."""
    return height / (1 + 4 * ((x - center) / fwhm) ** 2)


def pseudo_voigt(x: float, height: float, center: float, fwhm: float, fraction: float) -> float:
    """Mix a Lorentzian (*fraction*) and a Gaussian of one height and width."""
    mixed = fraction * lorentzian(x, 1.0, center, fwhm)
    return height * (mixed + (1 - fraction) * gaussian(x, 1.0, center, fwhm))


_WEIDEMAN = 40


@lru_cache(maxsize=1)
def _weideman() -> tuple[float, tuple[float, ...]]:
    """Compute Weideman's rational approximation (SIAM J. Numer. Anal. 31, 1497)."""
    n = _WEIDEMAN
    m = 2 * n
    scale = math.sqrt(n / math.sqrt(2))
    samples = [(k, scale * math.tan(k * math.pi / (2 * m))) for k in range(-m + 1, m)]
    values = [(k, math.exp(-t * t) * (scale * scale + t * t)) for k, t in samples]
    coefficients = [
        sum(value * math.cos(math.pi * order * k / m) for k, value in values) / (2 * m)
        for order in range(1, n + 1)
    ]
    return scale, tuple(reversed(coefficients))


def faddeeva(z: complex) -> complex:
    """Compute w(z) = exp(-z^2) erfc(-iz) in the upper half plane, to about 1e-13."""
    scale, coefficients = _weideman()
    ratio = (scale + 1j * z) / (scale - 1j * z)
    total = 0j
    for coefficient in coefficients:
        total = total * ratio + coefficient
    return 2 * total / (scale - 1j * z) ** 2 + (1 / math.sqrt(math.pi)) / (scale - 1j * z)


def voigt(x: float, area: float, center: float, sigma: float, gamma: float) -> float:
    """Fold a Gaussian (standard deviation) with a Lorentzian (half width at half maximum)."""
    sigma, gamma = abs(sigma), abs(gamma)
    if sigma == 0:
        return area * gamma / (math.pi * ((x - center) ** 2 + gamma**2))
    z = complex(x - center, gamma) / (sigma * math.sqrt(2))
    return area * faddeeva(z).real / (sigma * math.sqrt(2 * math.pi))


def debye(u: float) -> float:
    """Compute the Debye function 2 (exp(-u) - 1 + u) / u^2 of a Gaussian chain, u = (q Rg)^2."""
    if abs(u) < 0.05:
        return 1 - u / 3 * (1 - u / 4 * (1 - u / 5 * (1 - u / 6 * (1 - u / 7))))
    return 2 * (math.expm1(-u) + u) / (u * u)


def sphere_amplitude(u: float) -> float:
    """Compute the amplitude 3 (sin u - u cos u) / u^3 of a sphere, u = q R."""
    if abs(u) < 0.1:
        v = u * u
        return 1 - v / 10 * (1 - v / 28 * (1 - v / 54))
    return 3 * (math.sin(u) - u * math.cos(u)) / (u * u * u)


def sphere_form(q: float, radius: float) -> float:
    """Compute the form factor of a sphere, 1 at q = 0."""
    return sphere_amplitude(q * radius) ** 2


def guinier_porod(q: float, scale: float, rg: float, exponent: float) -> float:
    """Join Guinier's law and a power law smoothly (Hammouda, J. Appl. Cryst. 43, 716)."""
    joint = math.sqrt(1.5 * exponent) / rg
    if q <= joint:
        return scale * math.exp(-((q * rg) ** 2) / 3)
    return scale * math.exp(-exponent / 2) * math.pow(joint / q, exponent)


def _interface(above: complex, below: complex, roughness: float) -> complex:
    step = (above - below) / (above + below)
    return step * cmath.exp(-2 * above * below * roughness * roughness)


def fresnel(q: float, rho: float, roughness: float) -> float:
    """Reflect from a rough surface of a thick substrate (Nevot and Croce)."""
    k0 = complex(q / 2)
    return abs(_interface(k0, cmath.sqrt(k0 * k0 - _SLD * rho), roughness)) ** 2


def film_reflectivity(
    q: float, rho: float, thickness: float, roughness: float, below: float, buried: float
) -> float:
    """Reflect from one rough film on a rough substrate (Parratt; Nevot and Croce)."""
    k0 = complex(q / 2)
    k1 = cmath.sqrt(k0 * k0 - _SLD * rho)
    k2 = cmath.sqrt(k0 * k0 - _SLD * below)
    top = _interface(k0, k1, roughness)
    bottom = _interface(k1, k2, buried) * cmath.exp(2j * k1 * thickness)
    return abs((top + bottom) / (1 + top * bottom)) ** 2


_GAUSSIAN = '''
def gaussian(x, height, center, fwhm):
    """Gaussian by height and full width at half maximum."""
    return height * np.exp(-4 * np.log(2) * ((x - center) / fwhm) ** 2)
'''
_LORENTZIAN = '''
def lorentzian(x, height, center, fwhm):
    """Lorentzian by height and full width at half maximum."""
    return height / (1 + 4 * ((x - center) / fwhm) ** 2)
'''
_PSEUDO_VOIGT = '''
def pseudo_voigt(x, height, center, fwhm, fraction):
    """Mixture of a Lorentzian (fraction) and a Gaussian of one height and width."""
    u = ((x - center) / fwhm) ** 2
    return height * (fraction / (1 + 4 * u) + (1 - fraction) * np.exp(-4 * np.log(2) * u))
'''
_VOIGT = '''
def voigt(x, area, center, sigma, gamma):
    """Gaussian (standard deviation) folded with a Lorentzian (half width at half maximum)."""
    return area * special.voigt_profile(x - center, np.abs(sigma), np.abs(gamma))
'''
_DEBYE = '''
def debye(u):
    """Debye function of a Gaussian chain, u = (q Rg)^2; a series where the difference cancels."""
    series = 1 - u / 3 * (1 - u / 4 * (1 - u / 5 * (1 - u / 6 * (1 - u / 7))))
    return np.where(np.abs(u) < 0.05, series, 2 * (np.expm1(-u) + u) / (u * u))
'''
_AMPLITUDE = '''
def sphere_amplitude(u):
    """Amplitude of a sphere, u = q R; a series where the difference cancels."""
    v = u * u
    series = 1 - v / 10 * (1 - v / 28 * (1 - v / 54))
    return np.where(np.abs(u) < 0.1, series, 3 * (np.sin(u) - u * np.cos(u)) / (u * u * u))
'''
_SPHERE = '''
def sphere_form(q, radius):
    """Form factor of a sphere, 1 at q = 0; a series where the difference cancels."""
    u = q * radius
    v = u * u
    series = 1 - v / 10 * (1 - v / 28 * (1 - v / 54))
    return np.where(np.abs(u) < 0.1, series, 3 * (np.sin(u) - u * np.cos(u)) / (u * u * u)) ** 2
'''
_GUINIER_POROD = '''
def guinier_porod(q, scale, rg, exponent):
    """Guinier's law joined smoothly to a power law (Hammouda, J. Appl. Cryst. 43, 716)."""
    joint = np.sqrt(1.5 * exponent) / rg
    guinier = scale * np.exp(-((q * rg) ** 2) / 3)
    porod = scale * np.exp(-exponent / 2) * (joint / q) ** exponent
    return np.where(q <= joint, guinier, porod)
'''
_FRESNEL = '''
def fresnel(q, rho, roughness):
    """Reflectivity of a rough substrate (Nevot and Croce); rho in 1e-6/A^2."""
    k0 = q / 2 + 0j
    k1 = np.sqrt(k0 * k0 - 4e-6 * np.pi * rho)
    return np.abs((k0 - k1) / (k0 + k1) * np.exp(-2 * k0 * k1 * roughness**2)) ** 2
'''
_FILM = '''
def film_reflectivity(q, rho, thickness, roughness, below, buried):
    """Reflectivity of a film on a substrate (Parratt; Nevot and Croce); rho in 1e-6/A^2."""
    k0 = q / 2 + 0j
    k1 = np.sqrt(k0 * k0 - 4e-6 * np.pi * rho)
    k2 = np.sqrt(k0 * k0 - 4e-6 * np.pi * below)
    top = (k0 - k1) / (k0 + k1) * np.exp(-2 * k0 * k1 * roughness**2)
    bottom = (k1 - k2) / (k1 + k2) * np.exp(-2 * k1 * k2 * buried**2 + 2j * k1 * thickness)
    return np.abs((top + bottom) / (1 + top * bottom)) ** 2
'''


def _field(python: Callable[..., float], weight: int, source: str, arguments: str) -> FieldFunction:
    name = source.split("(", 1)[0].removeprefix("\ndef ")
    return FieldFunction(
        name=name,
        arity=arguments.count(",") + 1,
        python=python,
        source=source.strip() + "\n",
        help=f"{name}({arguments})",
        weight=weight,
    )


FIELD_FUNCTIONS: tuple[FieldFunction, ...] = (
    _field(gaussian, 6, _GAUSSIAN, "x, height, center, fwhm"),
    _field(lorentzian, 5, _LORENTZIAN, "x, height, center, fwhm"),
    _field(pseudo_voigt, 15, _PSEUDO_VOIGT, "x, height, center, fwhm, fraction"),
    _field(voigt, 80, _VOIGT, "x, area, center, sigma, gamma"),
    _field(debye, 6, _DEBYE, "u"),
    _field(sphere_amplitude, 6, _AMPLITUDE, "u"),
    _field(sphere_form, 8, _SPHERE, "q, radius"),
    _field(guinier_porod, 8, _GUINIER_POROD, "q, scale, rg, exponent"),
    _field(fresnel, 20, _FRESNEL, "q, rho, roughness"),
    _field(film_reflectivity, 40, _FILM, "q, rho, thickness, roughness, below, buried"),
)
