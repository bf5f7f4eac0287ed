"""Check a bumps JSON problem without deserialising it.

``bumps.serialize.deserialize`` imports and calls whatever class the file names and unpickles its
functions. Here the file is only walked: every class name against the list of the site, every
reference, array, parameter and operator against what bumps expects. A job loads it later.
"""

from __future__ import annotations

import difflib
import graphlib
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from gateway.errors import FieldError, InvalidError
from gateway.problems.json_nodes import (
    JsonFunction,
    JsonParameter,
    array_fault,
    array_shape,
    expression_fault,
    has_nonpositive,
    read_function,
    read_parameter,
)
from gateway.problems.json_reading import JsonLimits, pointer_of, read_json

SCHEMAS = ("bumps-draft-02", "bumps-draft-03")
PARAMETER_LIMIT = 1000
ERROR_LIMIT = 20
_CLASS = "__class__"
_DOTTED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+")


@dataclass(frozen=True, kw_only=True)
class JsonReport:
    """What a bumps JSON problem is, as far as reading tells."""

    classification: Literal["data-only", "code-bearing"]
    parameters: tuple[JsonParameter, ...]
    """Those that are fitted."""
    models: tuple[str, ...]
    """The class of each model."""
    points: int | None
    """None where a model does not show how many it has."""
    functions: tuple[JsonFunction, ...]
    """The pickled functions: their source as the file claims it, which nobody has verified."""
    libraries: Mapping[str, str]
    python: str | None
    """None: bumps does not write which Python pickled a function; the sender must say."""
    warnings: tuple[str, ...]


@dataclass(kw_only=True)
class _Findings:
    allowed: frozenset[str]
    references: Mapping[str, Any]
    errors: list[FieldError] = field(default_factory=list)
    functions: list[JsonFunction] = field(default_factory=list)
    parameters: dict[str, JsonParameter] = field(default_factory=dict)
    links: dict[str, set[str]] = field(default_factory=dict)
    """Of each reference, and of the object as an empty name: which references it names."""

    def refuse(self, pointer: str, detail: str) -> None:
        if len(self.errors) < ERROR_LIMIT:
            self.errors.append(FieldError(pointer=pointer, detail=detail))


def check_json(
    raw: bytes, allowed_classes: Collection[str], limits: JsonLimits | None = None
) -> JsonReport:
    """Check a serialised problem.

    Raises
    ------
    InvalidError
        With JSON pointers into the file.
    """
    tree = read_json(raw, limits or JsonLimits())
    references = _check_frame(tree)
    found = _Findings(allowed=frozenset(allowed_classes), references=references)
    _walk(found, "", tree["object"], pointer_of("object"))
    for name, item in references.items():
        _walk(found, name, item, pointer_of("references", name))
    _raise(found)
    reachable = _reachable(found)
    fitted = tuple(
        p for p in found.parameters.values() if p.fitted and (p.id in reachable or not p.shared)
    )
    models, points = _check_models(found, tree["object"])
    _check_fitted(found, fitted, models, points)
    _raise(found)
    functions = tuple(found.functions)
    return JsonReport(
        classification="code-bearing" if functions else "data-only",
        parameters=fitted,
        models=models,
        points=points,
        functions=functions,
        libraries=_libraries(tree),
        python=None,
        warnings=tuple(_warnings(found, reachable, fitted)),
    )


def _raise(found: _Findings) -> None:
    if found.errors:
        raise InvalidError(found.errors)


def _check_frame(tree: Any) -> Mapping[str, Any]:
    if not isinstance(tree, dict):
        raise InvalidError.at("", "a bumps problem is a JSON object with $schema and object")
    schema = tree.get("$schema")
    if schema not in SCHEMAS:
        raise InvalidError.at(
            "/$schema",
            f"the schema {str(schema)[:60]!r} is not taken; it must be one of "
            f"{', '.join(SCHEMAS)}: save the problem with bumps 1.0 or newer",
        )
    references = tree.get("references")
    if not isinstance(references, dict):
        raise InvalidError.at("/references", "must be an object of shared parameters by their id")
    item = tree.get("object")
    if not isinstance(item, dict) or item.get(_CLASS) != "bumps.fitproblem.FitProblem":
        raise InvalidError.at(
            "/object", "must be a bumps.fitproblem.FitProblem; save the whole problem, not a model"
        )
    return references


