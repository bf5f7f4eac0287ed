"""The files of a job: plain, strict JSON whatever a library hands over."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitters.files import read_json, to_json, to_plain, write_json

PLAIN = {
    "array": np.arange(3.0),
    "grid": np.array([[1.5, 2], [3, 4]]),
    "scalars": [np.float64(0.1), np.int64(7), np.bool_(True), np.float32(0.5), np.str_("x")],
    "empty": np.zeros((0, 2)),
    "tuple": (1, None, "two"),
    "path": Path("/data"),
}
HOLES: list[tuple[Any, Any]] = [
    (float("nan"), None),
    (np.array([1.0, np.nan, np.inf]), [1.0, None, None]),
    ({"deep": [np.float64("-inf"), 2.0]}, {"deep": [None, 2.0]}),
    (np.array([[1.0], [np.nan]]), [[1.0], [None]]),
]


def test_arrays_and_scalars_become_json() -> None:
    assert json.loads(to_json(PLAIN)) == {
        "array": [0.0, 1.0, 2.0],
        "grid": [[1.5, 2.0], [3.0, 4.0]],
        "scalars": [0.1, 7, True, 0.5, "x"],
        "empty": [],
        "tuple": [1, None, "two"],
        "path": "/data",
    }
    assert to_json(PLAIN) == json.dumps(to_plain(PLAIN))


@pytest.mark.parametrize(("value", "written"), HOLES)
def test_a_number_that_is_not_finite_is_null_and_spoils_nothing_beside_it(
    value: Any, written: Any
) -> None:
    text = to_json({**PLAIN, "value": value})
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads(text) == {**json.loads(to_json(PLAIN)), "value": written}


def test_what_is_no_object_is_refused_by_its_type(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    assert read_json(path) == {"a": 1}
    path.write_text("[1]")
    with pytest.raises(ValueError, match=r"x\.json must hold a JSON object, not list"):
        read_json(path)
