"""The submission protocol beyond the bounds of ``test_decide_model.py``, in orders that are drawn.

The same steps and the same checks, with three tries, more of each fault, and what is too much for
all orders at once: a scheduler that forgets and does not answer, a wish to stop, a store that is
lost and rebuilt. After each drawn order nothing more goes wrong, and the job must come to an end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from gateway.jobs import decide as steps
from gateway.jobs.decide import Action, Evidence, decide
from gateway.jobs.models import Job, Stage, Wish
from scheduler.base import VOID, JobReport, JobState
from tests.jobs import test_decide_model as model
from tests.jobs.making import THEN, make_job
from tests.jobs.test_decide_model import World, check, cluster, reconciler, successors

TRIES = 3
BEGIN = World(
    lost_replies=2, late_calls=2, dead_wrappers=2, unreached=2, crashes=3, cancels=1, requeues=2,
    stops=1, forgets=2, rebuilds=1, silent=True, endless=True, most_tries=TRIES,
)  # fmt: skip
FAULTS = ("lost_replies", "late_calls", "dead_wrappers", "unreached", "crashes", "cancels",
          "requeues", "stops", "forgets", "rebuilds", "silent")  # fmt: skip
CALM: dict[str, Any] = {**dict.fromkeys(FAULTS, 0), "silent": False}
EXAMPLES = 200
MANY = 2000
"""Nearly always it is found much sooner."""

STEPS = 50
TURNS = 100


class Protocol(RuleBasedStateMachine):
    """A job, two reconcilers and all that goes wrong, one step at a time."""

    ends: set[str]

    def __init__(self) -> None:
        super().__init__()
        self.world = replace(BEGIN, **CALM)
        self.moments: dict[str, int] = {}
        self.number = 0

    @initialize(
        moments=st.dictionaries(st.sampled_from(FAULTS), st.integers(0, STEPS // 2)),
        runs=st.booleans(),
    )
    def begin(self, moments: dict[str, int], runs: bool) -> None:
        """Let only some of it go wrong, each from a moment on: else all of it comes at once.

        Half of the jobs run already: few drawn orders get that far.
        """
        self.moments = moments
        while runs and not self.world.ran:
            self.world = calm_turn(self.world)

    @rule(choice=st.integers(0, 1_000_000))
    def step(self, choice: int) -> None:
        """Let any one thing happen that may."""
        begin = [name for name, moment in self.moments.items() if moment == self.number]
        now: dict[str, Any] = {name: getattr(BEGIN, name) for name in begin}
        self.world = replace(self.world, **now)
        self.number += 1
        if after := list(successors(self.world)):
            self.world = after[choice % len(after)]
            check(self.world)

    def teardown(self) -> None:
        """Let nothing more go wrong: it must come to an end."""
        world = replace(self.world, **CALM)
        for _ in range(TURNS):
            if world.record.end:
                break
            world = calm_turn(world)
            check(world)
        assert world.record.end, f"it leads nowhere: {self.world}"
        self.ends.add(world.record.end)


def calm_turn(world: World) -> World:
    """Let each reconciler think and act, then the scheduler do one thing."""
    ways = [partial(reconciler, who=who) for who in (0, 1) for _ in ("think", "act")]
    for way in ways:
        world = next(way(world), world)
    return next(cluster(world), world)


def run(examples: int, **more: Any) -> set[str]:
    """Draw orders; answer how the jobs ended."""
    ends: set[str] = set()
    made = type("Made", (Protocol,), {"ends": ends})
    own = settings(max_examples=examples, stateful_step_count=STEPS, database=None, **more)
    run_state_machine_as_test(made, settings=own)
    return ends


def test_no_drawn_order_runs_two_jobs_loses_one_or_leads_nowhere() -> None:
    ends = run(EXAMPLES)  # the rarer ones are reached by luck; wrong decisions below need them
    assert "COMPLETED" in ends
    assert ends <= {"COMPLETED", "CANCELLED", "FAILED", "LOST"}


def void_at_first(job: Job, evidence: Evidence, max_tries: int) -> Action:
    action = decide(job, evidence, max_tries=max_tries)
    return steps.TakeClaim(owner=VOID) if isinstance(action, steps.LookAgain) else action


def try_again_without_void(job: Job, evidence: Evidence, max_tries: int) -> Action:
    action = decide(job, evidence, max_tries=max_tries)
    if action == steps.TakeClaim(owner=VOID) and job.attempt.try_number < max_tries:
        return steps.NextTry(try_number=job.attempt.try_number + 1)
    return action


def send_what_was_restored_again(job: Job, evidence: Evidence, max_tries: int) -> Action:
    """Believe of a restored job that it was not submitted."""
    if job.attempt.stage is Stage.UNCERTAIN and job.attempt.restored and not evidence.reports:
        return steps.NextTry(try_number=job.attempt.try_number + 1)
    return decide(job, evidence, max_tries=max_tries)


def never_by_files(job: Job, evidence: Evidence, max_tries: int) -> Action:
    action = decide(job, evidence, max_tries=max_tries)
    return steps.Missing() if isinstance(action, steps.DecideByFiles) else action


def end_what_was_stopped(job: Job, evidence: Evidence, max_tries: int) -> Action:
    action = decide(job, evidence, max_tries=max_tries)
    return steps.EndCancelled() if isinstance(action, steps.StopIt) else action


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (void_at_first, "given up at the first look"),
        (try_again_without_void, "two jobs ran|ended, and"),
        (send_what_was_restored_again, "two jobs ran|ended, and|called lost"),
        (never_by_files, "it leads nowhere"),
        (end_what_was_stopped, "ended, and"),
    ],
)
def test_a_wrong_decision_is_found(
    monkeypatch: pytest.MonkeyPatch, wrong: Callable[..., Action], said: str
) -> None:
    monkeypatch.setattr(model, "decide", wrong)
    model.next_action.cache_clear()
    try:
        with pytest.raises(AssertionError, match=said):
            run(MANY, phases=[Phase.generate], report_multiple_bugs=False)
    finally:
        model.next_action.cache_clear()


def test_a_wish_to_stop_is_told_once_and_a_cancellation_until_it_is_done() -> None:
    """A second interrupt would end a fit of bumps without its results."""
    runs = JobReport(
        native_id="7", task=None, marker="m", state=JobState.RUNNING, raw_state="RUNNING"
    )
    seen = Evidence(asked=True, reports=(runs,))
    job = make_job(stage=Stage.SUBMITTED, native_id="7", wish=Wish.STOP)
    assert decide(job, seen) == steps.StopIt(native_id="7")
    assert decide(job.with_attempt(stop_sent=THEN), seen) == steps.Update()
    unwanted = replace(job.with_attempt(stop_sent=THEN), wish=Wish.CANCEL)
    assert decide(unwanted, seen) == steps.CancelIt(native_ids=("7",))


def test_what_is_requeued_after_it_was_told_to_stop_is_told_again() -> None:
    def sees(*rows: tuple[JobState, int], told_long_ago: bool = False) -> Evidence:
        reports = [
            JobReport(
                native_id="7", task=task, marker="m", state=state, raw_state="", restarts=restarts
            )
            for task, (state, restarts) in enumerate(rows)
        ]
        return Evidence(asked=True, reports=tuple(reports), told_long_ago=told_long_ago)

    runs, waits, done = JobState.RUNNING, JobState.PENDING, JobState.COMPLETED
    told = {"stage": Stage.SUBMITTED, "native_id": "7", "stop_sent": THEN, "restarts": 1}
    job = make_job(wish=Wish.STOP, **told)
    assert decide(job, sees((runs, 1))) == steps.Update()
    assert decide(job, sees((runs, 2))) == steps.StopIt(native_id="7")
    assert decide(job, sees((waits, 2))) == steps.CancelIt(native_ids=("7",))
    assert decide(job, sees((done, 1), (runs, 0))) == steps.Update()
    element = ((waits, 1), (runs, 0))
    assert decide(job, sees(*element)) == steps.Update()
    assert decide(job, sees(*element, told_long_ago=True)) == steps.StopIt(native_id="7")
