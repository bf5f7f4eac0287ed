"""bumps's own web view with a gateway in it: three versions of bumps, each a real server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bumps
import httpx
import pytest
import socketio
from bumps_remote import Connection
from bumps_remote.errors import UnreachableError, UsageError
from bumps_remote.view_client import load_session
from bumps_remote.webview import View
from playwright.sync_api import Browser, Page

from tests.fitters.test_compute import SPHERE
from tests.helpers import eventually, free_port
from tests.live import LiveGateway, live_gateway
from tests.web.chromium import violations

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[2]
LINE = """
import time
import numpy as np
from bumps.names import Curve, FitProblem

x = np.linspace(0, 10, 30)

def line(x, m, b):
    time.sleep(PAUSE)
    return m * x + b

model = Curve(line, x, 2.5 * x + 1, 0.3 + 0 * x, m=1, b=0)
model.m.range(0, 10)
model.b.range(-5, 5)
problem = FitProblem(model, name="a line")
"""
SLAB = """
import numpy as np
from bumps.names import FitProblem
from refl1d.names import SLD, Experiment, QProbe

q = np.linspace(0.005, 0.2, 60)
probe = QProbe(q, 0.02 * q, R=np.ones_like(q), dR=0.05 * np.ones_like(q))
nickel = SLD("Ni", 9.4)
model = Experiment(sample=SLD("Si", 2.07)(0, 5) | nickel(100, 5) | SLD("D2O", 6.3), probe=probe)
np.random.seed(1)
model.simulate_data(noise=1.0)
model.sample[1].thickness.range(80, 120)
model.sample[1].thickness.value = 98
nickel.rho.range(9, 10)
problem = FitProblem(model, name="a slab")
"""
FIT_PYTHON = ROOT / ".venv-fit" / "bin" / "python"
NEEDS = "httpx httpcore anyio certifi idna h11 click rich pygments markdown_it mdurl"


@dataclass
class Shown:
    """A web view of bumps that runs."""

    url: str
    key: str
    process: subprocess.Popen[str]
    connection: Connection

    def ask(self, verb: str, **words: Any) -> Any:
        """Call what bumps has registered, as its page does."""
        return httpx.get(f"{self.url}{verb}", params=words, timeout=120).json()

    def remote(self, verb: str, **words: Any) -> Any:
        return self.ask(f"remote_{verb}", key=self.key, **words)

    def ready(self) -> bool:
        """Whether it shows its model: the address is printed before its port is open."""
        try:
            return bool(self.remote("status")["problem"])
        except httpx.ConnectError:
            assert self.process.poll() is None
            return False

    def page_calls(self, verb: str, *words: Any) -> None:
        """Call by socket.io, which takes what answers nothing."""

        async def call() -> None:
            async with socketio.AsyncSimpleClient() as client:
                await client.connect(self.url)
                await client.call(verb, words)

        with ThreadPoolExecutor(max_workers=1) as thread:  # the browser has this one's loop
            thread.submit(asyncio.run, call()).result()

    def values(self) -> dict[str, float]:
        rows = self.ask("get_parameters", only_fittable=True)
        return {row["name"]: float(row["value_str"]) for row in rows}

    def labels(self) -> list[str]:
        return [item["label"] for item in self.ask("get_history")["problem_history"]]

    def done(self) -> dict[str, Any]:
        eventually(lambda: self.remote("status").get("done"), within_s=200, what="the result")
        return dict(self.remote("status"))


def moved_bumps(folder: Path) -> Path:
    """Put bumps's modules where its next release has them, and leave none where they were."""
    source = Path(str(bumps.__file__)).parent
    target = folder / "bumps"
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "gui"))
    server = target / "webview" / "server"
    names = {"state_hdf5_backed": "state", "webserver": "webview/webserver"}
    for path in server.glob("[a-z]*.py"):
        path.replace(target / f"{names.get(path.stem, path.stem)}.py")
    shutil.rmtree(server)
    for path in target.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        text = text.replace("webview.server.webserver", "webview.webserver")
        text = text.replace("webview.server.state_hdf5_backed", "state")
        text = text.replace("webview.server.", "").replace(".state_hdf5_backed", ".state")
        if path.name == "webserver.py":
            text = re.sub(
                r"^from \.(\w*) import", r"from bumps.\1 import", text, flags=re.MULTILINE
            )
            text = text.replace("from bumps. import", "from bumps import")
        text = text.replace("from .webserver import", "from .webview.webserver import")
        path.write_text(text, encoding="utf-8")
    return folder


def client_beside(folder: Path) -> Path:
    """Put the client with what it needs into a folder, for an environment that has it not."""
    library = Path(sysconfig.get_paths()["purelib"])
    folder.mkdir()
    for name in NEEDS.split():
        (folder / name).symlink_to(library / name)
    (folder / "bumps_remote").symlink_to(ROOT / "client" / "bumps_remote")
    return folder