def _walk(found: _Findings, owner: str, root: Any, pointer: str) -> None:
    """Visit every node below *root*, without recursion."""
    links = found.links.setdefault(owner, set())
    stack: list[tuple[str, Any]] = [(pointer, root)]
    while stack:
        where, node = stack.pop()
        if isinstance(node, list):
            stack.extend((f"{where}/{n}", item) for n, item in enumerate(node))
        elif isinstance(node, dict) and _visit(found, links, where, node):
            stack.extend((where + pointer_of(key), item) for key, item in node.items())


def _visit(found: _Findings, links: set[str], where: str, node: dict[str, Any]) -> bool:
    """Check one object; say whether to go on below it."""
    if _CLASS not in node:
        kind = node.get("type")
        if isinstance(kind, str) and _DOTTED.fullmatch(kind):
            found.refuse(f"{where}/type", f"{kind[:80]!r} names a class as old schemas did")
        return True
    name = node[_CLASS]
    if name == "Reference":
        _check_reference(found, links, where, node)
    elif not isinstance(name, str) or name not in found.allowed:
        _refuse_class(found, where, name)
    elif name in ("Callable", "bumps.util.NumpyArray"):
        _check_leaf(found, where, name, node)
    else:
        _check_node(found, where, name, node)
        return True
    return False


def _check_leaf(found: _Findings, where: str, name: str, node: Mapping[str, Any]) -> None:
    """Check what bumps takes as a whole, without looking at classes below it."""
    if name == "Callable":
        function, fault = read_function(where, node)
        found.functions.append(function)
        if fault:
            found.refuse(f"{where}/{fault[0]}", fault[1])
    elif text := array_fault(node):
        found.refuse(where, text)


def _check_node(found: _Findings, where: str, name: str, node: dict[str, Any]) -> None:
    if name == "bumps.parameter.Parameter":
        parameter, faults = read_parameter(where, node)
        found.parameters[where] = parameter
        for part, detail in faults:
            found.refuse(f"{where}/{part}", detail)
    elif name in ("bumps.parameter.Expression", "bumps.parameter.Constraint"):
        fault = expression_fault(node, is_constraint=name.endswith("Constraint"))
        if fault:
            found.refuse(f"{where}/op", fault)


def _check_reference(
    found: _Findings, links: set[str], where: str, node: Mapping[str, Any]
) -> None:
    target = node.get("id")
    if isinstance(target, str) and target in found.references:
        links.add(target)
    else:
        found.refuse(f"{where}/id", f"there is no {str(target)[:80]!r} among the references")


def _refuse_class(found: _Findings, where: str, name: object) -> None:
    if name == "Callable":
        detail = "pickled functions are code, which this site does not take in JSON"
    else:
        near = difflib.get_close_matches(str(name)[:80], found.allowed, n=1)
        advice = f"; the nearest allowed is {near[0]}" if near else ""
        detail = f"{str(name)[:80]!r} is not among the classes that this site allows{advice}"
    found.refuse(f"{where}/{_CLASS}", detail + "; a model script may use it")


def _reachable(found: _Findings) -> set[str]:
    """Follow the references from the problem; refuse circles."""
    graph = {name: found.links[name] for name in found.references}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        circle = error.args[1]
        found.refuse(
            pointer_of("references", circle[0]),
            f"the references go round in a circle: {' -> '.join(map(str, circle[:6]))}",
        )
        return set()
    reached: set[str] = set()
    waiting = list(found.links[""])
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(found.links[name])
    return reached


