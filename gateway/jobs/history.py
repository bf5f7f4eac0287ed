"""What happened to a job: each change as it was written down, with who says so.

The record itself carries it, so it is as safe as the job. What only changes the age of the last
word, or the place in line, is no event.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gateway.jobs import words
from gateway.jobs.models import Attempt, Job, Stage, Tracking, Wish
from gateway.records import Document, altered, now, time_text
from scheduler.base import JobState

_FIRST, _LAST = 20, 80
"""Events that are kept of a long history; those in between are left out."""

_LONGEST = 400
_AWAY = "away"
"""In place of how much the last word is worth: its results wait for its directory."""

_GATEWAY = "the gateway"
_NEW: Mapping[str, Any] = {
    "stage": Stage.NONE.value,
    "try": 0,
    "state": JobState.PENDING.value,
    "reason": "",
    "tracking": Tracking.FRESH.value,
    "wish": Wish.RUN.value,
    "restarts": 0,
    "collected": False,
}
"""What is known of an attempt that was just asked for."""


@dataclass(frozen=True, kw_only=True)
class Happening:
    """One thing that happened."""

    text: str
    source: str
    """Who says so: a user, the gateway, squeue, sacct, an exit file, the fit."""

    when: datetime
    """When it was, as the source says; else when it was noted."""

    noted: datetime
    attempt: int

    @property
    def late_s(self) -> float:
        """How long it took until the gateway knew."""
        return max(0.0, (self.noted - self.when).total_seconds())


def with_history(job: Job) -> Job:
    """Add what has changed of a job since it was last written."""
    facts = _facts(job)
    if facts == job.told:
        return job
    noted = time_text(now())
    news = [
        {"t": noted, "attempt": job.attempt.number, **one} for one in _news(job, job.told, facts)
    ]
    history = (*job.history, *news)
    if len(history) > _FIRST + _LAST:
        history = (*history[:_FIRST], *history[-_LAST:])
    return altered(job, history=history, told=facts)


def history_of(job: Job) -> list[Happening]:
    """Read what happened to a job, the newest first."""
    return [
        Happening(
            text=one["text"],
            source=one["source"],
            when=datetime.fromisoformat(one.get("when") or one["t"]),
            noted=datetime.fromisoformat(one["t"]),
            attempt=one["attempt"],
        )
        for one in reversed(job.history)
    ]


def told_history(job: Job) -> Document:
    """Write what happened to a job for programs."""
    items = [
        {
            "attempt": one.attempt,
            "text": one.text,
            "source": one.source,
            "when": time_text(one.when),
            "noted": time_text(one.noted),
            "age_s": (now() - one.when).total_seconds(),
        }
        for one in history_of(job)
    ]
    return {"items": items, "cut": is_cut(job)}


def is_cut(job: Job) -> bool:
    """Whether some of its history may have been left out."""
    return len(job.history) >= _FIRST + _LAST


def _facts(job: Job) -> Document:
    attempt = job.attempt
    return {
        "attempt": attempt.number,
        "stage": attempt.stage.value,
        "try": attempt.try_number,
        "state": attempt.state.value,
        "reason": attempt.reason,
        "tracking": _AWAY if attempt.waits_for_results else attempt.tracking.value,
        "wish": job.wish.value,
        "restarts": attempt.restarts,
        "collected": attempt.collected,
    }


def _news(job: Job, told: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[Document]:
    before = told
    if told.get("attempt") != job.attempt.number:
        before = _NEW
        yield _event(_asked(job.attempt), job.owner, job.attempt.asked)
    changed = {name for name in _NEW if before.get(name) != facts[name]}
    if "wish" in changed and job.wish is not Wish.RUN:
        wanted = "stop and keep its result" if job.wish is Wish.STOP else "be cancelled"
        yield _event(f"Asked to {wanted}.", job.wish_by or _GATEWAY)
    back = before.get("tracking") == _AWAY and job.final  # what was fetched says so
    if "tracking" in changed and not back:
        yield _event(_tracked(job), _GATEWAY)
    yield from _news_of_attempt(job, changed)


def _news_of_attempt(job: Job, changed: Set[str]) -> Iterator[Document]:
    attempt = job.attempt
    if changed & {"stage", "try"} and attempt.stage is not Stage.REFUSED:
        yield _event(_handed(job), _GATEWAY)
    if "restarts" in changed:
        yield _event("The scheduler started it again.", attempt.source)
    if changed & {"state", "reason"} and _says_something(attempt):
        yield _event(attempt.reason_text, _source(attempt), _moment(attempt))
    if "collected" in changed and attempt.dataset is not None:
        if attempt.verdict is not None:
            yield _event(attempt.verdict.text, "the fit")
        yield _event("What it left was fetched and checked.", _GATEWAY)


def _event(text: str, source: str, when: datetime | None = None) -> Document:
    event = {"text": text[:_LONGEST], "source": source}
    return event if when is None else {**event, "when": time_text(when)}


def _asked(attempt: Attempt) -> str:
    if attempt.number == 1:
        return "Asked for."
    if attempt.resumed_from is not None:
        return f"Asked to go on from attempt {attempt.resumed_from}."
    return "Asked to run again."


def _tracked(job: Job) -> str:
    attempt = job.attempt
    if attempt.waits_for_results:
        return words.away(attempt.directory)
    return {
        Tracking.FRESH: f"{job.cluster} answers of it again.",
        Tracking.STALE: f"{job.cluster} cannot be reached: {attempt.error or 'no answer'}",
        Tracking.UNCONFIRMED: f"{job.cluster} does not list it; that proves nothing yet.",
        Tracking.LOST: "No trace of it is left; it is still being looked for.",
    }[attempt.tracking]


def _handed(job: Job) -> str:
    attempt = job.attempt
    if attempt.stage is Stage.SUBMITTED:
        return f"The scheduler of {job.cluster} has it as {attempt.native_id or '?'}."
    if attempt.stage is Stage.UNCERTAIN:
        return f"Try {attempt.try_number} goes to {job.cluster}; its answer is waited for."
    if attempt.stage is Stage.STAGED and attempt.try_number:
        return f"Try {attempt.try_number} was not taken: {attempt.error or attempt.reason_text}"
    return f"Its files lie on {job.cluster}."


def _says_something(attempt: Attempt) -> bool:
    """Whether a state is more than what handing over has said already."""
    return attempt.state is not JobState.PENDING or bool(attempt.reason)


def _source(attempt: Attempt) -> str:
    here = attempt.source in ("", "accepted", "gateway") or attempt.stage is not Stage.SUBMITTED
    return _GATEWAY if here and attempt.source != "submission" else attempt.source


def _moment(attempt: Attempt) -> datetime | None:
    if attempt.state is JobState.RUNNING:
        return attempt.started
    return attempt.ended if attempt.state.final else None
