"""A document of each type, checked with its files and rendered to a bundle."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bumps.fitproblem import load_problem

from gateway.errors import InvalidError, NotFoundError
from gateway.problems.bundle import JSON_ENTRY, render, render_element
from gateway.problems.examine import Examined, examine
from gateway.problems.models import CurveDocument, canonical, content_json, digest_of
from gateway.problems.schemas import load_document
from gateway.settings import load_settings

SETTINGS = load_settings({}, with_secret=False)
RECORDED = Path(__file__).parent.parent / "recorded" / "problems"
TEXT = "# t (s)  signal  error\n0 10.2 0.3\n1 6.1 0.2\n2 3.5 0.2\n3 2.3 0.2\n4 1.2 0.1\n"
CURVE: dict[str, Any] = {
    "data": {"text": TEXT},
    "columns": {"x": 0, "y": 1, "dy": {"from": "column", "column": 2}, "dx": None},
    "mask": [[1, 2]],
    "expression": "a*exp(-x/tau) + b",
    "parameters": [
        {"name": "a", "value": 10},
        {"name": "tau", "value": 2.0, "bounds": [0, None]},
        {"name": "b", "value": 0.0, "tie": "a/100"},
    ],
}


class Blobs:
    """A store of files in memory."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self.kept[digest] = data
        return digest

    def read(self, digest: str) -> bytes:
        if digest not in self.kept:
            raise NotFoundError("no such file")
        return self.kept[digest]


def posted(kind: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"name": "A problem", "type": kind, kind: content, **more}


def looked_at(raw: Any, blobs: Blobs) -> Examined:
    allowed = SETTINGS.problems.allowed_classes
    return examine(load_document(raw), blobs.read, SETTINGS.limits, allowed)


def script(blobs: Blobs, files: dict[str, bytes], entry: str = "model.py") -> dict[str, Any]:
    refs = [{"name": name, "digest": blobs.put(data)} for name, data in files.items()]
    return posted("script", {"entry": entry, "files": refs, "args": ["--fast"]})


def test_of_a_script_only_what_is_python_is_read() -> None:
    blobs = Blobs()
    read: list[bytes] = []
    files = {"model.py": b"import numpy\n", "help.py": b"x = 1\n", "big.dat": b"1 2\n"}
    document = load_document(script(blobs, files))

    def reading(digest: str) -> bytes:
        read.append(blobs.kept[digest])
        return blobs.read(digest)

    allowed = SETTINGS.problems.allowed_classes
    seen = examine(document, reading, SETTINGS.limits, allowed)
    assert sorted(read) == sorted([files["model.py"], files["help.py"]])
    assert seen.details["bundled"] == []
    assert dict(seen.bundle.files) == files
    assert set(seen.bundle.digests().values()) == set(blobs.kept)
    read.clear()
    with pytest.raises(InvalidError, match="at most 5 are taken"):
        examine(document, reading, replace(SETTINGS.limits, model_bytes=5), allowed)
    assert len(read) == 1, "what comes after too much is not read"


def test_a_curve_becomes_a_model_that_bumps_loads(tmp_path: Path) -> None:
    blobs = Blobs()
    seen = looked_at(posted("curve", CURVE), blobs)
    assert (seen.labels, seen.n_points, seen.classification) == (("a", "tau"), 4, "data-only")
    for name, data in seen.bundle.files.items():
        (tmp_path / name).write_bytes(data)
    problem = load_problem(tmp_path / seen.bundle.entry)
    assert problem.chisq() == pytest.approx(seen.details["start_chisq"], rel=1e-12)


def test_the_same_document_renders_to_the_same_bytes() -> None:
    document = load_document(posted("curve", CURVE))
    first, second = render(document, Blobs().read), render(document, Blobs().read)
    assert first.digests() == second.digests()
    assert b"t (s)" in first.files["data.dat"]


def test_a_document_survives_being_written_and_read() -> None:
    document = load_document(posted("curve", CURVE, tags=["x"], notes="n"))
    again = load_document({"name": "Another", **content_json(document)})
    assert again.content == document.content
    assert digest_of(content_json(again)) == digest_of(content_json(document))


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical({"a": 1, "b": [1.5, None]}) == canonical({"b": [1.5, None], "a": 1})


def test_the_data_of_a_curve_may_be_an_uploaded_file() -> None:
    blobs = Blobs()
    digest = blobs.put(TEXT.encode())
    with_file = {**CURVE, "data": {"digest": digest, "name": "scan.dat"}}
    bundle = looked_at(posted("curve", with_file), blobs).bundle
    assert bundle.digests() == looked_at(posted("curve", CURVE), blobs).bundle.digests()


