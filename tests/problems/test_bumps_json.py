"""bumps JSON: what is taken, what is refused and where, without deserialising anything."""

from __future__ import annotations

import base64
import copy
import json
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bumps.parameter import Operators
from bumps.serialize import deserialize, serialize
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import InvalidError
from gateway.problems import json_nodes
from gateway.problems.bumps_json import check_json
from gateway.problems.json_reading import JsonLimits, read_json
from gateway.settings import load_settings
from tests.problems.making import load, noisy, resolved, text_of

RECORDED = Path(__file__).parent.parent / "recorded" / "problems"
ALLOWED = load_settings({}, with_secret=False).problems.allowed_classes
NAMES = ["curve", "pdf", "tied", "refl1d-nickel", "refl1d-magnetic"]


def read(name: str) -> Any:
    return json.loads((RECORDED / f"{name}.json").read_bytes())


def check(tree: Any) -> Any:
    return check_json(json.dumps(tree).encode(), ALLOWED)


def refused(tree: Any) -> dict[str, str]:
    raw = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    with pytest.raises(InvalidError) as caught:
        check_json(raw, ALLOWED)
    return {error.pointer: error.detail for error in caught.value.errors}


def first_parameter(tree: Any) -> tuple[str, Any]:
    return next(
        (name, item)
        for name, item in tree["references"].items()
        if item["__class__"] == "bumps.parameter.Parameter" and item["fixed"] is False
    )


@pytest.mark.parametrize(
    ("name", "classification", "labels", "points"),
    [
        ("curve", "code-bearing", {"m", "b"}, 6),
        ("pdf", "code-bearing", {"x", "y"}, None),
        ("tied", "code-bearing", {"one m", "one b"}, 12),
        ("refl1d-nickel", "data-only", {"Si interface", "Ni interface", "Ni thickness"}, 41),
        (
            "refl1d-magnetic",
            "data-only",
            {"Fe thickness", "Fe interface", "Fe magnetism rhoM"},
            62,
        ),
    ],
)
def test_a_real_problem_is_read(
    name: str, classification: str, labels: set[str], points: int | None
) -> None:
    report = check(read(name))
    assert report.classification == classification
    assert {parameter.label for parameter in report.parameters} == labels
    assert report.points == points
    assert report.libraries["bumps"].startswith("1.0.")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_the_gateway_says_of_a_problem_is_what_bumps_loads() -> None:
    tree = read("tied")
    report = check(tree)
    problem = deserialize(copy.deepcopy(tree))
    assert sorted(problem.labels()) == sorted(p.label for p in report.parameters)
    assert problem.model_points() == report.points


def test_a_curve_that_we_wrote_is_taken_when_bumps_has_serialised_it(tmp_path: Path) -> None:
    from gateway.problems.library import FUNCTIONS

    x, y, dy = noisy(FUNCTIONS["voigt"], FUNCTIONS["voigt"].defaults)
    problem = load(resolved(text_of(x, y, dy), function="voigt"), tmp_path)
    report = check(serialize(problem))
    assert report.classification == "code-bearing"
    assert report.functions[0].name == "curve"
    assert report.functions[0].source is not None
    assert "voigt" in report.functions[0].source
    assert {p.label for p in report.parameters} == set(FUNCTIONS["voigt"].defaults)


def test_the_operators_are_those_of_bumps() -> None:
    assert {*Operators.__members__, "div"} == json_nodes.OPERATORS


def test_code_is_shown_with_what_its_pickle_imports() -> None:
    function = check(read("curve")).functions[0]
    assert function.name == "line"
    assert "cloudpickle.cloudpickle._make_function" in function.names
    assert "cloudpickle.cloudpickle._function_setstate" in function.names


def test_a_site_can_refuse_all_code() -> None:
    with pytest.raises(InvalidError, match="pickled functions are code"):
        check_json((RECORDED / "curve.json").read_bytes(), set(ALLOWED) - {"Callable"})
    data = (RECORDED / "refl1d-nickel.json").read_bytes()
    assert check_json(data, set(ALLOWED) - {"Callable"}).classification == "data-only"


