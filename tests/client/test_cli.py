"""The command line: words, exit codes, and nothing but JSON where JSON is asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bumps_remote.cli import program
from click import Command, Group

from tests.client.site import (
    JOB_ID,
    NO_STREAM,
    TOKEN,
    Misbehaving,
    Reply,
    Shell,
    job_document,
    make_shell,
    serve_results,
    serve_submissions,
)
from tests.helpers import free_port

JOB = f"/jobs/{JOB_ID}"
EVIL = "a\x1b]0;x\x07\x1b[31m[red]b\u202e"


def listed(site: Misbehaving, *jobs: dict[str, Any]) -> None:
    site.on("GET", "/jobs", Reply(body={"items": list(jobs), "next_cursor": None, "total": 1}))


def test_login_keeps_the_token_and_logout_revokes_and_forgets_it(
    site: Misbehaving, tmp_path: Path
) -> None:
    shell = make_shell(tmp_path)
    site.on("POST", "/auth/tokens", Reply(status=201, body={"id": "1", "token": TOKEN}))
    site.on("GET", "/me", Reply(body={"name": "kim"}))
    site.on("POST", "/auth/logout", Reply(status=204))
    listed(site)

    shell.run("login", site.url, "--name=kim", "--password-stdin", stdin="four otters\n")
    shell.run("list")
    shell.run("logout")

    asked = site.asked("POST", "/auth/tokens")[0]
    assert asked.json["name"] == "kim"
    assert asked.json["password"] == "four otters"  # noqa: S105
    assert "Authorization" not in asked.headers
    assert site.asked("GET", "/jobs")[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert len(site.asked("POST", "/auth/logout")) == 1
    config = shell.home / "config" / "bumps-remote" / "config.json"
    assert TOKEN not in config.read_text(encoding="utf-8")
    assert "bumps-remote login" in shell.run("list", code=2).err


def test_a_wrong_password_is_an_auth_failure_and_is_sent_once(
    site: Misbehaving, tmp_path: Path
) -> None:
    site.on("POST", "/auth/tokens", Reply(status=401, body={"detail": "name or password is wrong"}))

    done = make_shell(tmp_path).run(
        "login", site.url, "-n", "kim", "--password-stdin", stdin="x\n", code=3
    )

    assert "name or password is wrong" in done.err
    assert len(site.asked("POST", "/auth/tokens")) == 1


def test_a_token_from_the_web_page_can_be_kept(site: Misbehaving, tmp_path: Path) -> None:
    site.on("GET", "/me", Reply(body={"name": "kim"}))

    done = make_shell(tmp_path).run("login", site.url, "--token-stdin", stdin=f"{TOKEN}\n")

    assert "as kim" in done.out
    assert site.asked("GET", "/me")[0].headers["Authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    ("state", "reason", "code"),
    [("COMPLETED", "", 0), ("COMPLETED", "NoResult", 1), ("FAILED", "", 1), ("TIMEOUT", "", 1)],
)
def test_wait_ends_with_how_the_job_ended(
    site: Misbehaving, shell: Shell, state: str, reason: str, code: int
) -> None:
    serve_results(site, {})
    ended = job_document(state=state, reason=reason, reason_text="why it ended")
    site.on("GET", JOB, Reply(body=ended))

    done = shell.run("wait", JOB_ID, code=code)

    assert "why it ended" in done.out


def test_waiting_too_long_is_exit_code_5(site: Misbehaving, shell: Shell) -> None:
    site.on("GET", JOB, Reply(body=job_document(state="RUNNING", final=False)))
    site.on("GET", f"{JOB}/events", NO_STREAM)

    done = shell.run("wait", JOB_ID, "--timeout=0.5", code=5)

    assert "it goes on" in done.err


def test_a_server_that_is_away_is_exit_code_4(shell: Shell) -> None:
    shell.run(
        "list",
        code=4,
        BUMPS_REMOTE_URL=f"http://127.0.0.1:{free_port()}",
        BUMPS_REMOTE_PATIENCE="0.1",
    )


def test_a_refusal_is_exit_code_6(site: Misbehaving, shell: Shell) -> None:
    site.on("POST", f"{JOB}/stop", Reply(status=409, body={"detail": "it has ended"}))

    assert "it has ended" in shell.run("stop", JOB_ID, code=6).err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["submit", "model.py", "--fit=dreem"], "did you mean dream"),
        (["submit", "model.py", "--smaples=3"], "--samples"),
        (["model.py", "--fit=lm", "--samples=3"], "belongs to dream"),
        (["model.py", "--samples=many"], "--samples must be a number, not 'many'"),
        (["model.py", "--steps=1.5"], "--steps must be a whole number"),
        (["model.py", "--wall=soon"], "--wall must be"),
        (["model.py", "--resume"], "bumps-remote resume ID"),
        (["none.py"], "there is no file"),
        (["frobnicate"], "there is no command 'frobnicate'"),
        (["model.py", "--pars=none.par"], "none.par cannot be read"),
        (["status", "x y"], "is no job id"),
        (["list", "--limit=0"], "0 is not in the range"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_says_what_would_be_right(
    site: Misbehaving, shell: Shell, arguments: list[str], message: str
) -> None:
    serve_submissions(site)
    shell.write("model.py", "")

    assert message in shell.run(*arguments, code=2).err
    assert not site.asked("POST", "/jobs")


def test_an_option_that_only_the_server_has_is_taken(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    new = {"name": "swarm", "options": [{"name": "particles", "type": "int"}]}
    site.on("GET", "/methods", Reply(body={"items": [new]}))
    shell.write("model.py", "")

    shell.run("submit", "model.py", "--fit=swarm", "--particles=1e3")

    assert site.asked("POST", "/jobs")[0].json["options"] == {"fit": "swarm", "particles": 1000}


def test_a_model_alone_is_fitted_fetched_and_shown(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    serve_results(
        site,
        {"result.0.json": b"{}", "out/session.h5": b"session"},
        results=[
            {
                "chisq": 1.25,
                "points": 14,
                "dof": 12,
                "parameters": [
                    {"label": "b1", "value": 238.942, "uncertainty": 2.707, "at_limit": "high"}
                ],
            }
        ],
    )
    site.on("POST", "/jobs", Reply(status=202, body=job_document(state="PENDING", final=False)))
    shell.write("model.py", "")

    done = shell.run("--fit=lm", "model.py", "--batch", "--session=s.h5", "--export=out", "--err")

    assert "238.9 ± 2.7" in done.out
    assert "at its high limit" in done.out
    assert (shell.work / "s.h5").read_bytes() == b"session"
    assert (shell.work / "out" / "out" / "session.h5").is_file()
    assert "uncertainties are in every result" in done.err


@pytest.mark.parametrize("option", ["-oout", "--export=out", "--session=out/out/session.h5"])
def test_who_names_a_place_for_results_gets_them_there(
    site: Misbehaving, shell: Shell, option: str
) -> None:
    serve_submissions(site)
    serve_results(site, {"out/session.h5": b"session"}, results=[{"chisq": 1, "parameters": []}])
    site.on("POST", "/jobs", Reply(status=202, body=job_document(state="PENDING", final=False)))
    shell.write("model.py", "")

    shell.run("submit", "model.py", option)

    assert (shell.work / "out" / "out" / "session.h5").read_bytes() == b"session"


def test_bumps_options_without_a_meaning_here_do_no_harm(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    shell.write("model.py", "")

    shell.run("submit", "model.py", "-b", "-x", "--parallel=4", "--checkpoint=5", "--seed=0")

    body = site.asked("POST", "/jobs")[0].json
    assert body["resources"] == {"cpus_per_task": 4}
    assert "seed" not in body


def test_a_job_can_be_asked_to_run_after_others(shell: Shell) -> None:
    shell.write("model.py", "")
    first, second = "01J0000000000000000000000A", "01J0000000000000000000000B"
    words = ("--after", first, "--after", second, "--after-kind=afterany", "--show-request")

    job = shell.run("submit", "model.py", *words).json["job"]
    alone = shell.run("submit", "model.py", "--show-request").json["job"]

    assert job["after"] == {"kind": "afterany", "jobs": [first, second]}
    assert "after" not in alone


def test_a_job_can_be_submitted_under_a_proposal(shell: Shell) -> None:
    shell.write("model.py", "")

    job = shell.run("submit", "model.py", "--proposal=hp-1", "--show-request").json["job"]
    alone = shell.run("submit", "model.py", "--show-request").json["job"]

    assert job["proposal"] == "hp-1"
    assert "proposal" not in alone


def test_a_request_is_shown_and_not_sent(site: Misbehaving, shell: Shell) -> None:
    shell.write("model.py", "")

    done = shell.run("submit", "model.py", "--fit=de", "--show-request")

    assert done.json["job"]["options"] == {"fit": "de"}
    assert site.seen == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["status", JOB_ID],
        ["info", JOB_ID],
        ["info"],
        ["results", JOB_ID],
        ["wait", JOB_ID],
        ["script", JOB_ID],
        ["logs", JOB_ID],
        ["stop", JOB_ID],
        ["cancel", JOB_ID],
        ["resume", JOB_ID, "--set", "samples=5"],
        ["rerun", JOB_ID],
        ["delete", JOB_ID],
        ["fetch", JOB_ID],
        ["submit", "model.py"],
        ["model.py"],
        ["tags", "list"],
        ["tags", "count"],
        ["tags", "load", "a"],
        ["tags", "add", JOB_ID, "b"],
        ["tags", "delete", "a"],
        ["journal"],
    ],
    ids=" ".join,
)
def test_json_is_all_that_comes_out_and_it_is_ascii(
    site: Misbehaving, shell: Shell, arguments: list[str]
) -> None:
    serve_submissions(site)
    serve_results(site, {"result.0.json": b"{}"})
    job = job_document(title=EVIL, tags=["a"])
    listed(site, job)
    site.on("GET", "/clusters", Reply(body={"items": []}))
    site.on("GET", JOB, Reply(body=job))
    site.on("GET", f"{JOB}/script", Reply(body={"script": EVIL, "sha256": ""}))
    log = {"text": EVIL, "offset": 0, "next_offset": 9, "size": 9, "cut": False}
    site.on("GET", f"{JOB}/log", Reply(body=log))
    site.on("PATCH", JOB, Reply(body=job))
    site.on("DELETE", JOB, Reply(status=204))
    site.on("POST", "/jobs", Reply(status=202, body=job))
    for verb in ("stop", "cancel", "resume", "rerun"):
        site.on("POST", f"{JOB}/{verb}", Reply(status=202, body=job))
    shell.write("model.py", "")

    done = shell.run(*arguments, "--json")

    assert done.json is not None
    assert done.out.isascii()
    assert "\x1b" not in done.out + done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ["list"],
        ["status", JOB_ID],
        ["info", JOB_ID],
        ["script", JOB_ID],
        ["logs", JOB_ID],
        ["tags", "list"],
    ],
    ids=" ".join,
)
def test_nothing_that_a_job_says_drives_the_terminal_or_is_read_as_markup(
    site: Misbehaving, shell: Shell, arguments: list[str]
) -> None:
    job = job_document(title=EVIL, tags=[EVIL], reason_text=EVIL, error=EVIL)
    listed(site, job)
    site.on("GET", JOB, Reply(body=job))
    site.on("GET", f"{JOB}/script", Reply(body={"script": EVIL}))
    log = {"text": EVIL, "offset": 0, "next_offset": 9, "size": 9, "cut": False}
    site.on("GET", f"{JOB}/log", Reply(body=log))

    done = shell.run(*arguments)

    assert not {"\x1b", "\x07", "\u202e"} & set(done.out + done.err)
    assert r"\x1b]0;x\x07\x1b[31m[red]b" in done.out


def test_a_raw_log_is_as_the_job_wrote_it(site: Misbehaving, shell: Shell) -> None:
    log = {"text": EVIL, "offset": 0, "next_offset": 9, "size": 9, "cut": False}
    site.on("GET", f"{JOB}/log", Reply(body=log))

    assert shell.run("logs", JOB_ID, "--raw").out == EVIL


def test_a_log_is_followed_until_the_job_has_ended(site: Misbehaving, shell: Shell) -> None:
    def part(text: str, offset: int, size: int) -> Reply:
        after = offset + len(text)
        return Reply(body={"text": text, "offset": offset, "next_offset": after, "size": size})

    site.on("GET", f"{JOB}/log", part("one ", 0, 8), part("two ", 4, 8), part("end", 8, 11))
    running = Reply(body=job_document(state="RUNNING", final=False))
    site.on("GET", JOB, running, Reply(body=job_document()))
    site.routes["GET", f"{JOB}/log"] = _then_nothing(site.routes["GET", f"{JOB}/log"], 11)

    done = shell.run("logs", "-f", "--all", JOB_ID)

    assert done.out == "one two end"


def _then_nothing(answer: Any, size: int) -> Any:
    def reply(seen: Any) -> Reply:
        if int(seen.query["offset"]) >= size:
            return Reply(body={"text": "", "offset": size, "next_offset": size, "size": size})
        found: Reply = answer(seen)
        return found

    return reply


def test_an_id_that_means_two_jobs_does_nothing(site: Misbehaving, shell: Shell) -> None:
    other = JOB_ID[:-1] + "2"
    listed(site, job_document(), job_document(id=other))

    done = shell.run("delete", "01J0", code=6)

    assert JOB_ID in done.err
    assert other in done.err
    assert not site.asked("DELETE", JOB)


def test_a_delete_whose_answer_got_lost_is_done(site: Misbehaving, shell: Shell) -> None:
    site.on("GET", JOB, Reply(body=job_document()))
    gone = Reply(status=404, body={"detail": "there is no job"})
    site.on("DELETE", JOB, Reply(status=204, cut_after=-1), gone)

    shell.run("delete", JOB_ID)

    assert len(site.asked("DELETE", JOB)) == 2


def test_a_resume_is_one_resume_however_often_it_is_sent(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    job = Reply(status=202, body=job_document(attempt=2))
    site.on("POST", f"{JOB}/resume", Reply(status=202, cut_after=-1), Reply(status=503), job)

    shell.run("resume", JOB_ID, "--set", "samples=2e4", "--wall=4:00:00")

    asked = site.asked("POST", f"{JOB}/resume")
    assert len({seen.key for seen in asked}) == 1
    assert asked[0].key
    assert json.loads(asked[2].body) == {
        "options": {"samples": 20_000},
        "resources": {"time": "4:00:00"},
    }


def test_a_list_goes_on_over_pages(site: Misbehaving, shell: Shell) -> None:
    jobs = [job_document(id=f"01J{number:023d}") for number in range(4)]
    first = {"items": jobs[:2], "next_cursor": "more"}
    site.on("GET", "/jobs", Reply(body=first), Reply(body={"items": jobs[2:], "next_cursor": None}))

    found = shell.run("list", "--limit=3", "--json").json["items"]

    assert [job["id"] for job in found] == [job["id"] for job in jobs[:3]]
    assert site.asked("GET", "/jobs")[1].query["cursor"] == "more"


def test_a_job_that_never_starts_says_what_to_do_and_another_is_asked_for(
    site: Misbehaving, shell: Shell
) -> None:
    alarm = {"reason": "PartitionTimeLimit", "text": "It can never start.", "ends": "change",
             "advice": "Ask for less time.", "instead": {"time": "0-01:00:00"}}  # fmt: skip
    site.on("GET", JOB, Reply(body=job_document(state="PENDING", alarm=alarm)))
    said = shell.run("status", JOB_ID).out
    assert "Ask for less time. bumps-remote instead ID: that does it." in said
    site.on("GET", JOB, Reply(body=job_document(state="PENDING", alarm={**alarm, "instead": None})))
    assert "instead ID" not in shell.run("status", JOB_ID).out
    new = job_document(id=JOB_ID.replace("1", "2"), state="PENDING", alarm=None)
    site.on("POST", f"{JOB}/instead", Reply(status=202, body=new))
    assert new["id"] in shell.run("instead", JOB_ID).out
    site.on("POST", f"{JOB}/instead", Reply(status=409, body={"detail": "nothing can be computed"}))
    assert "nothing can be computed" in shell.run("instead", JOB_ID, code=6).err


def test_every_command_says_what_it_does(shell: Shell) -> None:
    readme = (Path(__file__).parents[2] / "client" / "README.rst").read_text(encoding="utf-8")
    for name, command in program.commands.items():
        assert command.help
        assert f"``{name}" in readme, f"README.rst does not mention {name}"
    assert "Exit codes" in shell.run("--help").out


def test_the_readme_names_the_commands_that_lack_an_option_of_all() -> None:
    tags = program.commands["tags"]
    assert isinstance(tags, Group)
    commands = {**program.commands, **tags.commands}
    del commands["tags"]
    lacking = {
        name: missing
        for name, command in commands.items()
        if (missing := {"--json", "--url", "--insecure"} - set(_options(command)))
    }
    assert lacking == {
        "logout": {"--insecure"},
        "journal": {"--url"},
        "profiles": {"--url", "--insecure"},
        "completion": {"--json", "--url", "--insecure"},
    }
    readme = (Path(__file__).parents[2] / "client" / "README.rst").read_text(encoding="utf-8")
    exceptions = readme.partition("All commands take")[2].partition("\n\n")[0]
    assert {name for name in commands if f"``{name}``" in exceptions} == set(lacking)


def _options(command: Command) -> list[str]:
    return [word for option in command.params for word in option.opts]
