"""What is added to a batch script from the command line."""

from __future__ import annotations

import pytest
from bumps_remote.additions import expert_of, read_additions
from bumps_remote.errors import UsageError
from bumps_remote.options import RESOURCES

from gateway.jobs.expert import MORE
from gateway.jobs.script import OPTIONS
from tests.client.site import JOB_ID, Misbehaving, Reply, Shell, job_document, serve_submissions

OTHER = JOB_ID[:-1] + "2"


def test_every_option_of_sbatch_that_a_job_may_ask_for_is_known_here() -> None:
    assert set(RESOURCES.values()) == {*OPTIONS, "mpi"}
    assert not set(RESOURCES.values()) & set(MORE)


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("gres=gpu:1", {"gres": "gpu:1"}),
        ("--constraint = haswell&ib", {"constraint": "haswell&ib"}),
        ("#SBATCH --time 1:00:00", {"wall": "1:00:00"}),
        ("-p gpu", {"partition": "gpu"}),
        ("exclusive", {"exclusive": True}),
        ("--begin=now+2hours", {"directives": {"begin": "now+2hours"}}),
        ("#SBATCH -w n[1-3]", {"directives": {"nodelist": "n[1-3]"}}),
        ("threads-per-core=1", {"directives": {"threads_per_core": "1"}}),
    ],
)
def test_an_option_is_read_as_it_stands_in_scripts(text: str, given: dict[str, object]) -> None:
    assert read_additions([text]).given() == given


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["=5"], "is no option: give it as in a script"),
        (["gpu:1"], "is no option"),
        (["-Z 3"], "-Z is not known here: give its long name"),
        (["mem=1G", "--mem=2G"], "--mem is given twice"),
        (["hint=a", "#SBATCH --hint=b"], "--hint is given twice"),
    ],
)
def test_what_is_no_option_is_named(texts: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_additions(texts)


def test_what_is_not_spoken_of_stays_and_what_is_emptied_goes() -> None:
    assert expert_of({"cpus": 2}) is None
    assert expert_of({"lines": ""}) == {}


def test_additions_go_with_a_job_and_its_dry_run_shows_the_difference(
    site: Misbehaving, shell: Shell
) -> None:
    serve_submissions(site)
    added = (
        "--- the site's\n+++ yours\n@@ -1 +1,2 @@\n #!/bin/bash\n+#SBATCH --begin=now\n+  a \x1b\n"
    )
    shown = {"script": "#!/bin/bash\n", "tasks": 1, "warnings": [], "difference": added}
    site.on("POST", "/jobs/preview", Reply(body=shown))
    site.on("DELETE", "/problems/01P", Reply(status=204))
    shell.write("model.py", "")
    shell.write("lines.sh", "module load bumps\nexport A=1\n")
    words = ("submit", "model.py", "--sbatch=begin=now", "--sbatch", "gpus=1", "--lines=lines.sh")

    said = shell.run(*words, "--dry-run")
    shell.run(*words, "--mpi", "--ntasks=4")

    body = site.asked("POST", "/jobs/preview")[0].json
    lines = "module load bumps\nexport A=1\n"
    assert body["expert"] == {"directives": {"begin": "now"}, "lines": lines}
    assert "what you add to the script:\n" in said.err
    assert "\n+#SBATCH --begin=now\n+  a \\x1b\n" in said.err
    sent = site.asked("POST", "/jobs")[0].json
    assert sent["expert"] == body["expert"]
    assert sent["resources"] == {"gpus": "1", "mpi": True, "ntasks": 4}
    assert (
        "by itself and by --sbatch" in shell.run(*words, "--sbatch=mem=1G", "--mem=2G", code=2).err
    )
    assert "not both" in shell.run(*words, "--line=true", code=2).err


def test_a_rerun_has_other_additions_or_none(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    site.on("POST", f"/jobs/{JOB_ID}/rerun", Reply(status=202, body=job_document(attempt=2)))
    for more in ((), ("--line=true",), ("--plain",)):
        shell.run("rerun", JOB_ID, *more)

    bodies = [seen.json for seen in site.asked("POST", f"/jobs/{JOB_ID}/rerun")]
    assert [body.get("expert") for body in bodies] == [None, {"lines": "true"}, {}]


def test_info_says_what_may_be_added_and_what_is_left(site: Misbehaving, shell: Shell) -> None:
    limit = {"of": "user", "name": "kim", "jobs": 5, "cpus": 0, "core_hours": 100.0}
    left = {"core_hours_used": 12.5, "window": "month", "submissions_per_hour": 0}
    days = {"first": "2026-01-01", "last": "2026-02-01", "open": False}
    policy = {
        "groups": ["imaging"],
        "limits": [{**limit, **left}],
        "proposals": [{"name": "hp-1", "title": "Films", **days}],
        "expert": {"directives": ["exclude", "cpu_freq"], "lines": True},
    }
    for path, body in (("/me", {"name": "kim"}), ("/clusters", {"items": []})):
        site.on("GET", path, Reply(body=body))
    site.on("GET", "/methods", Reply(body={"items": []}))
    site.on("GET", "/me/policy", Reply(body=policy))

    said = shell.run("info").out

    assert "user kim: 5 jobs at once; 12.5 of 100 core-hours a month used\n" in said
    assert "--proposal=hp-1: Films (2026-01-01 to 2026-02-01, not open now)\n" in said
    assert "--sbatch with --exclude, --cpu-freq, and --line with shell lines" in said


def test_a_job_waits_for_others_by_parts_of_their_ids(site: Misbehaving, shell: Shell) -> None:
    serve_submissions(site)
    site.on("GET", "/jobs", Reply(body={"items": [job_document(id=OTHER)]}))
    shell.write("model.py", "")
    words = ("submit", "model.py")

    shell.run(*words, "--after", "last", "--after", JOB_ID)
    shell.run(*words, "--after-kind=singleton")
    unnamed = shell.run(*words, "--after-kind=afterany", code=2).err
    site.on("POST", "/jobs", Reply(cut_after=-1))
    shell.run(*words, code=4, BUMPS_REMOTE_PATIENCE="0")
    unclear = shell.run(*words, "--after", "last", code=2).err

    first, second, _ = site.asked("POST", "/jobs")
    assert first.json["after"] == {"kind": "afterok", "jobs": [OTHER, JOB_ID]}
    assert second.json["after"] == {"kind": "singleton"}
    assert "after which job? Give it by --after ID" in unnamed
    assert "its job may be the last" in unclear
