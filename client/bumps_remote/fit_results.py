"""The result of a fit as bumps gives it, which a notebook shows as a table.

It needs scipy, so only `bumps_remote.like_bumps` imports it, when it is asked to.
"""

from __future__ import annotations

from scipy.optimize import OptimizeResult

from bumps_remote.notebook import parameters_html
from bumps_remote.numbers import number


class FitResult(OptimizeResult):  # type: ignore[misc]  # scipy carries no types
    """scipy's OptimizeResult with bumps's members, and the job that it came from."""

    def _repr_html_(self) -> str:
        return (
            f"<div>χ² {number(float(self.chisq))} "
            f"({self.numpoints} points, {self.dof} degrees of freedom)</div>"
            f"{parameters_html(self.labels, self.x, self.dx)}"
        )
