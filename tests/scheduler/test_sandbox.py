"""What a job on this host cannot do: to others, to the gateway, and to the disk."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scheduler.base import JobState, SchedulerError
from scheduler.connect import connect
from tests.helpers import Process, eventually, processes
from tests.scheduler.site import LocalSite, sleeper

MakeLocal = Callable[..., LocalSite]
MIB = 1 << 20


@pytest.fixture
def walled(make_local: MakeLocal) -> LocalSite:
    return make_local(sandbox="bwrap", file_limit_bytes=10 * MIB, tmp_bytes=10 * MIB)


def attempt(local: LocalSite, code: str) -> str:
    """Run a piece of Python as a job, and say how it fared: ``done``, or the error's name."""
    tried = f"""
import os, signal, socket, sys
from pathlib import Path
try:
    {code.strip().replace(chr(10), chr(10) + "    ")}
except (OSError, MemoryError) as error:
    print(type(error).__name__)
else:
    print("done")
"""
    launch = local.stage(tried)
    end = local.end_of(local.submit(launch))
    assert end.state is JobState.COMPLETED, local.lines(launch, "stderr.0.txt")
    (line,) = local.lines(launch, "stdout.0.txt")
    return line


@pytest.fixture
def secrets(tmp_path: Path) -> Iterator[Path]:
    """A key, another user's job and a store's socket, as they lie around in a gateway."""
    folder = tmp_path / "gateway"
    (folder / "jobs" / "eve" / "1").mkdir(parents=True)
    (folder / "key").write_text("secret")
    (folder / "jobs" / "eve" / "1" / "data.dat").write_text("1 2 3")
    with socket.socket(socket.AF_UNIX) as store:
        store.bind(str(folder / "redis.sock"))
        store.listen()
        yield folder


def test_the_sandbox_lets_a_job_do_its_work(walled: LocalSite) -> None:
    assert attempt(walled, "Path('out').mkdir(); Path('out/x').write_text('1')") == "done"
    assert attempt(walled, "Path('/tmp/x').write_text('1')") == "done"
    assert attempt(walled, "import json, ctypes, multiprocessing as m; m.Lock()") == "done"


def test_a_sandboxed_job_reads_no_key(walled: LocalSite, secrets: Path) -> None:
    assert attempt(walled, f"open({str(secrets / 'key')!r}).read()") == "FileNotFoundError"


@pytest.mark.parametrize("path", ["/etc/shadow", "/etc/ssh", "/home", "/root/.ssh", "/var", "/run"])
def test_a_sandboxed_job_sees_nothing_of_the_host_but_its_programs(
    walled: LocalSite, path: str
) -> None:
    assert attempt(walled, f"os.stat({path!r})") == "FileNotFoundError"


def test_a_sandboxed_job_lists_no_other_jobs(walled: LocalSite, secrets: Path) -> None:
    assert attempt(walled, f"os.listdir({str(secrets / 'jobs')!r})") == "FileNotFoundError"
    other = walled.stage(sleeper())
    code = f"os.listdir({str(Path(other.directory).parent)!r})"
    assert attempt(walled, code) == "FileNotFoundError"


def test_a_sandboxed_job_sees_nothing_of_the_spool(walled: LocalSite) -> None:
    assert attempt(walled, f"os.stat({str(walled.spool.directory)!r})") == "FileNotFoundError"


def test_a_sandboxed_job_reaches_no_socket(walled: LocalSite, secrets: Path) -> None:
    code = f"socket.socket(socket.AF_UNIX).connect({str(secrets / 'redis.sock')!r})"
    assert attempt(walled, code) == "FileNotFoundError"
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = f"socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), timeout=2)"
        assert attempt(walled, code) in {"ConnectionRefusedError", "OSError", "TimeoutError"}


def test_a_sandboxed_job_kills_no_process_of_the_host(walled: LocalSite) -> None:
    assert attempt(walled, f"os.kill({os.getpid()}, signal.SIGKILL)") == "ProcessLookupError"


def test_a_sandboxed_job_sees_no_process_of_the_host(walled: LocalSite) -> None:
    code = "assert [n for n in os.listdir('/proc') if n.isdigit() and int(n) > 30] == []"
    assert attempt(walled, code) == "done"


@pytest.mark.parametrize("path", ["/usr/canary", "/etc/canary", "/bin/canary"])
def test_a_sandboxed_job_writes_nothing_into_the_system(walled: LocalSite, path: str) -> None:
    result = attempt(walled, f"Path({path!r}).write_text('x')")
    assert result in {"OSError", "PermissionError", "done"}
    assert not Path(path).exists()


def test_a_sandboxed_job_cannot_change_its_own_script(walled: LocalSite) -> None:
    assert attempt(walled, "Path('job.sh').write_text('x')") in {"OSError", "PermissionError"}