def test_other_data_of_an_array_are_read_by_the_same_columns() -> None:
    document = load_document(posted("curve", {**CURVE, "mask": []})).content
    assert isinstance(document, CurveDocument)
    written = render_element(document, b"t,signal,error\n0,1,0.1\n1,2,0.2\n").decode()
    assert written.splitlines()[-2:] == ["0.0  1.0  0.1", "1.0  2.0  0.2"]
    with pytest.raises(InvalidError, match="no column 2"):
        render_element(document, b"1 2\n")
    with pytest.raises(InvalidError, match="not positive in line 1"):
        render_element(document, b"1 2 0\n")


def change(**more: Any) -> dict[str, Any]:
    return {**CURVE, **more}


def parameters(**more: Any) -> dict[str, Any]:
    first, *rest = CURVE["parameters"]
    return change(parameters=[{**first, **more}, *rest])


@pytest.mark.parametrize(
    ("content", "pointer", "words"),
    [
        (change(expression="a*exq(-x/tau) + b"), "/curve/expression", "did you mean 'exp'"),
        (change(expression="__import__('os')"), "/curve/expression", "column 12"),
        (change(expression="lambda: 1"), "/curve/expression", "column 7"),
        (change(expression="a*x"), "/curve/parameters/1/name", "has no parameter 'tau'"),
        (change(expression="a*tau*b*c"), "/curve/parameters", "no start value for c"),
        (change(data={"text": "words"}), "/curve/data", "no line has a number"),
        (
            change(data={"text": "1 2 0\n2 3 1"}, mask=[]),
            "/curve/columns/dy",
            "not positive in line 1",
        ),
        (change(data={"text": "1 2 1"}, mask=[]), "/curve/parameters", "fitted to 1 points"),
        (change(data={"digest": "0" * 64, "name": "a"}), "/curve/data/digest", "upload it first"),
        (change(mask=[[0, 99]]), "/curve/mask/0", "no range"),
        (parameters(bounds=[20, 30]), "/curve/parameters/0/bounds/0", "below the lower bound 20:"),
        (parameters(bounds=[None, -5]), "/curve/parameters/0/bounds/1", "the upper bound -5:"),
        (parameters(bounds=[3, 3]), "/curve/parameters/0/bounds", "not below"),
        (parameters(tie="b*2"), "/curve/parameters/0/tie", "circle"),
        (parameters(tie="nobody"), "/curve/parameters/0/tie", "no parameter 'nobody'"),
        (parameters(tie="erf(tau)"), "/curve/parameters/0/tie", "cannot tie"),
        (parameters(tie="x"), "/curve/parameters/0/tie", "x"),
        (parameters(tie="1/(tau-2)"), "/curve/parameters/0/tie", "not a finite number"),
        (parameters(name="tau"), "/curve/parameters/1/name", "given twice"),
    ],
)
def test_a_curve_that_cannot_be_fitted_is_refused_at_its_field(
    content: dict[str, Any], pointer: str, words: str
) -> None:
    with pytest.raises(InvalidError) as caught:
        looked_at(posted("curve", content), Blobs())
    found = {error.pointer: error.detail for error in caught.value.errors}
    assert pointer in found
    assert words in found[pointer]


def test_a_curve_without_fitted_parameters_is_refused() -> None:
    fixed = [{**item, "fit": False} for item in CURVE["parameters"]]
    with pytest.raises(InvalidError, match="no parameter is fitted"):
        looked_at(posted("curve", change(parameters=fixed)), Blobs())


def test_an_unknown_function_is_answered_with_the_nearest() -> None:
    content = change(function="gausian")
    del content["expression"]
    with pytest.raises(InvalidError, match="gaussian"):
        looked_at(posted("curve", content), Blobs())


def test_a_function_of_the_library_needs_no_parameters() -> None:
    content = change(function="exponential", parameters=[])
    del content["expression"]
    seen = looked_at(posted("curve", content), Blobs())
    assert seen.labels == ("amplitude", "tau")
    assert seen.details["start_chisq"] < 5


def test_a_json_problem_is_rendered_as_it_is() -> None:
    blobs = Blobs()
    raw = (RECORDED / "refl1d-nickel.json").read_bytes()
    file = {"digest": blobs.put(raw), "name": "nickel.json"}
    seen = looked_at(posted("json", {"file": file}), blobs)
    assert seen.classification == "data-only"
    assert (seen.n_parameters, seen.n_points) == (3, 41)
    assert (seen.bundle.type, seen.bundle.entry) == ("json", JSON_ENTRY)
    assert dict(seen.bundle.files) == {JSON_ENTRY: raw}


