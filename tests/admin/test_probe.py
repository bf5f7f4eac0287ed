"""What clusters can do: shown with its age, found out by the worker alone, asked for again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import NoReturn

import pytest
from structlog.testing import capture_logs

from gateway.clusters.models import Found, Survey
from gateway.clusters.probes import Prober
from gateway.clusters.store import ClusterAccountStore, SurveyStore
from gateway.jobs.places import FixedSchedulers
from gateway.records import now
from scheduler.base import Manners, Partition, Scheduler
from scheduler.connect import connect
from tests.helpers import eventually
from tests.live import Api, LiveGateway
from tests.web.site import Browser, Site

PATH = "/api/v1/admin/clusters/local/probe"


@pytest.fixture
def root(site: Site) -> Browser:
    browser = site.browser()
    browser.sign_in("root")
    return browser


def prober(site: Site, scheduler: Scheduler | None, clock: Callable[[], float]) -> Prober:
    services = site.services
    return Prober(
        SurveyStore(services.redis),
        ClusterAccountStore(services.redis),
        services.settings,
        FixedSchedulers({"local": scheduler} if scheduler else {}),
        services.contacts,
        clock,
    )


def test_an_administrator_asks_and_the_worker_finds_out(live: LiveGateway) -> None:
    boss = Api(live, "boss")
    asked = boss.http.post("/admin/clusters/local/probe")
    assert asked.status_code == 202
    path = "/admin/clusters/local/probe"
    eventually(lambda: not boss.http.get(path).json()["wanted"], what="a look")
    answer = boss.http.get(path).json()
    assert answer["found"]["version"].startswith("local execution")
    assert (answer["found"]["cpus"] >= 1, answer["error"]) == (True, "")
    assert "no command" in answer["strategy"][0]["follows"]
    with live.services() as services:
        trail = services.accounts.audit.read("boss")
    assert ("cluster.probe", "local") in [(row.action, row.subject) for _, row in trail]
    assert boss.http.post("/admin/clusters/none/probe").status_code == 404
    assert boss.http.get("/admin/clusters/none/probe").status_code == 404


def test_a_web_process_shows_what_is_kept_and_never_asks_itself(site: Site, root: Browser) -> None:
    assert root.get(PATH).json["found"] is None
    assert "Nobody has looked yet" in root.get("/admin/clusters/local").text
    asked = root.post_form("/admin/clusters/local/probe", "/admin/clusters/local")
    assert asked.status_code == 303
    answer = root.get(PATH).json
    assert (answer["found"], answer["probed"], bool(answer["wanted"])) == (None, None, True)
    debug = Partition(name="debug", default=True, max_time="1:00:00")
    found = Found(name="<b>hpc</b>", version="Slurm 23.02", cpus=64, max_array=1001,
                  manners=Manners(min_job_age_s=300, accounting=True),
                  partitions=(debug,))  # fmt: skip
    then = now() - timedelta(hours=3)
    SurveyStore(site.services.redis).put("local", Survey(found=found, probed=then, took_s=0.4))
    hostile = {"bumps": "1.0.5", "numpy": "<script>", "<b>": "1", "h5py": 3, "python": "3.11.2"}
    site.services.surveys.libraries.learn("local", hostile)
    site.services.surveys.libraries.learn("local", {"evil": "1"})
    page = root.get("/admin/clusters/local").text
    assert "python 3.11.2, bumps 1.0.5: the last fit" in page
    (told,) = [one for one in root.get("/api/v1/clusters").json["items"] if one["name"] == "local"]
    assert told["version"] == "Slurm 23.02"
    assert told["libraries"]["versions"] == {"python": "3.11.2", "bumps": "1.0.5"}
    assert "&lt;b&gt;hpc&lt;/b&gt;" in page
    assert "<b>hpc</b>" not in page
    for words in ("3 h ago", "debug", "1:00:00", "Probe again"):
        assert words in page, words
    answer = root.get(PATH).json
    assert (answer["found"]["min_job_age_s"], answer["wanted"]) == (300, None)
    assert "Slurm 23.02" in root.get("/admin").text
    assert root.get("/admin/clusters/none").status_code == 404


def test_a_look_that_fails_keeps_what_was_found_and_says_why(site: Site) -> None:
    services, store = site.services, SurveyStore(site.services.redis)
    known = Survey(found=Found(name="a", version="Slurm 23", cpus=1, max_array=2), probed=now())
    store.put("local", known)
    services.surveys.ask("local", "root")
    prober(site, None, lambda: 0.0).step()
    survey = services.surveys.find("local")
    assert (survey.found, survey.probed, survey.wanted) == (known.found, known.probed, None)
    assert (survey.failed is not None, "no longer configured" in survey.error) == (True, True)


def test_a_look_that_fails_in_an_unforeseen_way_is_over_and_holds_up_no_round(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A wish that stays written down would raise in each round to come."""
    local = connect("local", {"state_directory": tmp_path_factory.mktemp("local"), "cpus": 1})

    def broken() -> NoReturn:
        raise ValueError(f"not a number: {'x' * 1000}")

    monkeypatch.setattr(local, "probe", broken)
    site.services.surveys.ask("local", "root")
    looks = prober(site, local, lambda: 0.0)
    with capture_logs() as logs:
        looks.step()
        looks.step()
    survey = site.services.surveys.find("local")
    assert (survey.found, survey.wanted, survey.failed is not None) == (None, None, True)
    assert "ValueError: not a number: xxx" in survey.error
    assert "log" in survey.error
    assert len(survey.error) <= 600
    assert [(log["event"], log["log_level"]) for log in logs] == [("not probed", "error")]
    assert logs[0]["exc_info"], "who looks after the gateway sees where"


def test_unasked_it_looks_once_a_day_and_only_where_something_answers(
    site: Site, tmp_path_factory: pytest.TempPathFactory
) -> None:
    services, clock = site.services, [0.0]
    state = tmp_path_factory.mktemp("local")
    local = connect("local", {"state_directory": state, "cpus": 1})
    looks = prober(site, local, lambda: clock[0])

    def later() -> Survey:
        clock[0] += 61
        looks.step()
        return services.surveys.find("local")

    assert later().looked is None, "nobody uses it: it is left alone"
    services.contacts.failed("local", "away")
    assert later().looked is None
    services.contacts.answered("local")
    first = later()
    assert first.found is not None
    assert later() == first, "once a day"
    old = now() - timedelta(days=2)
    SurveyStore(services.redis).put("local", Survey(found=first.found, probed=old))
    assert later().probed != old
