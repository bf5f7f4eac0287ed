"""Clusters, comparisons, what a job would be, and the Tab key."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bumps_remote.cli import program
from bumps_remote.config import Server, remember
from click import Context, Group, Parameter

from tests.client.site import (
    JOB_ID,
    NO_STREAM,
    Misbehaving,
    Reply,
    Shell,
    job_document,
    serve_submissions,
)

OTHER = JOB_ID[:-1] + "2"
EVIL = "a\x1b]0;x\x07[red]b\u202e"


def compared(**changes: Any) -> dict[str, Any]:
    """Write a comparison as a server would."""
    jobs = [
        {"ref": ref, "job": ref[:26], "title": title, "method": "lm", "chisq": chisq, "points": 20}
        for ref, title, chisq in ((JOB_ID, "cold", 1.0), (f"{OTHER}:2", EVIL, 2.5))
    ]
    cells = [{"value": 2.0, "uncertainty": 0.1}, {"value": 3.0, "uncertainty": 0.1}]
    return {
        "jobs": jobs,
        "same_data": False,
        "parameters": [
            {"label": "slope", "values": cells, "farthest": 7.1},
            {"label": "only here", "values": [cells[0], None], "farthest": None},
        ],
        "settings": [
            {"group": "run", "name": "seed", "values": [1, 2], "differs": True},
            {"group": "run", "name": "cpus", "values": [1, 1], "differs": False},
        ],
        **changes,
    }


def test_results_are_laid_side_by_side(site: Misbehaving, shell: Shell) -> None:
    site.on("GET", "/jobs/compare", Reply(body=compared()))

    done = shell.run("compare", JOB_ID, f"{OTHER}:2")

    assert site.asked("GET", "/jobs/compare")[0].query["ids"] == f"{JOB_ID},{OTHER}:2"
    assert "2.00 ± 0.10  3.00 ± 0.10" in done.out
    assert "7.1 std" in done.out
    assert "not fitted to the same data" in done.out
    assert "run seed: 1 | 2" in done.out
    assert "cpus" not in done.out
    assert "run cpus: 1 | 1" in shell.run("compare", JOB_ID, OTHER, "--all").out
    assert not {"\x1b", "\x07", "\u202e"} & set(done.out)
    assert shell.run("compare", JOB_ID, OTHER, "--json").json == compared()


def test_a_token_that_ends_soon_says_so_with_what_to_type(
    site: Misbehaving, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BUMPS_REMOTE_URL", "BUMPS_REMOTE_TOKEN"):
        del shell.environment[name]
    monkeypatch.setenv("XDG_CONFIG_HOME", shell.environment["XDG_CONFIG_HOME"])
    monkeypatch.setenv("BUMPS_REMOTE_KEYRING", "off")
    site.on("GET", "/clusters", Reply(body={"items": []}))
    for days, said in (
        (3.9, "your token ends in 4 days: bumps-remote login --profile lab"),
        (30, ""),
    ):
        expires = datetime.now(UTC) + timedelta(days=days)
        text = expires.isoformat().replace("+00:00", "Z")
        remember(Server(url=site.url, token="bgw_x", expires=text, profile="lab"))  # noqa: S106
        assert shell.run("clusters").err.strip() == said


def test_one_job_is_nothing_to_compare(shell: Shell) -> None:
    assert "give 2 to 10 jobs, not 1" in shell.run("compare", JOB_ID, code=2).err


def test_clusters_are_listed_with_their_limits_and_why_they_wait(
    site: Misbehaving, shell: Shell
) -> None:
    row = {"name": "hpc", "title": "The big one", "default": True, "max_time": "2-00:00:00"}
    site.on("GET", "/clusters", Reply(body={"items": [{**row, "drained": f"repair {EVIL}"}]}))

    done = shell.run("clusters")

    assert "hpc*" in done.out
    assert "2-00:00:00" in done.out
    assert "waits: repair" in done.out
    assert "\x1b" not in done.out
    assert shell.run("clusters", "--json").json["items"][0]["name"] == "hpc"


def preview(**changes: Any) -> dict[str, Any]:
    return {
        "script": "#!/bin/bash\necho a\n",
        "warnings": ["cores would idle"],
        "tasks": 1,
        "forecast": None,
        "accuracy": None,
        "earliest": {"text": "earliest start 14:05 UTC", "waiting": False},
        **changes,
    }


def test_a_dry_run_shows_the_script_and_leaves_nothing_there(
    site: Misbehaving, shell: Shell
) -> None:
    serve_submissions(site)
    site.on("POST", "/jobs/preview", Reply(body=preview()))
    site.on("DELETE", "/problems/01P", Reply(status=204))
    shell.write("model.py", "")

    done = shell.run("submit", "model.py", "--fit=de", "--dry-run")

    assert done.out == "#!/bin/bash\necho a\n"
    assert "earliest start 14:05 UTC" in done.err
    assert "cores would idle" in done.err
    assert site.asked("POST", "/jobs/preview")[0].json["options"] == {"fit": "de"}
    assert len(site.asked("DELETE", "/problems/01P")) == 1
    assert site.asked("POST", "/jobs") == []


def test_a_dry_run_that_is_refused_takes_its_problem_away(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    wrong = {"detail": "no", "errors": [{"pointer": "/resources/time", "detail": "is too long"}]}
    site.on("POST", "/jobs/preview", Reply(status=422, body=wrong))
    site.on("DELETE", "/problems/01P", Reply(status=204))
    shell.write("model.py", "")

    assert "wall: is too long" in shell.run("submit", "model.py", "--dry-run", code=6).err
    assert len(site.asked("DELETE", "/problems/01P")) == 1


def test_a_forecast_times_what_nobody_has_timed(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    known = preview(forecast={"text": "about 3 min on one processor"})
    site.on("POST", "/jobs/preview", Reply(body=preview()), Reply(body=known))
    site.on("DELETE", "/problems/01P", Reply(status=204))
    site.on("POST", "/jobs", Reply(status=202, body=job_document(state="PENDING", final=False)))
    site.on("GET", f"/jobs/{JOB_ID}", Reply(body=job_document()))
    site.on("GET", f"/jobs/{JOB_ID}/events", NO_STREAM)
    shell.write("model.py", "")

    done = shell.run("forecast", "model.py", "--fit=dream")

    assert "about 3 min on one processor" in done.out
    assert [seen.json["mode"] for seen in site.asked("POST", "/jobs")] == ["check"]


def complete(shell: Shell, kind: str, *words: str) -> str:
    """Ask as a shell does after Tab."""
    variables = {
        "_BUMPS_REMOTE_COMPLETE": f"{kind}_complete",
        "COMP_WORDS": "\n".join(words) if kind == "bash" else " ".join(words),
        "COMP_CWORD": words[-1] if kind == "fish" else str(len(words) - 1),
    }
    shell.environment.update(variables)
    done = shell.run()
    for name in variables:
        del shell.environment[name]
    return done.out


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
def test_the_tab_key_knows_commands_methods_and_jobs(
    site: Misbehaving, shell: Shell, kind: str
) -> None:
    body = {"items": [job_document(title=EVIL)], "next_cursor": None}
    site.on("GET", "/jobs", Reply(body=body))

    assert "compare" in complete(shell, kind, "bumps-remote", "comp")
    assert "dream" in complete(shell, kind, "bumps-remote", "submit", "--fit", "dr")
    assert "share" in complete(shell, kind, "bumps-remote", "shar")
    assert "--take-back" in complete(shell, kind, "bumps-remote", "share", "--ta")
    assert "singleton" in complete(shell, kind, "bumps-remote", "submit", "--after-kind", "si")
    jobs = complete(shell, kind, "bumps-remote", "watch", "01J")
    assert JOB_ID in jobs
    assert "\x1b" not in jobs
    assert shell.run("completion", kind).out


def test_the_tab_key_completes_jobs_wherever_one_is_meant(
    site: Misbehaving, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.on("GET", "/jobs", Reply(body={"items": [], "next_cursor": None}))
    for name in ("BUMPS_REMOTE_URL", "BUMPS_REMOTE_TOKEN", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, shell.environment[name])
    every = [program, *(one for one in program.commands.values() if isinstance(one, Group))]
    commands = [one for group in every for one in group.commands.values()]
    meant = [
        (command.name, param.name)
        for command in commands
        for param in command.params
        if param.name in ("id", "ids", "target", "after")
    ]
    with Context(program) as ctx:
        found = [
            (command.name, param.name)
            for command in commands
            for param in command.params
            if "last" in _offered(param, ctx)
        ]
    assert len(meant) > 20
    assert sorted(found) == sorted(meant)


def _offered(param: Parameter, ctx: Context) -> list[str]:
    found = param.shell_complete(ctx, "last")
    return [item.value for item in found if item.type == "plain"]


def test_the_tab_key_waits_for_nobody_and_says_nothing(shell: Shell) -> None:
    shell.environment["BUMPS_REMOTE_URL"] = "http://127.0.0.1:9"
    assert complete(shell, "bash", "bumps-remote", "watch", "01J").strip() == ""


def test_bash_completes(shell: Shell, tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("bumps-remote")
    script = tmp_path / "completion.sh"
    script.write_text(shell.run("completion", "bash").out, encoding="utf-8")
    bash = shutil.which("bash")
    assert bash is not None
    words = (
        f"source {script}; COMP_WORDS=({program} clust); COMP_CWORD=1; "
        f"_bumps_remote_completion {program}; echo ${{COMPREPLY[@]}}"
    )
    done = subprocess.run(
        [bash, "-c", words], env=shell.environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "clusters\n"


def test_an_unknown_shell_is_named(shell: Shell) -> None:
    assert "'bash', 'fish', 'zsh'" in shell.run("completion", "csh", code=2).err