def test_a_file_has_its_limit(walled: LocalSite) -> None:
    code = "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\nPath('big').write_bytes(bytes(11 << 20))"
    assert attempt(walled, code) == "OSError"
    assert attempt(walled, "Path('/tmp/big').write_bytes(bytes(9 << 20))") == "done"


def test_nothing_outlives_a_sandboxed_job_whose_shepherd_was_killed(walled: LocalSite) -> None:
    launch = walled.stage(sleeper(60))
    native_id = walled.submit(launch)
    walled.runs(launch, native_id)
    os.kill(walled.shepherd(native_id), 9)
    assert walled.end_of(native_id).state is JobState.NODE_FAIL
    eventually(lambda: not [p for p in processes("J1/1") if _runs_there(p)])


def _runs_there(process: Process) -> bool:
    try:
        return str(Path(f"/proc/{process.pid}/cwd").readlink()).endswith("J1/1")
    except OSError:
        return False


# With and without walls


def test_a_job_inherits_nothing_of_the_gateways_environment(
    make_local: MakeLocal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_SECRET_KEY", "canary")
    monkeypatch.setenv("LD_PRELOAD_CANARY", "canary")
    local = make_local()
    launch = local.stage("import os; print(sorted(os.environ))")
    local.end_of(local.submit(launch))
    (names,) = local.lines(launch, "stdout.0.txt")
    assert "CANARY" not in names
    assert "GATEWAY" not in names
    executor = Path(f"/proc/{local.executor()}/environ").read_bytes()
    assert b"canary" not in executor


def test_a_gigabyte_of_output_is_cut_and_the_job_goes_on(local_site: LocalSite) -> None:
    local_site.python = "/bin/sh"
    launch = local_site.stage("yes | head -c 1000000000; echo err >&2; echo 1 > starts")
    assert local_site.end_of(local_site.submit(launch)).state is JobState.COMPLETED
    log = Path(launch.directory) / "stdout.0.txt"
    assert 100_000 <= log.stat().st_size < 100_200
    assert log.read_text().endswith("[cut here: a log may have 100000 bytes]\n")
    assert local_site.lines(launch, "stderr.0.txt") == ["err"]


def test_more_memory_than_asked_ends_as_out_of_memory(local_site: LocalSite) -> None:
    hungry = "import time; kept = b'x' * (200 << 20); time.sleep(60)"
    launch = local_site.stage(hungry, resources={"mem": "100M"})
    end = local_site.end_of(local_site.submit(launch))
    assert end.state is JobState.OUT_OF_MEMORY
    assert "100 MB" in end.reason


def test_too_many_processes_end_the_job(make_local: MakeLocal) -> None:
    for sandbox in ("none", "bwrap"):
        local = make_local(max_processes=40, sandbox=sandbox)
        many = "import os, time\nfor _ in range(60):\n    if os.fork() == 0: break\ntime.sleep(60)"
        end = local.end_of(local.submit(local.stage(many)))
        assert end.state is JobState.FAILED
        assert "40 processes" in end.reason


def test_too_much_in_its_directory_ends_the_job(make_local: MakeLocal) -> None:
    local = make_local(disk_limit_bytes=5 * MIB)
    full = """
import time
for n in range(1000):
    with open(f"f{n}", "wb") as stream:
        stream.write(bytes(1 << 20))
    time.sleep(0.5)
"""
    end = local.end_of(local.submit(local.stage(full)))
    assert end.state is JobState.FAILED
    assert "5 MB" in end.reason


def test_a_log_that_is_a_link_fails_the_job_and_leaves_the_target_alone(
    local_site: LocalSite, tmp_path: Path
) -> None:
    target = tmp_path / "canary"
    target.write_text("untouched")
    launches = [local_site.stage(sleeper()) for _ in range(3)]
    logs = [Path(launch.directory) / "stdout.0.txt" for launch in launches]
    logs[0].symlink_to(target)
    logs[1].hardlink_to(target)
    os.mkfifo(logs[2])
    for launch in launches:
        end = local_site.end_of(local_site.submit(launch))
        assert (end.state, end.signal) == (JobState.FAILED, 53)
        assert "output file" in end.reason
        assert local_site.lines(launch, "starts") == []
    assert target.read_text() == "untouched"


def test_a_sandbox_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match="chroot"):
        connect("local", {"state_directory": tmp_path, "cpus": 1, "sandbox": "chroot"})


def test_a_scheduler_or_a_setting_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SchedulerError, match="pbs"):
        connect("pbs", {})
    with pytest.raises(SchedulerError, match="state_directory"):
        connect("local", {})
    with pytest.raises(SchedulerError, match="cpu_count"):
        connect("local", {"state_directory": tmp_path, "cpu_count": 3})
