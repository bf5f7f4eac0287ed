"""What somebody does wrong on the first evening, and what they are told to do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bumps_remote.cli import program

from tests.client.site import (
    JOB_ID,
    NO_STREAM,
    Misbehaving,
    Reply,
    Shell,
    job_document,
    make_shell,
    serve_results,
    serve_submissions,
)

JOB = f"/jobs/{JOB_ID}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("wathc", "last"), "there is no command 'wathc': did you mean 'watch'?"),
        (("frobnicate",), "--help lists them all. A model ends in .py or .json."),
        (("watch",), "which job? Give its ID, at least 4 signs of it, or 'last'"),
        (("stop",), "which job? Give its ID, at least 4 signs of it, or 'last'"),
        (("submit",), "which model? A .py script or a bumps .json"),
        (("rerun",), "or a bundle.zip that was fetched, with --local"),
        (("completion",), "which shell? bash, zsh or fish"),
        (("wait", "last", "--timeout=-1"), "-1.0 is not in the range x>=0"),
        (("submit", "model.py", "--timeout=soon"), "'soon' is not a valid float"),
        (("login",), "nobody is here to be asked for Server (https://...): give the server's URL"),
        (("login", "https://a.example"), "nobody is here to be asked: say --browser, --device"),
        (("login", "https://a.example", "-n", "kim"), "Password: give --password-stdin"),
        (("login", "localhost:5000"), "(or http:// on this computer), not 'localhost:5000'"),
        (("list",), "which server? 'bumps-remote login https://...'"),
        (("journal", "--drop", "x"), "'bumps-remote journal' shows the keys"),
    ],
)
def test_wrong_words_are_answered_with_right_ones(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = make_shell(tmp_path).run(*words, code=2)
    assert said in done.err
    assert done.out == ""


def test_help_lists_each_command_once_in_words_that_fit_a_line(tmp_path: Path) -> None:
    said = make_shell(tmp_path).run("--help", COLUMNS="80").out
    listed = re.findall(r"^  ([a-z]+)  +\S", said, re.MULTILINE)
    assert sorted(listed) == sorted(program.commands)
    assert max(map(len, said.splitlines())) <= 80
    assert "...\n" not in said.partition("\n")[2]


def test_a_server_that_is_not_there_is_asked_about(tmp_path: Path) -> None:
    words = ("login", "http://127.0.0.1:1", "--name=kim", "--password-stdin")
    done = make_shell(tmp_path).run(*words, stdin="secret\n", code=4, BUMPS_REMOTE_PATIENCE="0")
    assert "is that its address, and does it run?" in done.err


def test_who_has_nothing_is_told_how_to_get_something(site: Misbehaving, shell: Shell) -> None:
    site.on("GET", "/jobs", Reply(body={"items": [], "next_cursor": None}))

    assert "no jobs yet: bumps-remote model.py --fit=lm" in shell.run("list").out
    assert "no such jobs" in shell.run("list", "--tag=x").out
    assert "submit one with 'bumps-remote model.py'" in shell.run("status", "last", code=6).err
    assert "bumps-remote tags add ID TAG" in shell.run("tags", "list").err


def test_a_folder_that_is_full_is_noticed_before_the_fit(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    shell.write("model.py", "")
    shell.write("here/old.txt", "mine")

    for command in (("model.py",), ("submit", "model.py", "--wait")):
        said = shell.run(*command, "-o", "here", code=2).err
        assert "here is there already: name another folder with --output" in said
    assert not site.asked("POST", "/jobs")


def test_a_submission_says_how_to_watch_it_but_not_to_programs(
    site: Misbehaving, shell: Shell
) -> None:
    serve_submissions(site)
    shell.write("model.py", "")

    first = shell.run("submit", "model.py")
    second = shell.run("submit", "model.py", "--json")

    assert f"watch it: bumps-remote watch {first.out.strip()}" in first.err
    assert "watch it" not in second.err


def test_a_fit_that_wants_to_go_on_says_the_command(site: Misbehaving, shell: Shell) -> None:
    verdict = {"code": "not_converged", "text": "The chains do not agree yet."}
    serve_results(site, {"result.0.json": b"{}"}, results=[{"chisq": 1.5, "parameters": []}])
    for resumable, expected in ((True, True), (False, False)):
        job = job_document(verdict=verdict, resumable=resumable, age_s=900, source="local")
        site.on("GET", JOB, Reply(body=job))
        done = shell.run("wait", JOB_ID)
        assert (f"bumps-remote resume {JOB_ID}" in done.err) is expected
        assert done.out.count("chi²") == 1
        assert "ago" not in done.out


def test_an_empty_log_says_where_else_to_look(site: Misbehaving, shell: Shell) -> None:
    part = {"text": "", "offset": 0, "next_offset": 0, "size": 0, "cut": False}
    site.on("GET", f"{JOB}/log", Reply(body=part))

    assert "nothing was written there" in shell.run("logs", JOB_ID).err
    site.on("GET", f"{JOB}/log", Reply(body={**part, "text": "x", "next_offset": 1, "size": 1}))
    assert shell.run("logs", JOB_ID).err == ""


def test_the_session_of_an_array_is_asked_for_by_element(site: Misbehaving, shell: Shell) -> None:
    rows = [{"index": 0, "label": "a"}, {"index": 1, "label": "b"}]
    serve_results(site, {"out/1/session.h5": b"session"}, results=[{"elements": rows}])
    site.on("GET", f"{JOB}/events", NO_STREAM)

    site.on("GET", "/me", Reply(body={"name": "kim"}))

    said = shell.run("open", JOB_ID, "--with=true", "--trust", code=2).err
    shell.run("open", JOB_ID, "--with=true", "--trust", "--element=b", "-o", "here")

    assert "each of the 2 elements has a session of its own" in said
    assert (shell.work / "here" / "out" / "1" / "session.h5").read_bytes() == b"session"


def test_the_session_of_somebody_elses_job_is_loaded_only_when_it_is_trusted(
    site: Misbehaving, shell: Shell
) -> None:
    serve_results(site, {"out/session.h5": b"session"})
    site.on("GET", "/me", Reply(body={"name": "kim"}))
    for owner, code in (("kim", 0), ("eve", 6)):
        site.on("GET", JOB, Reply(body=job_document(owner=owner)))
        said = shell.run("open", JOB_ID, "--with=true", "-o", owner, code=code).err
        assert ("is eve's: who loads its session runs" in said) is (owner == "eve")
        assert (shell.work / owner / "out" / "session.h5").exists() is (owner == "kim")

    shell.run("open", JOB_ID, "--with=true", "-o", "eve", "--trust")
    assert (shell.work / "eve" / "out" / "session.h5").read_bytes() == b"session"
