"""Core-hours and waste by user and cluster, from the records of jobs."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from gateway.errors import InvalidError
from gateway.ids import lowest_id
from gateway.jobs import outcome
from gateway.jobs.collect import Collected
from gateway.jobs.judge import close
from gateway.jobs.models import Job, Stage
from gateway.jobs.outcome import ExitRecord
from gateway.jobs.tally import core_hours
from gateway.jobs.usage import Period
from gateway.records import now
from scheduler.base import JobReport, JobState
from scheduler.slurm_text import parse_squeue
from tests.jobs.making import make_attempt, make_job
from tests.live import Api, LiveGateway
from tests.web.site import Browser, Site

DAY = datetime(2026, 3, 10, 12, tzinfo=UTC)
NOTHING = Collected(files=(), complete=True, results=(), faults=())
URL = "/api/v1/admin/usage?since=2026-03-10&until=2026-03-10"


@pytest.fixture
def root(site: Site) -> Browser:
    browser = site.browser()
    browser.sign_in("root")
    return browser


def ended(state: JobState, hours: float, made: datetime = DAY, **changes: object) -> Job:
    job = make_job(
        stage=Stage.SUBMITTED, collected=True, state=state, created=made,
        started=made, ended=made + timedelta(hours=hours), **changes,
    )  # fmt: skip
    return replace(job, id=lowest_id(made)[:10] + job.id[10:])


def test_hours_are_summed_by_user_and_cluster_and_waste_is_told(site: Site, root: Browser) -> None:
    two, done = {"cpus_per_task": 2}, JobState.COMPLETED
    resumed = ended(JobState.TIMEOUT, 4.0, resources=two)
    second = replace(resumed.attempt, number=2, state=done, resumed_from=1)
    jobs = [
        ended(done, 1.5, resources=two),
        replace(resumed, attempts=(resumed.attempt, second)),
        ended(JobState.FAILED, 0.5),
        ended(JobState.CANCELLED, 2.0, owner="bob", tasks=3, elapsed_s=3600.0),
        ended(done, 1.0, owner="bob", cluster="other", tasks=3),
        ended(done, 9.0, made=DAY - timedelta(days=1)),
        ended(done, 9.0, made=DAY + timedelta(days=1)),
        make_job(created=DAY, started=DAY),
    ]
    for job in jobs:
        site.services.job_store.add(job)
    rows = {(row["user"], row["cluster"]): row for row in root.get(URL).json["items"]}
    ada = rows["ada", "local"]
    assert (ada["core_hours"], ada["wasted_core_hours"], ada["estimated"]) == (19.5, 0.5, 0)
    assert ada["ended"] == {"COMPLETED": 2, "TIMEOUT": 1, "FAILED": 1}
    bob = rows["bob", "local"], rows["bob", "other"]
    assert [(row["core_hours"], row["wasted_core_hours"]) for row in bob] == [(1, 1), (3, 0)]
    assert [row["estimated"] for row in bob] == [0, 1], "who waited in an array is not known"

    table = root.get(URL.replace("/api/v1/admin/usage", "/admin/usage.csv"))
    assert table.content_type.startswith("text/csv")
    assert table.text.splitlines()[1:] == [
        "ada,local,,COMPLETED=2 FAILED=1 TIMEOUT=1,19.5000,0.5000,FAILED=0.5000,0.6667,0",
        "bob,other,,COMPLETED=1,3.0000,0.0000,,1.0000,1",
        "bob,local,,CANCELLED=1,1.0000,1.0000,CANCELLED=1.0000,0.0000,0",
    ]
    page = root.get(URL.replace("/api/v1", "")).text
    assert "23.50" in page[page.index("<tfoot>") :]
    assert "No jobs" in root.get("/admin/usage?since=2025-01-01&until=2025-01-02").text


def test_what_was_used_is_told_for_each_proposal(site: Site, root: Browser) -> None:
    assert "Proposal" not in root.get("/admin/usage").text
    first = ended(JobState.TIMEOUT, 4.0, proposal="hp-1")
    second = replace(first.attempt, number=2, state=JobState.COMPLETED, resumed_from=1, proposal="")
    site.services.job_store.add(replace(first, attempts=(first.attempt, second)))
    site.services.job_store.add(ended(JobState.FAILED, 1.0, proposal="hp-1"))
    rows = {row["proposal"]: row for row in root.get(URL).json["items"]}
    assert [(name, row["core_hours"]) for name, row in rows.items()] == [("hp-1", 5), ("", 4)]
    assert rows["hp-1"]["wasted_core_hours"] == 1, "what was continued is no waste"
    page = root.get(URL.replace("/api/v1", "")).text
    assert "<th>Proposal</th>" in page
    assert "<td>hp-1</td>" in page


def test_a_wrong_period_is_refused_and_so_is_a_stranger(site: Site, root: Browser) -> None:
    for query in ("since=2026-03-10&until=2026-03-09", "since=2024-01-01&until=2026-01-01",
                  "since=yesterday", "until=0001-01-02", "until=9999-12-31"):  # fmt: skip
        for path in ("/api/v1/admin/usage", "/admin/usage", "/admin/usage.csv"):
            assert root.get(f"{path}?{query}").status_code == 422, (path, query)
    with pytest.raises(InvalidError):
        Period(since=date(2026, 1, 2), until=date(2026, 1, 1))
    ada = site.browser()
    ada.sign_in("ada")
    for path in ("/api/v1/admin/usage", "/admin/usage", "/admin/usage.csv"):
        assert ada.get(path).status_code == 403


def test_processors_count_as_they_were_given_not_as_they_were_asked_for() -> None:
    def report(cpus: int | None, hours: float | None = None) -> JobReport:
        end = None if hours is None else DAY + timedelta(hours=hours)
        state = JobState.COMPLETED if end else JobState.RUNNING
        return JobReport(native_id="7", task=None, marker="m", state=state, cpus=cpus,
                         raw_state=state.value, started=DAY, ended=end)  # fmt: skip

    job = make_job(resources={"cpus_per_task": 3})
    assert core_hours(outcome.observe(job, [report(None, 2)]).attempt) == 6, "nobody told"
    runs = outcome.observe(job, [report(4)])
    assert runs.attempt.cpus_given == 4, "a core has two threads"
    assert core_hours(outcome.observe(runs, [report(None, 2)]).attempt) == 8, "told before"
    row = "|".join(["7_[1-2]", "PENDING", "Priority", "0", "N/A", "N/A", "0", "64", "gw-1-1"])
    assert parse_squeue(f"{row}|\n", "|")[0].cpus is None, "what waits was given nothing"


def test_tasks_are_added_up_once_each_has_ended() -> None:
    def report(task: int, hours: float | None) -> JobReport:
        end = None if hours is None else DAY + timedelta(hours=hours)
        state = JobState.COMPLETED if end else JobState.RUNNING
        return JobReport(native_id="7", task=task, marker="m", state=state,
                         raw_state=state.value, started=DAY, ended=end)  # fmt: skip

    job = make_job(tasks=2)
    assert outcome.observe(job, [report(0, 1), report(1, None)]).attempt.elapsed_s is None
    whole = outcome.observe(job, [report(0, 1), report(1, 3)])
    assert core_hours(whole.attempt) == 4
    assert outcome.observe(whole, [report(1, 3)]).attempt.elapsed_s == 4 * 3600, "once known"
    assert core_hours(make_attempt(ended=DAY)) == 0, "what never ran used nothing"


def test_exit_files_tell_how_long_tasks_ran_that_nobody_saw_end() -> None:
    rows = [_row(0, JobState.RUNNING), _row(1, JobState.COMPLETED, 2)]
    job = outcome.observe(make_job(tasks=4, stage=Stage.SUBMITTED), rows)
    exits = [_exit(0, 0, 1), _exit(1, 1, 1.1), _exit(2, 1, 4), _exit(3, 4, 10)]

    def used(*exits: ExitRecord) -> tuple[float, bool]:
        attempt = close(job, NOTHING, exits, None).attempt
        return core_hours(attempt), attempt.elapsed_s is None

    assert used(*exits) == (1 + 2 + 3 + 6, False), "what was seen, its own file does not shorten"
    assert used(*exits[:2], exits[3]) == (1 + 2 + 6 + 10, True), "one of whom nobody knows"
    late = replace(exits[3], ended=datetime(2400, 1, 1, tzinfo=UTC))
    assert used(*exits[:3], late)[0] < (now() - DAY).total_seconds() / 3600 + 10


def test_of_an_array_that_was_cancelled_only_what_began_is_counted() -> None:
    rest = replace(_row(0, JobState.CANCELLED), task=None, started=None)
    job = make_job(tasks=1000, stage=Stage.SUBMITTED)
    job = outcome.observe(job, [_row(0, JobState.CANCELLED, 2), _row(1, JobState.RUNNING), rest])
    job = outcome.observe(job, [_row(1, JobState.CANCELLED, 3), rest])
    attempt = close(job, NOTHING, (), None).attempt
    assert core_hours(attempt) == 5


def _row(task: int, state: JobState, hours: float | None = None) -> JobReport:
    end = None if hours is None else DAY + timedelta(hours=hours)
    return JobReport(native_id="7", task=task, marker="m", state=state,
                     raw_state=state.value, started=DAY, ended=end)  # fmt: skip


def _exit(task: int, begun: float, ended: float) -> ExitRecord:
    start, end = (DAY + timedelta(hours=hours) for hours in (begun, ended))
    return ExitRecord(rc=0, ended=end, started=start, task=task)


def test_a_job_that_ran_is_in_the_report(live: LiveGateway, api: Api) -> None:
    job = api.submit(kind="dummy", options={"seconds": 1})
    api.wait(job["id"])
    rows = Api(live, "boss").http.get("/admin/usage").json()["items"]
    mine = [row for row in rows if row["user"] == api.name]
    assert [row["ended"] for row in mine] == [{"COMPLETED": 1}]
    assert 1 / 3600 <= mine[0]["core_hours"] < 60 / 3600
