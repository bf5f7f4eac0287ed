"""The submission protocol against every order of events, within bounds.

Two reconcilers (as if one's lease had run out) work on one job with the real `decide`. Replies get
lost, come late, the wrapper dies after it has locked, reconcilers crash after each step, the user
cancels, the scheduler requeues. All reachable states are visited; none may break a promise, and
none may be a dead end. It is long since a model is read as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import pytest

from gateway.jobs import decide as steps
from gateway.jobs.decide import Action, Evidence, decide
from gateway.jobs.models import Job, Stage, Wish
from scheduler.base import VOID, JobReport, JobState
from tests.jobs.making import THEN, make_job

TRIES = 2
MARKER = "gw-x-1"
T = TypeVar("T")


def replace(value: T, **changes: object) -> T:
    """Do what `dataclasses.replace` does, which here is two thirds of the work, in a tenth."""
    new = object.__new__(type(value))
    fields = vars(new)
    fields.update(vars(value))
    known = len(fields)
    fields.update(changes)
    assert len(fields) == known, f"no such field: {changes}"
    return new


@dataclass(frozen=True)
class Native:
    """A job at the scheduler."""

    id: str
    try_number: int
    state: str = "late"
    """``late`` (the call is under way), ``pending``, ``running``, ``done``, ``cancelled``."""

    forgotten: bool = False
    """Whether the scheduler tells nothing of it any more."""

    restarts: int = 0
    told: bool = False
    """Whether its script has heard since it began that it shall stop."""


@dataclass(frozen=True)
class Record:
    """What the store holds, as far as the protocol goes."""

    version: int = 0
    stage: str = "staged"
    tries: int = 0
    turned: int = 0
    turned_try: int = 0
    looks: int = 0
    native_id: str | None = None
    wish: str = "run"
    end: str = ""
    stop_sent: bool = False
    restarts: int = 0
    """As seen when it was told to stop."""

    missing: bool = False
    """Whether the scheduler did not know it when it was last asked."""

    restored: bool = False


@dataclass(frozen=True)
class Mind:
    """What a reconciler has in mind between two steps."""

    version: int
    action: Action | Calling
    tries: int = 0
    """The try that the action was decided for."""

    called: str = ""
    """The outcome of a submit call that is not stored yet."""

    restarts: int = 0
    """Of a job that is to be told to stop, as seen."""


@dataclass(frozen=True)
class World:
    """Everything."""

    record: Record = Record()
    minds: tuple[Mind | None, Mind | None] = (None, None)
    natives: tuple[Native, ...] = ()
    locks: frozenset[int] = frozenset()
    claims: tuple[tuple[int, str], ...] = ()
    files: tuple[tuple[int, str], ...] = ()
    ran: frozenset[str] = frozenset()
    lost_replies: int = 1
    late_calls: int = 1
    dead_wrappers: int = 1
    unreached: int = 0
    full: int = 0
    """How often the scheduler has no room, and says so or leaves it open whether it made a job."""

    crashes: int = 1
    cancels: int = 1
    requeues: int = 1
    # What follows is too much for all orders at once: test_decide_machine.py draws some of them.
    stops: int = 0
    forgets: int = 0
    rebuilds: int = 0
    silent: bool = False
    """Whether the scheduler may give no answer, and looks may come too soon."""

    endless: bool = False
    """Whether a job that shall stop runs until it is told."""

    most_tries: int = TRIES


@dataclass(frozen=True)
class Sight:
    """What one look tells beside the record."""

    claim: str | None
    file: str | None
    seen: str
    asked: bool = True
    may_look_again: bool = True


@cache
def next_action(record: Record, sight: Sight, most_tries: int) -> Action:
    job = make_job(
        stage=Stage(record.stage),
        try_number=record.tries,
        turned_away=record.turned,
        turned_try=record.turned_try,
        looks=record.looks,
        native_id=record.native_id,
        wish=Wish(record.wish),
        stop_sent=THEN if record.stop_sent else None,
        restarts=record.restarts,
        restored=record.restored,
    )
    words = {"pending": "PENDING", "running": "RUNNING", "done": "COMPLETED"}
    reports = tuple(
        JobReport(
            native_id=native_id,
            task=None,
            marker=MARKER,
            state=JobState(words.get(state, "CANCELLED")),
            raw_state=state,
            restarts=int(restarts),
        )
        for native_id, state, restarts in (pair.split(":") for pair in sight.seen.split())
        if record.stage != "submitted" or native_id == record.native_id
    )
    evidence = Evidence(
        asked=sight.asked,
        reports=reports if sight.asked else (),
        claim=sight.claim,
        native_id=sight.file,
        may_look_again=sight.may_look_again,
        absent_long=record.missing,
    )
    action = decide(job, evidence, max_tries=most_tries)
    if action == steps.TakeClaim(owner=VOID) and not (sight.asked and sight.may_look_again):
        raise AssertionError(f"given up though nobody could look: {record} {sight}")
    if action == steps.TakeClaim(owner=VOID) and record.looks < 1:
        raise AssertionError(f"given up at the first look: {record} {sight}")
    return action


def successors(world: World) -> Iterator[World]:
    yield from user(world)
    yield from administrator(world)
    yield from cluster(world)
    for who in (0, 1):
        yield from reconciler(world, who)


def user(world: World) -> Iterator[World]:
    if world.cancels and world.record.wish != "cancel" and not world.record.end:
        record = replace(world.record, wish="cancel", version=world.record.version + 1)
        yield replace(world, record=record, cancels=world.cancels - 1)
    if world.stops and world.record.wish == "run" and not world.record.end:
        record = replace(world.record, wish="stop", version=world.record.version + 1)
        yield replace(world, record=record, stops=world.stops - 1)


def administrator(world: World) -> Iterator[World]:
    """Lose the store, and bring its records back from their sidecars with no process alive."""
    if world.rebuilds and not world.record.end:
        record = replace(
            world.record,
            version=world.record.version + 1,
            stage="uncertain",
            tries=max(1, world.record.tries),
            looks=0,
            restored=True,
        )
        yield replace(world, record=record, minds=(None, None), rebuilds=world.rebuilds - 1)


def cluster(world: World) -> Iterator[World]:  # noqa: C901 - a case a state
    """Let the scheduler do something by itself."""
    for index, native in enumerate(world.natives):
        claim = dict(world.claims).get(native.try_number)
        if native.state == "late":
            yield with_native(world, index, "pending")
        elif native.state == "pending":
            if claim in (None, native.id):
                started = with_native(world, index, "running")
                claims = {**dict(world.claims), native.try_number: native.id}
                yield replace(
                    started, claims=tuple(sorted(claims.items())), ran=world.ran | {native.id}
                )
            else:
                yield with_native(world, index, "done")
        elif native.state == "running":
            if native.told or not world.endless or world.record.wish != "stop":
                yield with_native(world, index, "done")
            if world.requeues:
                new = {"told": False, "restarts": native.restarts + 1}
                again = with_native(world, index, "pending", **new)
                yield replace(again, requeues=world.requeues - 1)
        if world.forgets and native.state in ("pending", "done", "cancelled"):
            yield forget(world, index)


def forget(world: World, index: int) -> World:
    """Let it know nothing of a job any more: one that ended long ago, or never began."""
    natives = list(world.natives)
    native = natives[index]
    state = "cancelled" if native.state == "pending" else native.state
    natives[index] = replace(native, state=state, forgotten=True)
    return replace(world, natives=tuple(natives), forgets=world.forgets - 1)


def with_native(world: World, index: int, state: str, **changes: object) -> World:
    natives = list(world.natives)
    natives[index] = replace(natives[index], state=state, **changes)
    return replace(world, natives=tuple(natives))


def reconciler(world: World, who: int) -> Iterator[World]:
    mind = world.minds[who]
    if mind is None:
        if not world.record.end:
            yield think(world, who)
            if world.silent:
                yield think(world, who, asked=False)
                yield think(world, who, may_look_again=False)
        return
    if world.crashes:
        yield replace(set_mind(world, who, None), crashes=world.crashes - 1)
    if mind.called:
        yield set_mind(store_outcome(world, mind), who, None)
        return
    yield from act(world, who, mind)


def think(world: World, who: int, **can: bool) -> World:
    record = world.record
    known = [n for n in world.natives if n.state != "late" and not n.forgotten]
    sight = Sight(
        claim=dict(world.claims).get(record.tries),
        file=dict(world.files).get(record.tries),
        seen=" ".join(f"{n.id}:{n.state}:{n.restarts}" for n in known),
        **can,
    )
    action = next_action(replace(record, version=0, end=""), sight, world.most_tries)
    mind = Mind(version=record.version, action=action, tries=record.tries)
    if isinstance(action, steps.StopIt):
        (restarts,) = (n.restarts for n in known if n.id == action.native_id)
        mind = replace(mind, restarts=restarts)
    return set_mind(world, who, mind)


def set_mind(world: World, who: int, mind: Mind | None) -> World:
    minds = list(world.minds)
    minds[who] = mind
    return replace(world, minds=(minds[0], minds[1]))


def write(world: World, version: int, **changes: object) -> World | None:
    """Compare and set; None when somebody else was quicker."""
    if world.record.version != version or world.record.end:
        return None
    return replace(
        world,
        record=replace(world.record, version=version + 1, **changes),
    )


def act(world: World, who: int, mind: Mind) -> Iterator[World]:  # noqa: C901 - a case an action
    idle = set_mind(world, who, None)
    version = mind.version
    match mind.action:
        case steps.SubmitIt(try_number=number) | steps.NextTry(try_number=number):
            written = write(idle, version, stage="uncertain", tries=number, looks=0, turned_try=0)
            if written is None:
                yield idle
            else:
                yield set_mind(written, who, Mind(version=version + 1, action=Calling(number)))
        case Calling(number):
            yield from call(world, who, version, number)
        case steps.LookAgain():
            yield write(idle, version, looks=world.record.looks + 1) or idle
        case steps.TakeClaim(owner=owner):
            # However long ago it was decided: a claim is never checked against the record.
            claims = {mind.tries: owner, **dict(world.claims)}
            yield replace(idle, claims=tuple(sorted(claims.items())))
        case steps.Adopt(native_id=native_id, twins=twins):
            ended = cancel(idle, twins)
            yield write(ended, version, stage="submitted", native_id=native_id) or ended
        case steps.CancelIt(native_ids=native_ids):
            yield cancel(idle, native_ids)
        case steps.WaitForRoom():
            turned = world.record.turned + 1
            changes = {"stage": "staged", "turned": turned, "turned_try": 0, "looks": 0}
            yield write(idle, version, **changes) or idle
        case steps.EndCancelled():
            yield write(idle, version, end="CANCELLED") or idle
        case steps.Refuse():
            yield write(idle, version, end="FAILED") or idle
        case steps.Collect():
            state = {n.id: n.state for n in world.natives}[world.record.native_id or ""]
            end = "CANCELLED" if state == "cancelled" else "COMPLETED"
            yield write(idle, version, end=end) or idle
        case steps.StopIt(native_id=native_id):
            told = stop(idle, native_id)
            yield write(told, version, stop_sent=True, restarts=mind.restarts) or told
        case steps.Missing():
            yield write(idle, version, missing=True) or idle
        case steps.Update() if world.record.missing:
            yield write(idle, version, missing=False) or idle
        case steps.DecideByFiles():
            end = "COMPLETED" if world.record.native_id in left_exits(world) else "LOST"
            yield write(idle, version, end=end) or idle
        case _:
            yield idle


@dataclass(frozen=True)
class Calling:
    """The try is written down; the remote call comes next."""

    try_number: int


def left_exits(world: World) -> set[str]:
    """Name the jobs whose scripts came to their ends, and said so in a file."""
    return {n.id for n in world.natives if n.id in world.ran and n.state == "done"}


def cancel(world: World, native_ids: tuple[str, ...]) -> World:
    natives = tuple(
        replace(n, state="cancelled")
        if n.id in native_ids and n.state in ("pending", "running")
        else n
        for n in world.natives
    )
    return replace(world, natives=natives)


def stop(world: World, native_id: str) -> World:
    """Tell a script that runs; what waits ends."""
    known = {native.id: index for index, native in enumerate(world.natives)}
    match world.natives[index := known[native_id]].state:
        case "running":
            return with_native(world, index, "running", told=True)
        case "pending":
            return with_native(world, index, "cancelled")
    return world


def call(world: World, who: int, version: int, number: int) -> Iterator[World]:
    """Run the wrapper: the lock first, then sbatch, then claim and id file."""

    def answer(after: World, outcome: str) -> World:
        return set_mind(after, who, Mind(version=version, action=Calling(number), called=outcome))

    if world.unreached:
        yield answer(replace(world, unreached=world.unreached - 1), "unreached")
    if number in world.locks:
        file = dict(world.files).get(number)
        yield answer(world, f"submitted {file}" if file else "uncertain")
        return
    locked = replace(world, locks=world.locks | {number})
    if world.full:
        fuller = replace(locked, full=world.full - 1)
        claims = {number: "void", **dict(world.claims)}
        void = claims[number] == "void"
        refused = replace(fuller, claims=tuple(sorted(claims.items())))
        yield answer(refused, "turned" if void else "uncertain")
        yield answer(fuller, "full")  # sbatch was ended between two calls of its own
        made = Native(id=str(len(world.natives) + 1), try_number=number)
        yield answer(replace(fuller, natives=(*world.natives, made)), "full")
    if world.dead_wrappers:
        yield answer(replace(locked, dead_wrappers=world.dead_wrappers - 1), "uncertain")
    native = Native(id=str(len(world.natives) + 1), try_number=number)
    if world.late_calls:
        begun = replace(locked, natives=(*world.natives, native), late_calls=world.late_calls - 1)
        yield answer(begun, "uncertain")
    there = replace(locked, natives=(*world.natives, replace(native, state="pending")))
    if world.lost_replies:
        yield answer(replace(there, lost_replies=world.lost_replies - 1), "uncertain")
    claims = {number: native.id, **dict(world.claims)}
    files = {**dict(world.files), number: native.id}
    good = replace(there, claims=tuple(sorted(claims.items())), files=tuple(sorted(files.items())))
    owned = claims[number] == native.id  # else somebody has given this try up meanwhile
    yield answer(good, f"submitted {native.id}" if owned else "uncertain")


def store_outcome(world: World, mind: Mind) -> World:
    if mind.called == "uncertain":
        return world
    if mind.called == "unreached":
        tries = world.record.tries - 1
        return write(world, mind.version, stage="staged", tries=tries, looks=0) or world
    if mind.called == "turned":
        turned = world.record.turned + 1
        changes = {"stage": "staged", "turned": turned, "turned_try": 0, "looks": 0}
        return write(world, mind.version, **changes) or world
    if mind.called == "full":
        return write(world, mind.version, turned_try=world.record.tries) or world
    native_id = mind.called.split()[1]
    return write(world, mind.version, stage="submitted", native_id=native_id) or world


def check(world: World) -> None:
    assert len(world.ran) <= 1, f"two jobs ran: {world}"
    if world.record.end in ("CANCELLED", "FAILED", "LOST"):
        for native in world.natives:
            claim = dict(world.claims).get(native.try_number)
            may_start = native.state in ("late", "pending") and claim in (None, native.id)
            assert native.state != "running", f"ended, and runs: {world}"
            assert not may_start, f"ended, and may still start: {world}"
    if world.record.end == "LOST":
        assert not left_exits(world), f"called lost, and its file says how it ended: {world}"


@pytest.mark.parametrize(
    "begin",
    [
        World(),
        # A cluster that is not reached gives the try back; all faults at once are too many states.
        World(unreached=1, dead_wrappers=0, lost_replies=0, requeues=0),
        World(full=1, dead_wrappers=0, lost_replies=0, requeues=0, late_calls=0, crashes=0),
    ],
    ids=["lost", "not reached", "full"],
)
def test_no_order_of_events_runs_two_jobs_or_loses_one(begin: World) -> None:
    count, ends = explored(begin)
    assert ends == {"COMPLETED", "CANCELLED", "FAILED"}
    assert count > 10_000


def test_a_job_that_was_told_to_stop_and_is_requeued_is_told_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calm = dict.fromkeys(("lost_replies", "late_calls", "dead_wrappers", "crashes", "cancels"), 0)
    begin = replace(World(), **calm, stops=1, requeues=2, endless=True)
    assert explored(begin)[1] == {"COMPLETED", "CANCELLED"}
    real = decide

    def tell_once(job: Job, evidence: Evidence, max_tries: int) -> Action:
        action = real(job, evidence, max_tries=max_tries)
        told = isinstance(action, steps.StopIt) and job.attempt.stop_sent
        return steps.Update() if told else action

    monkeypatch.setitem(globals(), "decide", tell_once)
    next_action.cache_clear()
    try:
        with pytest.raises(AssertionError, match="lead nowhere"):
            explored(begin)
    finally:
        next_action.cache_clear()


def explored(begin: World) -> tuple[int, set[str]]:
    """Visit all states; count them, and name all ends."""
    numbers = {begin: 0}
    before: list[list[int]] = [[]]
    ends: dict[int, str] = {}
    edge = [begin]
    while edge:
        world = edge.pop()
        number = numbers[world]
        check(world)
        if world.record.end:
            ends[number] = world.record.end
        for after in map(in_order, successors(world)):
            next_number = numbers.setdefault(after, len(before))
            if next_number == len(before):
                before.append([])
                edge.append(after)
            before[next_number].append(number)
    stuck = set(range(len(before))) - reached(before, ends)
    shown = next((world for world, number in numbers.items() if number in stuck), None)
    assert not stuck, f"{len(stuck)} states lead nowhere, such as {shown}"
    return len(before), set(ends.values())


def in_order(world: World) -> World:
    """Answer one of two worlds that differ only in which reconciler is called the first."""
    first, second = world.minds
    return world if hash(first) <= hash(second) else replace(world, minds=(second, first))


def reached(before: list[list[int]], ends: Iterable[int]) -> set[int]:
    """Name all worlds from which there is a way to an end."""
    found = set(ends)
    edge = list(found)
    while edge:
        new = [number for number in before[edge.pop()] if number not in found]
        found.update(new)
        edge.extend(new)
    return found
