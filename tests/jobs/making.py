"""Jobs for tests, made without a gateway."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gateway.ids import new_id
from gateway.jobs.models import Attempt, Job, ProblemRef

THEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def make_attempt(**changes: Any) -> Attempt:
    """Make an attempt that was just accepted."""
    attempt = Attempt(
        number=1, plan="0" * 64, directory="/jobs/x/1", script_sha256="0" * 64, asked=THEN
    )
    return replace(attempt, **changes)


def make_job(**changes: Any) -> Job:
    """Make a job; what an attempt has is given to its only one."""
    own = {
        name: changes.pop(name)
        for name in list(changes)
        if hasattr(Attempt, name)
        or (name in Attempt.__dataclass_fields__ and name not in Job.__dataclass_fields__)
    }
    job = Job(
        id=new_id(),
        owner="ada",
        kind="fit",
        title="a fit",
        cluster="local",
        created=THEN,
        updated=THEN,
        correlation_id="c" * 8,
        request={},
        problem=ProblemRef(id=None, version=0, name="", type="none", digest=""),
        options={"fit": "amoeba"},
        seed=1,
        attempts=(make_attempt(**own),),
    )
    return replace(job, **changes)
