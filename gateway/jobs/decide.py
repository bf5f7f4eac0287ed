"""What to do next for one job: a pure function of its record and the evidence.

design: one function decides, production carries it out, and a model in the tests runs the same
function against every interleaving of two reconcilers, lost replies, twins and crashes. The order
of the cases is the protocol:

1. before any submission a wish to end wins at once, since nothing can run;
2. a try is written down before the call, so whoever finds one whose outcome is not known looks
   before trying again: at the claim, at the id file, at the scheduler by name, twice;
3. the claim is the fence: it is taken for the job we keep before another is cancelled, and taken
   as ``void`` before a further try, so that a late job of the earlier one exits without a trace;
4. a try that a cluster had no room for is as void as any other, and the job as if only staged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.jobs.models import Attempt, Job, Stage, Wish
from scheduler.base import VOID, JobReport, JobState


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What was found out about one job; None means that nobody knows."""

    asked: bool = False
    """Whether the scheduler answered this time."""

    reports: tuple[JobReport, ...] = ()
    """All that it reported under the job's marker, or for its native id."""

    claim: str | None = None
    native_id: str | None = None
    """What the id file of the current try holds."""

    may_look_again: bool = False
    """Whether enough time has passed since the last look in vain."""

    exits: int = 0
    """How many tasks left an exit file."""

    absent_long: bool = False
    """Whether it has been missing for so long that its own files decide."""

    told_long_ago: bool = False
    """Whether it was told to stop for so long that it may be told again."""


@dataclass(frozen=True, kw_only=True)
class StageIt:
    """Make the directory."""


@dataclass(frozen=True, kw_only=True)
class SubmitIt:
    """Write the try down, then call the scheduler once."""

    try_number: int


@dataclass(frozen=True, kw_only=True)
class LookAgain:
    """Nothing was found: remember that we looked, and wait."""


@dataclass(frozen=True, kw_only=True)
class TakeClaim:
    """Take the claim of the current try for an owner."""

    owner: str


@dataclass(frozen=True, kw_only=True)
class Adopt:
    """Believe this id: it is the job; cancel its twins."""

    native_id: str
    twins: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class NextTry:
    """The try is void: submit again."""

    try_number: int


@dataclass(frozen=True, kw_only=True)
class WaitForRoom:
    """The try is void, and there was no room for it: as before it, until there is."""


@dataclass(frozen=True, kw_only=True)
class Refuse:
    """Give up submitting: FAILED, with all that was said."""


@dataclass(frozen=True, kw_only=True)
class EndCancelled:
    """Nothing runs, and nothing ever will."""


@dataclass(frozen=True, kw_only=True)
class CancelIt:
    """Tell the scheduler to end these."""

    native_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class StopIt:
    """Ask the running script to stop and keep its results."""

    native_id: str


@dataclass(frozen=True, kw_only=True)
class Update:
    """Write down what the scheduler says."""


@dataclass(frozen=True, kw_only=True)
class Collect:
    """It has ended: fetch what it left, and close the attempt."""


@dataclass(frozen=True, kw_only=True)
class Missing:
    """The scheduler answered and does not know it: count, and wait."""


@dataclass(frozen=True, kw_only=True)
class DecideByFiles:
    """It has been missing for long: its exit files say how it ended, else it is lost."""


@dataclass(frozen=True, kw_only=True)
class Wait:
    """Nothing to do now."""


Action = (
    StageIt
    | SubmitIt
    | LookAgain
    | TakeClaim
    | Adopt
    | NextTry
    | WaitForRoom
    | Refuse
    | EndCancelled
    | CancelIt
    | StopIt
    | Update
    | Collect
    | Missing
    | DecideByFiles
    | Wait
)


def decide(job: Job, evidence: Evidence, *, max_tries: int = 3) -> Action:
    """Say the next step for a job."""
    attempt = job.attempt
    if attempt.final:
        return Wait()
    match attempt.stage:
        case Stage.NONE:
            return StageIt() if job.wish is Wish.RUN else EndCancelled()
        case Stage.STAGED:
            return _after_staging(job, max_tries)
        case Stage.UNCERTAIN:
            return _after_a_call(job, evidence, max_tries)
        case Stage.SUBMITTED:
            return _follow(job, evidence)
        case Stage.REFUSED:
            return Refuse()


