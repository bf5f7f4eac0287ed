"""The curves of a problem as numbers: data, theory, residuals, and a profile where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .base import Document

Array = NDArray[np.float64]
LIVE_POINTS = 500
PROFILE_STEP = 0.5
"""Step of the depth of a reflectometry profile, in angstrom."""


def curves(problem: Any) -> list[Document]:
    """Describe every curve of every model, with the problem as it stands.

    A model of a kind that nobody knows has no curve; one that has several (the cross sections of
    a polarised beam, a function of several values) has one for each.
    """
    found: list[Document] = []
    for index, model in enumerate(problem.models):
        for curve in _describe(model):
            name = getattr(model, "name", None) or f"model {index + 1}"
            found.append({**curve, "label": _join(str(name), curve["label"])})
    return found


def live_curve(curve: Document, index: int) -> Document:
    """Thin a curve for an event: at most 500 points."""
    every = max(1, -(-len(curve["x"]) // LIVE_POINTS))
    members = ("x", "y", "dy", "theory")
    thinned = {name: None if curve[name] is None else curve[name][::every] for name in members}
    return {"model": index, **thinned}


def _join(name: str, part: str) -> str:
    return f"{name} {part}".strip()


def _describe(model: Any) -> Iterator[Document]:
    describe: Callable[[Any], Iterator[Document]] | None = None
    if hasattr(model, "probe") and hasattr(model, "reflectivity"):
        describe = _reflectivity
    elif hasattr(model, "Iq") and hasattr(model, "theory"):
        describe = _scattering
    elif all(hasattr(model, name) for name in ("x", "y", "dy", "theory")):
        describe = _curve
    return describe(model) if describe else iter(())


def _document(kind: str, x: Any, y: Any, dy: Any, theory: Any, **more: Any) -> Document:
    x, y, theory = (np.asarray(values, "d") for values in (x, y, theory))
    errors = None if dy is None else np.broadcast_to(np.asarray(dy, "d"), y.shape)
    with np.errstate(all="ignore"):
        residuals = None if errors is None else (theory - y) / errors
    document: Document = {
        "label": "",
        "kind": kind,
        "x": x,
        "y": y,
        "dy": errors,
        "dx": None,
        "theory": theory,
        "residuals": residuals,
        "x_label": "x",
        "y_label": "y",
        "log_x": False,
        "log_y": False,
        "profile": None,
        "fresnel": None,
        "bands": None,
    }
    return {**document, **more}


def _curve(model: Any) -> Iterator[Document]:
    """Describe bumps's Curve; y may be of shape (n,) or, for several lines, (k, n)."""
    x, y = np.asarray(model.x, "d"), np.asarray(model.y, "d")
    if x.ndim != 1:
        return
    labels = [*(getattr(model, "labels", None) or ["x", "y"]), "", ""]
    theory, dy = np.asarray(model.theory(), "d"), np.broadcast_to(model.dy, y.shape)
    several = y.ndim > 1
    lines = y if several else y[None]
    for index, line in enumerate(lines):
        yield _document(
            "curve",
            x,
            line,
            dy[index] if several else dy,
            theory[index] if several else theory,
            label=labels[index + 2] if several else "",
            x_label=labels[0],
            y_label=labels[1],
        )


def _scattering(model: Any) -> Iterator[Document]:
    """Describe a one-dimensional experiment of sasmodels."""
    data = model._data
    if getattr(model, "data_type", "Iq") != "Iq" or not hasattr(data, "x"):
        return
    index = model.index
    yield _document(
        "sas",
        np.asarray(data.x)[index],
        model.Iq,
        model.dIq,
        model.theory(),
        dx=None if getattr(data, "dx", None) is None else np.asarray(data.dx)[index],
        x_label="Q (1/Å)",
        y_label="Intensity (1/cm)",
        log_x=True,
        log_y=True,
    )


def _reflectivity(model: Any) -> Iterator[Document]:
    """Describe an experiment of refl1d: a curve for each measured cross section."""
    profile = _profile(model)
    theory = model.reflectivity()
    sections = getattr(model.probe, "xs", None)
    pairs = (
        [(model.probe, theory, "")]
        if sections is None
        else [
            (probe, part, name)
            for probe, part, name in zip(sections, theory, ("--", "-+", "+-", "++"), strict=True)
            if probe is not None and part is not None
        ]
    )
    made: dict[str, Document] = {}
    for probe, (q, values), name in pairs:
        if getattr(probe, "R", None) is None:
            continue
        made[name] = _document(
            "reflectivity",
            probe.Q,
            probe.R,
            probe.dR,
            np.interp(np.asarray(probe.Q), np.asarray(q), np.asarray(values)),
            label=name,
            dx=getattr(probe, "dQ", None),
            x_label="Q (1/Å)",
            y_label="Reflectivity",
            log_y=True,
            profile=profile,
            fresnel=_fresnel(model, probe),
        )
    yield from made.values()
    if "++" in made and "--" in made:
        yield _asymmetry(made["++"], made["--"])


def _fresnel(model: Any, probe: Any) -> Array | None:
    """Give what the bare substrate would reflect, seen as the probe sees it."""
    # What refl1d itself hands to its plots.
    substrate, surface = (getattr(model, name, None) for name in ("_substrate", "_surface"))
    if substrate is None or not hasattr(probe, "fresnel"):
        return None
    at = np.asarray(probe.calc_Q)
    with np.errstate(all="ignore"):
        reflected = probe.fresnel(substrate=substrate, surface=surface)(at)
        q, values = probe.apply_beam(at, reflected)
    return np.asarray(np.interp(np.asarray(probe.Q), q, values), "d")


def _asymmetry(up: Document, down: Document) -> Document:
    """Give (R++ - R--) / (R++ + R--), with the uncertainty that follows from theirs.

    As refl1d has it: what was measured with the spin down is taken at the Q of the spin up.
    """
    plus, minus = up["y"], np.interp(up["x"], down["x"], down["y"])
    theory = np.interp(up["x"], down["x"], down["theory"])
    error = None
    with np.errstate(all="ignore"):
        if up["dy"] is not None and down["dy"] is not None:
            other = np.interp(up["x"], down["x"], down["dy"])
            error = 2 * np.hypot(plus * other, minus * up["dy"]) / (plus + minus) ** 2
        measured = (plus - minus) / (plus + minus)
        expected = (up["theory"] - theory) / (up["theory"] + theory)
    words = {"x_label": up["x_label"], "y_label": "(R⁺⁺ - R⁻⁻) / (R⁺⁺ + R⁻⁻)"}
    found = _document("asymmetry", up["x"], measured, error, expected, dx=up["dx"], **words)
    return {**found, "label": "spin asymmetry"}


def _profile(model: Any) -> Document | None:
    """Give the scattering length density over depth."""
    if not hasattr(model, "smooth_profile"):
        return None
    if getattr(model, "ismagnetic", False):
        z, rho, irho, magnetic, theta = model.magnetic_smooth_profile(dz=PROFILE_STEP)
        series = {"rho": rho, "irho": irho, "rhoM": magnetic, "thetaM": theta}
    else:
        z, rho, irho = model.smooth_profile(dz=PROFILE_STEP)
        series = {"rho": rho, "irho": irho}
    return {"x": z, "series": series, "x_label": "z (Å)", "y_label": "SLD (10⁻⁶/Å²)"}
