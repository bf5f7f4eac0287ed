"""Options: those of bumps, and nothing that bumps clips, drops or crashes on."""

import math
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from fitters.bumps_options import METHODS, OptionsError, check_options

BUMPS_METHODS = [name for name in METHODS if name != "auto"]
TYPES = {"int": int, "float": float, "bool": bool, "enum": str, "str": str}


def refusal(method: str, given: dict[str, Any], *counts: int | None) -> dict[str, str]:
    with pytest.raises(OptionsError) as caught:
        check_options(method, given, *counts)
    return dict(caught.value.problems)


@pytest.mark.parametrize("name", BUMPS_METHODS)
def test_methods_are_those_of_bumps_with_its_names_and_defaults(name: str) -> None:
    from bumps.fitters import FITTERS

    fitclass = {fitter.id: fitter for fitter in FITTERS}[name]
    ours = {option.name: option.default for option in METHODS[name].options}
    assert ours == {**dict(fitclass.settings), "time": 0.0}
    assert METHODS[name].title == fitclass.name


def test_no_method_of_bumps_is_missing() -> None:
    from bumps.fitters import FIT_ACTIVE_IDS, FIT_AVAILABLE_IDS

    assert set(FIT_AVAILABLE_IDS) == set(BUMPS_METHODS)
    shown = {name for name in BUMPS_METHODS if not METHODS[name].hidden}
    assert shown == set(FIT_ACTIVE_IDS)


@pytest.mark.parametrize("name", BUMPS_METHODS)
def test_types_are_those_of_bumps(name: str) -> None:
    from bumps.webview.server.fit_options import Setting

    words = {int: "int", float: "float", bool: "bool"}
    for option in METHODS[name].options:
        theirs = Setting.get(option.name).stype
        if isinstance(theirs, type):
            assert option.type == words[theirs], option.name
        elif isinstance(theirs, list):
            assert set(option.choices) == set(theirs), option.name
        else:
            assert option.type == "float"
            assert option.maximum == theirs.max, option.name


@pytest.mark.parametrize("name", list(METHODS))
def test_every_default_is_within_its_own_limits(name: str) -> None:
    complete = check_options(name, {}, n_parameters=2, n_points=30)
    assert complete == {"fit": name} | {o.name: o.default for o in METHODS[name].options}
    assert check_options(name, complete) == complete


@pytest.mark.parametrize("name", list(METHODS))
def test_every_option_explains_itself(name: str) -> None:
    for option in METHODS[name].options:
        assert option.label
        assert option.help.endswith(".")


@pytest.mark.parametrize("gone", ["ps", "rl", "PS", "scipy.leastsq"])
def test_a_method_that_is_gone_names_what_replaces_it(gone: str) -> None:
    assert "use " in refusal(gone, {})["fit"]


def test_an_unknown_method_is_answered_with_those_there_are() -> None:
    text = refusal("magic", {})["fit"]
    assert "'magic'" in text
    assert "dream" in text
    assert "pt" not in text.split()


def test_an_unknown_option_is_answered_with_the_closest() -> None:
    assert "did you mean samples?" in refusal("dream", {"sample": 1})["sample"]
    assert "it has steps" in refusal("lm", {"zzz": 1})["zzz"]


def test_every_wrong_option_is_named_at_once() -> None:
    problems = refusal("amoeba", {"steps": -1, "radius": 2, "nonsense": 0})
    assert set(problems) == {"steps", "radius", "nonsense"}
    assert "-1" in problems["steps"]
    assert "0.5" in problems["radius"]


@pytest.mark.parametrize(
    ("value", "read"), [("1e5", 100000), (1e5, 100000), ("100", 100), (100, 100)]
)
def test_whole_numbers_may_be_written_as_one_likes(value: object, read: int) -> None:
    samples = check_options("dream", {"samples": value})["samples"]
    assert samples == read
    assert type(samples) is int


@pytest.mark.parametrize("value", [True, 1.5, "1.5", "many", "", None, [1], "1e400", math.nan, {}])
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    assert repr(value) in refusal("lm", {"steps": value})["steps"]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("amoeba", {"steps": 0}),
        ("amoeba", {"radius": 0}),
        ("amoeba", {"radius": 0.51}),
        ("amoeba", {"starts": 0}),
        ("lm", {"ftol": -1e-8}),
        ("lm", {"steps": 0}),
        ("newton", {"steps": 0}),
        ("de", {"steps": -1}),
        ("de", {"pop": 0}),
        ("de", {"pop": -10}),
        ("de", {"CR": 1.1}),
        ("de", {"F": 0}),
        ("dream", {"pop": 0}),
        ("dream", {"pop": -6}),
        ("dream", {"samples": 0}),
        ("dream", {"thin": 0}),
        ("dream", {"burn": -1}),
        ("dream", {"alpha": 0.2}),
        ("dream", {"init": "bogus"}),
        ("dream", {"outliers": 3}),
        ("dream", {"trim": 1}),
        ("dream", {"samples": 100, "thin": 101}),
        ("dream", {"time": -1}),
        ("dream", {"time": math.inf}),
        ("dream", {"time": math.nan}),
        ("pt", {"Tmin": 0}),
        ("pt", {"Tmin": 5, "Tmax": 4}),
    ],
)
def test_what_bumps_does_not_really_do_is_refused(method: str, options: dict[str, Any]) -> None:
    assert set(refusal(method, options)) <= set(options)


def test_chains_and_population_are_counted_when_the_parameters_are_known() -> None:
    assert "6 chains" in refusal("dream", {"pop": 3}, 2)["pop"]
    assert "pop=4 or more" in refusal("dream", {"pop": 3}, 2)["pop"]
    assert check_options("dream", {"pop": 3.5}, 2)["pop"] == 3.5
    assert check_options("dream", {"pop": -7}, 2)["pop"] == -7
    assert "3 members" in refusal("de", {"pop": 1.5}, 2)["pop"]
    assert check_options("de", {"pop": 2}, 2)["pop"] == 2
    assert "500 generations" in refusal("dream", {"thin": 600}, 2)["thin"]
    assert "2 points" in refusal("lm", {}, 3, 2)["fit"]


@given(
    method=st.sampled_from(list(METHODS)),
    given_options=st.dictionaries(
        st.sampled_from(sorted({o.name for m in METHODS.values() for o in m.options})),
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
        max_size=4,
    ),
)
def test_options_are_complete_and_in_range_or_refused(
    method: str, given_options: dict[str, Any]
) -> None:
    try:
        complete = check_options(method, given_options, 3, 30)
    except OptionsError as error:
        complete = {}
        refused = dict(error.problems)
        event(f"refused {len(refused)}")
    if not complete:
        assert set(refused) <= set(given_options)
        return
    assert set(complete) == {"fit", *(option.name for option in METHODS[method].options)}
    for option in METHODS[method].options:
        value = complete[option.name]
        assert type(value) in {TYPES[option.type], type(option.default)}
        if option.minimum is not None:
            assert value >= option.minimum


def test_the_declarations_need_the_standard_library_alone() -> None:
    code = (
        "import sys, fitters.bumps_options, fitters.bundle, fitters.bumps_fit, fitters.dummy\n"
        "print(sorted({'bumps', 'numpy', 'scipy', 'h5py'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
