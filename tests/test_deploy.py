"""The files in ``config/deploy`` fit each other, the programs that read them, and the settings."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import pytest
import redis

from gateway.app import create_app
from gateway.cli import main
from gateway.database import check_store
from gateway.settings import load_settings, prepare_state
from tests.helpers import free_port, started

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "config" / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
SHORT = {"GATEWAY_STATE", "GATEWAY_CONFIG", "GATEWAY_REDIS_URL", "GATEWAY_URL"}
HARD = {"NoNewPrivileges": "true", "ProtectSystem": "strict", "UMask": "0077"}


def options(text: str) -> dict[str, str]:
    """Read a unit, as far as these go: the last line of a name counts."""
    return dict(re.findall(r"^([A-Za-z]+)=(.*)$", text, re.MULTILINE))


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_systemd_understands_every_line_of_a_unit(unit: Path, tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    assert verify, "apt-get install systemd"
    text = unit.read_text()
    for program in re.findall(r"^ExecStart=(\S+)", text, re.MULTILINE):
        text = text.replace(program, "/bin/true")  # it looks whether the program is there
    for known, line in ((True, ""), (False, "\nProtectEverything=true\n")):
        copy = tmp_path / unit.name
        copy.write_text(text.replace("\n[Install]", f"{line}\n[Install]"))
        done = subprocess.run([verify, "verify", copy], capture_output=True, text=True, check=False)
        said = [line for line in done.stderr.splitlines() if unit.name in line]
        assert (said == []) is known, done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_hardened_and_has_its_own_account(unit: Path) -> None:
    found = options(unit.read_text())
    assert HARD.items() <= found.items()
    assert found["User"] == found["Group"] == "bumps-gateway"
    assert found["StateDirectoryMode"] == "0700"


def test_fits_outlive_their_worker_and_each_other() -> None:
    found = options((DEPLOY / "bumps-gateway-worker.service").read_text())
    assert (found["KillMode"], found["OOMPolicy"]) == ("process", "continue")
    # Local jobs inherit what stands here: bubblewrap, numba, GPUs and a restart would meet these.
    assert (
        set(found)
        & {
            *("RestrictNamespaces", "MemoryDenyWriteExecute", "PrivateDevices", "ProtectClock"),
            *(
                "PrivateTmp",
                "ProtectKernelTunables",
                "ProtectKernelLogs",
                "ProtectProc",
                "ProcSubset",
            ),
        }
        == set()
    )


def environment_of(text: str, prefix: str = "") -> dict[str, str]:
    return dict(re.findall(rf"{prefix}\b(GATEWAY_\w+)=(\S+)", text))


def test_every_setting_that_the_files_name_exists(tmp_path: Path) -> None:
    own = environment_of((DEPLOY / "environment").read_text())
    container = environment_of((DEPLOY / "Containerfile").read_text())
    named = {name for name in {**own, **container} if "__" not in name}
    assert named <= SHORT
    assert len(container) >= 4
    prepare_state(tmp_path / "state")
    for environment in (own | {"GATEWAY_CONFIG": str(DEPLOY / "site.toml")}, container):
        settings = load_settings({**environment, "GATEWAY_STATE": str(tmp_path / "state")})
        assert settings.server.trusted_proxies == 1
        assert settings.url == "https://fits.example.org"
    site = tomllib.loads((DEPLOY / "site.toml").read_text())
    assert site["server"]["metrics_networks"]
    assert create_app(settings).url_map


def test_paths_are_the_same_in_all_files() -> None:
    own = environment_of((DEPLOY / "environment").read_text())
    store = options((DEPLOY / "bumps-gateway-store.service").read_text())
    conf = dict(
        line.split(maxsplit=1)
        for line in (DEPLOY / "redis.conf").read_text().splitlines()
        if not line.startswith("#")
    )
    assert own["GATEWAY_REDIS_URL"] == f"unix://{conf['unixsocket']}"
    assert conf["unixsocket"].startswith(f"/run/{store['RuntimeDirectory']}/")
    assert conf["dir"] == f"/var/lib/{store['StateDirectory']}"
    for part in ("web", "worker"):
        unit = options((DEPLOY / f"bumps-gateway-{part}.service").read_text())
        assert own["GATEWAY_STATE"] == f"/var/lib/{unit['StateDirectory']}"
        assert unit["ExecStart"] == f"/opt/bumps-gateway/bin/bumps-gateway {part}"
    # Backups are restored into an empty state directory, so the store may not lie in it.
    assert not conf["dir"].startswith(own["GATEWAY_STATE"] + "/")


@dataclass(frozen=True)
class Supervisor:
    """What systemd is to a unit of ``Type=notify``."""

    line: socket.socket
    environment: dict[str, str]

    def wait(self) -> None:
        """Wait until it is told that all is ready; a unit that never tells is killed."""
        while b"READY=1" not in self.line.recv(4096).split(b"\n"):
            pass


@contextmanager
def supervisor(folder: Path) -> Iterator[Supervisor]:
    path = folder / "notify"
    kept = {name: text for name, text in os.environ.items() if not name.startswith("GATEWAY_")}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind(str(path))
        line.settimeout(60)
        yield Supervisor(line, {**kept, "NOTIFY_SOCKET": str(path)})


def test_the_store_of_the_file_is_one_that_can_be_trusted() -> None:
    with TemporaryDirectory(prefix="bgw-") as folder:
        text = (DEPLOY / "redis.conf").read_text()
        for path in ("/run/bumps-gateway-store", "/var/lib/bumps-gateway-store"):
            assert path in text
            text = text.replace(path, folder)
        conf = Path(folder) / "redis.conf"
        conf.write_text(text)
        program = shutil.which("redis-server")
        assert program
        with (
            supervisor(Path(folder)) as told,
            started([program, str(conf)], stdout=subprocess.DEVNULL, env=told.environment),
        ):
            told.wait()
            place = Path(folder) / "redis.sock"
            assert place.stat().st_mode & 0o777 == 0o700
            with redis.Redis(unix_socket_path=str(place), decode_responses=True) as client:
                assert check_store(client) == []
                client.config_set("appendfsync", "everysec")
                assert check_store(client) != []


def test_the_web_server_tells_systemd_when_it_is_ready(redis_server: Path) -> None:
    with TemporaryDirectory(prefix="bgw-") as folder, supervisor(Path(folder)) as told:
        environment = {
            **told.environment,
            "GATEWAY_STATE": f"{folder}/state",
            "GATEWAY_REDIS_URL": f"unix://{redis_server}",
            "GATEWAY_SERVER__PORT": str(free_port()),
        }
        prepare_state(Path(folder) / "state")
        web = [sys.executable, "-m", "gateway.cli", "web"]
        with started(web, env=environment, stderr=subprocess.DEVNULL) as process:
            told.wait()
            process.terminate()
            assert process.wait(timeout=60) == 0


def test_the_container_takes_what_is_there_and_all_that_the_wheel_needs() -> None:
    text = (DEPLOY / "Containerfile").read_text()
    copied = {
        name
        for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE)
        for name in line.split()[:-1]
    }
    assert [name for name in copied if not (ROOT / name).exists()] == []
    assert {"gateway", "scheduler", "fitters", "templates", "config", "setup.py"} <= copied
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)


def test_the_admins_command_is_a_sound_script() -> None:
    script = DEPLOY / "bumps-gateway-admin"
    assert script.stat().st_mode & 0o111
    done = subprocess.run(
        ["/usr/bin/env", "shellcheck", "-e", "SC1091", script],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")


def test_the_guide_names_every_file() -> None:
    text = (ROOT / "docs" / "deployment.rst").read_text()
    assert [path.name for path in DEPLOY.iterdir() if path.name not in text] == []


def guide() -> str:
    """Join the guide's commands."""
    text = (ROOT / "docs" / "deployment.rst").read_text()
    blocks = re.findall(r"^\.\. code-block:: bash\n\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    return "".join(re.sub(r"^    ", "", block, flags=re.MULTILINE) for block in blocks)


def test_the_guides_commands_are_those_of_a_shell_and_of_the_gateway() -> None:
    text = guide()
    done = subprocess.run(
        ["/bin/bash", "-n"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    pattern = re.compile(r"^bumps-gateway-admin ([a-z]+(?: (?:add|upgrade))?)", re.MULTILINE)
    named = set(pattern.findall(text))
    assert {"init", "backup", "restore", "rebuild", "db upgrade", "user add"} <= named
    context = click.Context(main)
    for words in named:
        command: click.Command | None = main
        for word in words.split():
            assert isinstance(command, click.Group)
            command = command.get_command(context, word)
        assert command is not None, words
    files = {word for word in text.split() if word.startswith("config/deploy/")}
    assert len(files) >= 5
    assert [name for name in files if not list(ROOT.glob(name))] == []
