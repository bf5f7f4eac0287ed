"""What is written is true: commands run, pages are those of the code, links lead somewhere."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import httpx
import pytest

from gateway.app import create_app
from gateway.cli import main as gateway_command
from gateway.clusters.settings import ClusterSettings, HopSettings, SSHSettings
from gateway.settings import load_settings
from tests.helpers import eventually, free_port, processes
from tests.live import LiveGateway, end_executors, live_gateway
from tools.reference import pages

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.rst"), *(ROOT / "docs").rglob("*.rst"), ROOT / "client/README.rst"])
TESTED = re.compile(
    r"^\.\. tested: (\w+)\n\n\.\. code-block:: bash\n\n((?:    .*\n|\n)+)", re.MULTILINE
)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def rendered() -> dict[str, str]:
    return pages()


@pytest.mark.parametrize("name", ["docs/configuration.rst", "docs/cli.rst", "docs/api.rst"])
def test_a_reference_page_is_that_of_the_code(rendered: dict[str, str], name: str) -> None:
    assert text_of(name) == rendered[name], "run 'make docs' and read the difference"


def test_every_configuration_key_is_described() -> None:
    text = text_of("docs/configuration.rst")
    tree = tomllib.loads(text_of("config/default.toml"))
    local = tree.pop("clusters")["local"]
    kinds = (ClusterSettings, SSHSettings, HopSettings)
    wanted = {*local, *(field.name for kind in kinds for field in fields(kind))}
    for section, table in tree.items():
        assert f"[{section}]\n" in text
        wanted |= set(table)
    for section in ("ssh", "jumps"):  # tables of their own
        assert f".{section}]" in text
        wanted.remove(section)
    described = dict(re.findall(r"\* - ``(\w+)``\n     - ``.*``\n     - ?(.*)\n", text))
    assert wanted - set(described) == set()
    assert [key for key, words in described.items() if not words.strip()] == []


def commands(name: str, command: click.Command) -> list[str]:
    if not isinstance(command, click.Group):
        return [name]
    return [
        name,
        *(n for key, one in command.commands.items() for n in commands(f"{name} {key}", one)),
    ]


def test_every_command_is_described() -> None:
    titles = set(re.findall(r"^(bumps-gateway[\w -]*)\n~+$", text_of("docs/cli.rst"), re.MULTILINE))
    assert titles == set(commands("bumps-gateway", gateway_command))


def test_every_route_is_described() -> None:
    app = create_app(load_settings({"HOME": "/"}, with_secret=False))
    titles = set(re.findall(r"^([A-Z]+ /\S+)\n~+$", text_of("docs/api.rst"), re.MULTILINE))
    routes = {
        f"{method} " + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/") and rule.rule != "/api/v1/openapi.json"
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert routes
    assert routes - titles == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_is_sound_restructured_text(page: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "docutils", "--report=2", "--halt=2", page, os.devnull],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_links_lead_to_files_that_are_there() -> None:
    missing = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in PAGES
        for target in re.findall(r"<([^<>\s:]+)>`_", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert missing == []


def test_pictures_are_there_and_have_words_for_who_cannot_see_them() -> None:
    text = text_of("README.rst")
    found = re.findall(r"^\.\. image:: (\S+)\n   :alt: (.{20,})$", text, re.MULTILINE)
    assert found
    assert len(found) == text.count(".. image::")
    assert [name for name, _ in found if not (ROOT / name).is_file()] == []


def test_the_files_that_contributors_are_sent_to_are_there() -> None:
    named = re.findall(
        r"``((?:gateway|scheduler|fitters|client|templates|config|tests|docs)/[\w./*]*)``",
        text_of("CONTRIBUTING.rst"),
    )
    assert len(named) > 20
    assert [name for name in named if not list(ROOT.glob(name))] == []


def test_make_lists_each_target_with_its_words() -> None:
    listed = subprocess.run(
        ["/usr/bin/env", "make", "-C", str(ROOT)], capture_output=True, text=True, check=True
    )
    described = {line.split()[0] for line in listed.stdout.splitlines() if len(line.split()) > 1}
    phony = re.search(r"^\.PHONY: (.*)$", text_of("Makefile"), re.MULTILINE)
    assert phony
    assert set(phony[1].split()) <= described


def test_make_targets_named_in_the_docs_are_there() -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", text_of("Makefile"), re.MULTILINE))
    texts = [page.read_text(encoding="utf-8") for page in PAGES]
    named = {name for text in texts for name in re.findall(r"(?:``|    )make ([a-z-]+)", text)}
    assert {"demo", "test", "run", "check", "bench"} <= named
    assert named - targets == set()


def readme_blocks() -> dict[str, str]:
    """Take the commands of README.rst that are marked as tested."""
    found = TESTED.findall(text_of("README.rst"))
    return {name: textwrap.dedent(block) for name, block in found}


def test_the_readme_marks_its_commands() -> None:
    assert set(readme_blocks()) == {"scientist", "administrator", "script"}


def bash(text: str, folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@pytest.fixture(scope="module")
def site() -> Iterator[LiveGateway]:
    """Run a new gateway as it comes: one user, no sandbox, no word of trust."""
    with live_gateway(GATEWAY_CLUSTERS__LOCAL__TRUSTED_USERS="false") as live:
        yield live


def shell_environment(folder: Path) -> dict[str, str]:
    """Make what the shell of somebody has who follows the README."""
    kept = {key: text for key, text in os.environ.items() if not key.startswith("GATEWAY_")}
    return {
        **kept,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder / "config"),
        "XDG_STATE_HOME": str(folder / "state"),
    }


def first_password(said: str) -> str:
    """Read the password of the first user from what the gateway printed."""
    found = re.search(r"^first user: scientist   password: (\S+)   ", said, re.MULTILINE)
    assert found, said
    return found[1]


def environment_at(site: LiveGateway, folder: Path) -> dict[str, str]:
    return {**shell_environment(folder), "PASSWORD": first_password(site.log)}


@pytest.mark.slow
def test_a_script_writer_can_follow_the_readme(site: LiveGateway, tmp_path: Path) -> None:
    for program in ("curl", "jq"):
        assert shutil.which(program), f"apt-get install {program}"
    text = readme_blocks()["script"].replace("http://127.0.0.1:8080", site.url)
    done = bash(text, tmp_path, environment_at(site, tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    found = dict(re.findall(r'\["(\w+)",([\d.]+),[\d.e-]+\]', done.stdout))
    assert float(found["a"]) == pytest.approx(10.0, rel=0.05)
    assert float(found["k"]) == pytest.approx(0.5, rel=0.05)
    assert (tmp_path / "decay.zip").read_bytes()[:2] == b"PK"


@pytest.mark.slow
def test_a_scientist_gets_from_nothing_to_parameters_with_the_readme_alone(
    site: LiveGateway, tmp_path: Path
) -> None:
    environment = environment_at(site, tmp_path)
    who = {"name": "scientist", "password": environment["PASSWORD"], "label": "my laptop"}
    made = httpx.post(f"{site.url}/api/v1/auth/tokens", json=who)
    text = readme_blocks()["scientist"].replace("http://127.0.0.1:8080", site.url)
    # A person pastes the token; here it comes from standard input.
    text, changed = re.subn(r"--token +#.*", '--token-stdin <<<"$TOKEN"', text)
    assert changed == 1

    done = bash(
        text, tmp_path, {**environment, "TOKEN": made.json()["token"], "PIP_NO_COMPILE": "1"}
    )

    assert done.returncode == 0, done.stdout + done.stderr
    found = dict(re.findall(r"^ *(a|k) +([\d.]+)", done.stdout, re.MULTILINE))
    assert float(found["a"]) == pytest.approx(10.0, rel=0.05)
    assert float(found["k"]) == pytest.approx(0.5, rel=0.05)
    names = {path.name for path in (tmp_path / "results").rglob("*")}
    assert {"session.h5", "fit.par"} <= names
    packages = {path.name for path in (tmp_path / "fits" / "lib").glob("*/site-packages/*")}
    assert "bumps_remote" in packages
    assert not packages & {"bumps", "numpy", "gateway"}


@contextmanager
def gateway_left_by(folder: Path) -> Iterator[None]:
    """Stop the gateway that the README's commands have started, as Control-C would."""
    try:
        yield
    finally:
        for pid in started_in(folder):
            os.kill(pid, signal.SIGTERM)
        eventually(lambda: not started_in(folder), within_s=60, what="the end of the gateway")
        end_executors(folder)


