"""What the pages of jobs are made of: numbers, tables, texts of strangers."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from gateway.jobs import outcome
from gateway.jobs.concise import concise, plus_minus
from gateway.jobs.forecast import Forecast
from gateway.jobs.models import Attempt, Job, Progress, Tracking
from gateway.jobs.page_words import time_left
from gateway.jobs.parameter_table import to_csv, to_json, to_latex
from gateway.jobs.prospects import instant_text, prospect
from gateway.jobs.reported import of_this_attempt
from gateway.jobs.result_view import ElementView, ResultsView, read_result
from gateway.jobs.words import tracking_text
from gateway.records import now
from scheduler.base import JobReport, JobState
from tests.jobs.making import make_job

ROOT = Path(__file__).parents[2]
VENDOR = ROOT / "templates/html/static/vendor"
FORMULA = '=HYPERLINK("http://e")'
PARAMETER = {
    "label": "b_1",
    "value": 238.94212918,
    "uncertainty": 2.7070075241,
    "bounds": [0, None],
    "start": -500.0,
    "at_limit": None,
    "interval_68": [236.0, 241.5],
}
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=12,
)
MEMBERS = ("status", "verdict", "parameters", "convergence", "error", "versions", "chisq", "check")


def results_of(*parameters: object) -> ResultsView:
    result = read_result({"status": "done", "parameters": list(parameters)})
    return ResultsView(files=(), complete=True, result=result)


@given(
    st.floats(allow_nan=False, allow_infinity=False, width=32),
    st.floats(min_value=0, exclude_min=True, allow_infinity=False, width=32),
)
def test_the_short_form_is_within_half_of_its_last_digit(value: float, error: float) -> None:
    text = concise(value, error)
    if "(" not in text:
        return  # fewer digits than the value itself has: written in full
    mantissa, digits, exponent = text.replace(")", "(").split("(")
    unit = Decimal(1).scaleb(int(exponent[1:] or 0) - len(mantissa.partition(".")[2]))
    said = Decimal(mantissa + exponent)
    assert abs(said - Decimal(value)) <= unit * Decimal("0.500001")
    assert abs(int(digits) * unit - Decimal(error)) <= unit * Decimal("0.500001")
    assert 10 <= int(digits) <= 99


@given(st.floats(), st.floats())
def test_every_pair_of_numbers_has_a_short_form(value: float, error: float) -> None:
    assert concise(value, error)
    assert plus_minus(value, error)


def test_csv_holds_all_digits_and_no_formula() -> None:
    hostile = {**PARAMETER, "label": FORMULA}
    rows = list(csv.DictReader(io.StringIO(to_csv(results_of(PARAMETER, hostile)))))
    assert float(rows[0]["value"]) == PARAMETER["value"]
    assert float(rows[0]["uncertainty"]) == PARAMETER["uncertainty"]
    assert rows[0]["start"] == "-500.0"
    assert rows[0]["high"] == ""
    assert rows[1]["parameter"] == "'" + FORMULA


def test_csv_of_an_array_has_a_row_for_each_parameter_of_each_element() -> None:
    elements = tuple(
        ElementView(
            index=index,
            result=read_result(
                {"label": "@s", "status": "done", "chisq": 1.5, "parameters": [PARAMETER]}
            ),
        )
        for index in range(3)
    )
    results = ResultsView(files=(), complete=True, elements=elements)
    rows = list(csv.DictReader(io.StringIO(to_csv(results))))
    assert [row["element"] for row in rows] == ["0", "1", "2"]
    assert {row["label"] for row in rows} == {"'@s"}
    assert [row["element"] for row in json.loads(to_json(results))] == [0, 1, 2]
    assert to_latex(results).count("$238.9 \\pm 2.7$") == 3


def test_json_holds_all_digits() -> None:
    (row,) = json.loads(to_json(results_of(PARAMETER)))
    assert row["value"] == PARAMETER["value"]
    assert row["low_68"] == 236.0
    assert "high" not in row


def test_latex_prints_labels_as_they_are() -> None:
    text = to_latex(results_of({**PARAMETER, "label": r"50% \input{/etc/passwd}"}))
    assert r"50\% \textbackslash{}input\{/etc/passwd\} & $238.9 \pm 2.7$" in text


@given(st.dictionaries(st.sampled_from(MEMBERS), JSON))
def test_a_result_of_any_form_is_read_without_an_error(document: dict[str, object]) -> None:
    view = read_result(document)
    for row in view.parameters:
        assert row.value is None or math.isfinite(row.value)
        assert row.concise
        assert row.full
    assert to_csv(ResultsView(files=(), complete=False, result=view))


def test_a_new_attempt_does_not_show_the_steps_of_the_one_before() -> None:
    asked = datetime(2026, 1, 1, tzinfo=UTC)
    first = Attempt(number=1, plan="", directory="", script_sha256="", asked=asked)
    second = replace(first, number=2)
    before = Progress(t=asked.timestamp() - 1, step=9, steps=10, chisq=1.0)
    after = replace(before, t=asked.timestamp() + 1)
    # The clock of a compute node may be behind: a first attempt has no other one's steps.
    assert of_this_attempt(first, before) is before
    assert of_this_attempt(second, before) is None
    assert of_this_attempt(second, after) is after


def test_vendored_files_are_those_that_were_looked_at() -> None:
    lines = (VENDOR / "SHA256SUMS").read_text().splitlines()
    known = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    there = [path for path in VENDOR.rglob("*") if path.is_file()]
    files = {path.relative_to(VENDOR).as_posix(): path for path in there}
    assert set(files) == {*known, "README.txt", "SHA256SUMS"}
    for name, digest in known.items():
        assert hashlib.sha256(files[name].read_bytes()).hexdigest() == digest
        assert (files[name].parent / "LICENSE").is_file()


def test_a_job_that_nobody_has_seen_at_its_cluster_is_not_said_to_have_been() -> None:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    silent = {"tracking": Tracking.STALE, "tracking_since": since, "error": "no route"}
    waits = make_job(cluster="hpc", **silent)
    assert tracking_text(waits) == (
        "not seen there yet; "
        "the cluster hpc cannot be reached since 2026-01-01T00:00:00.000000Z: no route"
    )
    lost = make_job(observed=since, source="sacct", tracking=Tracking.LOST)
    assert tracking_text(lost).startswith("last seen at 2026-01-01T00:00:00.000000Z by sacct; ")
    ended = make_job(state=JobState.COMPLETED, collected=True, **silent)
    assert tracking_text(ended) == tracking_text(make_job()) == ""


def seen(job: Job, *starts: datetime | None, state: JobState = JobState.PENDING) -> Job:
    reports = [
        JobReport(native_id="7", task=None, marker=job.marker, state=state, raw_state=state.value,
                  reason="Priority", expected=start, source="squeue")
        for start in starts
    ]  # fmt: skip
    return outcome.observe(job, reports)


def test_what_waits_says_when_it_may_start_and_how_long_it_takes_then() -> None:
    start = now() + timedelta(hours=2)
    forecast = Forecast(seconds=9630, low_s=6000, high_s=14_000, evaluations=10**6,
                        evaluation_s=0.3, cpus=1, asked_cpus=1, basis="", checked=True)  # fmt: skip
    asked = make_job(forecast=forecast)
    assert prospect(asked) == "about 2 h 40 min"
    job = seen(asked, start + timedelta(hours=1), None, start)
    assert job.attempt.expected_start == start
    said = instant_text(start, now())
    assert prospect(job) == f"may start at {said}, then about 2 h 40 min"
    # What moves by little is no news; what moves by much is, and so is that nobody says any more.
    again = seen(job, start + timedelta(minutes=5))
    assert not outcome.is_news(job, again)
    later = seen(job, start + timedelta(hours=3))
    assert later.attempt.expected_start == start + timedelta(hours=3)
    assert seen(job, None).attempt.expected_start is None
    running = seen(job, None, state=JobState.RUNNING)
    assert (running.attempt.expected_start, prospect(running)) == (None, "")
    # A moment that is over, and one of which nobody knows whether it still holds, are not shown.
    past = seen(make_job(), now() - timedelta(hours=1))
    stale = seen(make_job(), start).with_attempt(tracking=Tracking.STALE)
    assert (prospect(past), prospect(stale)) == ("", "")


def test_a_fit_that_needs_longer_than_it_has_says_so_while_it_runs() -> None:
    progress = Progress(t=now().timestamp(), step=100, steps=1000, chisq=None, method="dream")
    running = make_job(
        state=JobState.RUNNING, started=now() - timedelta(minutes=10), time_limit_s=3600
    )
    said = "about 1 h 30 min left, but its time ends in about 50 min"
    assert time_left(running, progress) == said
    assert time_left(running, replace(progress, method="amoeba")) == f"at most {said}"
    enough = running.with_attempt(time_limit_s=7200)
    assert time_left(enough, progress) == "about 1 h 30 min left"
    assert time_left(running.with_attempt(time_limit_s=None), progress) == "about 1 h 30 min left"
