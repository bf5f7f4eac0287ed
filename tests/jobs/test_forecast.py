"""How long a fit takes is said before it is queued, and held against what it took."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import redis as redis_client
from hypothesis import given
from hypothesis import strategies as st

from fitters.bumps_methods import METHODS
from fitters.bumps_options import check_options
from gateway.jobs.again import made_before
from gateway.jobs.forecast import (
    Forecast,
    Known,
    Measured,
    Planned,
    evaluation_s,
    evaluations,
    forecast,
    measured,
    most_evaluations,
    off_by,
    useful_cpus,
    warnings,
)
from gateway.jobs.forecast_store import KEPT, ForecastStore
from gateway.jobs.models import Job, ProblemRef
from gateway.records import from_document, to_document
from scheduler.base import JobState
from tests.jobs.making import THEN, make_job
from tests.jobs.making_pages import Fits
from tests.jobs.test_pages import Plain

SLOW = Known(evaluation_s=0.1, parameters=2, job="01J", checked=True)
FITS: list[dict[str, Any]] = [
    *({"fit": "dream", "samples": samples, "burn": 20} for samples in (400, 800, 1600)),
    *({"fit": "de", "steps": steps} for steps in (20, 40)),
    *({"fit": method} for method in ("lm", "amoeba", "newton", "lm", "amoeba")),
]
"""Ten short fits of different length."""

SLEEPS = """
import time
import numpy as np
from bumps.names import Curve, FitProblem

x, y, dy = np.loadtxt("data.dat").T

def theory(x, m, b):
    time.sleep(SECONDS)
    return m * x + b