def _check_models(
    found: _Findings, problem: Mapping[str, Any]
) -> tuple[tuple[str, ...], int | None]:
    models = problem.get("models")
    if not isinstance(models, list) or not models:
        found.refuse("/object/models", "the problem has no model")
        return (), None
    names = []
    counts: list[int | None] = []
    for index, model in enumerate(models):
        name = model.get(_CLASS) if isinstance(model, dict) else None
        if not isinstance(name, str):
            found.refuse(f"/object/models/{index}", "is no model")
            continue
        names.append(name)
        counts.append(_points(found, f"/object/models/{index}", name, model))
    known = [count for count in counts if count is not None]
    return tuple(names), sum(known) if len(known) == len(counts) else None


def _points(found: _Findings, where: str, name: str, model: Mapping[str, Any]) -> int | None:
    if name.startswith("bumps.curve."):
        return _curve_points(found, where, model)
    sizes = [size for size in _probe_sizes(model) if size is not None]
    return sum(sizes) if sizes else None


def _curve_points(found: _Findings, where: str, model: Mapping[str, Any]) -> int | None:
    shapes = {key: array_shape(model.get(key)) for key in ("x", "y", "dy")}
    for key, shape in shapes.items():
        # One uncertainty for all points is what people write.
        if shape is None or (not shape and key != "dy"):
            found.refuse(f"{where}/{key}", "must be an array of numbers")
            return None
    y = shapes["y"] or ()
    if shapes["dy"] not in (y, ()) or (shapes["x"] or ())[-1:] != y[-1:]:
        found.refuse(f"{where}/dy", f"x, y and dy differ in length: {list(shapes.values())}")
    # A Poisson curve takes its uncertainty from the counts.
    if model[_CLASS] == "bumps.curve.Curve" and has_nonpositive(model["dy"]):
        found.refuse(f"{where}/dy", "an uncertainty is not positive")
    size = 1
    for length in y:
        size *= length
    return size


def _probe_sizes(model: Any) -> Iterator[int | None]:
    """Find the measured reflectivities below a model: arrays named R."""
    stack = [model]
    while stack:
        node = stack.pop()
        if isinstance(node, list):
            stack.extend(node)
        elif isinstance(node, dict):
            if "R" in node and str(node.get(_CLASS, "")).startswith("refl1d.probe."):
                shape = array_shape(node["R"])
                yield shape[0] if shape else None
            stack.extend(value for value in node.values() if isinstance(value, dict | list))


def _check_fitted(
    found: _Findings,
    fitted: tuple[JsonParameter, ...],
    models: tuple[str, ...],
    points: int | None,
) -> None:
    if not fitted:
        found.refuse("/object", "no parameter is fitted; give at least one a range")
    if len(fitted) > PARAMETER_LIMIT:
        found.refuse("/object", f"{len(fitted)} fitted parameters; at most {PARAMETER_LIMIT}")
    priors = sum(parameter.prior for parameter in fitted)
    pdf = any(name == "bumps.pdfwrapper.PDF" for name in models)
    if points is not None and not pdf and points + priors < len(fitted):
        found.refuse("/object", f"{len(fitted)} parameters are fitted to {points} points")


def _libraries(tree: Mapping[str, Any]) -> dict[str, str]:
    libraries = tree.get("libraries")
    if not isinstance(libraries, dict):
        return {}
    pairs = ((name, item.get("version")) for name, item in libraries.items() if _is_dict(item))
    return {name[:40]: str(version)[:40] for name, version in pairs if version}


def _is_dict(item: object) -> bool:
    return isinstance(item, dict)


def _warnings(
    found: _Findings, reachable: set[str], fitted: tuple[JsonParameter, ...]
) -> Iterator[str]:
    if found.functions:
        yield (
            f"{len(found.functions)} pickled functions: the job needs the minor version of Python "
            "that wrote them; a model script runs with any"
        )
    unused = len(found.references) - len(reachable)
    if unused:
        yield f"{unused} references are used by no model"
    labels = [parameter.label for parameter in fitted]
    double = sorted({label for label in labels if labels.count(label) > 1})
    if double:
        yield f"parameters share a label: {', '.join(double[:5])}"
    order = {name: place for place, name in enumerate(found.references)}
    early = [n for n in order if any(order[m] > order[n] for m in found.links[n])]
    if early:
        yield f"reference {early[0][:60]} names a later one; bumps 1.0 reads them in order"
