"""What is in the wheels, and that they work where nothing else of ours is."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from email.parser import Parser
from pathlib import Path

import httpx
import pytest

from tests.helpers import eventually, free_port
from tests.packaging.conftest import Wheels
from tests.packaging.environments import ROOT, Environment, clean_environment, run
from tools.pins import constraints

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("packaging")]
OURS = ("gateway", "scheduler", "fitters")
FIT_PYTHON = ROOT / ".venv-fit" / "bin" / "python"


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def requirements(wheel: Path) -> list[str]:
    """List what a wheel brings along without any extra."""
    (path,) = (name for name in names_in(wheel) if name.endswith(".dist-info/METADATA"))
    with zipfile.ZipFile(wheel) as archive:
        found = Parser().parsestr(archive.read(path).decode()).get_all("Requires-Dist") or []
    return [
        re.split(r"[\s;<>=!~\[(]", text, maxsplit=1)[0] for text in found if "extra" not in text
    ]


def test_the_server_wheel_has_three_packages_and_no_more(wheels: Wheels) -> None:
    tops = {name.partition("/")[0] for name in names_in(wheels.server)}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(OURS)


def test_the_server_wheel_carries_every_file_of_its_rooms_and_cupboards(wheels: Wheels) -> None:
    wanted = {
        f"{prefix}{path.relative_to(ROOT).as_posix()}"
        for prefix, room in (
            ("gateway/", "templates"),
            ("gateway/", "config"),
            *(("", r) for r in OURS),
        )
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted - names_in(wheels.server) == set()


def test_the_client_wheel_has_one_package_and_nothing_of_the_server(wheels: Wheels) -> None:
    tops = {name.partition("/")[0] for name in names_in(wheels.client)}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"bumps_remote"}
    assert {"bumps_remote/py.typed", "bumps_remote/webview.html"} < names_in(wheels.client)
    assert sorted(requirements(wheels.client)) == ["click", "httpx", "rich"]


def test_the_server_brings_neither_bumps_nor_the_tools_of_developers(server: Environment) -> None:
    assert server.importable("bumps", "numpy", "sklearn", "pytest", "ruff") == []


def test_the_installed_server_says_its_version(server: Environment) -> None:
    done = server.program("bumps-gateway", "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"bumps-gateway, version \d+\.\d+\.\d+\n", done.stdout)


@contextmanager
def state_directory() -> Iterator[Path]:
    """Make a directory with a short path: a unix socket's has at most 108 bytes."""
    with tempfile.TemporaryDirectory(prefix="bgw-") as folder:
        yield Path(folder) / "state"


def test_the_installed_server_serves_its_pages_and_its_client_and_doctor_names_the_missing_extra(
    server: Environment, wheels: Wheels, tmp_path: Path
) -> None:
    with state_directory() as state:
        port = free_port()
        settings = {"GATEWAY_STATE": str(state), "GATEWAY_SERVER__PORT": str(port)}
        url = f"http://127.0.0.1:{port}"
        log = state.parent / "log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [str(server.folder / "bin" / "bumps-gateway"), "run"],
                env=clean_environment(**settings),
                cwd=server.folder,
                stdout=stream,
                stderr=stream,
            )
        try:
            eventually(lambda: answers(f"{url}/readyz"), within_s=60, what=f"{log.read_text()}")
            page = httpx.get(f"{url}/sign-in")
            assert page.status_code == 200
            styles = re.findall(r'(?:href|src)="(/static/[^"?]+)', page.text)
            assert styles
            assert [httpx.get(url + path).status_code for path in styles] == [200] * len(styles)
            assert httpx.get(f"{url}/api/v1/openapi.json").json()["openapi"].startswith("3.")
            served = tmp_path / wheels.client.name
            served.write_bytes(httpx.get(f"{url}/client/{served.name}").content)
            assert f"pip install {url}/client/{served.name}" in httpx.get(f"{url}/help").text
            missing = httpx.get(f"{url}/client/bumps_remote-9-py3-none-any.whl")
            found = server.program("bumps-gateway", "doctor", **settings)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 0, log.read_text()
    assert found.returncode == 1
    failed = [line for line in found.stdout.splitlines() if not line.startswith("ok ")]
    assert len(failed) == 1
    assert "pip install 'bumps-gateway[fit]'" in failed[0]
    assert missing.status_code == 404
    assert modules(served) == modules(wheels.client)
    assert sorted(requirements(served)) == sorted(requirements(wheels.client))


def modules(wheel: Path) -> dict[str, bytes]:
    """Read what a wheel puts beside other packages, and the commands that it makes."""
    with zipfile.ZipFile(wheel) as archive:
        return {
            name: archive.read(name).strip()
            for name in archive.namelist()
            if ".dist-info" not in name or name.endswith("entry_points.txt")
        }


def answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False


def test_without_a_store_one_line_names_the_extra_that_brings_one(server: Environment) -> None:
    with state_directory() as state:
        done = server.program("bumps-gateway", "run", PATH="/nowhere", GATEWAY_STATE=str(state))
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "pip install 'bumps-gateway[embedded]'" in done.stderr


def test_the_client_beside_bumps_says_its_version(beside_bumps: Environment) -> None:
    done = beside_bumps.program("bumps-remote", "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"\d+\.\d+\.\d+\n\Z", done.stdout)


def test_the_client_brings_nothing_of_the_server(beside_bumps: Environment) -> None:
    assert beside_bumps.importable("bumps", *OURS, "flask", "redis", "rq", "paramiko") == ["bumps"]
    beside_bumps.pip("check")


@pytest.mark.compute
def test_the_client_fits_beside_refl1d_and_its_bumps(wheels: Wheels, tmp_path: Path) -> None:
    """refl1d pins an older bumps than ours; its environment must stay as it is."""
    assert FIT_PYTHON.exists(), "run 'make compute'"
    site = next((ROOT / ".venv-fit" / "lib").glob("python3.*")) / "site-packages"
    environment = Environment(tmp_path / "refl")
    own = next((environment.folder / "lib").glob("python3.*")) / "site-packages"
    (own / "refl.pth").write_text(f"import site; site.addsitedir({str(site)!r})\n")
    before = faults(environment)
    environment.pip("install", "--quiet", str(wheels.client))
    installed = {path.name.partition("-")[0].lower() for path in own.glob("*.dist-info")}
    assert "bumps_remote" in installed
    assert not installed & {"bumps", "refl1d", "numpy", "bumps_gateway", "flask", "redis"}
    assert faults(environment) - before == set()
    assert environment.program("bumps-remote", "--version").returncode == 0
    assert environment.importable("refl1d", "bumps", *OURS) == ["refl1d", "bumps"]


def faults(environment: Environment) -> set[str]:
    """List what pip finds wrong in an environment."""
    done = run(
        [sys.executable, "-m", "pip", "--python", str(environment.python), "check"], check=False
    )
    return set(done.stdout.splitlines()) - {"No broken requirements found."}


def test_the_pins_are_exact_and_name_no_place() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="ascii").splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert pins
    assert [line for line in pins if not re.fullmatch(r"[a-z0-9._-]+==[\w.!+]+", line)] == []


def test_each_requirement_has_a_pin() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="ascii").splitlines()
    pinned = {line.partition("==")[0] for line in lines}
    wanted = {line.partition("==")[0] for line in constraints().splitlines() if "#" not in line}
    assert "flask" in wanted
    assert wanted - pinned == set()
