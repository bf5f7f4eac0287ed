"""A request held against what its cluster was last found able to do."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.clusters import probes
from gateway.clusters.models import Found, Survey
from gateway.clusters.settings import ClusterSettings
from gateway.clusters.store import SurveyStore
from gateway.jobs.resources import Resources
from gateway.jobs.surveyed import Compared, compare
from gateway.records import now
from scheduler.base import Manners, Partition, Qos
from tests.web.fixtures import SiteMaker
from tests.web.site import PASSWORD, Browser, Site

CLUSTER = ClusterSettings(scheduler="slurm", base="/jobs", python="/python")
WIDE = Partition(name="wide", default=True, max_time="1:30:00", nodes=8, job_nodes="1-4",
                 cpus=512, node_cpus=64, memory_mb=8192)  # fmt: skip
LONG = Partition(name="long", max_time="infinite", nodes=2, job_nodes="1-infinite", node_cpus=16)
SHUT = replace(WIDE, name="shut", default=False, up=False)
SITE = Found(name="hpc", version="Slurm 23.11", cpus=512, max_array=1001,
             partitions=(WIDE, LONG, SHUT), qos=(Qos(name="normal"),))  # fmt: skip
HOUR = timedelta(hours=1)
YOUNG, OLD = timedelta(minutes=12), timedelta(hours=20)


def held(
    asked: Resources,
    age: timedelta = YOUNG,
    found: Found = SITE,
    cluster: ClusterSettings = CLUSTER,
) -> Compared:
    moment = now()
    return compare(asked, Survey(found=found, probed=moment - age), cluster, moment)


@pytest.mark.parametrize(
    ("asked", "pointer", "words"),
    [
        (
            Resources(partition="wdie"),
            "partition",
            "there was no partition 'wdie' when the cluster was asked 12 min ago: choose wide,",
        ),
        (Resources(partition="wide,x"), "partition", "no partition 'x' when"),
        (
            Resources(time=2 * HOUR),
            "time",
            "partition 'wide' gave at most 1:30:00 when the cluster was asked 12 min ago, and "
            "2:00:00 is asked for",
        ),
    ],
)
def test_what_could_never_run_is_refused_within_the_hour_and_said_after_it(
    asked: Resources, pointer: str, words: str
) -> None:
    young, old = held(asked), held(asked, OLD)
    (error,) = young.errors
    assert error.pointer == f"/resources/{pointer}"
    assert words in error.detail
    assert young.notes == old.errors == ()
    (note,) = old.notes
    assert note.detail == error.detail.replace("12 min", "20 h")


@pytest.mark.parametrize(
    ("asked", "pointer", "words"),
    [
        (Resources(partition="shut", time=HOUR), "partition", "partition 'shut' was not up when"),
        (Resources(qos="urgent"), "qos", "there was no QOS 'urgent' when"),
        (Resources(nodes=5), "nodes", "5 nodes are more than the 4 of partition 'wide' when"),
        (Resources(cpus_per_task=65), "cpus_per_task", "65 processors are more than the 64 of any"),
        (Resources(nodes=1, ntasks=33, cpus_per_task=2), "ntasks", "66 processors are more"),
        (
            Resources(mem=9 << 30),
            "mem",
            "9216M is more than the 8192M of any node of partition 'wide'",
        ),
        (Resources(mem_per_cpu=5 << 30, cpus_per_task=2), "mem_per_cpu", "10240M is more"),
        (Resources(gpus="11", cpus_per_gpu=6), "cpus_per_gpu", "66 processors are more"),
        (Resources(gpus="3", mem_per_gpu=3 << 30), "mem_per_gpu", "9216M is more"),
        (
            Resources(mpi=True, nodes=2, ntasks_per_node=33, cpus_per_task=2),
            "ntasks_per_node",
            "66 processors are more than the 64 of any node",
        ),
        (Resources(partition="long", nodes=3), "nodes", "3 nodes are more than the 2"),
    ],
)
def test_what_may_have_changed_is_said_and_taken(
    asked: Resources, pointer: str, words: str
) -> None:
    for age, written in ((YOUNG, "12 min ago"), (OLD, "20 h ago")):
        compared = held(asked, age)
        assert compared.errors == ()
        (note,) = compared.notes
        assert note.pointer == f"/resources/{pointer}"
        assert words in note.detail
        assert written in note.detail


@pytest.mark.parametrize(
    "asked",
    [
        Resources(time=90 * HOUR / 60, cpus_per_task=64, nodes=1, mem=8 << 30, qos="normal"),
        Resources(partition="long", time=900 * HOUR),
        Resources(partition="wide,long", time=900 * HOUR),
        Resources(partition="wide,shut", time=HOUR),
        Resources(mpi=True, ntasks=128, cpus_per_task=2, nodes=4),
        Resources(mpi=True, nodes=4, ntasks_per_node=32, gpus="8", cpus_per_gpu=16),
    ],
)
def test_what_goes_is_taken_without_a_word(asked: Resources) -> None:
    assert held(asked) == Compared()


def test_what_the_survey_cannot_know_refuses_nothing() -> None:
    strange, late = Resources(partition="wdie"), Resources(time=2 * HOUR)
    hiding = replace(SITE, manners=Manners(private=("jobs", "nodes")))
    assert len(held(strange, found=hiding).notes) == 1
    assert len(held(strange, cluster=replace(CLUSTER, scheduler="pyslurm")).notes) == 1
    assert not held(replace(late, qos="normal")).errors  # a QOS may let its jobs run longer
    assert len(held(replace(late, qos="normal")).notes) == 1
    assert held(Resources(qos="urgent"), found=replace(SITE, qos=None)) == Compared()
    assert held(strange, found=replace(SITE, partitions=())) == Compared()
    assert compare(strange, Survey(), CLUSTER, now()) == Compared()
    assert len(held(late, HOUR).notes) == len(held(late, HOUR - timedelta(seconds=1)).errors) == 1


@pytest.fixture
def site(make: SiteMaker, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(probes, "_FRESH_S", 0.0)  # each look here is followed by a request
    return make(
        GATEWAY_CLUSTERS__HPC__SCHEDULER="slurm",
        GATEWAY_CLUSTERS__HPC__BASE="/scratch/gateway",
        GATEWAY_CLUSTERS__HPC__PYTHON="/usr/bin/python3",
        GATEWAY_CLUSTERS__HPC__MAX_TIME="2-00:00:00",
    )


@pytest.fixture
def ada(site: Site) -> Browser:
    site.accounts.add_user("ada", PASSWORD)
    browser = site.browser()
    browser.sign_in("ada")
    return browser


def look(site: Site, age: timedelta) -> None:
    SurveyStore(site.services.redis).put("hpc", Survey(found=SITE, probed=now() - age))


def send(browser: Browser, path: str, **resources: Any) -> Any:
    body = {"kind": "dummy", "cluster": "hpc", "resources": resources}
    headers = {"Idempotency-Key": "one"}
    return browser.send("POST", f"/api/v1{path}", json=body, headers=headers)


def test_a_request_is_told_what_its_cluster_was_found_able_to_do(site: Site, ada: Browser) -> None:
    unseen = send(ada, "/jobs/preview", time="2:00:00")
    assert (unseen.status_code, unseen.json.get("warnings")) == (200, []), unseen.text
    look(site, YOUNG)
    for path in ("/jobs/preview", "/jobs"):
        answer = send(ada, path, time="2:00:00")
        assert answer.status_code == 422, answer.text
        (error,) = answer.json["errors"]
        assert error["pointer"] == "/resources/time"
        assert "partition 'wide' gave at most 1:30:00" in error["detail"]
    assert ada.get("/api/v1/jobs").json["total"] == 0

    look(site, OLD)
    for path, status in (("/jobs/preview", 200), ("/jobs", 202)):
        answer = send(ada, path, time="2:00:00")
        assert answer.status_code == status, answer.text
        (warning,) = answer.json["warnings"]
        assert warning.startswith(
            "Partition 'wide' gave at most 1:30:00 when the cluster was asked"
        )
    again = send(ada, "/jobs", time="2:00:00")
    assert (again.headers["Idempotent-Replayed"], again.json["warnings"]) == ("true", [])


def test_the_form_says_it_at_the_field(site: Site, ada: Browser) -> None:
    look(site, OLD)
    fields = {"kind": "dummy", "cluster": "hpc", "r.time": "2:00:00", "do": "preview"}
    page = ada.post_form("/fits/new", "/fits/new", **fields).text
    hint = re.search(r'<small class="hint" id="hint-r.time">([^<]*)</small>', page)
    assert hint, page
    assert "gave at most 1:30:00" in hint[1]
    assert 'id="hint-r.mem" hidden' in page
    look(site, YOUNG)
    page = ada.post_form("/fits/new", "/fits/new", **fields).text
    wrong = re.search(r'<small class="wrong" id="wrong-r.time">([^<]*)</small>', page)
    assert wrong, page
    assert "ask for less, or choose another partition" in wrong[1]


def test_the_form_shows_what_a_cluster_has_and_offers_its_partitions(
    site: Site, ada: Browser
) -> None:
    fields = {"kind": "dummy", "cluster": "hpc", "do": "preview"}
    assert 'list="partitions"' not in ada.post_form("/fits/new", "/fits/new", **fields).text
    look(site, YOUNG)
    page = ada.post_form("/fits/new", "/fits/new", **fields).text
    assert '<option value="wide">up to 1:30:00</option>' in page
    assert re.search(r'<input id="r.partition"[^>]* list="partitions">', page)
    row = re.search(r"<code>wide</code>.*?</tr>", page)
    assert row
    assert re.findall(r"<td[^>]*>([^<]*)</td>", row[0])[:2] == ["1:30:00", "8"]
