"""Wrong on purpose: problems that are refused with the field, and leave nothing behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.api.wrong import CURVE, curve, nothing_happens, pointers
from tests.live import Api

COLUMN_DY = {"x": 0, "y": 1, "dy": {"from": "column", "column": 2}}
RECORDED = Path(__file__).parent.parent / "recorded" / "problems"


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


@pytest.mark.parametrize(
    ("document", "pointer"),
    [
        (curve(data={"text": "words, no numbers\n"}), "/curve/data"),
        (curve(data={"text": "1 2 3\n4 5\n"}), "/curve/data"),
        (curve(data={"text": "1 2 0.1\n2 nan 0.1\n"}), "/curve/columns/y"),
        (curve(data={"text": "1 2 0.1\n2 inf 0.1\n"}), "/curve/columns/y"),
        (curve(data={"text": "1 2 0\n2 3 0.1\n3 4 0.1\n"}), "/curve/columns/dy"),
        (curve(data={"text": "1 2 -1\n2 3 0.1\n3 4 0.1\n"}), "/curve/columns/dy"),
        (curve(data={"text": "1 2 0.1\n"}), "/curve/parameters"),
        (curve(columns={**COLUMN_DY, "y": 9}), "/curve/columns/y"),
        (curve(columns={**COLUMN_DY, "y": -1}), "/curve/columns/y"),
        (curve(columns={**COLUMN_DY, "dy": {"from": "constant", "value": 0}}), "/curve/columns/dy"),
        (curve(mask=[[0, 4]]), "/curve/mask"),
        (curve(mask=[[3, 1]]), "/curve/mask/0"),
        (curve(parameters=[{"name": "a", "value": "NaN"}]), "/curve/parameters/0/value"),
        (curve(parameters=[{"name": "a;b", "value": 1}]), "/curve/parameters/0/name"),
        (curve(function="no such function", expression=None), "/curve/function"),
        ({**CURVE, "owner": "root"}, "/owner"),
        ({**CURVE, "type": "pickle"}, "/type"),
        ({**CURVE, "name": "x\nrm -rf"}, "/name"),
        ({**CURVE, "name": "nul\0"}, "/name"),
        ({**CURVE, "tags": ["a\nb"]}, "/tags/0"),
        ({**CURVE, "tags": ["x"] * 21}, "/tags"),
    ],
)
def test_a_wrong_curve_names_its_field(
    api: Api, canary: Path, document: dict[str, Any], pointer: str
) -> None:
    with nothing_happens(api, canary):
        found = pointers(api.http.post("/problems", json=document))
    assert any(place.startswith(pointer) for place in found), found


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch {canary}')",
        "x.__class__.__mro__[1].__subclasses__()",
        "open('{canary}', 'w')",
        "(lambda: exec('import os'))()",
        "[y for y in ().__class__.__bases__]",
        "a if x else b",
        "a := 1",
        "9**9**9**9",
        "a" + "+a" * 990,
        "(" * 900 + "a" + ")" * 900,
        "f'{{x!r}}'",
        "{{{{7*7}}}}",
        "a + b*x; import os",
        "a\0b",
    ],
)
def test_a_hostile_expression_is_refused(api: Api, canary: Path, text: str) -> None:
    expression = text.format(canary=canary) if "{" in text else text
    with nothing_happens(api, canary):
        answer = api.http.post("/problems", json=curve(expression=expression))
        found = pointers(answer)
    # A long or deep sum is no danger, but its names are not those of the parameters.
    assert all(place.startswith(("/curve/expression", "/curve/parameters")) for place in found)
    assert found
    assert answer.elapsed.total_seconds() < 5


def json_problem(api: Api, content: bytes) -> dict[str, Any]:
    digest = api.upload("problem.json", content)
    return {"name": "j", "type": "json", "json": {"file": {"digest": digest, "name": "p.json"}}}


def with_class(name: str) -> bytes:
    tree = json.loads((RECORDED / "refl1d-nickel.json").read_bytes())
    name_of_one = next(iter(tree["references"]))
    tree["references"][name_of_one]["__class__"] = name
    return json.dumps(tree).encode()


@pytest.mark.parametrize(
    "name",
    ["subprocess.Popen", "os.system", "builtins.eval", "bumps.names.FitProblem", "pickle.loads"],
)
def test_json_that_names_a_class_off_the_list_is_refused(api: Api, canary: Path, name: str) -> None:
    document = json_problem(api, with_class(name))
    with nothing_happens(api, canary):
        found = pointers(api.http.post("/problems", json=document))
    assert set(found) == {"/json/file"}
    assert name in found["/json/file"]
    assert "/references/" in found["/json/file"]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"type": "os.system", "args": ["touch canary"]}).encode(),
        json.dumps({"$schema": "bumps-draft-01", "object": {"type": "subprocess.Popen"}}).encode(),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b"not json",
        b"",
        b"\xff\xfe\x00",
        b'{"object": NaN}',
        b'{"object": 1, "object": 2}',
        b"9" * 10_000,
        b"\x80\x04\x95",
    ],
)
def test_json_that_is_none_of_bumps_is_refused(api: Api, canary: Path, content: bytes) -> None:
    document = json_problem(api, content)
    with nothing_happens(api, canary):
        answer = api.http.post("/problems", json=document)
        found = pointers(answer)
    assert all(place.startswith("/json") for place in found), found
    assert answer.elapsed.total_seconds() < 5


def script_problem(api: Api, content: bytes, **more: Any) -> dict[str, Any]:
    digest = api.upload("model.py", content)
    files = [{"digest": digest, "name": "model.py"}]
    return {"name": "s", "type": "script", "script": {"entry": "model.py", "files": files, **more}}


@pytest.mark.parametrize(
    "content",
    [
        b"def f(:\n",
        b"x = 1\n\ty = 2\n",
        b"(" * 100_000,
        b"\x00",
        b"x = '\xff'\n",
        b"# coding: utf-7\n+AG8AcwAuAHMAeQBzAHQAZQBt-('touch canary')\n",
        b"-" * 500_000 + b"1",
    ],
)
def test_a_script_that_does_not_parse_is_refused_with_its_line(
    api: Api, canary: Path, content: bytes
) -> None:
    document = script_problem(api, content)
    with nothing_happens(api, canary):
        answer = api.http.post("/problems", json=document)
        found = pointers(answer)
    assert all(place.startswith("/script") for place in found), found
    assert answer.elapsed.total_seconds() < 15


def test_a_script_is_not_run_by_being_kept(api: Api, canary: Path) -> None:
    text = f"import os\nos.system('touch {canary}')\nproblem = 1\n"
    answer = api.http.post("/problems", json=script_problem(api, text.encode()))
    assert answer.status_code == 201, answer.text
    api.http.get(f"/problems/{answer.json()['id']}/export.zip")
    assert not canary.exists()


@pytest.mark.parametrize(
    "name",
    ["../../x", "/etc/passwd", "a/../../b", "..", ".", "", "a\\..\\b", "C:x", "a\nb", "a\0b",
     "x" * 300, " a", "a/", "\u202egnp.py"],
)  # fmt: skip
def test_a_file_name_that_could_leave_its_folder_is_refused(
    api: Api, canary: Path, name: str
) -> None:
    with nothing_happens(api, canary):
        upload = api.http.post("/files", params={"name": name}, content=b"1 2 3\n")
        assert set(pointers(upload)) <= {"/name", "/query/name"}
        document = script_problem(api, b"problem = 1\n")
        document["script"]["files"].append({**document["script"]["files"][0], "name": name})
        found = pointers(api.http.post("/problems", json=document))
    assert any(place.startswith("/script/files/1/name") for place in found), found


def test_a_file_of_another_user_cannot_be_named_by_its_digest(api: Api, canary: Path) -> None:
    other = api.live.user()
    digest = other.upload("secret.dat", b"1 2 0.1 secret-of-another\n")
    with nothing_happens(api, canary):
        answer = api.http.post("/problems", json=curve(data={"digest": digest, "name": "d.dat"}))
        found = pointers(answer)
        looked = api.http.post("/problems/columns", json={"data": {"digest": digest}})
        pointers(looked)
        refs = [{"digest": api.upload("m.py", b"x = 1\n"), "name": "m.py"}]
        refs.append({"digest": digest, "name": "secret.dat"})
        script = {"name": "s", "type": "script", "script": {"entry": "m.py", "files": refs}}
        assert "/script/files/1/digest" in pointers(api.http.post("/problems", json=script))
    assert "/curve/data/digest" in found
    assert "secret-of-another" not in answer.text + looked.text


def test_a_change_must_say_which_version_it_changes(api: Api) -> None:
    made = api.problem(CURVE)
    path = f"/problems/{made['id']}"
    etag = api.http.get(path).headers["ETag"]
    changed = {**CURVE, "notes": "changed"}

    missing = api.http.put(path, json=changed)
    wrong = api.http.put(path, json=changed, headers={"If-Match": '"0000"'})
    right = api.http.put(path, json=changed, headers={"If-Match": etag})
    again = api.http.put(path, json=changed, headers={"If-Match": etag})

    pointers(missing, 428)
    pointers(wrong, 412)
    assert right.status_code == 200, right.text
    pointers(again, 412)
    assert api.http.get(path).json()["notes"] == "changed"


def test_one_key_makes_one_problem_and_another_body_is_refused(api: Api) -> None:
    key = {"Idempotency-Key": "a-key-of-this-problem"}
    first = api.http.post("/problems", json=CURVE, headers=key)
    again = api.http.post("/problems", json=CURVE, headers=key)
    other = api.http.post("/problems", json={**CURVE, "name": "another"}, headers=key)

    assert first.status_code == again.status_code == 201
    assert first.json()["id"] == again.json()["id"]
    pointers(other)
    assert len(api.http.get("/problems").json()["items"]) == 1

    assert api.http.delete(f"/problems/{first.json()['id']}").status_code == 204
    gone = api.http.post("/problems", json=CURVE, headers=key)
    pointers(gone, 409)
    assert "was deleted" in gone.text
    assert api.http.get("/problems").json()["items"] == []