@pytest.fixture(scope="module")
def computing() -> Iterator[LiveGateway]:
    """Run a gateway whose jobs have refl1d and sasmodels."""
    assert FIT_PYTHON.exists(), "run 'make compute'"
    with live_gateway(GATEWAY_CLUSTERS__LOCAL__PYTHON=str(FIT_PYTHON)) as gateway:
        yield gateway


@pytest.fixture
def user(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Connection]:
    """Give the connection of a new user, in their own folders."""
    compute = request.node.get_closest_marker("compute") is not None
    live: LiveGateway = request.getfixturevalue("computing" if compute else "live")
    for name in ("CONFIG", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    monkeypatch.setenv("HOME", str(tmp_path))
    api = live.user()
    monkeypatch.setenv("BUMPS_REMOTE_URL", live.url)
    monkeypatch.setenv("BUMPS_REMOTE_TOKEN", live.tokens[api.name])
    with Connection() as connection:
        yield connection
    api.cancel_all()


class Starter:
    """Starts web views, and ends them."""

    def __init__(self, folder: Path, connection: Connection) -> None:
        self.folder = folder
        self.connection = connection
        self.running: list[subprocess.Popen[str]] = []

    def __call__(
        self, text: str, *words: str, python: str = sys.executable, path: Path | None = None
    ) -> Shown:
        (self.folder / "model.py").write_text(text)
        port = free_port()
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if path is not None:
            environment["PYTHONPATH"] = str(path)
        process = subprocess.Popen(
            [python, "-m", "bumps_remote.webview", "model.py", f"--port={port}", *words],
            cwd=self.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.running.append(process)
        assert process.stdout is not None
        said = ""
        while not (found := re.search(r"(http://\S+/)remote\?key=(\S+)", said)):
            line = process.stdout.readline()
            said += line
            assert line, said
        shown = Shown(found[1], found[2], process, self.connection)
        eventually(shown.ready, within_s=90, what="the model")
        return shown

    def end(self) -> None:
        for process in self.running:
            process.kill()
            process.communicate()


@pytest.fixture
def start(tmp_path: Path, user: Connection) -> Iterator[Starter]:
    starter = Starter(tmp_path, user)
    yield starter
    starter.end()


def fitted(shown: Shown) -> dict[str, float]:
    """Fit what is shown there, and answer the values that are shown then."""
    submitted = shown.remote("submit", cpus="1")
    assert "error" not in submitted, submitted
    found = shown.done()
    assert found["job"]["state"] == "COMPLETED", found
    assert found["job"]["id"] in shown.labels()[-1]
    (job,) = shown.connection.list()
    assert job.id == found["job"]["id"]
    return shown.values()


def faults_of_the_bar(page: Page) -> list[str]:
    """Hold what is ours to axe's rules, targets of 24 px among them; beneath lies bumps's own."""
    found = violations(page, "header", "target-size")
    return [f"{item['id']}: {item['nodes'][0]['html']}" for item in found]


@pytest.mark.browser
def test_what_is_shown_is_fitted_there_with_its_settings_and_comes_back(
    start: Starter, browser: Browser
) -> None:
    shown = start(
        LINE.replace("PAUSE", "0"), "--headless", "--fit=dream", "--samples=2000", "--burn=50"
    )

    page = browser.new_page()
    page.goto(f"{shown.url}remote?key={shown.key}")

    page.get_by_text("a line, dream", exact=True).wait_for()
    for width, scheme in ((1280, "light"), (360, "dark")):
        page.set_viewport_size({"width": width, "height": 800})
        page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        assert faults_of_the_bar(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("button", name="Fit there").click()
    page.get_by_role("status").get_by_text("COMPLETED").wait_for(timeout=200_000)

    page.frame_locator("iframe").get_by_text("Correlations").first.wait_for()
    page.close()
    assert shown.values() == pytest.approx({"m": 2.5, "b": 1}, abs=0.1)
    (job,) = shown.connection.list()
    options = job.document["options"]
    assert (options["fit"], options["samples"], options["burn"]) == ("dream", 2000, 50)
    assert job.document["title"] == "a line"
    assert shown.ask("get_shared_setting", setting="uncertainty_available")["available"]
    assert shown.ask("get_shared_setting", setting="active_fit") == {}
    assert shown.labels() == ["Loaded model: a line", f"Remote fit complete: dream ({job.id})"]


def test_the_next_release_of_bumps_has_its_modules_elsewhere(
    start: Starter, tmp_path: Path
) -> None:
    shown = start(
        LINE.replace("PAUSE", "0"), "--headless", "--fit=lm", path=moved_bumps(tmp_path / "moved")
    )
    assert fitted(shown) == pytest.approx({"m": 2.5, "b": 1}, abs=1e-3)


@pytest.mark.compute
def test_refl1d_and_its_bumps_show_a_slab_that_was_fitted_there(
    start: Starter, tmp_path: Path
) -> None:
    beside = client_beside(tmp_path / "beside")
    words = ("--headless", "--with=refl1d", "--fit=lm")
    shown = start(SLAB, *words, python=str(FIT_PYTHON), path=beside)
    assert fitted(shown)["Ni thickness"] == pytest.approx(100, abs=1)


@pytest.mark.compute
def test_what_json_cannot_hold_goes_as_its_script_with_the_values_that_are_shown(
    start: Starter, tmp_path: Path
) -> None:
    beside = client_beside(tmp_path / "beside")
    shown = start(SPHERE, "--headless", "--fit=amoeba", python=str(FIT_PYTHON), path=beside)
    radius = next(
        row for row in shown.ask("get_parameters", only_fittable=1) if "rad" in row["name"]
    )
    shown.page_calls("set_parameter", radius["id"], "value", 58)

    assert fitted(shown)["radius"] == pytest.approx(60, abs=1)

    (job,) = shown.connection.list()
    starts = {p["label"]: p["start"] for p in job.result()["parameters"]}
    assert starts["radius"] == 58
    row = next(row for row in shown.ask("get_parameters", only_fittable=1) if "rad" in row["name"])
    shown.page_calls("set_parameter", row["id"], "max", 80)
    refused = shown.remote("submit")["error"]
    assert "bumps's JSON cannot hold this problem" in refused
    assert "its bounds were changed here" in refused
    assert len(shown.connection.list()) == 1


def test_the_stop_button_of_the_view_ends_the_fit_there_and_keeps_its_result(
    start: Starter,
) -> None:
    shown = start(LINE.replace("PAUSE", "0.02"), "--headless", "--fit=dream", "--samples=100000")
    with ThreadPoolExecutor() as pages:
        said = list(pages.map(lambda _: shown.remote("submit").get("error", ""), range(3)))
    assert ["has not ended" in one for one in said].count(False) == 1, said
    assert len(shown.connection.list()) == 1
    eventually(lambda: shown.remote("status")["progress"], within_s=90, what="the first step")
    eventually(
        lambda: shown.ask("get_shared_setting", setting="active_fit").get("step"), what="a step"
    )

    shown.page_calls("stop_fit")

    found = shown.done()
    assert "asked to stop" in found["said"], found
    assert shown.labels()[-1].startswith("Remote fit complete: dream")


def test_a_result_that_this_bumps_cannot_show_is_told(user: Connection) -> None:
    async def broken() -> None:
        raise KeyError("a member\x1b of its session")

    async def status() -> dict[str, Any]:
        shows_nothing: Any = SimpleNamespace(
            api=SimpleNamespace(state=SimpleNamespace(problem=None))
        )
        view: Any = View(shows_nothing, user)
        job = SimpleNamespace(job=SimpleNamespace(document={"id": "01J"}))
        view._fit = SimpleNamespace(job=job, progress={}, said="")
        view._task = asyncio.ensure_future(broken())
        await asyncio.wait([view._task])
        return dict(await view.remote_status())

    with ThreadPoolExecutor(max_workers=1) as thread:  # the browser has this one's loop
        found = thread.submit(asyncio.run, status()).result()
    assert found["done"]
    assert "01J: this bumps cannot show" in found["said"]
    assert "a member" in found["said"]


def refuses_strangers(shown: Shown) -> None:
    for verb in ("submit", "status", "stop", "jobs", "open"):
        assert "key" in shown.ask(f"remote_{verb}")["error"]
        assert "key" in shown.ask(f"remote_{verb}", key=f"{shown.key}x")["error"]
    assert httpx.get(f"{shown.url}remote").status_code == 403
    assert "partition, account" in shown.remote("submit", walltime="1")["error"]
    for wrong in ("two", "\u00b2", "-1"):
        assert "whole number" in shown.remote("submit", cpus=wrong)["error"]
    assert "names with values" in shown.remote("submit", wanted="cpus")["error"]
    assert "nothing was submitted" in shown.remote("stop")["error"]
    assert "there is no" in shown.remote("open", id="01J00000000000000000000000")["error"]
    assert shown.connection.list() == ()


def test_a_view_is_shown_a_fetched_session_and_obeys_nobody_without_its_key(
    start: Starter, tmp_path: Path
) -> None:
    shown = start(LINE.replace("PAUSE", "0"), "--headless", "--fit=lm")
    refuses_strangers(shown)
    job = shown.connection.submit(tmp_path / "model.py", fit="lm")
    job.result()
    shown.page_calls("shake_parameters")

    command = ["open", job.id, f"--webview={shown.url}", f"--output={tmp_path / 'got'}", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "bumps_remote.cli", *command],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    kept = Path(json.loads(done.stdout)["kept"])
    assert shown.values() == pytest.approx({"m": 2.5, "b": 1}, abs=1e-3)
    assert kept.stat().st_size > 1000
    with pytest.raises(UnreachableError, match="could not read"):
        load_session(tmp_path / "model.py", shown.url)
    with pytest.raises(UnreachableError, match=r"python -m bumps_remote\.webview"):
        load_session(kept, f"http://127.0.0.1:{free_port()}")
    with pytest.raises(UsageError, match="only a view on this computer"):
        load_session(kept, "http://example.org:5148")
