"""A line that is cut while files go over it: their directory is whole, or not there."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import pytest

from scheduler.base import SchedulerUnavailableError, StagedFile, StagedJob
from scheduler.shell import Shell, Stream
from scheduler.slurm import Slurm, SlurmConfig
from tests.helpers import eventually
from tests.scheduler.site import AGENT_PYTHON
from tests.scheduler.sshd import Account, Clock, Connect, SSHServer, sshd

FILES = {f"data/{number}": os.urandom(1_500_000) for number in range(6)} | {"job.sh": b"exit 0\n"}


class CutStream:
    """A line that is cut when so many bytes have gone over it after its agent's code."""

    def __init__(self, stream: Stream, after_bytes: int, cut: Callable[[], object]) -> None:
        self._stream, self._left, self._cut = stream, after_bytes, cut
        self._greeted = False
        self.receive, self.stderr_tail = stream.receive, stream.stderr_tail
        self.exit_code, self.close = stream.exit_code, stream.close

    def send(self, data: bytes, timeout_s: float) -> None:
        """Send what may still go."""
        if not self._greeted:
            self._greeted = True
            self._stream.send(data, timeout_s)
            return
        if self._left >= 0 and len(data) > self._left:
            self._stream.send(data[: self._left], timeout_s)
            self._cut()
            data = data[self._left :]
        self._left -= len(data)
        self._stream.send(data, timeout_s)


class CutShell:
    """A shell whose first line is cut."""

    def __init__(self, shell: Shell, after_bytes: int, cut: Callable[[], object]) -> None:
        self._shell, self._after_bytes, self._cut = shell, after_bytes, cut
        self.name, self.close = shell.name, shell.close
        self.lines = 0

    def start(self, argv: Sequence[str]) -> Stream:
        """Start a program."""
        self.lines += 1
        stream = self._shell.start(argv)
        return CutStream(stream, self._after_bytes, self._cut) if self.lines == 1 else stream


def stages(slurm: Slurm, job: StagedJob, clock: Clock) -> bool:
    clock.now += 1000  # a busy machine may need more than one attempt
    try:
        slurm.stage([job])
    except SchedulerUnavailableError:
        return False
    return True


@pytest.fixture(scope="module")
def cuttable(base: Path, user: Account) -> Iterator[SSHServer]:
    """A server whose lines are cut."""
    with sshd(base / "cuttable", [user]) as server:
        yield server


@pytest.mark.parametrize("percent", [10, 50, 99])
@pytest.mark.parametrize("opened", [False, True], ids=["new line", "line in use"])
def test_a_staging_that_was_cut_leaves_nothing_and_the_next_one_a_whole_directory(
    connect: Connect, cuttable: SSHServer, user: Account, clock: Clock, percent: int, opened: bool
) -> None:
    total = sum(map(len, FILES.values()))
    shell = CutShell(connect(cuttable.hop(user)), total * percent // 100, cuttable.cut)
    base = user.home / f"{percent}{opened}"
    slurm = Slurm(shell, SlurmConfig(base=str(base), python=AGENT_PYTHON))
    directory = base / "ada" / "J1" / "1"
    files = tuple(
        StagedFile(
            path=PurePosixPath(name), content=content, sha256=hashlib.sha256(content).hexdigest()
        )
        for name, content in FILES.items()
    )
    job = StagedJob(directory=PurePosixPath(directory), files=files)
    if opened:
        slurm.agent  # noqa: B018 - it is a question, after which the line is an old one
    try:
        slurm.stage([job])
        assert opened  # else nobody asks a second time
    except SchedulerUnavailableError:
        assert not directory.exists()
        eventually(lambda: stages(slurm, job, clock))
    assert shell.lines > 1
    found = {name: (directory / name).read_bytes() for name in FILES}
    assert found == FILES
    assert len(slurm.listing(PurePosixPath(directory))) == len(FILES)
    assert os.listdir(directory.parent) == ["1"]  # noqa: PTH208 - with hidden names
