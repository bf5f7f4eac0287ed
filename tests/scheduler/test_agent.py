"""The agent on a login node: how it gets there, what it needs, and when it ends."""

from __future__ import annotations

import ast
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import pytest

from scheduler import ship
from scheduler.base import SchedulerError, SchedulerUnavailableError, StagedJob
from scheduler.frames import FrameError, read_frame
from scheduler.link import AgentConfig, Link
from scheduler.shell import LocalShell, LocalStream
from scheduler.slurm import Slurm, SlurmConfig
from tests.helpers import eventually
from tests.scheduler.site import AGENT_PYTHON, staged, trace

SHIPPED = [Path(ship.__file__).parent / f"{name}.py" for name in (*ship.MODULES, "unpack")]


@pytest.fixture
def config(tmp_path: Path) -> SlurmConfig:
    return SlurmConfig(base=str(tmp_path), python=AGENT_PYTHON)


@pytest.fixture
def shell() -> Iterator[LocalShell]:
    shell = LocalShell()
    yield shell
    shell.close()


class Noisy(LocalShell):
    """A login shell that runs something first."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def start(self, argv: Sequence[str]) -> LocalStream:
        """Start a program after that."""
        return super().start(["/bin/sh", "-c", f'{self._text}; exec "$@"', "sh", *argv])


def stage_and_read(slurm: Slurm, base: str) -> bytes | None:
    """Let the agent do something real."""
    directory = PurePosixPath(base) / "ada" / "J1" / "1"
    slurm.stage([StagedJob(directory=directory, files=(staged("x", "content"),))])
    return slurm.read(directory, "x", 0, 100)


@pytest.mark.parametrize(
    "noise",
    [
        "echo Welcome to Stampede; echo 'quota exceeded' >&2",
        "head -c 300000 /dev/urandom",
        "printf 'no line end'",
    ],
)
def test_what_a_login_shell_prints_is_passed_over(config: SlurmConfig, noise: str) -> None:
    shell = Noisy(noise)
    assert stage_and_read(Slurm(shell, config), config.base) == b"content"
    shell.close()


def test_a_login_shell_that_prints_without_end_is_given_up(config: SlurmConfig) -> None:
    shell = Noisy("while :; do head -c 100000 /dev/zero; done")
    with pytest.raises(SchedulerUnavailableError, match="the login shell printed"):
        Slurm(shell, config).listing(PurePosixPath(config.base) / "x")
    shell.close()


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ("/no/such/python", "No such file"),
        ("/bin/false", "it ended"),
        ("/bin/sh", "it ended"),
    ],
)
def test_a_python_that_is_none_is_named(
    shell: LocalShell, tmp_path: Path, python: str, said: str
) -> None:
    slurm = Slurm(shell, SlurmConfig(base=str(tmp_path), python=python))
    with pytest.raises(SchedulerUnavailableError, match=python) as caught:
        slurm.listing(PurePosixPath(tmp_path) / "x")
    assert said in str(caught.value)


def test_a_python_that_is_too_old_says_so() -> None:
    boot = ship.agent_shipment().argv("python", "s")[4]
    old = f"import sys; sys.version_info = (3, 6); exec({boot!r})"
    done = subprocess.run([sys.executable, "-c", old], capture_output=True, check=False)
    assert done.returncode == 1
    assert b"Python 3.10 or later is needed here" in done.stderr


def test_code_that_arrives_damaged_is_not_run() -> None:
    shipment = ship.agent_shipment()
    damaged = shipment.content[:-1] + b"?"
    done = subprocess.run(
        list(shipment.argv(sys.executable, "s")), input=damaged, capture_output=True, check=False
    )
    assert done.stdout == b"\ns\n"
    assert b"arrived damaged" in done.stderr


def test_the_first_line_of_the_agent_is_one_word_for_every_shell() -> None:
    boot = ship.agent_shipment().argv("python", "s")[4]
    assert not set(boot) & set("'!\n")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_what_is_sent_is_python_3_10_and_needs_no_packages(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 10))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    assert "datetime.UTC" not in names  # of 3.11
    shipped = {f"scheduler.{one.stem}" for one in SHIPPED}
    for name in names:
        if name.startswith("scheduler"):
            assert name in shipped or name.rpartition(".")[0] in shipped, name
        else:
            assert name.partition(".")[0] in sys.stdlib_module_names, name


def test_an_agent_ends_with_its_line(shell: LocalShell, config: SlurmConfig) -> None:
    slurm = Slurm(shell, config)
    stage_and_read(slurm, config.base)
    pid = int(slurm.agent["pid"])
    slurm.close()
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    assert stage_and_read(slurm, config.base) == b"content"
    assert int(slurm.agent["pid"]) != pid


def test_what_the_agent_refuses_leaves_the_line_in_step(
    shell: LocalShell, config: SlurmConfig
) -> None:
    slurm = Slurm(shell, config)
    directory = PurePosixPath(config.base) / "ada" / "J1" / "1"
    for _ in range(2):
        with pytest.raises(SchedulerError, match="cannot own a claim"):
            slurm.claim(directory, 1, "root; rm -rf /")
        assert trace(slurm, directory).claim is None
    pid = slurm.agent["pid"]
    stage_and_read(slurm, config.base)
    assert slurm.claim(directory, 1, "17") == "17"
    assert slurm.claim(directory, 1, "void") == "17"
    assert slurm.agent["pid"] == pid


def test_no_claim_is_taken_beneath_a_base_that_is_not_mounted(
    shell: LocalShell, config: SlurmConfig
) -> None:
    slurm = Slurm(shell, config)
    directory = PurePosixPath(config.base) / "ada" / "J1" / "1"
    stage_and_read(slurm, config.base)
    base, away = Path(config.base), Path(f"{config.base}.away")
    base.rename(away)
    with pytest.raises(SchedulerError, match="is its file system mounted"):
        slurm.claim(directory, 1, "void")
    assert not base.exists()
    away.rename(base)
    assert slurm.claim(directory, 1, "void") == "void"


def test_files_that_were_half_sent_leave_nothing_behind(
    shell: LocalShell, config: SlurmConfig
) -> None:
    slurm = Slurm(shell, config)
    wrong = staged("y", "x" * 3_000_000)
    wrong = type(wrong)(path=wrong.path, content=wrong.content[:-1], sha256=wrong.sha256)
    directory = PurePosixPath(config.base) / "ada" / "J2" / "1"
    with pytest.raises(SchedulerError, match="SHA-256"):
        slurm.stage([StagedJob(directory=directory, files=(wrong,))])
    assert list((Path(config.base) / ".incoming").iterdir()) == []
    assert slurm.listing(directory) == []


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("!II", 1 << 31, 0),
        struct.pack("!II", 4, 0) + b"nope",
        struct.pack("!II", 2, 0) + b"[]",
        struct.pack("!II", 2, 0) + b"\xff\xfe",
    ],
)
def test_what_is_no_frame_is_an_error(content: bytes) -> None:
    position = 0

    def exactly(count: int) -> bytes:
        nonlocal position
        position += count
        return content[position - count : position]

    with pytest.raises(FrameError):
        read_frame(exactly)


def test_an_answer_that_no_frame_holds_is_an_error_of_that_question_alone(
    shell: LocalShell, config: SlurmConfig
) -> None:
    link = Link(shell, AgentConfig(base=config.base, python=config.python))
    directory = Path(config.base) / "J1"
    directory.mkdir()
    with (directory / "sparse").open("wb") as stream:
        stream.truncate(100 << 20)
    question = {"verb": "read", "directory": str(directory), "path": "sparse", "offset": 0}
    with pytest.raises(SchedulerError, match="a frame of") as caught:
        link.ask({**question, "limit_bytes": 70 << 20})
    assert not isinstance(caught.value, SchedulerUnavailableError)
    assert link.ask({**question, "limit_bytes": 5}).blob == bytes(5)
    link.close()


def test_a_folder_full_of_long_names_is_listed_over_the_line(
    shell: LocalShell, config: SlurmConfig
) -> None:
    slurm = Slurm(shell, config)
    folder = top = Path(config.base) / "ada" / "J1" / "1"
    for _ in range(4):
        folder /= "\u00e9" * 127
    folder.mkdir(parents=True)
    for number in range(5_000):
        (folder / (f"{number:05}" + "\u00e9" * 120)).touch()
    (top / "result.0.json").touch()
    entries = slurm.listing(PurePosixPath(top), 20_000)
    assert len(entries) == 5_001
    assert [entry.path for entry in entries if entry.regular] == ["result.0.json"]
