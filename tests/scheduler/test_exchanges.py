"""Questions and answers stay in step, and a line on which they do not is given up."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from scheduler.base import (
    Launch,
    Reading,
    SchedulerError,
    SchedulerUnavailableError,
    StagedJob,
    Submitted,
    Uncertain,
)
from scheduler.frames import Frame
from scheduler.link import AgentConfig, Link, LinkError
from scheduler.shell import LocalShell
from scheduler.slurm import Slurm, SlurmConfig
from tests.scheduler.fake_agent import FakeShell, numbered
from tests.scheduler.site import AGENT_PYTHON, staged

CONFIG = SlurmConfig(base="/scratch", python=AGENT_PYTHON)
PLACE = PurePosixPath("/scratch/ada/J1/1")
LAUNCHES = [
    Launch(directory=PLACE.parent / str(one), try_number=1, marker=f"gw-{one}-1") for one in (1, 2)
]


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Slurm]:
    shell = LocalShell()
    yield Slurm(shell, SlurmConfig(base=str(tmp_path), python=AGENT_PYTHON))
    shell.close()


@pytest.mark.parametrize("trouble", ["a file", "an old file in it", "a loop"])
@pytest.mark.parametrize("count", [10, 3_000_000])
def test_trouble_with_what_was_half_sent_leaves_the_line_in_step(
    real: Slurm, tmp_path: Path, trouble: str, count: int
) -> None:
    incoming = tmp_path / ".incoming"
    if trouble == "a file":
        incoming.touch()
    elif trouble == "an old file in it":
        incoming.mkdir()
        (incoming / "x").touch()
        os.utime(incoming / "x", (0, 0))
    else:
        incoming.symlink_to(incoming)
    pid = real.agent["pid"]
    directory = PurePosixPath(tmp_path) / "ada" / "J1" / "1"
    job = StagedJob(directory=directory, files=(staged("x", "x" * count),))
    if count > 1_000_000 and trouble != "an old file in it":
        with pytest.raises(SchedulerError, match="cannot take the files"):
            real.stage([job])
    else:
        real.stage([job])
        assert [(entry.path, entry.size) for entry in real.listing(directory)] == [("x", count)]
    assert real.read(directory, "y", 0, 10) is None
    assert real.agent["pid"] == pid


def test_every_answer_of_an_agent_says_of_which_question_it_is(tmp_path: Path) -> None:
    seen: list[int] = []

    class Watching(Link):
        def _receive(self, *words: Any) -> Frame:
            answer = super()._receive(*words)
            seen.append(self._number)
            return answer

    shell = LocalShell()
    link = Watching(shell, AgentConfig(base=str(tmp_path), python=AGENT_PYTHON))
    link.open()
    with pytest.raises(SchedulerError, match="lie beneath"):
        link.ask({"verb": "remove", "directory": "/etc"})
    assert link.ask({"verb": "ping"}).document == {}
    assert seen == [0, 1, 2, 3]
    shell.close()


def test_an_answer_to_another_question_is_the_end_of_the_line() -> None:
    def answers(question: dict[str, Any]) -> Iterable[Frame]:
        late = question["verb"] == "claim"
        number = question.get("exchange", 0) - late
        yield Frame(document={"owner": "17", "exchange": number})

    shell = FakeShell(answers)
    slurm = Slurm(shell, CONFIG)
    with pytest.raises(LinkError, match="an answer to question"):
        slurm.claim(PLACE, 1, "void")
    assert [stream.closed for stream in shell.streams] == [True]


def test_what_may_be_asked_twice_is_asked_again_on_a_line_that_is_in_step() -> None:
    def answers(question: dict[str, Any]) -> Iterable[Frame]:
        if question["verb"] == "hello":
            yield numbered(question, {})
            return
        late = question["verb"] == "claim" and len(shell.streams) == 1
        yield Frame(document={"owner": "17", "exchange": question["exchange"] - late})

    shell = FakeShell(answers)
    slurm = Slurm(shell, CONFIG)
    assert slurm.agent == {}
    assert slurm.claim(PLACE, 1, "void") == "17"
    assert [stream.closed for stream in shell.streams] == [True, False]


@pytest.mark.parametrize("document", [
    {"outcome": "submitted", "native_id": "7"},
    {"number": 2, "outcome": "submitted", "native_id": "7"},
    {"number": None, "outcome": "submitted", "native_id": "7"},
    {"number": "x", "outcome": "submitted", "native_id": "7"},
    {"number": 1, "outcome": "submitted"},
    {"number": 1, "outcome": "refused"},
])  # fmt: skip
def test_an_outcome_that_cannot_be_read_is_uncertain(document: dict[str, Any]) -> None:
    def answers(question: dict[str, Any]) -> Iterable[Frame]:
        if question["verb"] == "submit":
            yield numbered(question, {"number": 0, "outcome": "submitted", "native_id": "6"})
            yield numbered(question, document)
        yield numbered(question, {"done": True})

    shell = FakeShell(answers)
    first, second = Slurm(shell, CONFIG).submit(LAUNCHES)
    assert first == Submitted(native_id="6")
    assert isinstance(second, Uncertain)
    assert second.begun
    assert "an answer cannot be read" in second.text
    assert shell.streams[-1].closed


def test_an_outcome_of_another_question_is_uncertain() -> None:
    def answers(question: dict[str, Any]) -> Iterable[Frame]:
        document = {"number": 0, "outcome": "submitted", "native_id": "6"}
        number = question.get("exchange", 0)
        if question["verb"] == "submit":
            yield Frame(document={**document, "exchange": number + 1})
        yield Frame(document={"done": True, "exchange": number})

    shell = FakeShell(answers)
    for outcome in Slurm(shell, CONFIG).submit(LAUNCHES):
        assert isinstance(outcome, Uncertain)
        assert outcome.begun
        assert "an answer to question" in outcome.text


def test_an_earlier_id_is_not_believed_when_its_proof_cannot_be_read() -> None:
    def answers(question: dict[str, Any]) -> Iterable[Frame]:
        if question["verb"] == "submit":
            yield numbered(
                question, {"number": 0, "outcome": "submitted", "native_id": "6", "earlier": True}
            )
        yield numbered(question, {"done": True})

    (outcome,) = Slurm(FakeShell(answers), CONFIG).submit(LAUNCHES[:1])
    assert isinstance(outcome, Uncertain)
    assert outcome.begun


@pytest.mark.parametrize("verb", ["claim", "traces", "read", "read_many", "listing"])
def test_an_answer_that_cannot_be_read_is_the_end_of_the_line(verb: str) -> None:
    shell = FakeShell(lambda question: [numbered(question, {"sizes": [[5, 1]]}, b"[1]")])
    slurm = Slurm(shell, CONFIG)
    ask: dict[str, Callable[[], object]] = {
        "claim": lambda: slurm.claim(PLACE, 1, "void"),
        "traces": lambda: slurm.traces(LAUNCHES),
        "read": lambda: slurm.read(PLACE, "x", 0, 1),
        "read_many": lambda: slurm.read_many(
            [Reading(directory=PLACE, path="x", offset=0, limit_bytes=1)]
        ),
        "listing": lambda: slurm.listing(PLACE),
    }
    with pytest.raises(SchedulerUnavailableError, match="an answer cannot be read"):
        ask[verb]()
    assert shell.streams[-1].closed
