"""Whoever reads of an end is told to continue only what can be continued."""

from __future__ import annotations

import pytest

from gateway.datasets.models import FileRef
from gateway.jobs.collect import Collected
from gateway.jobs.judge import close
from gateway.jobs.models import Job
from gateway.jobs.page_words import advice
from gateway.jobs.result_view import read_result
from gateway.records import Document
from scheduler.base import JobState
from tests.jobs.making import make_job


def ended(method: str, code: str) -> tuple[Job, Document]:
    """Have a fit that kept a session, whatever its method."""
    result: Document = {"status": "stopped", "verdict": {"code": code, "text": "Ended early."}}
    session = FileRef(path="out/session.h5", digest="0" * 64, size=1)
    found = Collected(files=(session,), complete=True, results=(result,), faults=())
    return close(make_job(method=method, state=JobState.COMPLETED), found, (), None), result


@pytest.mark.parametrize("method", ["lm", "amoeba", "newton", "pt", "auto", "dream", "de"])
@pytest.mark.parametrize("code", ["time_limit", "stopped", "not_converged"])
def test_only_what_can_go_on_is_said_to_be_continued(method: str, code: str) -> None:
    job, result = ended(method, code)

    said = f"{job.attempt.reason_text} {advice(job, read_result(result), None)}".lower()

    assert job.attempt.reason == "TimeLimit"
    assert ("continue" in said) is (method in {"dream", "de"}), said
    assert ("run it again" in said) is (method not in {"dream", "de"}), said