def test_a_refused_json_problem_says_where_in_the_file() -> None:
    blobs = Blobs()
    raw = (RECORDED / "curve.json").read_bytes().replace(b"bumps.curve.Curve", b"os.system")
    file = {"digest": blobs.put(raw), "name": "p.json"}
    with pytest.raises(InvalidError) as caught:
        looked_at(posted("json", {"file": file}), blobs)
    (error,) = caught.value.errors
    assert error.pointer == "/json/file"
    assert error.detail.startswith("at /object/models/0/__class__: 'os.system' is not among")


def test_a_script_keeps_its_files_and_arguments() -> None:
    blobs = Blobs()
    files = {"model.py": b"from peaks import f\nproblem = f", "peaks.py": b"f = 1"}
    seen = looked_at(script(blobs, files), blobs)
    assert seen.classification == "code-bearing"
    assert dict(seen.bundle.files) == files
    assert seen.bundle.args == ("--fast",)
    assert seen.details["bundled"] == ["peaks"]


def test_a_script_with_a_syntax_error_is_refused_with_its_line() -> None:
    blobs = Blobs()
    with pytest.raises(InvalidError, match="line 2, column 7"):
        looked_at(script(blobs, {"model.py": b"x = 1\nprint )\n"}), blobs)


@pytest.mark.parametrize(
    "names",
    [
        ["../x.py"],
        ["/etc/passwd"],
        ["a/../b"],
        ["a//b"],
        ["./a"],
        ["a\\b"],
        ["c:b"],
        ["a\nb"],
        ["a\0b"],
        ["a\N{RIGHT-TO-LEFT OVERRIDE}b"],
        ["x" * 201],
        [""],
        [" a"],
        ["data.dat", "DATA.dat"],
        ["d", "d/e"],
        ["D/e", "d"],
        ["stra\N{LATIN SMALL LETTER SHARP S}e", "strasse"],
        ["\N{LATIN SMALL LIGATURE FI}le", "file"],
    ],
)
def test_names_that_could_leave_the_folder_or_clash_are_refused(names: list[str]) -> None:
    blobs = Blobs()
    files = {"model.py": b"problem = 1", **dict.fromkeys(names, b"")}
    with pytest.raises(InvalidError) as caught:
        looked_at(script(blobs, files), blobs)
    assert all(error.pointer.startswith("/script/") for error in caught.value.errors)


SHAPES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda d: d.update(colour="red"), "/colour"),
    (lambda d: d.pop("name"), "/name"),
    (lambda d: d.update(name="a\nb"), "/name"),
    (lambda d: d.update(type="matlab"), "/type"),
    (lambda d: d["curve"].update(colour="red"), "/curve/colour"),
    (lambda d: d["curve"].pop("data"), "/curve/data"),
    (lambda d: d["curve"]["columns"].update(x="0"), "/curve/columns/x"),
    (lambda d: d["curve"]["columns"].update(x=True), "/curve/columns/x"),
    (lambda d: d["curve"]["columns"]["dy"].update({"from": "guess"}), "/curve/columns/dy/from"),
    (lambda d: d["curve"]["parameters"][0].update(value="1"), "/curve/parameters/0/value"),
    (lambda d: d["curve"]["parameters"][0].update(value=True), "/curve/parameters/0/value"),
    (
        lambda d: d["curve"]["parameters"][0].update(value=float("nan")),
        "/curve/parameters/0/value",
    ),
    (lambda d: d["curve"]["parameters"][1].update(bounds=[1]), "/curve/parameters/1/bounds"),
    (
        lambda d: d["curve"]["parameters"][1].update(prior={"mean": 1, "std": 0}),
        "/curve/parameters/1/prior/std",
    ),
    (lambda d: d["curve"].update(mask=[[3, 1]]), "/curve/mask/0"),
]


@pytest.mark.parametrize(("break_it", "pointer"), SHAPES, ids=[pointer for _, pointer in SHAPES])
def test_a_document_of_the_wrong_shape_is_refused_at_its_field(
    break_it: Callable[[dict[str, Any]], object], pointer: str
) -> None:
    raw = copy.deepcopy(posted("curve", CURVE))
    break_it(raw)
    with pytest.raises(InvalidError) as caught:
        load_document(raw)
    assert pointer in {error.pointer for error in caught.value.errors}
