"""Who may read ``/metrics``, and that Prometheus can read what stands there."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.jobs.census import CensusStore
from gateway.jobs.models import Job, Stage, Tracking
from gateway.records import now
from gateway.settings import SettingsError
from scheduler.base import JobState
from tests.helpers import eventually
from tests.jobs.making import make_job
from tests.live import PASSWORD, Api, LiveGateway
from tests.web.fixtures import SiteMaker
from tests.web.site import Site, bearer

NEAR = '["192.0.2.0/24"]'


def read(text: str) -> dict[tuple[str, str], float]:
    """Parse as Prometheus does; each value by its name and its labels, joined."""
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def token(live: LiveGateway, name: str, scope: str) -> str:
    wanted = {"name": name, "password": PASSWORD, "label": "m", "scopes": [scope]}
    answer = httpx.post(f"{live.url}/api/v1/auth/tokens", json=wanted)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])


def test_only_the_scope_admin_of_an_administrator_opens_it(live: LiveGateway, api: Api) -> None:
    address = f"{live.url}/metrics"
    watcher = bearer(live.add_user("watcher", admin=True))
    for stranger in ({}, bearer("bgw_wrong"), bearer(live.tokens[api.name]),
                     bearer(token(live, "watcher", "submit"))):  # fmt: skip
        answer = httpx.get(address, headers=stranger)
        assert answer.status_code == 404
        assert "bumps_gateway_" not in answer.text
    before = read(httpx.get(address, headers=watcher).text)

    job = api.submit(kind="dummy", options={"seconds": 60})
    api.wait_for_state(job["id"], "RUNNING")

    answer = httpx.get(address, headers=watcher)
    assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    after = read(answer.text)
    accepted = ("bumps_gateway_jobs_accepted_total", "")
    assert after[accepted] == before[accepted] + 1
    assert after["bumps_gateway_jobs", "local,RUNNING"] >= 1
    assert after["bumps_gateway_reconciler_pulse_age_seconds", ""] < 20
    assert after["bumps_gateway_store_up", ""] == after["bumps_gateway_reconciler_up", ""] == 1
    assert after["bumps_gateway_disk_free_bytes", ""] > 1e6
    api.cancel_all()
    api.wait(job["id"])
    api.http.delete(f"/jobs/{job['id']}")
    eventually(
        lambda: read(httpx.get(address, headers=watcher).text)[accepted] == after[accepted],
        what="a deleted job to be counted on",
    )


def test_names_and_kinds_are_by_the_convention(make: SiteMaker) -> None:
    text = make(GATEWAY_SERVER__METRICS_NETWORKS=NEAR).browser().get("/metrics").text
    families = list(text_string_to_metric_families(text))
    assert len(families) > 10
    for family in families:
        assert re.fullmatch(r"bumps_gateway_[a-z_]+", family.name)
        assert family.documentation.endswith((".", "limit.", "none."))
        assert family.type == ("counter" if re.search("accepted|ended", family.name) else "gauge")
    assert text.count("# TYPE") == text.count("# HELP") == len(families)


def test_a_network_of_the_settings_reads_it_and_a_forged_address_does_not(make: SiteMaker) -> None:
    site = make(GATEWAY_SERVER__METRICS_NETWORKS=NEAR)
    assert site.browser().get("/metrics").status_code == 200
    far = site.browser(address="198.51.100.7")
    assert far.get("/metrics").status_code == 404
    assert far.get("/metrics", headers={"X-Forwarded-For": "192.0.2.1"}).status_code == 404


def test_by_default_not_even_this_host_reads_it(site: Site) -> None:
    """Behind a proxy that is not announced everybody seems to be on this host."""
    assert site.browser(address="127.0.0.1").get("/metrics").status_code == 404


def test_a_network_that_is_none_stops_the_start(make: SiteMaker) -> None:
    with pytest.raises(SettingsError, match=r"\[server\] metrics_networks\[0\] = '10.0.0.1/8'"):
        make(GATEWAY_SERVER__METRICS_NETWORKS='["10.0.0.1/8"]')


def test_a_store_that_is_away_is_a_number(make: SiteMaker, tmp_path: Path) -> None:
    nobody = f"unix://{tmp_path}/nobody"
    site = make(GATEWAY_SERVER__METRICS_NETWORKS=NEAR, GATEWAY_REDIS_URL=nobody)
    found = read(site.browser().get("/metrics").text)
    assert found["bumps_gateway_store_up", ""] == 0
    assert not [name for name, _ in found if "jobs" in name or "reconciler" in name]
    far = site.browser(address="198.51.100.7")
    assert far.get("/metrics").status_code == 404
    assert far.get("/metrics", headers=bearer("bgw_" + "x" * 40)).status_code in (404, 503)


def test_what_hangs_and_what_schedulers_are_asked_is_told(make: SiteMaker) -> None:
    site = make(GATEWAY_SERVER__METRICS_NETWORKS=NEAR)
    job = make_job(cluster='odd "name"\n', stage=Stage.UNCERTAIN, tracking=Tracking.STALE)
    site.services.job_store.add(job)
    CensusStore(site.services.redis).tell_commands({"hpc": 5}, 60)
    found = read(site.browser().get("/metrics").text)
    for what in ("waiting", "uncertain", "stale"):
        assert found[f"bumps_gateway_jobs_{what}", 'odd "name"\n'] == 1
        assert found[f"bumps_gateway_jobs_{what}", "local"] == 0
    age_s = (now() - job.attempt.asked).total_seconds()
    assert abs(found["bumps_gateway_uncertain_oldest_seconds", ""] - age_s) < 5
    assert found["bumps_gateway_scheduler_commands_last_minute", "hpc"] == 5
    assert found["bumps_gateway_scheduler_questions_limit_per_minute", "local"] == 0
    assert found["bumps_gateway_reconciler_up", ""] == 0
    assert ("bumps_gateway_reconciler_pulse_age_seconds", "") not in found


def test_ends_are_counted_once_and_stay_counted(make: SiteMaker) -> None:
    site = make(GATEWAY_SERVER__METRICS_NETWORKS=NEAR)
    store = site.services.job_store
    name = "bumps_gateway_attempts_ended_total"

    def ended(cluster: str, state: str) -> float:
        """Read one number; the reader of others knows labels by the cluster alone."""
        text = site.browser().get("/metrics").text
        return {
            (sample.labels.get("cluster"), sample.labels.get("state")): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name
        }[cluster, state]

    assert ended("local", "COMPLETED") == ended("local", "OUT_OF_MEMORY") == 0
    alive = store.add(make_job(cluster="a b", stage=Stage.SUBMITTED, state=JobState.RUNNING))
    assert isinstance(alive, Job)
    done = store.replace(alive.with_attempt(state=JobState.TIMEOUT, collected=True))
    for _ in range(2):
        store.settle(done)
    renamed = store.replace(replace(done, title="another"))
    assert ended("a b", "TIMEOUT") == 1
    again = replace(renamed, attempts=(*renamed.attempts, replace(alive.attempt, number=2)))
    second = store.replace(again)
    assert ended("a b", "TIMEOUT") == 1, "what runs has not ended"
    second = store.replace(second.with_attempt(state=JobState.COMPLETED, collected=True))
    assert (ended("a b", "TIMEOUT"), ended("a b", "COMPLETED")) == (1, 1)
    store.delete(second)
    assert (ended("a b", "TIMEOUT"), ended("a b", "COMPLETED")) == (1, 1)
