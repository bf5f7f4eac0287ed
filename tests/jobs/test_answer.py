"""Tests of the answer that is written once for all who ask while nothing changes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.clusters.settings import ClusterSettings
from gateway.jobs.answer import KEPT, Answers
from gateway.jobs.models import Progress
from gateway.jobs.parsed import UnreadableError, read_job
from gateway.jobs.present import present
from gateway.records import now, to_document
from tests.jobs.making import THEN, make_job


def test_it_says_what_is_presented_and_how_old_that_is_now() -> None:
    job = make_job(observed=THEN)
    said = json.loads(Answers().to(job, None, None).at_this_age())
    age_s = (now() - THEN).total_seconds()
    assert said.keys() == present(job, None, None).keys()
    assert age_s - 60 < said.pop("age_s") <= age_s
    expected = present(job, None, None)
    expected.pop("age_s")
    assert said == json.loads(json.dumps(expected))


def test_a_job_that_nobody_has_looked_for_has_no_age() -> None:
    assert json.loads(Answers().to(make_job(), None, None).at_this_age())["age_s"] is None


def test_it_is_written_again_for_whatever_is_another_record() -> None:
    answers, job, progress = Answers(), make_job(), Progress(t=0.0, step=1, steps=None, chisq=None)
    first = answers.to(job, progress, None)
    assert answers.to(job, progress, None) is first
    edited = replace(job, title="another")
    assert json.loads(answers.to(edited, progress, None).text)["title"] == "another"
    later = answers.to(edited, replace(progress, step=2), None)
    assert json.loads(later.text)["progress"]["step"] == 2
    cluster = ClusterSettings(scheduler="local")
    assert answers.to(edited, later.progress, cluster) is not later
    same = answers.to(replace(job), progress, None)
    assert (same.etag, same.text) == (first.etag, first.text)


def test_no_more_than_some_are_kept_and_the_oldest_goes_first() -> None:
    answers = Answers()
    jobs = [make_job() for _ in range(KEPT + 1)]
    given = [answers.to(job, None, None) for job in jobs]
    assert answers.to(jobs[-1], None, None) is given[-1]
    assert answers.to(jobs[1], None, None) is given[1]
    assert answers.to(jobs[0], None, None) is not given[0]


def test_a_job_that_is_read_again_is_the_same_one_and_a_large_one_is_not_kept() -> None:
    job = make_job(observed=THEN)
    text = json.dumps(to_document(job))
    first = read_job(job.id, text)
    assert read_job(job.id, text) is first
    seen = read_job(job.id, text, "2026-01-02T03:14:05+00:00")
    assert (seen.attempt.observed, first.attempt.observed) == (THEN + timedelta(minutes=10), THEN)
    assert read_job(job.id, text, "2026-01-02T03:14:05+00:00") is seen
    large = json.dumps(to_document(replace(job, notes="x" * 20_000)))
    assert read_job(job.id, large) is not read_job(job.id, large)
    with pytest.raises(UnreadableError, match="of job"):
        read_job(make_job().id, text)


def test_what_is_said_of_a_large_job_is_not_kept() -> None:
    answers, large = Answers(), make_job(notes="x" * 70_000)
    assert answers.to(large, None, None) is not answers.to(large, None, None)