def _after_staging(job: Job, max_tries: int) -> Action:
    if job.wish is not Wish.RUN:
        return EndCancelled()
    wanted = job.attempt.try_number + 1
    return SubmitIt(try_number=wanted) if _may_try(job.attempt, max_tries) else Refuse()


def _may_try(attempt: Attempt, max_tries: int) -> bool:
    """Whether one more may be made: those that there was no room for do not count."""
    return attempt.try_number - attempt.turned_away < max_tries


def _after_a_call(job: Job, evidence: Evidence, max_tries: int) -> Action:
    """Look, never guess: the outcome of the current try is not known."""
    attempt = job.attempt
    if evidence.claim == VOID:
        return _after_void(job, max_tries)
    if evidence.claim is not None:
        return Adopt(native_id=evidence.claim, twins=_others(evidence.reports, evidence.claim))
    if found := choose(evidence):
        return TakeClaim(owner=found)
    if not evidence.asked or (attempt.looks and not evidence.may_look_again):
        return Wait()
    return TakeClaim(owner=VOID) if attempt.looks >= 1 else LookAgain()


def _after_void(job: Job, max_tries: int) -> Action:
    """Whoever made the claim void: no job of this try will ever run."""
    if job.wish is not Wish.RUN:
        return EndCancelled()
    if job.attempt.restored:
        return Refuse()
    if job.attempt.turned_try == job.attempt.try_number:
        return WaitForRoom()
    wanted = job.attempt.try_number + 1
    return NextTry(try_number=wanted) if _may_try(job.attempt, max_tries) else Refuse()


def choose(evidence: Evidence) -> str | None:
    """Pick the job to keep when nobody has claimed yet: the id file's, the running, the lowest.

    >>> def job(id, state): return JobReport(native_id=id, task=None, marker="m", state=state,
    ...                                      raw_state=state.value)
    >>> choose(Evidence(reports=(job("9", JobState.RUNNING), job("8", JobState.PENDING))))
    '9'
    >>> choose(Evidence(reports=(job("10", JobState.PENDING), job("9", JobState.PENDING))))
    '9'
    """
    alive = [report for report in evidence.reports if report.state is not JobState.CANCELLED]
    reports = alive or list(evidence.reports)
    known = {report.native_id for report in reports}
    if evidence.native_id is not None and (evidence.native_id in known or not known):
        return evidence.native_id
    running = {r.native_id for r in reports if r.state is JobState.RUNNING}
    candidates = running or known
    return min(candidates, key=_by_age) if candidates else None


def _by_age(native_id: str) -> tuple[int, str]:
    return (int(native_id) if native_id.isdigit() else 0, native_id)


def _others(reports: Sequence[JobReport], kept: str) -> tuple[str, ...]:
    alive = {r.native_id for r in reports if not r.state.final}
    return tuple(sorted(alive - {kept}))


def _follow(job: Job, evidence: Evidence) -> Action:
    attempt = job.attempt
    native_id = attempt.native_id or ""
    if not evidence.asked:
        return Wait()
    reports = [report for report in evidence.reports if report.native_id == native_id]
    if not reports:
        if attempt.state.final:
            return Collect()
        return DecideByFiles() if evidence.absent_long else Missing()
    if all(report.state.final for report in reports):
        return Collect()
    return _act_on_wish(job, reports, told_long_ago=evidence.told_long_ago) or Update()


def _act_on_wish(job: Job, reports: Sequence[JobReport], *, told_long_ago: bool) -> Action | None:
    attempt = job.attempt
    native_id = attempt.native_id or ""
    if job.wish is Wish.CANCEL:
        return CancelIt(native_ids=(native_id,))
    if job.wish is Wish.STOP:
        if any(report.state is JobState.RUNNING for report in reports):
            return (
                StopIt(native_id=native_id)
                if _must_hear(attempt, reports, told_long_ago=told_long_ago)
                else None
            )
        return CancelIt(native_ids=(native_id,))
    return None


def _must_hear(attempt: Attempt, reports: Sequence[JobReport], *, told_long_ago: bool) -> bool:
    """Whether a wish to stop is to be told: once, and again to what was requeued since.

    Not by the time of its start, which another clock has told. What waits now and then only: a
    machine that boots for its task counts as waiting, and a stop ends none of those.
    """
    waits = any(report.state is JobState.PENDING for report in reports)
    if attempt.stop_sent is None or (waits and told_long_ago):
        return True
    return max(report.restarts for report in reports) > attempt.restarts