def started_in(folder: Path) -> list[int]:
    """Find the ``bumps-gateway run`` that has its home there."""
    return [
        process.pid
        for process in processes("bumps-gateway", environment=f"HOME={folder}\0")
        if [Path(word).name for word in process.words[1:3]] == ["bumps-gateway", "run"]
    ]


@pytest.mark.slow
def test_an_administrator_can_follow_the_readme_from_nothing(tmp_path: Path) -> None:
    assert shutil.which("bwrap"), "apt-get install bubblewrap"
    port = free_port()
    text = readme_blocks()["administrator"].replace(":8080/", f":{port}/")
    # The socket of the store has a short path; what `run` prints would keep the pipe open.
    with TemporaryDirectory(prefix="bgw-") as home, gateway_left_by(Path(home)):
        said = Path(home) / "said"
        text = text.replace("run & ", f"run >{said} 2>&1 & ")
        environment = {**shell_environment(Path(home)), "GATEWAY_SERVER__PORT": str(port)}

        done = bash(text, tmp_path, environment)

        assert done.returncode == 0, f"{done.stdout}{done.stderr}{said.read_text()}"
        assert "FAIL" not in done.stdout
        first_password(said.read_text())
        added = re.search(r"^added ada with the password (\S+)$", done.stdout, re.MULTILINE)
        assert added, done.stdout
        assert end_of_a_job(f"http://127.0.0.1:{port}/api/v1", "ada", added[1]) == "COMPLETED"


def end_of_a_job(api: str, name: str, password: str) -> str:
    """Run a short job as that user and answer its last state."""
    who = {"name": name, "password": password, "label": "test"}
    token = httpx.post(f"{api}/auth/tokens", json=who).json()["token"]
    with httpx.Client(headers={"Authorization": f"Bearer {token}"}) as http:
        answer = http.post(f"{api}/jobs", json={"kind": "dummy", "options": {"seconds": 0}})
        assert answer.status_code == 202, answer.text
        job = f"{api}/jobs/{answer.json()['id']}"
        eventually(lambda: http.get(job).json()["final"], within_s=60, what="the end of a job")
        return str(http.get(job).json()["state"])
