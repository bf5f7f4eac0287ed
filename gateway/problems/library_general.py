"""Curve functions of every laboratory: polynomials, decays, peaks, steps, waves, kinetics."""

from __future__ import annotations

from dataclasses import replace

from gateway.problems.library_parts import (
    POSITIVE,
    CurveFunction,
    FunctionParameter,
    linear,
    peak_sum,
    scanned,
)

_EXPONENTS = (-4.0, -3.0, -2.0, -1.5, -1.0, -0.5, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)


def make(
    name: str,
    title: str,
    group: str,
    formula: str,
    domain: tuple[float, float],
    *parameters: FunctionParameter,
    help: str = "",
    logarithmic: bool = False,
) -> CurveFunction:
    """Describe a function in one call."""
    return CurveFunction(
        name=name,
        title=title,
        group=group,
        formula=formula,
        parameters=parameters,
        domain=domain,
        help=help,
        logarithmic=logarithmic,
    )


def _polynomial(name: str, title: str, values: tuple[float, ...]) -> CurveFunction:
    terms = ["c0", "c1*x", *(f"c{n}*x**{n}" for n in range(2, len(values)))]
    units = ["y", "y/x", *(f"y/x^{n}" for n in range(2, len(values)))]
    parameters = [
        linear(f"c{n}", f"Coefficient of x^{n}", value, unit=units[n])
        for n, value in enumerate(values)
    ]
    return make(name, title, "Polynomials", " + ".join(terms), (-3.0, 3.0), *parameters)


def _one_peak(name: str, title: str, shape: str) -> CurveFunction:
    """Take the sum of one peak, without the number in its names."""
    function = peak_sum(1, shape, "constant")
    formula = function.formula
    for word in ("height", "center", "fwhm", "area", "sigma", "gamma"):
        formula = formula.replace(f"{word}1", word)
    parameters = tuple(
        replace(parameter, name=parameter.name.rstrip("1"), label=parameter.label.replace(" 1", ""))
        for parameter in function.parameters
    )
    return replace(function, name=name, title=title, formula=formula, parameters=parameters)


_CONSTANT = make(
    "constant", "Constant", "Polynomials", "c0", (0.0, 10.0), linear("c0", "Level", 5.0)
)
_LINE = make(
    "line",
    "Straight line",
    "Polynomials",
    "intercept + slope*x",
    (0.0, 10.0),
    linear("intercept", "Value at x = 0", 1.0),
    linear("slope", "Slope", 2.0, unit="y/x"),
)

_DECAYS = (
    make(
        "exponential",
        "Exponential decay to zero",
        "Decays",
        "amplitude*exp(-x/tau)",
        (0.0, 20.0),
        linear("amplitude", "Value at x = 0", 10.0),
        scanned("tau", "Decay length or time", 5.0, "length", POSITIVE),
    ),
    make(
        "exponential_background",
        "Exponential decay on a background",
        "Decays",
        "amplitude*exp(-x/tau) + background",
        (0.0, 25.0),
        linear("amplitude", "Amplitude", 10.0),
        scanned("tau", "Decay length or time", 5.0, "length", POSITIVE),
        linear("background", "Background", 2.0),
    ),
    make(
        "double_exponential",
        "Two exponential decays on a background",
        "Decays",
        "amplitude1*exp(-x/tau1) + amplitude2*exp(-x/tau2) + background",
        (0.0, 50.0),
        linear("amplitude1", "Amplitude of the fast decay", 10.0),
        scanned("tau1", "Fast decay time", 1.5, "length", POSITIVE),
        linear("amplitude2", "Amplitude of the slow decay", 6.0),
        scanned("tau2", "Slow decay time", 12.0, "length", POSITIVE),
        linear("background", "Background", 1.0),
    ),
    make(
        "stretched_exponential",
        "Stretched exponential (Kohlrausch)",
        "Decays",
        "amplitude*exp(-(x/tau)**beta) + background",
        (0.02, 30.0),
        linear("amplitude", "Amplitude", 10.0),
        scanned("tau", "Relaxation time", 4.0, "length", POSITIVE),
        scanned("beta", "Stretching exponent", 0.6, (0.3, 0.5, 0.7, 1.0, 1.5), POSITIVE),
        linear("background", "Background", 1.0),
    ),
    make(
        "recovery",
        "Saturation recovery",
        "Decays",
        "amplitude*(1 - exp(-x/tau)) + offset",
        (0.0, 25.0),
        linear("amplitude", "Amplitude", 10.0),
        scanned("tau", "Recovery time", 5.0, "length", POSITIVE),
        linear("offset", "Value at x = 0", 1.0),
    ),
    make(
        "inversion_recovery",
        "Inversion recovery (T1)",
        "Decays",
        "amplitude*(1 - 2*efficiency*exp(-x/T1))",
        (0.0, 25.0),
        linear("amplitude", "Equilibrium magnetisation", 10.0),
        scanned("efficiency", "Inversion efficiency", 0.95, (0.6, 0.8, 1.0), POSITIVE),
        scanned("T1", "Relaxation time", 5.0, "length", POSITIVE),
    ),
    make(
        "power_law",
        "Power law",
        "Powers",
        "scale*x**exponent",
        (0.5, 20.0),
        linear("scale", "Value at x = 1", 4.0),
        scanned("exponent", "Exponent", 1.5, _EXPONENTS),
        logarithmic=True,
    ),
    make(
        "power_law_background",
        "Allometric: power law on a background",
        "Powers",
        "scale*x**exponent + background",
        (0.5, 20.0),
        linear("scale", "Scale", 20.0),
        scanned("exponent", "Exponent", -1.5, _EXPONENTS),
        linear("background", "Background", 1.0),
    ),
)