@pytest.mark.parametrize(
    "name",
    [
        "subprocess.Popen",
        "os.system",
        "builtins.open",
        "runpy.run_path",
        "bumps.fitproblem.load_problem",
        "bumps.parameter.Parameter ",
        "bumps.parameter.parameter",
        "BUMPS.parameter.Parameter",
        "bumps.user.model.Mine",
        "bumps.parameter",
        "",
        7,
        None,
        ["bumps.parameter.Parameter"],
    ],
)
@pytest.mark.parametrize("place", ["model", "deep", "unused reference", "state", "array"])
def test_a_class_off_the_list_is_refused_wherever_it_hides(name: object, place: str) -> None:
    tree = read("curve")
    evil = {"__class__": name, "args": ["touch CANARY"], "command": "touch CANARY"}
    model = tree["object"]["models"][0]
    places: dict[str, Callable[[], str]] = {
        "model": lambda: _put(tree["object"]["models"], evil, "/object/models/1"),
        "deep": lambda: _put(model["labels"], [{"a": evil}], "/object/models/0/labels/3/0/a"),
        "unused reference": lambda: _set(tree["references"], "z/~", evil, "/references/z~1~0"),
        "state": lambda: _set(model["state"], "s", evil, "/object/models/0/state/s"),
        "array": lambda: _set(model, "plot_x", evil, "/object/models/0/plot_x"),
    }
    pointer = places[place]()
    assert f"{pointer}/__class__" in refused(tree)


def _put(items: list[Any], value: Any, pointer: str) -> str:
    items.append(value)
    return pointer


def _set(items: dict[str, Any], key: str, value: Any, pointer: str) -> str:
    items[key] = value
    return pointer


def test_the_old_schemas_that_turn_type_into_a_class_are_refused() -> None:
    tree = read("curve")
    for schema in (None, "bumps-draft-01", "bumps-draft-04", 3, ["bumps-draft-03"]):
        assert "/$schema" in refused({**tree, "$schema": schema})
    del tree["$schema"]
    assert "/$schema" in refused(tree)
    tree = read("curve")
    tree["object"]["models"][0]["state"] = {"type": "subprocess.Popen", "args": ["true"]}
    assert "/object/models/0/state/type" in refused(tree)


CHANGES: dict[str, tuple[Callable[[Any], object], str]] = {
    "missing reference": (
        lambda t: t["object"]["models"][0]["pars"]["m"].update(id="nobody"),
        "/object/models/0/pars/m/id",
    ),
    "no models": (lambda t: t["object"].update(models=[]), "/object/models"),
    "not a problem": (
        lambda t: t["object"].update({"__class__": "bumps.curve.Curve"}),
        "/object",
    ),
    "no references": (lambda t: t.pop("references"), "/references"),
    "dtype": (
        lambda t: t["object"]["models"][0]["x"].update(dtype="object"),
        "/object/models/0/x",
    ),
    "dtype that is no text": (
        lambda t: t["object"]["models"][0]["x"].update(dtype=[]),
        "/object/models/0/x",
    ),
    "text in an array": (
        lambda t: t["object"]["models"][0]["x"]["values"].append("1"),
        "/object/models/0/x",
    ),
    "ragged array": (
        lambda t: t["object"]["models"][0]["x"].update(values=[[1], [2, 3]]),
        "/object/models/0/x",
    ),
    "lengths": (
        lambda t: t["object"]["models"][0]["y"]["values"].pop(),
        "/object/models/0/dy",
    ),
    "dy = 0": (
        lambda t: t["object"]["models"][0]["dy"]["values"].__setitem__(0, 0),
        "/object/models/0/dy",
    ),
    "pickler": (
        lambda t: t["object"]["models"][0]["fn"].update(pickler="marshal"),
        "/object/models/0/fn/pickler",
    ),
    "no base64": (
        lambda t: t["object"]["models"][0]["fn"].update(pickle="%%%"),
        "/object/models/0/fn/pickle",
    ),
    "no pickle": (
        lambda t: t["object"]["models"][0]["fn"].update(pickle="AAAA"),
        "/object/models/0/fn/pickle",
    ),
}


@pytest.mark.parametrize("change", sorted(CHANGES))
def test_a_broken_problem_is_refused_at_its_pointer(change: str) -> None:
    tree = read("curve")
    break_it, pointer = CHANGES[change]
    break_it(tree)
    assert pointer in refused(tree)


