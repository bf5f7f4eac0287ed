"""The fit methods of bumps and their options, as data.

The ranges are those that really work: bumps itself clips, drops or crashes on many values that it
accepts. Standard library only: the gateway imports it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .auto import AUTO_OPTIONS
from .base import Option


@dataclass(frozen=True, kw_only=True)
class Method:
    """A way to fit."""

    name: str
    title: str
    help: str
    options: tuple[Option, ...]
    parallel: bool = False
    """Uses more than one CPU."""

    resumable: bool = False
    """Can go on from where an earlier attempt ended."""

    hidden: bool = False
    """Works, but is not offered."""

    def option(self, name: str) -> Option | None:
        """Find an option by name."""
        return next((option for option in self.options if option.name == name), None)


TIME = Option(
    name="time",
    type="float",
    default=0.0,
    label="Max time",
    help="Stop after this many hours and keep the result; 0 for no limit.",
    minimum=0,
    maximum=10000,
    unit="h",
)
STEPS = Option(
    name="steps",
    type="int",
    default=1000,
    label="Number of steps",
    help="Stop after this many steps.",
    minimum=1,
    maximum=10**9,
)
XTOL = Option(
    name="xtol",
    type="float",
    default=1e-6,
    label="x tolerance",
    help="Stop when the population's diameter is below this part of the range.",
    minimum=0,
    maximum=1,
)
FTOL = Option(
    name="ftol",
    type="float",
    default=1e-8,
    label="f(x) tolerance",
    help="Stop when the log likelihood varies by less than this.",
    minimum=0,
)
STARTS = Option(
    name="starts",
    type="int",
    default=1,
    label="Auto restarts",
    help="How many times to start; the best end counts.",
    minimum=1,
    maximum=10**6,
)
JUMP = Option(
    name="jump",
    type="float",
    default=0,
    label="Jump radius",
    help="Restart within this part of the range around the best point; 0 restarts at random.",
    minimum=0,
    maximum=0.5,
)
CR = Option(
    name="CR",
    type="float",
    default=0.9,
    label="Crossover ratio",
    help="How likely a parameter takes part in a step.",
    minimum=0,
    maximum=1,
)
POP = Option(
    name="pop",
    type="float",
    default=10,
    label="Population size",
    help="Members for each fitted parameter; a negative number is the size itself.",
    minimum=-100000,
    maximum=100000,
)
BURN = Option(
    name="burn",
    type="int",
    default=100,
    label="Burn-in steps",
    help="Generations to throw away before the samples.",
    minimum=0,
    maximum=10**7,
)

AMOEBA = Method(
    name="amoeba",
    title="Nelder-Mead Simplex",
    help="Robust and without derivatives; a good first choice for few parameters.",
    options=(
        STEPS,
        Option(
            name="radius",
            type="float",
            default=0.15,
            label="Simplex radius",
            help="Size of the first simplex as a part of the range.",
            above=0,
            maximum=0.5,
        ),
        XTOL,
        FTOL,
        STARTS,
        replace(JUMP, default=0.01),
        TIME,
    ),
)

DE = Method(
    name="de",
    title="Differential Evolution",
    help="A population searches the whole range: for problems with many local minima.",
    options=(
        STEPS,
        replace(POP, help="Members for each fitted parameter; more than 0.", minimum=None, above=0),
        CR,
        Option(
            name="F",
            type="float",
            default=2.0,
            label="Scale",
            help="How far a step goes, as a multiple of the difference of two members.",
            above=0,
            maximum=100,
        ),
        replace(FTOL, help=FTOL.help + " Only looked at when xtol is 0."),
        XTOL,
        TIME,
    ),
    parallel=True,
    resumable=True,
)

DREAM = Method(
    name="dream",
    title="DREAM",
    help="Draws from the posterior: best values with honest uncertainties and correlations.",
    options=(
        Option(
            name="samples",
            type="int",
            default=10000,
            label="Samples",
            help="How many samples to keep, over all chains.",
            minimum=1,
            maximum=10**8,
        ),
        BURN,
        POP,
        Option(
            name="init",
            type="enum",
            default="eps",
            label="Population initializer",
            help="eps: close to the start; lhs: Latin hypercube over the range; cov: normal by "
            "the covariance at the start; random: uniform over the range.",
            choices=("eps", "lhs", "cov", "random"),
        ),
        Option(
            name="thin",
            type="int",
            default=1,
            label="Thinning factor",
            help="Keep every n-th generation.",
            minimum=1,
            maximum=10**6,
        ),
        Option(
            name="alpha",
            type="float",
            default=0.0,
            label="Convergence criterion",
            help="Stop early when a Kolmogorov-Smirnov test at this level says that the chains "
            "are steady; 0 for no early stop.",
            minimum=0,
            maximum=0.1,
        ),
        Option(
            name="outliers",
            type="enum",
            default="iqr",
            label="Outliers test",
            help="How to find chains that got stuck.",
            choices=("none", "iqr", "grubbs", "mahal"),
        ),
        Option(
            name="trim",
            type="bool",
            default=True,
            label="Burn-in trim",
            help="Leave out the part of the samples before the chains were steady.",
        ),
        Option(
            name="steps",
            type="int",
            default=0,
            label="Number of steps",
            help="Generations instead of samples; 0 to go by samples (deprecated by bumps).",
            minimum=0,
            maximum=10**8,
        ),
        TIME,
    ),
    parallel=True,
    resumable=True,
)

NEWTON = Method(
    name="newton",
    title="Quasi-Newton BFGS",
    help="Fast close to a smooth minimum; may stop early far from it.",
    options=(
        replace(STEPS, default=3000),
        replace(FTOL, default=1e-6, help="Stop when the gradient is below this."),
        replace(XTOL, default=1e-12, help="bumps has this option but does not look at it."),
        STARTS,
        JUMP,
        TIME,
    ),
)

LM = Method(
    name="lm",
    title="Levenberg-Marquardt",
    help="The fastest for least squares from a good start.",
    options=(
        replace(STEPS, default=200),
        replace(
            FTOL,
            default=1e-10,
            help="Stop when chi-square falls by less than this part.",
            minimum=None,
            above=0,
        ),
        replace(
            XTOL,
            default=1e-10,
            help="Stop when the point moves by less than this part.",
            minimum=None,
            above=0,
        ),
        STARTS,
        JUMP,
        TIME,
    ),
)

PT = Method(
    name="pt",
    title="Parallel Tempering",
    help="Chains at several temperatures; kept for old scripts.",
    options=(
        replace(STEPS, default=400),
        Option(
            name="nT",
            type="int",
            default=24,
            label="Number of temperatures",
            help="How many chains.",
            minimum=3,
            maximum=1000,
        ),
        CR,
        BURN,
        Option(
            name="Tmin",
            type="float",
            default=0.1,
            label="Min temperature",
            help="The coldest chain.",
            above=0,
        ),
        Option(
            name="Tmax",
            type="float",
            default=10.0,
            label="Max temperature",
            help="The hottest chain; more than Tmin.",
            above=0,
        ),
        TIME,
    ),
    hidden=True,
)

AUTO = Method(
    name="auto",
    title="Automatic",
    help="Finds a way by itself: many starts, local fits, a search where they do not agree.",
    options=AUTO_OPTIONS,
)

METHODS: dict[str, Method] = {
    method.name: method for method in (AUTO, AMOEBA, DE, DREAM, NEWTON, LM, PT)
}
"""Every method by name, in the order of a form."""
