"""How well a job used what it asked for: in words, by a real one, and whatever a result says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from gateway.jobs import efficiency
from gateway.jobs.efficiency import Efficiency, efficiency_of
from gateway.jobs.forecast import Measured
from gateway.jobs.models import Attempt, Stage
from scheduler.base import JobReport, JobState
from scheduler.units import GIB, MIB
from tests.jobs.making import THEN, make_attempt
from tests.jobs.making_pages import Fits, model

HOUR = 3600.0
BURN_S = 1.5
BURNS = (
    model(
        "import time\nwhile time.process_time() < BURN_S:\n    sum(range(1000))\n".replace(
            "BURN_S", str(BURN_S)
        )
    )
    + model()
)


def ended(used: float | None = None, **changes: Any) -> Attempt:
    """Make an attempt of an hour in which so many processors computed."""
    cpu = {} if used is None else {"cpu_s": used * HOUR, "cpu_over_s": HOUR}
    return make_attempt(
        **{
            "state": JobState.COMPLETED,
            "stage": Stage.SUBMITTED,
            "collected": True,
            **cpu,
            **changes,
        }
    )


def found(attempt: Attempt) -> Efficiency:
    answer = efficiency_of(attempt)
    assert answer is not None
    return answer


def test_who_used_one_of_eight_processors_is_told_to_ask_for_two() -> None:
    asked = {"cpus_per_task": 8, "mem": "16G"}
    one = found(ended(1.1, resources=asked, max_rss_bytes=400 * MIB))
    assert one.text == "1.1 of 8 processors (14 %); 0.4 of 16 GB of memory (2 %)"
    assert one.advice == (
        "Ask for 2 processors next time: it takes as long, and waits less in line. "
        "640M of memory are enough."
    )
    assert one.cpu == pytest.approx(0.1375)
    assert one.mem == pytest.approx(400 / 16384)
    ran = Measured(evaluation_s=0.1, parameters=2, cpus=1)
    assert found(ended(1.02, resources=asked, measured=ran)).advice == (
        "The fit computed on 1 of them. Ask for 1 processor next time: it takes as long, and "
        "waits less in line."
    )


@pytest.mark.parametrize(
    ("attempt", "text", "advice"),
    [
        (ended(7.6, resources={"cpus_per_task": 8}), "7.6 of 8 processors (95 %)", ""),
        (ended(4.0, resources={"cpus_per_task": 8}), "4.0 of 8 processors (50 %)", ""),
        (ended(0.3), "0.3 of 1 processor (30 %)",
         "It waited more than it computed: for files, or for a machine with other work."),
        (ended(1.0, cpus_given=4), "1.0 of 4 processors (25 %)",
         "It asked for 1: this cluster gives no less than 4."),
        (ended(1.0, cpu_s=5.0, cpu_over_s=20.0, resources={"cpus_per_task": 8}),
         "0.2 of 8 processors (3 %)", ""),  # too short to tell
        (ended(1.0, tasks=100, resources={"cpus_per_task": 4}),
         "1.0 of 4 processors (25 %), by each task", ""),  # 36 s each
        (ended(1.0, resources={"mem": "1G"}, max_rss_bytes=30 * MIB),
         "1.0 of 1 processor (100 %); 0.0 of 1 GB of memory (3 %)", ""),  # too little to care
        (ended(4.0, resources={"cpus_per_task": 4, "mem_per_cpu": "4G"}, max_rss_bytes=GIB),
         "4.0 of 4 processors (100 %); 1.0 of 16 GB of memory (6 %)",
         "384M of memory for each processor are enough."),
        (ended(None, resources={"mem": "2G"}, max_rss_bytes=GIB), "1.0 of 2 GB of memory (50 %)",
         ""),
        (ended(1.0, resources={"mem": "2G"}, max_rss_bytes=2 * GIB + 1),
         "1.0 of 1 processor (100 %)", ""),  # nobody can have taken that, and gone on
        (ended(state=JobState.OUT_OF_MEMORY, resources={"mem": "2G"}, max_rss_bytes=3 * GIB),
         "2.0 of 2 GB of memory (100 %)", ""),
    ],
)  # fmt: skip
def test_advice_is_given_only_where_it_helps(attempt: Attempt, text: str, advice: str) -> None:
    one = found(attempt)
    assert (one.text, one.advice) == (text, advice)


@pytest.mark.parametrize(
    "attempt",
    [
        ended(),
        ended(max_rss_bytes=GIB),  # of nothing that was asked for
        ended(max_rss_bytes=9 * GIB, resources={"mem": "4G"}),
        ended(1.0, collected=False),
        replace(ended(), resources={"mem": "2G"}),
        ended(1.0, resources={"gres": "gpu:2", "gpus": 2}),  # kept when both were still taken
        ended(1.0, resources={"an_option_of_old": 1}),
    ],
)
def test_nothing_is_said_of_what_nobody_knows(attempt: Attempt) -> None:
    assert efficiency_of(attempt) is None


@pytest.mark.parametrize(
    "usage",
    [
        None, 7, [], "cpu_s", {}, {"cpu_s": "1", "elapsed_s": 1}, {"cpu_s": True, "elapsed_s": 1},
        {"cpu_s": -1, "elapsed_s": 1}, {"cpu_s": float("nan"), "elapsed_s": 1}, {"cpu_s": 1},
        {"cpu_s": 1, "elapsed_s": 0}, {"cpu_s": 10**400, "elapsed_s": 1},
        {"cpu_s": 1, "elapsed_s": float("inf")}, {"cpu_s": 5, "elapsed_s": 1},
    ],
)  # fmt: skip
def test_a_result_is_not_believed_whatever_it_says(usage: object) -> None:
    attempt = ended(resources={"cpus_per_task": 2})
    result = efficiency.figures_of({"usage": usage})
    assert efficiency.told(attempt, [result]) == {}
    honest = efficiency.figures_of({"usage": {"cpu_s": 6.0, "elapsed_s": 4.0}})
    assert efficiency.told(attempt, [result, {}, honest]).get("cpu_over_s") in (4.0, 5.0)
    for most in (1 << 51, -1, "1", 10**400, None):
        assert (
            efficiency.told_memory([efficiency.figures_of({"usage": {"max_rss_bytes": most}})])
            is None
        )


def test_a_scheduler_that_counted_is_believed_before_the_job() -> None:
    report = JobReport(
        native_id="1", task=0, marker="m", state=JobState.COMPLETED, raw_state="", started=THEN,
        ended=THEN + timedelta(seconds=10),
    )  # fmt: skip
    counted = efficiency.seen(
        [replace(report, cpu_s=8.0), replace(report, task=1, cpu_s=12.0), report]
    )
    assert counted == {"cpu_s": 20.0, "cpu_over_s": 20.0}
    attempt = replace(ended(), **counted)
    assert efficiency.told(attempt, [{"usage": {"cpu_s": 1.0, "elapsed_s": 1.0}}]) == {}
    assert efficiency.seen([report]) == {}


def test_a_job_that_burns_one_of_two_processors_is_told_to_have_used_half(fits: Fits) -> None:
    request = {"resources": {"cpus_per_task": 2, "mem": "2G"}, "options": {"fit": "lm"}}
    job = fits.api.job(fits.fitted(fits.problem(BURNS), **request))
    used = job["efficiency"]
    assert (used["cpus"], used["mem_bytes"]) == (2, 2 * GIB)
    # Of processor time no other work on this machine takes anything; of the hour it does.
    assert BURN_S < used["cpu_s"] < BURN_S + 6
    assert 0 < used["cpu"] < 0.6
    assert used["cpus_used"] == pytest.approx(2 * used["cpu"])
    assert f"{used['cpus_used']:.1f} of 2 processors" in used["text"]
    assert used["advice"] == "", "of some seconds nobody needs advice"
    own = fits.api.results(job["id"])["results"][0]["usage"]
    assert BURN_S < own["cpu_s"] <= used["cpu_s"], "the scheduler counts the script around it, too"
    assert own["max_rss_bytes"] > 20 * MIB
