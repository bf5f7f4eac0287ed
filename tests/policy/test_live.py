"""The policy of a site, from the file to what a gateway that runs answers and does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from bumps_remote import Connection
from bumps_remote.errors import RefusedError
from click.testing import CliRunner

from gateway.cli import main
from gateway.records import now
from tests.helpers import eventually
from tests.jobs.making_pages import Fits
from tests.jobs.test_pages import Plain
from tests.live import Api, LiveGateway, live_gateway
from tests.problems.test_pages import filled, post

MODEL = """
import numpy as np
from bumps.names import Curve, FitProblem

curve = Curve(lambda x, a=1: a * x, np.arange(3.0), np.arange(3.0), dy=0.1)
curve.a.range(0, 2)
problem = FitProblem(curve)
"""
DUMMY: dict[str, Any] = {"kind": "dummy", "options": {"seconds": 0}}
_TODAY = now().date()
_LATER = _TODAY + timedelta(days=40)


@pytest.fixture(scope="module")
def live() -> Iterator[LiveGateway]:
    """Run a gateway of its own: its policy must hold up no other test."""
    with live_gateway() as gateway:
        yield gateway


def hold(live: LiveGateway, text: str) -> None:
    """Let a policy hold, without the second that a command takes."""
    with live.services() as services:
        services.policies.put(Path("mine.toml"), text, "root")


def refused(live: LiveGateway, *arguments: str) -> str:
    """Have a command that does not do it; answer why."""
    done = CliRunner().invoke(main, arguments, env=live.environment)
    assert done.exit_code == 1, done.output
    return done.output


def grant(name: str, user: str, more: str = "", first: object = _TODAY) -> str:
    return (
        f'[proposals.{name}]\ntitle = "Title of {name}"\naccount = "acc-{name}"\nqos = "beam"\n'
        f'first = {first}\nlast = {_LATER}\nusers = ["{user}"]\n{more}\n'
    )


def test_a_proposal_goes_from_the_policy_to_the_script(live: LiveGateway, tmp_path: Path) -> None:
    ada, eve = live.user(), live.user()
    path = live.state.parent / "mine.toml"
    path.write_text(grant("hp-1", ada.name) + grant("hp-2", ada.name, first=_LATER))
    said = live.command("policy", "set", str(path))
    assert f"proposal hp-1: {_TODAY} to {_LATER} --account=acc-hp-1 --qos=beam" in said

    own = ada.http.get("/me/policy").json()
    assert [(one["name"], one["open"]) for one in own["proposals"]] == [
        ("hp-1", True), ("hp-2", False),
    ]  # fmt: skip
    assert eve.http.get("/me/policy").json()["proposals"] == []

    preview = ada.http.post("/jobs/preview", json={**DUMMY, "proposal": "hp-1"}).json()
    job = ada.submit(**DUMMY, proposal="hp-1", draft=preview["draft"])
    assert (job["proposal"], job["script_sha256"]) == ("hp-1", preview["sha256"])
    script = ada.http.get(f"/jobs/{job['id']}/script").json()
    assert script["sha256"] == preview["sha256"]
    asked = re.findall(r"(?m)^#SBATCH --(account|qos|reservation)=(.*)$", script["script"])
    assert asked == [
        ("account", "acc-hp-1"), ("qos", "beam"),
    ]  # fmt: skip
    ada.wait(job["id"])
    again = ada.http.post(f"/jobs/{job['id']}/rerun", json={})
    assert again.json()["proposal"] == "hp-1"
    ada.wait(job["id"])
    with Connection(live.url, live.tokens[ada.name]) as connection:
        model = tmp_path / "model.py"
        model.write_text(MODEL)
        with pytest.raises(RefusedError, match="you have no proposal 'hp-3'; yours are hp-1"):
            connection.submit(model, proposal="hp-3")
        sent = connection.submit(model, fit="lm", proposal="hp-1")
    assert ada.job(sent.id)["proposal"] == "hp-1"
    free = ada.submit(**DUMMY)
    assert free["proposal"] is None
    ada.wait(free["id"])

    def fault(api: Api, **request: object) -> list[tuple[str, str]]:
        answer = api.http.post("/jobs", json={**DUMMY, **request})
        assert answer.status_code == 422, answer.text
        return [(error["pointer"], error["detail"]) for error in answer.json()["errors"]]

    [(pointer, detail)] = fault(ada, proposal="hp-2")
    assert pointer == "/proposal"
    assert detail == (
        f"the proposal hp-2 is for jobs from {_LATER} to {_LATER}, and today is "
        f"{now().date()} (UTC): wait until then, or leave it out"
    )
    strange, missing = (fault(eve, proposal=name) for name in ("hp-1", "hp-9"))
    assert strange == [(where, text.replace("hp-9", "hp-1")) for where, text in missing]
    [(pointer, _)] = fault(ada, proposal="hp-1", resources={"account": "mine"})
    assert pointer == "/resources/account"
    [(pointer, _)] = fault(eve, resources={"account": "acc-hp-1"})
    assert pointer == "/resources/account"

    hold(live, "")
    answer = ada.http.post(f"/jobs/{job['id']}/rerun", json={})
    assert answer.status_code == 422, "what it was submitted under is no more"
    assert answer.json()["errors"][0]["pointer"] == "/proposal"
    without = ada.http.post(f"/jobs/{job['id']}/rerun", json={"proposal": ""})
    assert (without.status_code, without.json()["proposal"]) == (202, None)
    third = without.json()["attempts"][-1]
    assert "account" not in third["resources"], "what the proposal gave is not kept"


EXPERT = '[expert]\ndirectives = ["exclude", "contiguous"]\n[expert.users.{}]\nlines = true\n'


def test_what_is_added_to_a_script_runs_is_kept_and_is_told_to_administrators(
    live: LiveGateway,
) -> None:
    live.add_user("boss", admin=True)
    ada, eve, boss = live.user(), live.user(), Api(live, "boss")
    hold(live, EXPERT.format(ada.name))
    assert ada.http.get("/me/policy").json()["expert"]["lines"] is True
    said = live.command("policy", "show", "--user", eve.name)
    assert "may add to scripts: --exclude, --contiguous\n" in f"{said}\n"

    lines = "echo lines before $SLURM_JOB_ID\nexport ADDED=yes"
    expert = {"directives": {"exclude": "n[1-3]", "contiguous": True}, "lines": lines}
    preview = ada.http.post("/jobs/preview", json={**DUMMY, "expert": expert}).json()
    assert "+#SBATCH --exclude=n[1-3]\n+#SBATCH --contiguous\n" in preview["difference"]
    assert "does not heed --exclude, --contiguous" in " ".join(preview["warnings"])
    job = ada.submit(**DUMMY, expert=expert, draft=preview["draft"])["id"]
    ended = ada.wait(job)
    assert (ended["state"], ended["script_sha256"]) == ("COMPLETED", preview["sha256"])
    assert ada.http.get(f"/jobs/{job}/script").json()["script"] == preview["script"]
    log = ada.http.get(f"/jobs/{job}/log").json()["text"]
    assert f"lines before {ended['native_id']}" in log
    [row] = boss.http.get("/admin/audit", params={"job": job}).json()["items"]
    assert (row["expert"]["exclude"], row["expert"]["lines"][:11]) == ("n[1-3]", "2, SHA-256 ")

    assert ada.http.post(f"/jobs/{job}/rerun", json={}).status_code == 202
    ada.wait(job)
    assert lines in ada.http.get(f"/jobs/{job}/script").json()["script"]
    bad = {"expert": {"lines": "exit 7"}}
    assert ada.http.post(f"/jobs/{job}/rerun", json=bad).status_code == 202
    failed = ada.wait(job)
    assert (failed["state"], failed["exit_code"], failed["reason"]) == ("FAILED", 7, "LinesFailed")
    assert failed["reason_text"].startswith("Your lines before the fit ended with status 7, so")
    assert failed["error"] == ""

    hold(live, "")
    answer = ada.http.post(f"/jobs/{job}/rerun", json={})
    assert answer.status_code == 422, "what was allowed is allowed no more"
    assert {error["pointer"] for error in answer.json()["errors"]} == {
        "/expert/directives/exclude", "/expert/directives/contiguous", "/expert/lines",
    }  # fmt: skip
    assert ada.http.post(f"/jobs/{job}/rerun", json={"expert": {}}).status_code == 202
    ada.wait(job)
    assert "END-OF-YOUR-LINES" not in ada.http.get(f"/jobs/{job}/script").json()["script"]


def test_the_form_shows_what_may_be_added_and_what_is_wrong_with_it(live: LiveGateway) -> None:
    api = live.user()
    ada, eve = Plain(Fits(api)), Plain(Fits(live.user()))
    hold(live, EXPERT.format(api.name))
    assert _field(eve, "x.exclude")
    assert 'id="lines"' not in eve.get("/fits/new").text
    text = "echo a\nexport ADDED='<b>'"
    added = {"x.exclude": "n1", "x.contiguous": "yes", "lines": text}
    shown = post(ada, filled(ada, do="preview", **added)).text
    assert "<ins>+export ADDED=&#39;&lt;b&gt;&#39;</ins>" in shown
    assert "<ins>+#SBATCH --exclude=n1</ins>\n<ins>+#SBATCH --contiguous</ins>" in shown
    wrong = post(ada, filled(ada, do="fit", lines="#SBATCH --uid=0", **{"x.exclude": "n1\nid"}))
    assert wrong.status_code == 422
    assert [one.partition(",")[0] for one in _said(wrong.text)] == [
        "&#39;n1\\nid&#39; is not a value that --exclude takes.", "Line 1 is a directive",
    ]  # fmt: skip
    forbidden = post(eve, filled(eve, do="fit", lines=text))
    assert forbidden.status_code == 422
    assert _said(forbidden.text)[0].startswith("This site lets you add no lines to the script")
    assert "export ADDED" in forbidden.text, "what was typed is not lost"

    sent = post(ada, filled(ada, do="fit", **added))
    assert sent.status_code == 303, sent.text
    job = sent.headers["Location"].rpartition("/")[2]
    again = ada.get(f"/fits/new?from={job}").text
    assert 'value="n1"' in again
    assert "export ADDED=&#39;&lt;b&gt;&#39;</textarea>" in again
    api.cancel_all()
    for one in (ada, eve):
        one.http.close()


def test_who_has_used_up_the_groups_hours_waits_and_then_goes(live: LiveGateway) -> None:
    ada, bob, eve = live.user(), live.user(), live.user()
    group = f'[groups.imaging]\nmembers = ["{ada.name}", "{bob.name}"]\n[limits.groups.imaging]\n'
    hold(live, f"{group}core_hours = 0.0001\nwindow = 'month'")
    first = ada.submit(kind="dummy", options={"seconds": 1})
    ada.wait(first["id"])
    eventually(
        lambda: ada.http.get("/me/policy").json()["limits"][1]["core_hours_used"] > 0.0001,
        what="the hours of the first job to be counted",
    )
    note = bob.http.post("/jobs/preview", json=DUMMY).json()["warnings"]
    assert "your group imaging has used all of its 0.0001 core-hours until" in note[0]
    held = bob.submit(**DUMMY)
    eventually(
        lambda: bob.job(held["id"])["reason"] == "InLine", what=lambda: str(bob.job(held["id"]))
    )
    said = bob.job(held["id"])
    assert re.fullmatch(
        r"Waits in the gateway: your group imaging has used all of its 0\.0001 core-hours until "
        r"\w+ 1 \w+, 00:00 UTC; it goes on then\. Place 1 in line\.",
        said["reason_text"],
    ), said["reason_text"]
    assert (said["state"], said["submission"]) == ("PENDING", "none")
    other = eve.submit(**DUMMY)
    eve.wait(other["id"])
    assert bob.job(held["id"])["submission"] == "none"
    assert "core-hours a month" in live.command("policy", "show", "--user", bob.name)
    hold(live, f"{group}core_hours = 100")
    bob.wait(held["id"])


def test_what_runs_counts_wherever_it_is_told_what_was_used(live: LiveGateway) -> None:
    ada = live.user()
    hold(live, f"[limits.users.{ada.name}]\ncore_hours = 0.0001")
    runs = ada.submit(kind="dummy", options={"seconds": 60})
    eventually(
        lambda: ada.http.get("/me/policy").json()["limits"][0]["core_hours_used"] > 0.0001,
        what="the hours of the job that runs to be counted",
    )
    note = ada.http.post("/jobs/preview", json=DUMMY).json()["warnings"]
    assert "you have used all of your 0.0001 core-hours until" in note[0]
    said = re.search(r"([0-9.]+) of 0\.0001 core-hours", _shown(live, ada.name))
    assert said
    assert float(said[1]) > 0.0001
    held = ada.submit(**DUMMY)
    eventually(
        lambda: "all of your 0.0001 core-hours" in ada.job(held["id"])["reason_text"],
        what=lambda: str(ada.job(held["id"])),
    )
    ada.cancel_all()
    ada.wait(runs["id"])


def _shown(live: LiveGateway, user: str) -> str:
    return live.command("policy", "show", "--user", user)


def test_a_job_whose_proposal_is_gone_waits_with_words_and_can_be_cancelled(
    live: LiveGateway,
) -> None:
    ada = live.user()
    hold(live, grant("hp-1", ada.name))
    first = ada.submit(kind="dummy", options={"seconds": 60})
    after = {"kind": "afterany", "jobs": [first["id"]]}
    late = ada.submit(**DUMMY, proposal="hp-1", after=after)
    hold(live, "")
    ada.http.post(f"/jobs/{first['id']}/cancel")
    eventually(
        lambda: "there is no proposal hp-1 any more" in ada.job(late["id"])["reason_text"],
        what=lambda: str(ada.job(late["id"])),
    )
    assert ada.job(late["id"])["submission"] == "none"
    ada.http.post(f"/jobs/{late['id']}/cancel")
    assert ada.wait(late["id"])["state"] == "CANCELLED"
    again = ada.http.post(f"/jobs/{late['id']}/rerun", json={"proposal": ""})
    assert again.status_code == 202, again.text
    ada.wait(late["id"])


def test_too_many_submissions_in_an_hour_are_refused_until_the_next(live: LiveGateway) -> None:
    ada, bob = live.user(), live.user()
    hold(
        live,
        f'[groups.lab]\nmembers = ["{ada.name}", "{bob.name}"]\n'
        "[limits.groups.lab]\nsubmissions_per_hour = 3\n[limits.each_user]\ncpus = 2\n",
    )
    eventually(lambda: now().minute != 59 or now().second < 30, within_s=40, what="a whole hour")
    # A wrong request, the same request again and a preview are no submissions.
    wide = ada.http.post("/jobs", json={**DUMMY, "resources": {"cpus_per_task": 3}})
    assert wide.status_code == 422
    assert wide.json()["errors"][0] == {
        "pointer": "/resources/cpus_per_task",
        "detail": "3 processors are more than you may have at once: at most 2",
    }
    whole = ada.http.post("/jobs", json={**DUMMY, "resources": {"exclusive": True}})
    assert whole.status_code == 422, "one processor asked for, and all of a node taken"
    assert [error["pointer"] for error in whole.json()["errors"]] == ["/resources/exclusive"]
    job = ada.submit("one-key", **DUMMY)
    assert ada.submit("one-key", **DUMMY)["id"] == job["id"]
    ada.http.post("/jobs/preview", json=DUMMY)
    bob.wait(bob.submit(**DUMMY)["id"])
    ada.wait(job["id"])
    assert ada.http.post(f"/jobs/{job['id']}/rerun", json={}).status_code == 202
    answer = bob.http.post("/jobs", json=DUMMY)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 3600
    assert re.search(
        r"your group lab has submitted 3 jobs since \d\d:00 UTC, as many as may be in an hour "
        r"\(submissions_per_hour\): again in \d+ min",
        answer.json()["detail"],
    ), answer.text
    ada.wait(job["id"])
    assert ada.http.post(f"/jobs/{job['id']}/rerun", json={}).status_code == 429
    assert ada.submit("one-key", **DUMMY)["id"] == job["id"], "a known key is answered all the same"


def test_what_is_asked_for_instead_is_a_submission_too(live: LiveGateway) -> None:
    ada = live.user()
    job = ada.submit(kind="dummy", options={"seconds": 60})
    hold(live, f"[limits.users.{ada.name}]\nsubmissions_per_hour = 1")
    other = ada.submit(**DUMMY)  # the only one that is counted: before it nobody had a limit
    answer = ada.http.post(f"/jobs/{job['id']}/instead")
    assert (answer.status_code, "submissions_per_hour" in answer.text) == (429, True)
    assert not ada.job(job["id"])["final"], "what is not replaced goes on"
    hold(live, "")
    assert ada.http.post(f"/jobs/{job['id']}/instead").status_code == 409
    ada.wait(other["id"])
    ada.cancel_all()


def test_a_damaged_policy_lets_nothing_new_through_and_loses_nothing(live: LiveGateway) -> None:
    ada = live.user()
    hold(live, "[limits.each_user]\njobs = 1")
    first, second = (ada.submit(kind="dummy", options={"seconds": n}) for n in (60, 0))
    ada.wait_for_state(first["id"], "RUNNING")
    place = live.state / "policy.toml"
    kept = place.read_text()
    place.write_text("[limits")
    assert "policy.toml" in refused(live, "doctor")
    shown = refused(live, "policy", "show")
    assert f"the policy is damaged, so nothing new is taken until it is mended: {place}" in shown
    assert "[limits" not in shown.replace(str(place), "").split("Error:")[0]
    answer = ada.http.post("/jobs", json=DUMMY)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    ada.http.post(f"/jobs/{first['id']}/cancel")
    ada.wait(first["id"])
    eventually(
        lambda: "cannot be read" in ada.job(second["id"])["reason_text"],
        what=lambda: str(ada.job(second["id"])),
    )
    place.write_text(kept)
    ada.wait(second["id"])


def test_commands_name_what_is_wrong_and_change_nothing(live: LiveGateway, tmp_path: Path) -> None:
    hold(live, "[limits.each_user]\njobs = 7  # why")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[limits.each_user]\njobs = -7")
    for command in ("check", "set"):
        assert f"Error: {wrong}: [limits.each_user] jobs = -7" in refused(
            live, "policy", command, str(wrong)
        )
    wrong.write_text(grant("hp", "ada", 'clusters = ["nowhere"]'))
    assert "proposals.hp.clusters: there is no cluster 'nowhere'; known: local" in refused(
        live, "policy", "set", str(wrong)
    )
    for command in ("check", "set"):
        missing = refused(live, "policy", command, str(tmp_path / "missing.toml"))
        assert missing.startswith(f"Error: there is no file {tmp_path / 'missing.toml'}: give")
    wrong.write_bytes(b"\xff\xfe")
    assert f"{wrong} is no text in UTF-8" in refused(live, "policy", "check", str(wrong))
    assert live.command("policy", "show") == "[limits.each_user]\njobs = 7  # why\n"


def test_the_form_offers_ones_own_proposals_and_says_what_is_wrong_at_the_field(
    live: LiveGateway,
) -> None:
    api = live.user()
    name, ada, eve = api.name, Plain(Fits(api)), Plain(Fits(live.user()))
    hold(
        live,
        f'[groups.imaging]\nmembers = ["{name}"]\n[limits.groups.imaging]\njobs = 9\n'
        + "[limits.each_user]\njobs = 7\nsubmissions_per_hour = 50\n"
        + grant("hp-1", name) + grant("hp-2", name, first=_LATER) + grant("hp-3", "eve"),
    )  # fmt: skip
    form = ada.get("/fits/new").text
    assert "<li>You: 7 jobs at once, 50 of 50 submissions this hour.</li>" in form
    assert "<li>Your group imaging together: 9 jobs at once.</li>" in form
    assert "imaging" not in eve.get("/fits/new").text
    assert "<select" not in _field(eve, "proposal")
    offered = _field(ada, "proposal")
    assert re.findall(r'<option value="([^"]*)"', offered) == ["", "hp-1"]
    assert f"hp-1, until {_LATER}: Title of hp-1</option>" in offered
    assert f"Later: hp-2 from {_LATER}." in offered

    shown = post(ada, filled(ada, do="preview", proposal="hp-1"))
    assert "#SBATCH --account=acc-hp-1" in shown.text
    wrong = post(ada, filled(ada, do="fit", proposal="hp-1", **{"r.account": "mine"}))
    assert wrong.status_code == 422
    assert _said(wrong.text) == ["The proposal hp-1 has acc-hp-1, not mine: leave this empty."]
    strange = post(ada, filled(ada, do="fit", proposal="hp-3"))
    assert strange.status_code == 422
    assert _said(strange.text) == ["You have no proposal &#39;hp-3&#39;; yours are hp-1."]
    assert '<option value="hp-3" selected>' in strange.text, "what was sent is not lost"

    sent = post(ada, filled(ada, do="fit", proposal="hp-1"))
    assert sent.status_code == 303, sent.text
    job = sent.headers["Location"].rpartition("/")[2]
    assert "under the proposal hp-1" in ada.get(f"/jobs/{job}").text
    again = ada.get(f"/fits/new?from={job}").text
    assert '<option value="hp-1" selected>' in again
    assert api.http.get("/me").json()["groups"] == ["imaging"]
    api.cancel_all()
    for one in (ada, eve):
        one.http.close()


def _field(who: Plain, name: str) -> str:
    """Give what the form says at a field; empty where it has none."""
    return _field_of(who.get("/fits/new").text, name)


def _field_of(page: str, name: str) -> str:
    found = re.search(rf'<\w+ [^>]*id="{name}".*?</div>', page, re.DOTALL)
    return found[0] if found else ""


def _said(page: str) -> list[str]:
    """Give all that a form says is wrong."""
    return re.findall(r'<small class="wrong"[^>]*>([^<]+)</small>', page)
