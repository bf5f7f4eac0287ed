"""Jobs and problems for tests, made without a gateway."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gateway.ids import new_id
from gateway.jobs.models import Attempt, Job, ProblemRef
from gateway.problems.models import FitProblem, ProblemVersion
from gateway.problems.store import KeptBundle, KeptVersion

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


def make_problem(**files: str) -> tuple[FitProblem, KeptVersion]:
    """Make a script problem of these files, name and digest, with its only version."""
    version = ProblemVersion(
        problem_id=new_id(),
        number=1,
        digest="0" * 64,
        type="script",
        document={"type": "script"},
        created=THEN,
        classification="code-bearing",
    )
    problem = FitProblem(
        id=version.problem_id,
        owner="ada",
        name="a problem",
        type="script",
        created=THEN,
        updated=THEN,
        version=1,
        digest=version.digest,
    )
    bundle = KeptBundle(type="script", entry="model.py", files=files)
    return problem, KeptVersion(version=version, bundle=bundle)
