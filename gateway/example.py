"""One fit to look at: a data set of NIST, left for the first user of a new gateway."""

from __future__ import annotations

from gateway.accounts.models import Identity, Scope, expand
from gateway.ids import new_id
from gateway.jobs.asking import Request
from gateway.jobs.models import Job
from gateway.jobs.schemas import JobRequestSchema
from gateway.problems.schemas import ProblemSchema
from gateway.records import Document
from gateway.services import open_gateway
from gateway.settings import Settings

_KEY = "the-example-of-a-new-gateway"
"""Whoever starts the gateway again gets no second example."""

# Misra1a of NIST's Statistical Reference Datasets, in the public domain: volume over pressure of a
# monomolecular adsorption, with the certified deviation of its residuals as uncertainty.
_PRESSURE = (77.6, 114.9, 141.1, 190.8, 239.9, 289.0, 332.8, 378.4, 434.8, 477.3, 536.8, 593.1,
             689.1, 760.0)  # fmt: skip
_VOLUME = (10.07, 14.73, 17.94, 23.93, 29.61, 35.18, 40.02, 44.82, 50.76, 55.05, 61.01, 66.40,
           75.47, 81.78)  # fmt: skip
_DEVIATION = 0.1018787633
_ROWS = "".join(f"{x} {y}\n" for x, y in zip(_PRESSURE, _VOLUME, strict=True))

PROBLEM: Document = {
    "name": "Example: adsorption (NIST Misra1a)",
    "notes": "NIST certifies b1 = 238.94 +- 2.71 and b2 = 0.00055016 +- 0.00000727.",
    "tags": ["example"],
    "type": "curve",
    "curve": {
        "data": {"text": f"# pressure volume\n{_ROWS}"},
        "columns": {"x": 0, "y": 1, "dy": {"from": "constant", "value": _DEVIATION}},
        "expression": "b1*(1-exp(-b2*x))",
        "parameters": [
            {"name": "b1", "value": 250.0, "bounds": [0.0, 1000.0]},
            {"name": "b2", "value": 0.0005, "bounds": [0.0, 0.01]},
        ],
    },
}


def leave_example(settings: Settings, user: str) -> Job:
    """Make the example problem of a user and queue its fit, once and for all.

    The worker does the fit; it takes a few seconds.
    """
    services = open_gateway(settings)
    who = Identity(user=user, admin=False, scopes=expand([Scope.SUBMIT]))
    document = ProblemSchema().load(PROBLEM)
    problem = services.problems.create(who, document, _KEY, _KEY).problem
    wanted = JobRequestSchema().load(
        {
            "problem": {"id": problem.id},
            "options": {"fit": "dream", "samples": 10_000},
            "title": PROBLEM["name"],
            "tags": PROBLEM["tags"],
            "seed": 1,
        }
    )
    request = Request(identity=who, correlation_id=new_id(), key=_KEY, request_hash=_KEY)
    return services.jobs.submit(request, wanted).job
