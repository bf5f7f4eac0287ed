"""bumps's options as bumps users write them."""

from __future__ import annotations

import argparse

import pytest
from bumps_remote.errors import UsageError
from bumps_remote.options import (
    FitOption,
    all_options,
    built_in_methods,
    check_fit,
    check_memory,
    check_wall,
    methods_of,
    read_pars,
    read_value,
    split_args,
    wall_for,
)

from fitters.bumps_options import METHODS


def test_the_built_in_table_is_what_the_server_offers() -> None:
    ours = {
        name: {option.name: (option.type, set(option.choices)) for option in options.values()}
        for name, options in built_in_methods().items()
    }

    theirs = {
        method.name: {option.name: (option.type, set(option.choices)) for option in method.options}
        for method in METHODS.values()
    }
    assert ours == theirs


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("int", "1e5", 100_000),
        ("int", "20000", 20_000),
        ("int", "-3", -3),
        ("int", "9007199254740993", 9_007_199_254_740_993),
        ("float", "-10", -10.0),
        ("float", "1e-8", 1e-8),
        ("bool", "true", True),
        ("enum", "lhs", "lhs"),
    ],
)
def test_values_are_read_as_their_type(kind: str, text: str, value: object) -> None:
    choices = ("eps", "lhs") if kind == "enum" else ()

    found = read_value(FitOption(name="x", type=kind, choices=choices), text)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("int", "1.5"),
        ("int", "many"),
        ("int", "inf"),
        ("float", "nan"),
        ("bool", "2"),
        ("enum", "z"),
    ],
)
def test_a_wrong_value_is_refused_with_option_and_value(kind: str, text: str) -> None:
    choices = ("eps", "lhs") if kind == "enum" else ()

    with pytest.raises(UsageError, match=f"--burn must be .*{text}"):
        read_value(FitOption(name="burn", type=kind, choices=choices), text)


def test_a_method_or_option_that_there_is_not_is_answered_with_the_nearest() -> None:
    methods = built_in_methods()

    with pytest.raises(UsageError, match="did you mean dream"):
        check_fit({"fit": "draem"}, methods)
    with pytest.raises(UsageError, match=r"--samples is no option of lm .*belongs to dream"):
        check_fit({"fit": "lm", "samples": 3}, methods)
    with pytest.raises(UsageError, match="did you mean steps"):
        check_fit({"fit": "lm", "step": 3}, methods)


def test_methods_that_only_the_server_has_are_known_from_its_answer() -> None:
    answer = {
        "items": [
            {"name": "new", "options": [{"name": "depth", "type": "int", "help": "how deep"}]},
            {"name": "odd", "options": ["not an option"]},
        ]
    }

    methods = methods_of(answer)

    check_fit({"fit": "new", "depth": 3}, methods)
    assert all_options(methods)["depth"].help == "how deep"


@pytest.mark.parametrize(
    ("tokens", "rest", "args"),
    [
        (["m.py", "--args", "a", "b", "--fit=de"], ["m.py", "--fit=de"], ["a", "b"]),
        (["m.py", "--args=a", "b"], ["m.py", "b"], ["a"]),
        (["m.py", "--args", "-1.5", "-2"], ["m.py"], ["-1.5", "-2"]),
        (["m.py", "--args"], ["m.py"], []),
        (["m.py", "--fit=lm"], ["m.py", "--fit=lm"], None),
    ],
)
def test_args_are_taken_as_argparse_takes_them(
    tokens: list[str], rest: list[str], args: list[str] | None
) -> None:
    found, lists = split_args(tokens)
    assert (found, lists.get("--args")) == (rest, args)
    like_bumps = argparse.ArgumentParser()
    like_bumps.add_argument("filename", nargs="*")
    like_bumps.add_argument("--args", nargs="*")
    like_bumps.add_argument("--fit")
    assert like_bumps.parse_known_args(tokens)[0].args == args


@pytest.mark.parametrize("text", ["30", "30:00", "2:00:00", "1-12", "1-12:30:00"])
def test_a_wall_time_in_any_of_slurms_forms_is_taken(text: str) -> None:
    assert check_wall(text) == text


@pytest.mark.parametrize("text", ["two hours", "1:00:00\n#SBATCH", "-5", "1h", ""])
def test_a_wall_time_in_no_form_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--wall must be"):
        check_wall(text)


def test_a_memory_size_is_taken_as_slurm_writes_it() -> None:
    assert [check_memory(text) for text in ("4G", "500M", "1.5T")] == ["4G", "500M", "1.5T"]
    with pytest.raises(UsageError, match="--mem must be a size"):
        check_memory("lots")


def test_the_wall_time_leaves_a_fit_room() -> None:
    assert wall_for(5) == "5:40:00"
    assert check_wall(wall_for(0.001)) == "0:10:04"


def test_start_values_are_read_from_a_par_file_of_bumps() -> None:
    assert read_pars("Si interface 5.03\n\nscale 1e-3\n") == [5.03, 0.001]
    with pytest.raises(UsageError, match="line 2 must end in a value, not 'what'"):
        read_pars("a 1\nwhat\n")
