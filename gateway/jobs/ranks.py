"""Which fits may use MPI: several tasks, on one or more machines, that evaluate for one fit."""

from __future__ import annotations

from collections.abc import Sequence

from fitters.bumps_options import METHODS
from gateway.clusters.settings import ClusterSettings
from gateway.errors import FieldError
from gateway.jobs.resources import Resources, check_spread

FEWEST = 2


def check_ranks(
    resources: Resources,
    cluster: ClusterSettings,
    *,
    kind: str,
    mode: str,
    method: str,
    elements: Sequence[object],
) -> list[FieldError]:
    """Refuse MPI where it does nothing or cannot be started, and several machines without it.

    Parameters
    ----------
    method
        The fit method; empty if the options are wrong, which is said elsewhere.
    """
    if not resources.mpi:
        return check_spread(resources)
    errors = []
    if why := _why_not(cluster, kind, mode, method, elements):
        errors.append(FieldError(pointer="/resources/mpi", detail=why))
    ranks, nodes = resources.ranks, resources.nodes or 1
    if ranks < FEWEST:
        detail = f"MPI starts one rank a task, and this asks for {ranks}: ask for 2 or more"
        errors.append(FieldError(pointer="/resources/ntasks", detail=detail))
    elif nodes > ranks:
        detail = f"{nodes} nodes are more than the {ranks} ranks: {nodes - ranks} would idle"
        errors.append(FieldError(pointer="/resources/nodes", detail=detail))
    return errors


def _why_not(
    cluster: ClusterSettings, kind: str, mode: str, method: str, elements: Sequence[object]
) -> str:
    able = " and ".join(sorted(name for name, known in METHODS.items() if known.parallel))
    if not cluster.mpi:
        return "no launcher of MPI is set up for this cluster: leave mpi out, and take one node"
    if kind != "fit" or mode != "fit":
        return f"only a fit uses MPI, not {kind if kind != 'fit' else mode}: leave mpi out"
    if elements:
        return "the elements of an array run side by side without it: leave mpi out"
    if method and method not in able.split(" and "):
        return f"{method} evaluates one point after the other; {able} use MPI: leave mpi out"
    return ""