_LOG_NORMAL = make(
    "log_normal",
    "Log-normal peak",
    "Peaks",
    "height*exp(-log(x/center)**2/(2*width**2)) + background",
    (0.2, 20.0),
    linear("height", "Height", 10.0),
    scanned("center", "Position of the maximum", 4.0, "position", POSITIVE),
    scanned("width", "Width on a logarithmic scale", 0.4, (0.05, 0.1, 0.2, 0.4, 0.8), POSITIVE, ""),
    linear("background", "Background", 1.0),
)
_PSEUDO_VOIGT = make(
    "pseudo_voigt",
    "Pseudo-Voigt peak",
    "Peaks",
    "pseudo_voigt(x, height, center, fwhm, fraction) + background",
    (0.0, 20.0),
    linear("height", "Height", 20.0),
    scanned("center", "Position", 9.0, "position"),
    scanned("fwhm", "Full width at half maximum", 2.5, "length", POSITIVE),
    scanned("fraction", "Lorentzian fraction", 0.4, (0.2, 0.5, 0.8), (0.0, 1.0)),
    linear("background", "Background", 3.0),
)

_STEPS = (
    make(
        "logistic",
        "Logistic growth",
        "Steps and growth",
        "top/(1 + exp(-rate*(x - center)))",
        (0.0, 20.0),
        linear("top", "Upper level", 10.0),
        scanned("rate", "Growth rate", 0.8, "inverse"),
        scanned("center", "Position of half height", 9.0, "position"),
    ),
    make(
        "boltzmann",
        "Boltzmann sigmoid between two levels",
        "Steps and growth",
        "bottom + step/(1 + exp(-(x - center)/width))",
        (0.0, 20.0),
        linear("bottom", "Lower level", 2.0),
        linear("step", "Height of the step", 10.0),
        scanned("center", "Position", 9.0, "position"),
        scanned("width", "Width", 1.2, "length", POSITIVE),
    ),
    make(
        "error_step",
        "Error function step",
        "Steps and growth",
        "bottom + step/2*(1 + erf((x - center)/(sqrt(2)*sigma)))",
        (0.0, 20.0),
        linear("bottom", "Lower level", 2.0),
        linear("step", "Height of the step", 10.0),
        scanned("center", "Position", 9.0, "position"),
        scanned("sigma", "Standard deviation of the edge", 1.5, "length", POSITIVE),
    ),
    make(
        "gompertz",
        "Gompertz growth",
        "Steps and growth",
        "top*exp(-exp(-rate*(x - center)))",
        (0.0, 20.0),
        linear("top", "Upper level", 10.0),
        scanned("rate", "Growth rate", 0.5, "inverse"),
        scanned("center", "Point of inflection", 7.0, "position"),
    ),
    make(
        "hill",
        "Hill (dose and response)",
        "Steps and growth",
        "bottom + span*x**n/(half**n + x**n)",
        (0.1, 30.0),
        linear("bottom", "Response without dose", 1.0),
        linear("span", "Range of the response", 10.0),
        scanned("half", "Dose of half response", 5.0, "length", POSITIVE),
        scanned("n", "Hill coefficient", 2.0, (0.5, 1.0, 2.0, 4.0), POSITIVE),
    ),
)

