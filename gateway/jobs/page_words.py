"""What the pages say about a job: words and tones for its states, ages, times left, advice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.jobs.advise import EXACT_METHODS, NextRequest
from gateway.jobs.models import Attempt, Job, Progress, Stage, Tracking, Wish
from gateway.jobs.resources import parse_time
from gateway.jobs.result_view import ResultView
from gateway.records import now
from gateway.texts import duration
from scheduler.base import JobState

_TONES = {
    JobState.COMPLETED: "good",
    JobState.PENDING: "",
    JobState.RUNNING: "",
    JobState.SUSPENDED: "warn",
    JobState.CANCELLED: "warn",
    JobState.UNKNOWN: "warn",
}
_GOOD = frozenset({"converged", "checked", "evaluated", "simulated"})
_MILD = frozenset({"partial", "not_converged", "stopped", "time_limit", "at_limit", "at_start"})
_NOT_THERE_YET = frozenset({"not_converged", "stopped", "time_limit"})
_DOUBTS = {
    Tracking.STALE: "not reached",
    Tracking.UNCONFIRMED: "not listed",
    Tracking.LOST: "lost",
}
_LAST_T = 1 << 36
_SURE_STEPS = 3
_SURE_S = 5.0
_FRESH_S = 60.0
_MINUTE = 60


@dataclass(frozen=True, kw_only=True)
class Word:
    """A word and the tone in which it is said: good, warn, bad or none."""

    text: str
    tone: str = ""


def state_word(attempt: Attempt) -> Word:
    """Name the state of an attempt.

    What its fit says of itself is a word of its own: see `verdict_word`.
    """
    text = attempt.state.value.replace("_", " ").capitalize()
    return Word(text=text, tone=_TONES.get(attempt.state, "bad"))


def verdict_word(code: str) -> Word:
    """Name a verdict.

    >>> verdict_word("not_converged")
    Word(text='not converged', tone='warn')
    """
    if code == "elements":
        return Word(text="all elements")  # each has a verdict of its own
    tone = "good" if code in _GOOD else "warn" if code in _MILD else "bad"
    return Word(text=code.replace("_", " ")[:40], tone=tone)


def status_word(status: str) -> Word:
    """Name the status of a result."""
    tones = {"done": "good", "stopped": "warn", "partial": "warn", "": ""}
    return Word(text=status or "not there", tone=tones.get(status, "bad"))


def notes_on(job: Job) -> list[Word]:
    """Say what the reader must know before believing the state."""
    attempt = job.attempt
    notes = []
    if job.wish is not Wish.RUN and not job.final:
        asked = {Wish.STOP: "stop and keep its result", Wish.CANCEL: "be cancelled"}[job.wish]
        notes.append(Word(text=f"It was asked to {asked}; that is on its way.", tone="warn"))
    if attempt.stage is Stage.UNCERTAIN:
        notes.append(
            Word(
                text="It was handed over, and no answer is here yet. The gateway looks for it and "
                "submits it again only when it is certain that nothing runs.",
                tone="warn",
            )
        )
    if attempt.twins:
        text = f"The scheduler made {attempt.twins} more of it, which ended at once: one ran."
        notes.append(Word(text=text))
    if attempt.restarts:
        notes.append(Word(text=f"The scheduler started it again {times(attempt.restarts)}."))
    return notes


def doubt(job: Job) -> str:
    """Say in two words why the state may be old; empty when it is from just now."""
    return "" if job.final else _DOUBTS.get(job.attempt.tracking, "")


def times(count: int) -> str:
    """Say how often.

    >>> times(1), times(3)
    ('once', '3 times')
    """
    return "once" if count == 1 else f"{count} times"


def ago(moment: datetime | None) -> str:
    """Say how long ago something was."""
    if moment is None:
        return "never"
    seconds = (now() - moment).total_seconds()
    return "just now" if seconds < 1 else f"{duration(seconds)} ago"


def instant(t: float) -> datetime | None:
    """Read a moment that a job told; None when no clock can say so.

    >>> instant(1e300), instant(0.5)
    (None, datetime.datetime(1970, 1, 1, 0, 0, 0, 500000, tzinfo=datetime.timezone.utc))
    """
    return datetime.fromtimestamp(t, UTC) if 0 < t < _LAST_T else None


def fraction(progress: Progress | None) -> float | None:
    """Say which part of the planned steps is done, from 0 to 1; None when nobody knows."""
    if progress is None or not progress.steps or progress.steps < 0:
        return None
    return min(1.0, max(0.0, progress.step / progress.steps))


def time_left(job: Job, progress: Progress | None) -> str:
    """Say how long it may take yet; empty where that would be a guess."""
    part, attempt = fraction(progress), job.attempt
    if attempt.tracking is not Tracking.FRESH:
        return ""
    if attempt.state is not JobState.RUNNING or job.elements or not part or progress is None:
        return ""
    if attempt.started is None or progress.step < _SURE_STEPS:
        return ""
    ran = progress.t - attempt.started.timestamp()
    silent = now().timestamp() - progress.t
    if ran < _SURE_S or silent > _FRESH_S:
        return ""
    left = max(0.0, ran / part * (1 - part) - silent)
    if not math.isfinite(left):
        return ""
    text = f"about {duration(_rounded(left))} left"
    text = text if progress.method in EXACT_METHODS else f"at most {text}"
    allowed = _allowed_s(attempt)
    if allowed is None or left <= allowed:
        return text
    return f"{text}, but its time ends in about {duration(_rounded(allowed))}"


def _allowed_s(attempt: Attempt) -> float | None:
    if attempt.started is None or attempt.time_limit_s is None:
        return None
    return max(0.0, attempt.time_limit_s - (now() - attempt.started).total_seconds())


def _rounded(seconds: float) -> float:
    """Round to what can be meant.

    >>> _rounded(7.2), _rounded(47), _rounded(3700)
    (5, 50, 3720)
    """
    step = 5 if seconds < 20 else 10 if seconds < _MINUTE * 2 else _MINUTE
    return round(seconds / step) * step


def advice(job: Job, result: ResultView | None, following: NextRequest | None) -> str:
    """Say what to do next; empty when there is nothing to do.

    Parameters
    ----------
    following
        What can be asked for with one click.
    """
    if following is not None:
        return following.why
    if job.attempt.state in _WITHOUT_NUMBERS:
        return _WITHOUT_NUMBERS[job.attempt.state]
    if result is None:
        return ""
    codes = [result.code]
    if result.at_limits and result.code in _NOT_THERE_YET:
        codes.append("at_limit")  # going on does not help against a bound
    labels = _names([row.label for row in result.at_limits])
    known = _ADVICE if job.attempt.resumable else {**_ADVICE, **_RUN_AGAIN}
    return " ".join(filter(None, (known.get(code, "") for code in codes))).format(labels=labels)


_WITHOUT_NUMBERS = {
    JobState.OUT_OF_MEMORY: "Run it again with more memory: ask for some under Resources.",
    JobState.TIMEOUT: "This site gives it no more time: ask for fewer steps, or more processors.",
    JobState.NODE_FAIL: "Nothing is wrong with the fit itself: run it again.",
    JobState.PREEMPTED: "Nothing is wrong with the fit itself: run it again.",
    JobState.BOOT_FAIL: "Nothing is wrong with the fit itself: run it again.",
}


def ask_for(following: NextRequest) -> str:
    """Name the button that asks for it.

    >>> ask_for(NextRequest(verb="resume", resources={"time": "0-01:30:00", "qos": "long"},
    ...                     changed=("time",), why=""))
    'Continue with 1 h 30 min'
    >>> ask_for(NextRequest(verb="rerun", resources={}, changed=(), why=""))
    'Run again'
    """
    text = {"resume": "Continue", "rerun": "Run again"}[following.verb]
    more = [_asked(name, str(following.resources[name])) for name in following.changed]
    return f"{text} with {' and '.join(more)}" if more else text


def _asked(name: str, value: str) -> str:
    if name == "time":
        return duration(parse_time(value).total_seconds())
    each = {"mem_per_cpu": " for each processor", "mem_per_gpu": " for each GPU"}
    return f"{value} of memory{each.get(name, '')}"


def asked_for(attempt: Attempt) -> str:
    """Say what an attempt asked of the machine, as far as it ever changes by itself."""
    asked = attempt.resources
    parts = [] if attempt.time_limit_s is None else [duration(attempt.time_limit_s)]
    memory = ("mem", "mem_per_cpu", "mem_per_gpu")
    parts += [_asked(name, str(asked[name])) for name in memory if name in asked]
    return ", ".join(parts)


_ADVICE = {
    "not_converged": "Continue it with more steps or samples before you trust the uncertainties.",
    "stopped": "It was stopped early: continue it if the numbers matter.",
    "time_limit": "Continue it with more time.",
    "at_limit": "Ask whether the bounds of {labels} are right; if not, widen them and run again.",
    "at_start": "Change the start values, or try another method such as de or dream.",
    "model_error": "Correct the line that is shown, then run it again with changes.",
    "load_error": "Correct the file that is named, then run it again with changes.",
    "nan": "The theory is not a number there: look for a division by zero or the root or "
    "logarithm of a negative number, or narrow the bounds.",
    "no_parameters": "Let at least one parameter be fitted: give it a range.",
}

_RUN_AGAIN = {
    "not_converged": "Run it again with more steps before you trust the uncertainties.",
    "stopped": "It was stopped early: run it again if the numbers matter.",
    "time_limit": "Run it again with more time.",
}
"""In the place of `_ADVICE` where the method leaves nothing to go on from."""


def _names(labels: Sequence[str]) -> str:
    """Name a few things.

    >>> _names([]), _names(["a", "b"]), _names(list("abcdef"))
    ('its parameters', 'a, b', 'a, b, c and 3 more')
    """
    if not labels:
        return "its parameters"
    more = f" and {len(labels) - 3} more" if len(labels) > 4 else ""
    return ", ".join(labels[:3] if more else labels) + more
