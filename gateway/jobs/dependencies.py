"""Jobs that run after others: they wait here until what they wait for has ended.

Nothing of this is left to a scheduler. What ended well is said by the results and never by an exit
code, ids of a scheduler start again after a while, and it forgets what ended minutes ago
(docs/decisions/0016). A job can only name jobs that are there before it, so none waits for itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.errors import FieldError
from gateway.jobs.models import Attempt, Job, Stage, Wish
from gateway.records import Document, now
from scheduler.base import JobState

SINGLETON = "singleton"
KINDS = {
    "afterok": "ends well",
    "afternotok": "ends without success",
    "afterany": "ends",
    "after": "has begun",
}
"""What a job may wait for of jobs that it names, in Slurm's words and in ours."""

ALL_KINDS = (*KINDS, SINGLETON)
"""``singleton`` names none: it waits for all older jobs of its owner that have its title."""

MOST = 20
WAITS = "Dependency"
NEVER = "DependencyNeverSatisfied"
_TITLE = 60


@dataclass(frozen=True, kw_only=True)
class After:
    """What a job runs after."""

    kind: str = "afterok"
    jobs: tuple[str, ...] = field(default_factory=tuple)

    def held_by(self, id: str) -> tuple[str, ...]:
        """Say what the first attempt of a job waits for; of a singleton, to be looked at itself."""
        return (id,) if self.kind == SINGLETON else self.jobs


def has_ended_well(attempt: Attempt) -> bool:
    """Whether an attempt has all that it was to make.

    A stopped fit has: its user took what there was. An array has when all its elements have.
    """
    whole = attempt.verdict is None or attempt.verdict.code != "partial"
    return attempt.final and attempt.state is JobState.COMPLETED and whole


def never(kind: str, before: Job | None, id: str) -> str:
    """Say why what a job waits for cannot happen; empty when it has, or still may."""
    if before is None:
        # Only what has ended can be deleted; how it ended, nobody knows any more.
        return (
            ""
            if kind in ("afterany", "after")
            else f"job {id} was deleted before it was seen to have ended"
        )
    good = has_ended_well(before.attempt)
    if not before.final or kind in ("afterany", "after") or good == (kind == "afterok"):
        return ""
    how = before.attempt.state.value if not good else "well"
    if before.attempt.state is JobState.COMPLETED and not good:
        how = "with some of its elements only"
    return f"{_name(before)} has ended {'as ' if how.isupper() else ''}{how}"


def check_after(after: After, owner: str, found: Mapping[str, Job]) -> list[FieldError]:
    """Find what is wrong with a wish to run after other jobs.

    Parameters
    ----------
    found
        By id, what there is of the jobs that it names, whosesoever they are.
    """
    if after.kind not in ALL_KINDS:
        known = ", ".join(ALL_KINDS)
        return [FieldError(pointer="/after/kind", detail=f"{after.kind[:40]!r}: choose {known}")]
    errors = []
    for index, job_id in enumerate(after.jobs):
        before = found.get(job_id)
        if before is None or before.owner != owner:
            # The same words for a stranger's: whoever asks learns nothing of it.
            detail = f"you have no job {job_id[:40]!r}"
        elif why := never(after.kind, before, job_id):
            detail = f"{why}, and {after.kind} waits until it {KINDS[after.kind]}: it never will"
        else:
            continue
        errors.append(FieldError(pointer=f"/after/jobs/{index}", detail=detail))
    return errors


def after_of(job: Job) -> Document | None:
    """Say what a job was to run after, as it was asked; None where it was nothing."""
    if not job.after and job.after_kind != SINGLETON:
        return None
    return {"kind": job.after_kind, "jobs": list(job.after)}


def waits(job: Job) -> bool:
    """Whether a job may not be handed over before others have ended."""
    attempt = job.attempt
    held = bool(attempt.waits_for) and attempt.stage is Stage.NONE and not attempt.state.final
    return held and job.wish is Wish.RUN


def waited_for(jobs: Sequence[Job]) -> set[str]:
    """Collect the ids of all jobs that some wait for."""
    return {one for job in jobs if waits(job) for one in job.attempt.waits_for if one != job.id}


def review(job: Job, found: Mapping[str, Job]) -> Job:
    """Strike out what a job need no longer wait for, end it if it would wait for ever.

    Parameters
    ----------
    found
        The jobs that it waits for, by id; one that is missing was deleted. For a singleton, all
        that have not ended.
    """
    if job.after_kind == SINGLETON:
        return _singleton(job, found)
    kind, attempt = job.after_kind, job.attempt
    for job_id in attempt.waits_for:
        if why := never(kind, found.get(job_id), job_id):
            return _ended(job, why)
    left = tuple(one for one in attempt.waits_for if one in found and _is_open(found[one], kind))
    if not left:
        return job.with_attempt(waits_for=(), reason="", reason_text=attempt_text(0, "", kind))
    text = attempt_text(len(left), _name(found[left[0]]), kind)
    return job.with_attempt(waits_for=left, reason=WAITS, reason_text=text)


def _is_open(before: Job, kind: str) -> bool:
    """Whether what is waited for has not happened; who was cancelled in the queue never begins."""
    return not before.final and not (kind == "after" and before.attempt.started is not None)


def _singleton(job: Job, found: Mapping[str, Job]) -> Job:
    """Wait for all older jobs of the same owner and title, however they end.

    Who is older is decided each time and by the moment of acceptance: of two that were sent at
    once one always goes first.
    """
    older = sorted(
        (one.created, one.id)
        for one in found.values()
        if (one.owner, one.title) == (job.owner, job.title)
        and (one.created, one.id) < (job.created, job.id)
        and not one.final
    )
    if not older:
        return job.with_attempt(
            waits_for=(), reason="", reason_text=attempt_text(0, "", job.after_kind)
        )
    first = _name(found[older[0][1]])
    return job.with_attempt(
        reason=WAITS, reason_text=attempt_text(len(older), first, job.after_kind)
    )


def attempt_text(count: int, first: str, kind: str) -> str:
    """Say what a job waits for, to its owner.

    >>> attempt_text(2, "'fit' (01J)", "afterany")
    "Waits in the gateway until 'fit' (01J) ends, and 1 more."
    """
    if not count:
        return "What it waited for has ended; waiting for the gateway to hand it over."
    more = f", and {count - 1} more" if count > 1 else ""
    return f"Waits in the gateway until {first} {KINDS.get(kind, 'ends')}{more}."


def _ended(job: Job, why: str) -> Job:
    return job.with_attempt(
        state=JobState.CANCELLED,
        raw_state="",
        reason=NEVER,
        reason_text=f"Never started: {why}, and this was to run when it {KINDS[job.after_kind]}.",
        source="gateway",
        observed=now(),
        ended=now(),
        collected=True,
        waits_for=(),
    )


def _name(job: Job) -> str:
    return f"{job.title[:_TITLE]!r} ({job.id})"