_OSCILLATIONS = (
    make(
        "sine",
        "Sine wave",
        "Oscillations",
        "amplitude*sin(2*pi*x/period + phase) + offset",
        (0.0, 20.0),
        linear("amplitude", "Amplitude", 5.0),
        scanned("period", "Period", 6.0, "period", POSITIVE, "x"),
        scanned("phase", "Phase in radians", 0.7, "phase"),
        linear("offset", "Offset", 2.0),
    ),
    make(
        "damped_oscillation",
        "Damped oscillation",
        "Oscillations",
        "amplitude*exp(-x/tau)*cos(2*pi*x/period + phase) + offset",
        (0.0, 30.0),
        linear("amplitude", "Amplitude", 8.0),
        scanned("tau", "Decay time", 12.0, "damping", POSITIVE, "x"),
        scanned("period", "Period", 5.0, "period", POSITIVE, "x"),
        scanned("phase", "Phase in radians", 0.5, "phase"),
        linear("offset", "Offset", 1.0),
    ),
)

_KINETICS = (
    make(
        "arrhenius",
        "Arrhenius law",
        "Kinetics and adsorption",
        "A*exp(-Ea/(8.31446261815324*x))",
        (280.0, 400.0),
        linear("A", "Pre-exponential factor", 2.0e7, POSITIVE),
        scanned(
            "Ea",
            "Activation energy, x in kelvin",
            40000.0,
            tuple(2000.0 * 1.25**n for n in range(24)),
            unit="J/mol",
        ),
        logarithmic=True,
    ),
    make(
        "michaelis_menten",
        "Michaelis-Menten",
        "Kinetics and adsorption",
        "Vmax*x/(Km + x)",
        (0.1, 20.0),
        linear("Vmax", "Greatest rate", 10.0),
        scanned("Km", "Michaelis constant", 3.0, "length", POSITIVE),
    ),
    make(
        "langmuir",
        "Langmuir isotherm",
        "Kinetics and adsorption",
        "capacity*K*x/(1 + K*x)",
        (0.1, 20.0),
        linear("capacity", "Capacity", 8.0, POSITIVE),
        scanned("K", "Equilibrium constant", 0.5, "inverse", POSITIVE),
    ),
    make(
        "freundlich",
        "Freundlich isotherm",
        "Kinetics and adsorption",
        "K*x**(1/n)",
        (0.1, 20.0),
        linear("K", "Freundlich constant", 3.0, POSITIVE),
        scanned("n", "Heterogeneity", 2.5, (0.7, 1.0, 1.5, 2.0, 3.0, 5.0), POSITIVE),
    ),
    make(
        "second_order",
        "Second-order decay",
        "Kinetics and adsorption",
        "A0/(1 + A0*k*x)",
        (0.0, 20.0),
        scanned("A0", "Concentration at the start", 10.0, "height", POSITIVE, "y"),
        scanned("k", "Rate constant", 0.05, "inverse_area", POSITIVE, "1/(y*x)"),
    ),
    make(
        "critical",
        "Critical power law below a transition",
        "Kinetics and adsorption",
        "amplitude*max(1 - x/Tc, 0)**exponent + background",
        (5.0, 60.0),
        linear("amplitude", "Amplitude", 10.0, POSITIVE),
        scanned("Tc", "Transition temperature", 45.0, "position", POSITIVE),
        scanned(
            "exponent", "Exponent (2 beta for intensities)", 0.65, (0.25, 0.5, 0.7, 1.0), POSITIVE
        ),
        linear("background", "Background", 1.0),
    ),
)

GENERAL: tuple[CurveFunction, ...] = (
    _CONSTANT,
    _LINE,
    _polynomial("quadratic", "Polynomial of degree 2", (1.0, -2.0, 0.5)),
    _polynomial("cubic", "Polynomial of degree 3", (1.0, -2.0, 0.5, 0.8)),
    _polynomial("quartic", "Polynomial of degree 4", (1.0, -2.0, 0.5, 0.8, -0.3)),
    _polynomial("quintic", "Polynomial of degree 5", (1.0, -2.0, 0.5, 0.8, -0.3, 0.1)),
    *_DECAYS,
    _one_peak("gaussian", "Gaussian peak", "gaussian"),
    _one_peak("lorentzian", "Lorentzian peak", "lorentzian"),
    _one_peak("voigt", "Voigt peak", "voigt"),
    _PSEUDO_VOIGT,
    _LOG_NORMAL,
    *_STEPS,
    *_OSCILLATIONS,
    *_KINETICS,
)