model = Curve(theory, x, y, dy, m=1, b=0)
model.m.range(0, 10)
model.b.range(-5, 5)
problem = FitProblem(model)
"""


def planned(method: str, cpus: int = 1, **options: Any) -> Planned:
    complete = check_options(method, options, 2, 100)
    return Planned(method=method, options=complete, cpus=cpus)


def told(plan: Planned, known: Known = SLOW, start_s: float | None = 1.0) -> Forecast:
    found = forecast(plan, known, start_s)
    assert found is not None
    return found


# ---- what bumps plans


@pytest.mark.parametrize(
    ("options", "counted"),
    [({}, 12_020), ({"samples": 2000, "burn": 50}, 3020), ({"steps": 10, "burn": 1}, 220),
     ({"pop": -7, "samples": 700}, 1407)],
)  # fmt: skip
def test_dream_is_counted_as_bumps_counts_it(options: dict[str, Any], counted: int) -> None:
    """The first two are what the fits of 2 parameters did that the numbers were measured on."""
    assert most_evaluations(planned("dream", **options), 2) == counted


def test_a_fit_that_does_what_it_plans_takes_its_evaluations_times_their_time() -> None:
    found = told(planned("dream", samples=2000, burn=50))
    assert found.evaluations == 3020
    assert found.seconds == pytest.approx(303.8, rel=0.01)
    assert found.low_s < found.seconds < found.high_s < 2 * found.seconds
    assert found.text == "about 5 min on one processor (3 min to 8 min)"


def test_a_fit_that_ends_by_itself_has_all_its_steps_as_its_upper_end() -> None:
    found = told(planned("de", steps=500))
    assert found.high_s == pytest.approx(500 * 20 * 0.1, rel=0.05)
    assert found.seconds < found.high_s / 2


def test_what_the_method_made_of_the_same_problem_before_counts_more_than_others() -> None:
    before = replace(SLOW, counts={"amoeba": 700, "lm": 5})
    assert told(planned("amoeba"), before).evaluations == 700
    assert told(planned("amoeba", steps=10), before).evaluations == 20  # it cannot make more
    assert told(planned("amoeba")).evaluations < 100


def test_its_own_time_limit_ends_a_fit() -> None:
    assert told(planned("dream", samples=10**6, time=0.01)).seconds < 40


@pytest.mark.parametrize(
    ("method", "cpus", "useful"),
    [("amoeba", 32, 1), ("lm", 2, 1), ("dream", 32, 20), ("dream", 15, 10), ("dream", 20, 20),
     ("de", 4, 4), ("dream", 1, 1)],
)  # fmt: skip
def test_no_more_processors_help_than_a_method_has_points_at_once(
    method: str, cpus: int, useful: int
) -> None:
    assert useful_cpus(planned(method, cpus), SLOW) == useful
    one = told(planned(method)).seconds
    assert told(planned(method, useful)).seconds == pytest.approx(
        told(planned(method, cpus)).seconds
    )
    assert (told(planned(method, cpus)).seconds < one) is (useful > 1)


def test_a_cheap_model_is_not_shared_out() -> None:
    cheap = replace(SLOW, evaluation_s=5e-5)
    found = told(planned("dream", 8), cheap)
    assert found.cpus == 1
    (said,) = warnings(found, planned("dream", 8), None)
    assert said.startswith("1 processor does as well: an evaluation takes 0.05 ms")
    assert said.endswith("The other 7 would idle.")


def test_idle_processors_are_warned_of_with_the_number_that_would_do() -> None:
    plan = planned("dream", 32)
    (said,) = warnings(told(plan), plan, None)
    assert said == (
        "20 processors do as well: dream has no more points at once to evaluate. The other 12 "
        "would idle."
    )
    assert warnings(told(planned("dream", 20)), planned("dream", 20), None) == []


def test_a_time_limit_that_is_too_short_is_warned_of() -> None:
    plan = planned("dream", samples=2000, burn=50)
    found = told(plan)
    assert "will not fit into the 1 min that" in warnings(found, plan, 60.0)[0]
    assert "may not fit into the 6 min that" in warnings(found, plan, 360.0)[0]
    assert warnings(found, plan, 3600.0) == []


def test_a_task_of_a_packed_array_takes_its_elements_after_and_beside_each_other() -> None:
    one = told(planned("lm"), start_s=0.0).seconds
    four = replace(planned("lm"), elements=8, pack=4)
    assert told(four, start_s=0.0).seconds == pytest.approx(4 * one)
    assert told(replace(four, cpus=2), start_s=0.0).seconds == pytest.approx(2 * one)
    wide = replace(four, cpus=6)
    assert "4 processors do as well: a task has 4 elements" in warnings(told(wide), wide, None)[0]


def test_what_was_timed_elsewhere_is_less_sure() -> None:
    here, there = told(planned("dream")), told(planned("dream"), replace(SLOW, here=False))
    assert there.low_s < here.low_s < here.high_s < there.high_s


@given(
    st.sampled_from(sorted(METHODS)),
    st.floats(1e-300, 1e14),
    st.integers(1, 100_000),
    st.integers(1, 10_000),
)
def test_no_forecast_is_out_of_order_or_out_of_range(
    method: str, one_s: float, parameters: int, cpus: int
) -> None:
    plan = Planned(method=method, options={}, cpus=cpus)
    found = told(plan, Known(evaluation_s=one_s, parameters=parameters, job="", checked=False))
    assert 0 < found.low_s <= found.seconds <= found.high_s < 1e17
    assert 1 <= found.cpus <= cpus
    assert found.text
    warnings(found, plan, 60.0)


def test_there_is_no_forecast_of_what_nobody_knows() -> None:
    assert forecast(Planned(method="strange", options={}, cpus=1), SLOW) is None


# ---- what a result tells


@pytest.mark.parametrize(
    "hostile",
    [{}, {"evaluation_s": "1"}, {"evaluation_s": float("nan")}, {"evaluation_s": -1.0},
     {"evaluation_s": 1e400}, {"evaluation_s": True}, {"evaluation_s": 1.0, "n_parameters": "2"},
     {"evaluation_s": 1.0, "n_parameters": 0}],
)  # fmt: skip
def test_a_result_that_tells_nothing_of_its_speed_is_not_believed(hostile: dict[str, Any]) -> None:
    assert measured({"n_parameters": 1, **hostile}) is None


def test_what_a_fit_tells_is_read_and_odd_numbers_are_left_out() -> None:
    good = {"evaluation_s": 0.1, "n_parameters": 2, "evaluations": 300, "time_s": 60.0,
            "cpus": 1, "status": "done"}  # fmt: skip
    found = measured(good)
    assert found == Measured(
        evaluation_s=0.1, parameters=2, evaluations=300, fit_s=60.0, cpus=1, whole=True
    )
    assert evaluation_s(found, "lm") == pytest.approx(0.2, rel=0.01)
    assert evaluation_s(replace(found, cpus=4), "lm") == 0.1  # its points were shared out
    odd = measured({**good, "evaluations": "many", "cpus": -3})
    assert odd == Measured(evaluation_s=0.1, parameters=2)
    stopped = measured({**good, "status": "stopped"})
    assert stopped is not None
    assert not stopped.whole


# ---- what is remembered

REF = ProblemRef(id="p", version=1, name="", type="script", digest="d" * 64)


def ended(took_s: float = 10.0, forecast_s: float | None = None, **changes: Any) -> Job:
    made = None if forecast_s is None else replace(told(planned("lm")), seconds=forecast_s)
    fit = Measured(evaluation_s=0.1, parameters=2, evaluations=80, fit_s=8.0, whole=True)
    own = {"state": JobState.COMPLETED, "collected": True, "started": THEN, "method": "lm",
           "ended": THEN + timedelta(seconds=took_s), "measured": fit, "forecast": made,
           "problem": REF}  # fmt: skip
    return make_job(**{**own, **changes})


@pytest.fixture
def store(redis: redis_client.Redis) -> ForecastStore:
    return ForecastStore(redis)


def test_a_job_tells_its_own_user_of_its_problem_and_nobody_else(store: ForecastStore) -> None:
    job = ended()
    for _ in range(2):
        store.learn(job)
    known = store.known("ada", REF.digest, "local")
    assert known == Known(
        evaluation_s=0.1, parameters=2, job=job.id, checked=False, counts={"lm": 80}
    )
    elsewhere = store.known("ada", REF.digest, "hpc")
    assert elsewhere is not None
    assert not elsewhere.here
    assert store.known("bob", REF.digest, "local") is None
    assert store.known("ada", "e" * 64, "local") is None
    assert store.known("ada", "", "local") is None


def test_the_last_twenty_jobs_say_how_far_off_forecasts_were(store: ForecastStore) -> None:
    assert store.accuracy() is None
    for number in range(KEPT + 5):
        later = THEN + timedelta(hours=number)
        store.learn(
            ended(forecast_s=100.0 if number < 5 else 14.0, started=later,
                  ended=later + timedelta(seconds=10))
        )  # fmt: skip
    again = ended(forecast_s=14.0)
    store.learn(again)
    jobs, factor = store.accuracy() or (0, 0.0)
    assert jobs == KEPT
    assert factor == pytest.approx(1.4)
    assert store.besides_s("local") == pytest.approx(2.0)
    assert store.besides_s("hpc") is None


@pytest.mark.parametrize(
    "changes",
    [{"state": JobState.TIMEOUT}, {"restarts": 1}, {"tasks": 2}, {"elements": 3},
     {"started": None}, {"ended": THEN - timedelta(seconds=1)}, {"measured": None}],
)  # fmt: skip
def test_a_run_that_says_nothing_of_a_whole_fit_is_not_counted(
    store: ForecastStore, changes: dict[str, Any]
) -> None:
    store.learn(ended(forecast_s=14.0, **changes))
    assert store.accuracy() is None
    assert store.besides_s("local") is None


def test_off_by_goes_either_way() -> None:
    assert off_by([(10, 30), (30, 10), (10, 10)]) == 3.0
    assert off_by([]) is None
    assert off_by([(0, 10)]) is None


def test_a_record_keeps_its_forecast_and_an_older_one_has_none() -> None:
    job = ended(forecast_s=14.0)
    document = to_document(job)
    assert from_document(Job, document) == job
    for name in ("forecast", "measured"):
        del document["attempts"][0][name]
    assert from_document(Job, document).attempt.forecast is None


# ---- with real fits


@pytest.mark.slow
def test_forecasts_of_real_fits_are_kept_beside_what_they_took(fits: Fits) -> None:
    """The check of the problem is all that is known before; ``benchmarks/forecasts.py`` says
    how far off twenty of them are, which a busy machine may make anything.
    """
    problem = fits.problem(sleeping(0.002))
    first = preview(fits, problem, FITS[0])
    assert first["forecast"] is None
    before = first["accuracy"]["jobs"] if first["accuracy"] else 0  # of other files' fits
    fits.fitted(problem, mode="check", options={"fit": "lm"})
    assert preview(fits, problem, FITS[0])["forecast"]["checked"]
    chosen = [FITS[0], FITS[3], FITS[5], FITS[6]]
    jobs = [fits.fit(problem, options=options) for options in chosen]
    done = [fits.api.wait(job, within_s=120) for job in jobs]
    assert {job["state"] for job in done} == {"COMPLETED"}
    said = preview(fits, problem, FITS[0])
    pairs = [(job["forecast"]["seconds"], took_s(job)) for job in done]
    known = said["accuracy"]["jobs"]
    assert known >= min(20, before + len(jobs)), "fits of other files may end meanwhile"
    if known == len(jobs):
        assert said["accuracy"]["factor"] == pytest.approx(off_by(pairs), rel=0.01)
    assert not said["forecast"]["checked"]  # a fit has timed many evaluations by now
    page = Plain(fits)
    shown = page.get(f"/jobs/{jobs[0]}").text
    form = page.get(f"/fits/new?problem={problem}").text
    page.http.close()
    assert done[0]["forecast"]["text"] in shown
    assert "<b>Forecast:</b> about " in form
    assert f"Forecasts of the last {known} jobs were off by a factor of " in form


def test_a_further_attempt_has_a_forecast_of_what_it_adds(fits: Fits) -> None:
    job = fits.fitted(fits.problem(), options=FITS[0])
    path, done = f"/jobs/{job}", fits.api.job(job)
    with fits.api.live.services() as services:
        made = made_before(services.job_store.get(job))
    assert (done["forecast"], made > 400) == (None, True), "nothing was known, and it drew"

    answer = fits.api.http.post(f"{path}/resume", json={"options": {"samples": 1600}})
    assert answer.status_code == 202, answer.text
    whole = Planned(method="dream", options={**FITS[0], "samples": 1600}, cpus=1)
    most = most_evaluations(whole, 2)
    added = fits.api.wait(job)["forecast"]["evaluations"]
    assert added == (most or 0) - made
    with fits.api.live.services() as services:
        assert made_before(services.job_store.get(job)) >= 1600, "both attempts drew"
        known = ForecastStore(services.redis).known(done["owner"], done["problem"]["digest"], "")
    assert known is not None
    assert known.counts == {"dream": made}, "what was added is no whole fit"

    answer = fits.api.http.post(f"{path}/rerun", json={})
    assert answer.status_code == 202, answer.text
    first = Planned(method="dream", options=FITS[0], cpus=1)
    again = answer.json()["forecast"]["evaluations"]
    assert again == most_evaluations(first, 2), "what was asked for at first, from its start"

    two = [{"label": "a"}, {"label": "b"}]
    problem = {"id": done["problem"]["id"]}
    array = fits.api.submit(problem=problem, options=FITS[0], elements=two, pack=1)["id"]
    fits.api.wait(array)
    more = {"options": {"samples": 200_000}}
    answer = fits.api.http.post(f"/jobs/{array}/resume", json=more)
    assert answer.status_code == 202, answer.text
    long = Planned(method="dream", options={**FITS[0], "samples": 200_000}, cpus=1)
    told = answer.json()["forecast"]
    assert 0 < told["evaluations"] < (most_evaluations(long, 2) or 0), "by the time that it ran"
    assert fits.api.http.post(f"/jobs/{array}/cancel").status_code == 202
    fits.api.wait(array)


def test_of_dream_only_what_is_missing_is_counted() -> None:
    asked = Planned(method="dream", options={"samples": 1000, "burn": 0}, cpus=1)
    (new, _, _), (rest, most, _) = (
        evaluations(planned, SLOW) or (0, 0, 0) for planned in (asked, replace(asked, made=700))
    )
    assert (new - rest, most) == (700, rest)
    assert (evaluations(replace(asked, made=10**6), SLOW) or (1,))[0] == 0
    other = Planned(method="de", options={"steps": 10}, cpus=1)
    assert evaluations(replace(other, made=700), SLOW) == evaluations(other, SLOW), "it adds steps"


def test_what_does_not_go_with_the_forecast_is_said_before_it_is_queued(fits: Fits) -> None:
    problem = fits.problem(sleeping(0.01))
    fits.fitted(problem, mode="check", options={"fit": "lm"})
    long = preview(
        fits, problem, {"fit": "dream", "samples": 200_000}, time="0:10:00", cpus_per_task=2
    )
    assert long["forecast"]["cpus"] == 2
    assert any(
        "will not fit into the 10 min that are asked for" in text for text in long["warnings"]
    )
    idle = preview(fits, problem, {"fit": "amoeba"}, cpus_per_task=2)
    assert idle["forecast"]["cpus"] == 1
    assert any("the other 1 would idle" in text for text in idle["warnings"])


def took_s(job: dict[str, Any]) -> float:
    started, ended = (datetime.fromisoformat(job[name]) for name in ("started", "ended"))
    return (ended - started).total_seconds()


def sleeping(seconds: float) -> str:
    """Write a model of which each evaluation takes so long, however busy the machine is."""
    return SLEEPS.replace("SECONDS", str(seconds))


def preview(fits: Fits, problem: str, options: dict[str, Any], **resources: Any) -> Any:
    wanted = {"kind": "fit", "problem": {"id": problem}, "options": options}
    answer = fits.api.http.post("/jobs/preview", json={**wanted, "resources": resources})
    assert answer.status_code == 200, answer.text
    return answer.json()
