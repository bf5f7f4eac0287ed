"""When a job could start: asked seldom, by the worker alone, and told with its age and source."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from playwright.sync_api import expect

from gateway.jobs.earliest import Asker
from gateway.jobs.earliest_store import EarliestStore
from gateway.jobs.places import FixedSchedulers, Place
from gateway.records import now
from scheduler.base import Check, SchedulerUnavailableError, StagedJob
from scheduler.slurm_text import parse_check
from tests.web.chromium import chromium, served
from tests.web.fixtures import SiteMaker
from tests.web.site import PASSWORD, Browser, Site

SITES = """
[clusters.hpc]
scheduler = "slurm"
base = "/jobs"
python = "/python"
calls_per_minute = 6

[clusters.other]
scheduler = "slurm"
base = "/jobs"
python = "/python"

[clusters.local]
trusted_users = true
"""
LATER = 3 * 3600


@dataclass
class Answering:
    """What a cluster does when it is asked, said by a test."""

    said: Check
    scripts: list[str] = field(default_factory=list)
    there: set[PurePosixPath] = field(default_factory=set)

    def stage(self, jobs: list[StagedJob]) -> None:
        self.there |= {job.directory.parent for job in jobs}
        self.scripts += [file.content.decode() for job in jobs for file in job.files]

    def check(self, directory: PurePosixPath) -> Check:
        assert directory.parent in self.there
        return self.said

    def remove(self, directory: PurePosixPath) -> None:
        self.there.remove(directory)


class Reaching(FixedSchedulers):
    commands = 0
    asked_at: float = 0.0

    def get(self, place: Place) -> Any:
        if place.cluster == "other":
            raise SchedulerUnavailableError("the line is cut")
        return super().get(place)

    def commands_last_minute(self) -> dict[str, int]:
        return {"hpc": self.commands}


@dataclass
class Asked:
    site: Site
    cluster: Answering
    reach: Reaching
    asker: Asker
    moment: list[float]


def taken(seconds: float) -> Check:
    start = int((now() + timedelta(seconds=seconds)).timestamp())
    return parse_check(0, f"sbatch: Job 12 to start at {start} using 1 processors on nodes n1")


@pytest.fixture
def asked(make: SiteMaker, tmp_path: Path) -> Asked:
    config = tmp_path / "site.toml"
    config.write_text(SITES)
    site = make(GATEWAY_CONFIG=str(config))
    for name in ("ada", "bob"):
        site.accounts.add_user(name, PASSWORD)
    services, cluster, moment = site.services, Answering(taken(LATER)), [0.0]
    reach = Reaching({"hpc": cluster})  # type: ignore[dict-item]  # three verbs of a scheduler
    store = EarliestStore(services.redis)
    asker = Asker(store, services.settings, reach, services.contacts, lambda: moment[0])
    return Asked(site, cluster, reach, asker, moment)


@pytest.fixture
def ada(asked: Asked) -> Browser:
    return signed_in(asked, "ada")


def signed_in(asked: Asked, name: str) -> Browser:
    browser = asked.site.browser()
    browser.sign_in(name)
    return browser


def earliest(browser: Browser, time: str = "0:30:00", cluster: str = "hpc") -> Any:
    request = {"kind": "dummy", "cluster": cluster, "resources": {"time": time}}
    answer = browser.send("POST", "/api/v1/jobs/preview", json=request)
    assert answer.status_code == 200, answer.json
    return answer.json["earliest"]


def test_a_request_waits_for_the_worker_and_then_says_when_and_who_said_so(
    asked: Asked, ada: Browser
) -> None:
    first = earliest(ada)
    assert (first["waiting"], first["start"], first["accepted"]) == (True, None, None)
    assert first["text"] == "the cluster is being asked when this could start"
    assert asked.cluster.scripts == [], "a web process asks no cluster"
    asked.asker.step()
    told = earliest(ada)
    assert (told["waiting"], told["accepted"]) == (False, True)
    assert told["source"] == "sbatch --test-only"
    assert told["text"].startswith("earliest start ")
    assert told["text"].endswith(" s ago")
    (script,) = asked.cluster.scripts
    assert "#SBATCH --time=0-00:30:00\n" in script
    assert asked.cluster.there == set(), "its directory is gone"
    asked.asker.step()
    assert len(asked.cluster.scripts) == 1, "an answer is good for a while"
    assert earliest(signed_in(asked, "bob"))["start"] == told["start"], "all share one account"


@pytest.mark.parametrize(
    ("said", "accepted", "words"),
    [
        (taken(0), True, "earliest start at once, sbatch"),
        (Check(accepted=True, text="fine"), True, "earliest start not told, sbatch"),
        (
            parse_check(1, "sbatch: error: Invalid\nqos <b>\n"),
            False,
            "the cluster would refuse this, sbatch --test-only said",
        ),
    ],
)
def test_whatever_it_says_is_told_in_a_line(
    asked: Asked, ada: Browser, said: Check, words: str, *, accepted: bool
) -> None:
    asked.cluster.said = said
    earliest(ada)
    asked.asker.step()
    told = earliest(ada)
    assert (told["accepted"], "\n" in told["text"]) == (accepted, False)
    assert told["text"].startswith(words)
    if not accepted:
        assert told["text"].endswith("ago: Invalid qos <b>")


def test_a_cluster_is_asked_a_few_times_a_minute_and_the_last_request_of_each_user(
    asked: Asked, ada: Browser
) -> None:
    for time in ("0:01:00", "0:02:00", "0:03:00"):
        earliest(ada, time)
    asked.asker.step()
    asked.asker.step()
    assert ["--time=0-00:03:00\n" in script for script in asked.cluster.scripts] == [True]
    for time in ("0:04:00", "0:05:00"):
        earliest(ada, time)
        asked.asker.step()
    assert len(asked.cluster.scripts) == 2, "two of its six calls of a minute"
    assert earliest(ada, "0:05:00")["waiting"]
    asked.moment[0] += 61
    asked.reach.commands = 6
    asked.asker.step()
    assert len(asked.cluster.scripts) == 2, "what jobs need comes first"
    asked.reach.commands = 5
    asked.asker.step()
    assert "--time=0-00:05:00\n" in asked.cluster.scripts[-1]


def test_a_cluster_that_cannot_be_asked_is_told_and_holds_up_no_other(
    asked: Asked, ada: Browser
) -> None:
    bob = signed_in(asked, "bob")
    earliest(ada, cluster="other")
    earliest(bob)
    asked.asker.step()
    asked.asker.step()
    assert "the line is cut" in earliest(ada, cluster="other")["text"]
    assert earliest(bob)["accepted"]
    asked.site.services.contacts.failed("other", "silence")
    earliest(ada, "0:07:00", cluster="other")
    asked.moment[0] += 61
    asked.asker.step()
    assert earliest(ada, "0:07:00", cluster="other")["waiting"], "who is silent is not asked"


def test_the_form_says_it_and_a_job_on_ones_own_host_needs_no_asking(
    asked: Asked, ada: Browser
) -> None:
    form = {"kind": "dummy", "cluster": "hpc", "r.time": "0:30:00", "do": "preview"}
    page = ada.post_form("/fits/new", **form).text
    assert "data-waits" in page
    asked.asker.step()
    page = ada.post_form("/fits/new", **form).text
    assert "Earliest start " in page
    assert "data-waits" not in page
    assert earliest(ada, cluster="local") is None


@pytest.mark.browser
def test_an_open_form_shows_the_answer_when_it_comes(asked: Asked) -> None:
    with served(asked.site.app) as port, chromium() as browser:
        page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
        page.goto(f"http://localhost:{port}/sign-in?next=/fits/new%3Fkind%3Ddummy")
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_label("Cluster", exact=True).select_option("hpc")
        expect(page.locator("#earliest")).to_contain_text("is being asked")
        asked.asker.step()
        expect(page.locator("#earliest")).to_contain_text("Earliest start", timeout=20_000)
