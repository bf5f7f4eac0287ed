"""Curve functions of scattering: small angles and reflectometry; x is q in 1/angstrom."""

from __future__ import annotations

from gateway.problems.library_general import make
from gateway.problems.library_parts import POSITIVE, CurveFunction, linear, scanned

_SAS = "Small-angle scattering"
_REFLECTOMETRY = "Reflectometry"
_BACKGROUND = linear("background", "Incoherent background", 0.01)
_RHO = "1e-6/A^2"

_GUINIER = make(
    "guinier",
    "Guinier law",
    _SAS,
    "I0*exp(-(x*Rg)**2/3)",
    (0.002, 0.025),
    linear("I0", "Intensity at q = 0", 50.0, POSITIVE),
    scanned("Rg", "Radius of gyration", 45.0, "inverse", POSITIVE, "1/x"),
    logarithmic=True,
)
_POROD = make(
    "porod",
    "Porod law on a background",
    _SAS,
    "K*x**(-4) + background",
    (0.05, 0.5),
    linear("K", "Porod constant", 1.0e-4, unit="y*x^4"),
    linear("background", "Incoherent background", 0.02),
    logarithmic=True,
)
_GUINIER_POROD = make(
    "guinier_porod",
    "Guinier-Porod (Hammouda)",
    _SAS,
    "guinier_porod(x, scale, Rg, exponent) + background",
    (0.003, 0.3),
    linear("scale", "Intensity at q = 0", 50.0, POSITIVE),
    scanned("Rg", "Radius of gyration", 40.0, "inverse", POSITIVE, "1/x"),
    scanned("exponent", "Porod exponent", 3.5, (1.5, 2.0, 3.0, 4.0), POSITIVE),
    _BACKGROUND,
    logarithmic=True,
)
_DEBYE = make(
    "debye",
    "Debye function of a Gaussian chain",
    _SAS,
    "scale*debye((x*Rg)**2) + background",
    (0.003, 0.4),
    linear("scale", "Intensity at q = 0", 20.0, POSITIVE),
    scanned("Rg", "Radius of gyration", 60.0, "inverse", POSITIVE, "1/x"),
    linear("background", "Incoherent background", 0.1),
    logarithmic=True,
)
_DEBYE_BUECHE = make(
    "debye_bueche",
    "Debye-Bueche (random two-phase)",
    _SAS,
    "scale/(1 + (x*xi)**2)**2 + background",
    (0.003, 0.3),
    linear("scale", "Intensity at q = 0", 100.0, POSITIVE),
    scanned("xi", "Correlation length", 60.0, "inverse", POSITIVE, "1/x"),
    linear("background", "Incoherent background", 0.1),
    logarithmic=True,
)
_ORNSTEIN_ZERNIKE = make(
    "ornstein_zernike",
    "Ornstein-Zernike (Lorentzian in q)",
    _SAS,
    "scale/(1 + (x*xi)**2) + background",
    (0.003, 0.3),
    linear("scale", "Intensity at q = 0", 10.0, POSITIVE),
    scanned("xi", "Correlation length", 50.0, "inverse", POSITIVE, "1/x"),
    linear("background", "Incoherent background", 0.1),
    logarithmic=True,
)
_CORRELATION_LENGTH = make(
    "correlation_length",
    "Correlation length (polymer solution)",
    _SAS,
    "clusters*x**(-n) + scale/(1 + (x*xi)**m) + background",
    (0.003, 0.4),
    linear("clusters", "Scale of the clusters", 1.0e-4),
    scanned("n", "Porod exponent", 3.0, (2.0, 3.0, 4.0), POSITIVE),
    linear("scale", "Intensity of the chains", 5.0),
    scanned("xi", "Correlation length", 30.0, "inverse", POSITIVE, "1/x"),
    scanned("m", "Exponent of the chains", 2.0, (1.6, 2.0, 2.5), POSITIVE),
    linear("background", "Incoherent background", 0.05),
    logarithmic=True,
)
_TEUBNER_STREY = make(
    "teubner_strey",
    "Teubner-Strey (microemulsion)",
    _SAS,
    "scale/(((2*pi/d)**2 + 1/xi**2)**2 - 2*((2*pi/d)**2 - 1/xi**2)*x**2 + x**4) + background",
    (0.005, 0.2),
    linear("scale", "Scale", 5.0e-4, unit="y*x^4"),
    scanned("d", "Domain spacing", 120.0, "inverse_period", POSITIVE, "1/x"),
    scanned("xi", "Correlation length", 60.0, "inverse", POSITIVE, "1/x"),
    linear("background", "Incoherent background", 0.5),
    logarithmic=True,
)
_SPHERE = make(
    "sphere",
    "Sphere form factor",
    _SAS,
    "scale*sphere_form(x, radius) + background",
    (0.005, 0.3),
    linear("scale", "Intensity at q = 0", 100.0, POSITIVE),
    scanned("radius", "Radius", 50.0, "size", POSITIVE, "1/x"),
    _BACKGROUND,
    logarithmic=True,
)
_CORE_SHELL = make(
    "core_shell_sphere",
    "Core-shell sphere form factor",
    _SAS,
    "scale*((contrast - 1)*radius**3*sphere_amplitude(x*radius)"
    " + (radius + shell)**3*sphere_amplitude(x*(radius + shell)))**2/(radius + shell)**6"
    " + background",
    (0.005, 0.3),
    linear("scale", "Intensity of a sphere of shell alone at q = 0", 100.0, POSITIVE),
    scanned("radius", "Radius of the core", 40.0, "size", POSITIVE, "1/x"),
    scanned("shell", "Thickness of the shell", 15.0, (5.0, 12.0, 25.0, 50.0), POSITIVE, "1/x"),
    scanned("contrast", "Contrast of the core, that of the shell = 1", 2.5, (-1.0, 0.3, 3.0)),
    _BACKGROUND,
    help="Core and shell exchange roles in a second, equal solution: give bounds.",
    logarithmic=True,
)
_BRAGG = make(
    "bragg_peak",
    "Bragg peak on a power law",
    _SAS,
    "scale*x**(-exponent) + gaussian(x, height, center, fwhm) + background",
    (0.02, 0.25),
    linear("scale", "Scale of the power law", 1.0e-3),
    scanned("exponent", "Exponent", 3.0, (1.0, 2.0, 3.0, 4.0), POSITIVE),
    linear("height", "Height of the peak", 20.0),
    scanned("center", "Position q*", 0.12, "position", POSITIVE),
    scanned("fwhm", "Full width at half maximum", 0.015, "length", POSITIVE),
    linear("background", "Incoherent background", 1.0),
)
_FRESNEL = make(
    "fresnel",
    "Fresnel reflectivity of a rough substrate",
    _REFLECTOMETRY,
    "scale*fresnel(x, rho, roughness) + background",
    (0.005, 0.15),
    linear("scale", "Intensity", 1.0, POSITIVE),
    scanned("rho", "Scattering length density of the substrate", 4.2, "edge", POSITIVE, _RHO),
    scanned("roughness", "Roughness", 6.0, (0.0, 5.0, 15.0), POSITIVE, "1/x"),
    linear("background", "Background", 1.0e-6),
    help="x is q in 1/angstrom; there is no resolution unless a dx column is given.",
    logarithmic=True,
)
_FILM = make(
    "film",
    "Reflectivity of one film on a substrate",
    _REFLECTOMETRY,
    "scale*film_reflectivity(x, rho, thickness, roughness, substrate, buried) + background",
    (0.005, 0.2),
    linear("scale", "Intensity", 1.0, POSITIVE),
    scanned(
        "rho",
        "Scattering length density of the film",
        4.5,
        (0.5, 1.5, 3.0, 4.5, 6.5, 9.0),
        unit=_RHO,
    ),
    scanned("thickness", "Thickness", 300.0, "fringe", POSITIVE, "1/x"),
    scanned("roughness", "Roughness of the surface", 8.0, (5.0,), POSITIVE, "1/x"),
    scanned("substrate", "Scattering length density of the substrate", 2.07, "edge", unit=_RHO),
    scanned("buried", "Roughness of the buried interface", 5.0, (5.0,), POSITIVE, "1/x"),
    linear("background", "Background", 1.0e-6),
    help="x is q in 1/angstrom; there is no resolution unless a dx column is given.",
    logarithmic=True,
)

FIELD: tuple[CurveFunction, ...] = (
    _GUINIER,
    _POROD,
    _GUINIER_POROD,
    _DEBYE,
    _DEBYE_BUECHE,
    _ORNSTEIN_ZERNIKE,
    _CORRELATION_LENGTH,
    _TEUBNER_STREY,
    _SPHERE,
    _CORE_SHELL,
    _BRAGG,
    _FRESNEL,
    _FILM,
)
