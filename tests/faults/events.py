"""What drivers wrote while they worked: the only witness of how often a job really ran."""

from __future__ import annotations

import json
from pathlib import Path

from gateway.jobs.models import Job


def starts_of(job: Job, attempt: int | None = None) -> int:
    """Count how often a driver began to work on an attempt."""
    directory = Path(job.attempts[(attempt or job.attempt.number) - 1].directory)
    return sum(
        json.loads(line)["event"] == "start"
        for path in directory.glob("events.*.jsonl")
        for line in path.read_text(encoding="utf-8").splitlines()
    )
