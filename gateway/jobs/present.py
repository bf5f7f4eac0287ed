"""A job as it is read: the record, its live progress, its age and its links."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from gateway.clusters.settings import ClusterSettings
from gateway.jobs.advise import NextRequest, next_request
from gateway.jobs.alarm import alarm_of, instead_of
from gateway.jobs.dependencies import after_of
from gateway.jobs.earliest import SOURCE, Earliest
from gateway.jobs.efficiency import told_efficiency
from gateway.jobs.forecast import Forecast
from gateway.jobs.models import Attempt, Job, Progress
from gateway.jobs.reported import of_this_attempt
from gateway.jobs.words import tracking_text
from gateway.records import Document, now, time_text, to_document

API = "/api/v1/jobs"


def present(job: Job, progress: Progress | None, cluster: ClusterSettings | None) -> Document:
    """Write a job for its reader.

    Parameters
    ----------
    cluster
        Where it runs, as configured now; None when it is no more.
    """
    attempt = job.attempt
    progress = of_this_attempt(attempt, progress)
    return {
        **_identity(job),
        **_attempt_state(attempt),
        "tracking_text": tracking_text(job),
        "wish": job.wish.value,
        "final": job.final,
        "progress": to_document(progress),
        "next_request": _next(next_request(job, progress, cluster)),
        "alarm": _alarm(job, cluster),
        "forecast": told_forecast(attempt.forecast),
        "efficiency": told_efficiency(attempt),
        "attempts": [_short(item) for item in job.attempts],
        "links": links(job),
    }


def age_s(job: Job) -> float | None:
    """Say how old is what is known of a job's state; None when nobody has looked."""
    return _age_s(job.attempt)


def _age_s(attempt: Attempt) -> float | None:
    return None if attempt.observed is None else (now() - attempt.observed).total_seconds()


def _next(found: NextRequest | None) -> Document | None:
    if found is None:
        return None
    return {"verb": found.verb, "resources": dict(found.resources), "why": found.why}


def told_forecast(found: Forecast | None) -> Document | None:
    """Write a forecast for its reader."""
    return None if found is None else {"text": found.text, **asdict(found)}


def told_accuracy(found: tuple[int, float] | None) -> Document | None:
    """Write how far off the last forecasts were."""
    return None if found is None else {"jobs": found[0], "factor": found[1]}


def told_earliest(found: Earliest | None) -> Document | None:
    """Write when a job could start."""
    if found is None:
        return None
    said = found.said
    return {
        "text": found.text,
        "start": _time(said.start) if said else None,
        "accepted": said.accepted if said and not said.error else None,
        "observed": _time(said.asked) if said else None,
        "age_s": found.age_s,
        "source": SOURCE,
        "waiting": found.waits,
    }


def _alarm(job: Job, cluster: ClusterSettings | None) -> Document | None:
    found, instead = alarm_of(job), instead_of(job, cluster)
    if found is None:
        return None
    return {
        "reason": found.reason,
        "text": found.text,
        "advice": found.advice,
        "ends": found.ends.value,
        "instead": None if instead is None else dict(instead.changes),
    }


def _identity(job: Job) -> Document:
    return {
        "id": job.id,
        "owner": job.owner,
        "kind": job.kind,
        "mode": job.mode,
        "title": job.title,
        "notes": job.notes,
        "tags": list(job.tags),
        "archived": job.archived,
        "kept": job.kept,
        "created": time_text(job.created),
        "updated": time_text(job.updated),
        "version": job.version,
        "correlation_id": job.correlation_id,
        "parent": job.parent,
        "after": after_of(job),
        "problem": to_document(job.problem),
        "options": job.options,
        "seed": job.seed,
        "request": job.request,
        "cluster": job.cluster,
        "elements": job.elements,
        "pack": job.pack,
    }


def _attempt_state(attempt: Attempt) -> Document:
    return {
        "attempt": attempt.number,
        "try": attempt.try_number,
        "native_id": attempt.native_id,
        "restarts": attempt.restarts,
        "twins": attempt.twins,
        "state": attempt.state.value,
        "raw_state": attempt.raw_state,
        "reason": attempt.reason,
        "reason_text": attempt.reason_text,
        "source": attempt.source,
        "observed": _time(attempt.observed),
        "age_s": _age_s(attempt),
        "submission": attempt.stage.value,
        "tracking": attempt.tracking.value,
        "tracking_since": _time(attempt.tracking_since),
        "task_states": dict(attempt.task_states),
        "resumable": attempt.resumable,
        "max_rss_bytes": attempt.max_rss_bytes,
        "expected_start": _time(attempt.expected_start),
        "started": _time(attempt.started),
        "ended": _time(attempt.ended),
        "exit_code": attempt.exit_code,
        "signal": attempt.signal,
        "error": attempt.error,
        "proposal": attempt.proposal or None,
        "script_sha256": attempt.script_sha256,
        "dataset": attempt.dataset,
        "verdict": to_document(attempt.verdict),
        "chisq": attempt.chisq,
    }


def _short(attempt: Attempt) -> Document:
    return {
        "attempt": attempt.number,
        "state": attempt.state.value,
        "native_id": attempt.native_id,
        "started": _time(attempt.started),
        "ended": _time(attempt.ended),
        "reason_text": attempt.reason_text,
        "resources": dict(attempt.resources),
        "resumed_from": attempt.resumed_from,
        "verdict": to_document(attempt.verdict),
        "chisq": attempt.chisq,
    }


def links(job: Job) -> dict[str, str]:
    """Say where else there is something about a job."""
    own = f"{API}/{job.id}"
    found = {
        "self": own,
        "page": f"/jobs/{job.id}",
        "events": f"{own}/events",
        "log": f"{own}/log",
        "script": f"{own}/script",
    }
    if job.attempt.dataset:
        found |= {"results": f"{own}/results", "bundle": f"{own}/bundle.zip"}
    return found


def _time(instant: Any) -> str | None:
    return None if instant is None else time_text(instant)