def test_one_uncertainty_may_stand_for_all_points() -> None:
    tree = read("curve")
    model = tree["object"]["models"][0]
    model["dy"]["values"] = 0.1
    assert check(tree).points == len(model["y"]["values"])
    for key, value in (("dy", 0), ("dy", "0.1"), ("y", 1.0)):
        changed = copy.deepcopy(tree)
        changed["object"]["models"][0][key]["values"] = value
        assert f"/object/models/0/{key}" in refused(changed)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"bounds": [4, 0]}, "bounds"),
        ({"bounds": [3, 4]}, "bounds"),
        ({"bounds": [0]}, "bounds"),
        ({"bounds": ["zero", 1]}, "bounds"),
        ({"bounds": ["inf", "-inf"]}, "bounds"),
        ({"limits": [100, 200]}, "limits"),
        ({"fixed": "no"}, "fixed"),
        ({"slot": "os.system"}, "slot"),
        ({"slot": {"value": "inf", "__class__": "bumps.parameter.Variable"}}, "slot/value"),
        ({"slot": {"value": True, "__class__": "bumps.parameter.Variable"}}, "slot/value"),
        (
            {"distribution": {"mean": 0, "std": 0, "__class__": "bumps.parameter.Normal"}},
            "distribution",
        ),
    ],
)
def test_a_broken_parameter_is_refused_at_its_pointer(change: dict[str, Any], part: str) -> None:
    tree = read("curve")
    name, parameter = first_parameter(tree)
    parameter.update(change)
    assert f"/references/{name}/{part}" in refused(tree)


def test_an_unknown_operator_is_refused() -> None:
    tree = read("tied")
    text = json.dumps(tree).replace('"op": "mul"', '"op": "__import__"')
    assert any(pointer.endswith("/op") for pointer in refused(text.encode()))
    tree["object"]["constraints"][0]["op"] = "=="
    assert "/object/constraints/0/op" in refused(tree)


def test_a_problem_without_fitted_parameters_is_refused() -> None:
    tree = read("curve")
    for item in tree["references"].values():
        item["fixed"] = True
    assert "no parameter is fitted" in refused(tree)["/object"]


def test_fewer_points_than_parameters_are_refused() -> None:
    tree = read("curve")
    for key in ("x", "y", "dy"):
        tree["object"]["models"][0][key]["values"] = [1.0]
    assert "2 parameters are fitted to 1 points" in refused(tree)["/object"]


def test_references_in_a_circle_are_refused() -> None:
    tree = read("curve")
    first, second = list(tree["references"])[:2]
    for name, other in ((first, second), (second, first)):
        tree["references"][name]["slot"] = {"id": other, "__class__": "Reference"}
    assert any("circle" in detail for detail in refused(tree).values())


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"$schema":"bumps-draft-03","object":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'"' + b"\\" * 1_000_001,
        b"[" + b"1," * 600_000 + b"1]",
        b"]" * 1_000_000,
        b" " * 5_000_001,
        b"\xff\xfe\x00",
        b"\x80",
        b"",
        b"NaN",
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": 1, "a": 2}',
        b"{" + b",".join(b'"k%d":1' % (k % 99_000) for k in range(100_000)) + b"}",
        b"[1] x",
    ],
    ids=lambda raw: repr(raw[:12]),
)
def test_json_meant_to_hurt_is_refused_quickly(raw: bytes) -> None:
    start = time.perf_counter()
    assert refused(raw)
    assert time.perf_counter() - start < 3


def test_brackets_in_strings_do_not_count_as_depth() -> None:
    text = json.dumps({"a": "[{" * 1000 + '\\"', "b": '"' * 99 + "[" * 99})
    assert read_json(text.encode(), JsonLimits(depth=2)) == json.loads(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=20,
)


@given(JSON)
@settings(max_examples=200, deadline=None)
def test_ordinary_json_is_read_as_json_loads_does(tree: Any) -> None:
    raw = json.dumps(tree).encode()
    assert read_json(raw, JsonLimits()) == json.loads(raw)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_problem_with_any_part_replaced_is_taken_or_refused(data: st.DataObject) -> None:
    tree = read(data.draw(st.sampled_from(NAMES)))
    node: Any = tree
    for _ in range(data.draw(st.integers(1, 8))):
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or not node[key]:
            break
        parent, node = node, node[key]
        parent, last = parent, key
    else:
        node, key = parent, last
    node[key] = data.draw(JSON)
    try:
        check(tree)
    except InvalidError as error:
        messages = [item.detail for item in error.errors]
    else:
        messages = ["taken"]
    assert all(messages)


class Canary:
    """Writes a file when it is unpickled."""

    def __reduce__(self) -> Any:
        return (exec, ("open('CANARY', 'w').close()",))


def test_a_pickle_is_never_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tree = read("curve")
    evil = base64.b64encode(pickle.dumps(Canary())).decode()
    tree["object"]["models"][0]["fn"]["pickle"] = evil
    report = check(tree)
    assert report.classification == "code-bearing"
    assert "builtins.exec" in report.functions[0].names
    assert list(tmp_path.iterdir()) == []
