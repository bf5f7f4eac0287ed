"""What users, groups and proposals may have at once and in a week; the rest waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import redis as redis_client

from gateway.jobs import outcome
from gateway.jobs.line import LineLimits, give_back, in_line
from gateway.jobs.models import Job, Stage, Tracking
from gateway.jobs.ran import until_now_s
from gateway.jobs.spent import Spent
from gateway.jobs.store import JobStore
from gateway.policy import windows
from gateway.policy.ration import Ration
from gateway.sidecars import Sidecars
from scheduler.base import JobReport, JobState
from tests.jobs.making import make_job
from tests.policy.documents import policy

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)  # a Wednesday
GROUP = '[groups.imaging]\nmembers = ["ada", "bob"]\n[limits.groups.imaging]\n'
GRANT = 'first = 2026-11-01\nlast = 2026-11-30\nusers = ["ada"]\n'


@pytest.fixture
def store(redis: redis_client.Redis, tmp_path: Path) -> JobStore:
    return JobStore(redis, Sidecars(tmp_path / "sidecars"))


def make(owner: str, minute: int, stage: Stage = Stage.NONE, **changes: Any) -> Job:
    return make_job(owner=owner, stage=stage, asked=NOW + timedelta(minutes=minute), **changes)


def there(owner: str, **changes: Any) -> Job:
    return make(owner, 0, Stage.SUBMITTED, state=JobState.RUNNING, **changes)


def why(
    redis: redis_client.Redis, text: str, jobs: list[Job], moment: datetime = NOW
) -> dict[str, str]:
    """Say of each job that waits why it does."""
    ration = Ration(policy(text), jobs, Spent(redis), moment)
    return {name: row.why for name, row in in_line(jobs, LineLimits(), ration).items()}


def use(store: JobStore, job: Job, hours: float, ended: datetime = NOW) -> None:
    """Have a job that has used so much."""
    begun = ended - timedelta(hours=hours)
    done = job.with_attempt(
        stage=Stage.SUBMITTED, state=JobState.COMPLETED, collected=True, started=begun, ended=ended
    )
    store.add(job)
    store.replace(done)


def test_users_and_groups_have_at_most_so_many_jobs(redis: redis_client.Redis) -> None:
    one, two, other = make("ada", 1), make("ada", 2), make("eve", 3)
    jobs = [there("ada"), one, two, other]
    assert why(redis, "[limits.each_user]\njobs = 2", jobs) == {
        two.id: "2 of your jobs are at clusters, as many as may be at once"
    }
    assert why(redis, f"{GROUP}jobs = 2", [there("bob"), *jobs]) == {
        job.id: "2 of your group imaging's jobs are at clusters, as many as may be at once"
        for job in (one, two)
    }
    assert why(redis, "[limits.each_user]\njobs = 2\n[limits.users.ada]\njobs = 0", jobs) == {}


def test_a_large_job_is_not_passed_by_small_ones_for_ever(redis: redis_client.Redis) -> None:
    large = make("ada", 1, resources={"cpus_per_task": 4})
    small = make("bob", 2)
    jobs = [there("ada", resources={"cpus_per_task": 3}), there("bob"), large, small]
    assert why(redis, f"{GROUP}cpus = 6", jobs) == {
        large.id: "your group imaging's jobs take 4 processors, and with this one's 4 they would "
        "take more than 6",
        small.id: "a larger one of your group imaging's jobs is before it, until processors are "
        "free",
    }
    assert why(redis, f"{GROUP}cpus = 6", jobs[2:]) == {}
    array = make("ada", 1, tasks=20)
    assert why(redis, f"{GROUP}cpus = 6", [array]) == {}, "alone it may be of any length"


def test_what_never_goes_keeps_no_place_before_smaller_ones(redis: redis_client.Redis) -> None:
    never = make("ada", 1, resources={"cpus_per_task": 64}, proposal="gone")
    small = make("bob", 2)
    found = why(redis, f"{GROUP}cpus = 64", [there("bob"), never, small])
    assert list(found) == [never.id]


def test_what_a_cluster_did_not_take_gives_its_room_back(redis: redis_client.Redis) -> None:
    down, up, more = make("ada", 1), make("ada", 2), make("ada", 3)
    ration = Ration(policy("[limits.each_user]\njobs = 1"), [down, up], Spent(redis), NOW)
    assert in_line([down], LineLimits(), ration) == {}
    assert list(in_line([up], LineLimits(), ration)) == [up.id]
    give_back([down], ration)  # its cluster is away
    assert in_line([up], LineLimits(), ration) == {}
    give_back([up.with_attempt(stage=Stage.SUBMITTED)], ration)
    assert list(in_line([more], LineLimits(), ration)) == [more.id]


def test_who_was_held_up_lets_others_of_the_user_go_first(redis: redis_client.Redis) -> None:
    held = make("ada", 1, tracking=Tracking.STALE)
    other = make("ada", 2)
    assert list(why(redis, "[limits.each_user]\njobs = 1", [held, other])) == [held.id]


def test_core_hours_come_back_with_the_next_week(
    redis: redis_client.Redis, store: JobStore
) -> None:
    text = f"{GROUP}core_hours = 10"
    use(store, make("bob", 0), 9.9, NOW)
    job, stranger = make("ada", 1), make("eve", 1)
    assert why(redis, text, [job, stranger]) == {}
    use(store, make("ada", 0), 0.2, NOW)
    said = (
        "your group imaging has used all of its 10 core-hours until Monday 30 November, 00:00 UTC; "
        "it goes on then"
    )
    assert why(redis, text, [job, stranger]) == {job.id: said}
    sunday, monday = NOW + timedelta(days=4, hours=11), NOW + timedelta(days=4, hours=12)
    assert why(redis, text, [job], sunday) == {job.id: said}
    assert why(redis, text, [job], monday) == {}


def test_what_runs_counts_as_far_as_it_has_come(redis: redis_client.Redis) -> None:
    week = windows.midnight(windows.begin("week", NOW))
    job = make("ada", 1)
    runs = there("ada", started=week - timedelta(days=2), resources={"cpus_per_task": 2})
    text = "[limits.each_user]\ncore_hours = 4"
    assert why(redis, text, [runs, job], week + timedelta(hours=1)) == {}, "of this week only"
    assert job.id in why(redis, text, [runs, job], week + timedelta(hours=2))
    array = there("ada", started=week, tasks=100, task_states={"PENDING": 99, "RUNNING": 1})
    assert why(redis, text, [array, job], week + timedelta(hours=3)) == {}


def test_tasks_of_a_running_array_count_only_as_long_as_they_ran(
    redis: redis_client.Redis,
) -> None:
    begun, text = NOW - timedelta(hours=10), "[limits.each_user]\ncore_hours = 20"
    array, job = there("ada", started=begun, tasks=1000), make("ada", 1)
    ended = [report(task, begun, 0.02) for task in range(499)]
    runs, rest = report(499, NOW - timedelta(hours=8), None), waiting(range(500, 1000))
    array = outcome.observe(array, [*ended, runs, rest])
    for moment, hours in ((NOW, 9.98 + 8), (NOW + timedelta(hours=2), 9.98 + 10)):
        # Slurm without accounting forgets what has ended: what was seen stays counted, once.
        array = outcome.observe(array, [*ended[400:], runs, rest])
        assert until_now_s(array.attempt, None, moment) == pytest.approx(hours * 3600)
    assert why(redis, text, [array, job]) == {}
    assert job.id in why(redis, text, [array, job], NOW + timedelta(hours=3))


def test_of_a_running_array_only_this_weeks_part_counts(redis: redis_client.Redis) -> None:
    week = windows.midnight(windows.begin("week", NOW))
    array = there("ada", started=week - timedelta(hours=30), tasks=3)
    rows = [report(0, week - timedelta(hours=30), 8.0), report(1, week - timedelta(hours=20), None)]
    array = outcome.observe(array, [*rows, waiting(range(2, 3))])
    moment, text = week + timedelta(hours=10), "[limits.each_user]\ncore_hours = 12.1"
    assert until_now_s(array.attempt, week, moment) == pytest.approx((10 + 8 * 10 / 40) * 3600)
    job = make("ada", 1)
    assert why(redis, text, [array, job], moment) == {}


def report(task: int, begun: datetime, hours: float | None) -> JobReport:
    ended = None if hours is None else begun + timedelta(hours=hours)
    state = JobState.COMPLETED if ended else JobState.RUNNING
    return JobReport(native_id="7", task=task, marker="m", state=state, raw_state=state.value,
                     started=begun, ended=ended)  # fmt: skip


def waiting(tasks: range) -> JobReport:
    return JobReport(native_id="7", task=None, marker="m", state=JobState.PENDING,
                     raw_state="PENDING", tasks_waiting=tuple(tasks))  # fmt: skip


def test_a_proposal_has_its_hours_once(redis: redis_client.Redis, store: JobStore) -> None:
    text = f"[proposals.hp]\n{GRANT}core_hours = 5\njobs = 1\n"
    under, without = make("ada", 1, proposal="hp"), make("ada", 2)
    assert set(why(redis, text, [there("ada", proposal="hp"), under, without])) == {under.id}
    use(store, make("ada", 0, proposal="hp"), 6, NOW - timedelta(days=20))
    assert why(redis, text, [under, without]) == {
        under.id: "the proposal hp has used all of its 5 core-hours; it goes on when its "
        "administrators give it more"
    }


def test_a_tick_costs_the_same_however_many_jobs_are_done(
    redis: redis_client.Redis, store: JobStore
) -> None:
    def asked() -> int:
        before = int(redis.info("stats")["total_commands_processed"])
        why(redis, f"{GROUP}core_hours = 1000", [make("ada", 1), make("bob", 1)])
        return int(redis.info("stats")["total_commands_processed"]) - before

    few = asked()
    for _ in range(30):
        use(store, make("ada", 0), 1)
    assert asked() == few
    assert few <= 10


def test_who_waits_under_a_proposal_that_is_over_is_told_and_others_go(
    redis: redis_client.Redis,
) -> None:
    text = f"[proposals.hp]\n{GRANT}clusters = ['local']\n"
    late, other = make("ada", 1, proposal="hp"), make("ada", 2)
    again = "cancel this job and run it again under another, or under none"
    last = datetime(2026, 11, 30, 23, 59, tzinfo=UTC)
    assert why(redis, text, [late, other], last) == {}, "its last day is its own"
    assert why(redis, text, [late, other], last + timedelta(minutes=1)) == {
        late.id: f"the proposal hp ended on 2026-11-30: {again}"
    }
    assert why(redis, "", [late, other]) == {late.id: f"there is no proposal hp any more: {again}"}
    assert why(redis, text.replace("ada", "eve"), [late]) == {
        late.id: f"you are no longer in the proposal hp: {again}"
    }
    assert why(redis, text.replace("'local'", "'hpc'"), [late]) == {
        late.id: f"the proposal hp is not for the cluster local any more: {again}"
    }
    early = text.replace("2026-11-01", "2026-11-28")
    assert why(redis, early, [late]) == {
        late.id: "the proposal hp begins on 2026-11-28 now; it goes on then"
    }
    runs = there("ada", proposal="hp")
    assert why(redis, text, [runs], last + timedelta(days=9)) == {}, "what runs is left alone"


def test_what_is_lost_takes_nothing_and_uses_no_more_hours(redis: redis_client.Redis) -> None:
    begun = NOW - timedelta(hours=9)
    lost = there("ada", started=begun, observed=begun + timedelta(hours=1), tracking=Tracking.LOST)
    waits = make("ada", 1)
    assert why(redis, "[limits.each_user]\njobs = 1", [lost, waits]) == {}
    hours = '[limits.each_user]\ncore_hours = 2\nwindow = "week"'
    assert why(redis, hours, [lost, waits]) == {}
    known = lost.with_attempt(tracking=Tracking.FRESH)
    assert set(why(redis, hours, [known, waits])) == {waits.id}
