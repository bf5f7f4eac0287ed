"""What a kind declares is what its jobs get, for the kinds of strangers as for ours."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.jobs.declared import declared_resources, output_type
from gateway.jobs.kinds import kinds
from tests.api.wrong import CURVE
from tests.live import Api
from tests.web.fixtures import SiteMaker
from tests.web.site import PASSWORD, Browser

TWO = [{"label": "a"}, {"label": "b"}]
KIND = """
class {title}:
    name = "{name}"
    title = "{title}"
    shape = "{shape}"
    output_type = "image"
    resources = {resources}
    options = ()

    def fit(self, job, report):
        raise NotImplementedError
"""
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "lone": ("single", {"time": "0:20:00", "cpus_per_task": 6, "mem": "3G"}),
    "summing": ("array-reduce", {"time": "30-0"}),
    "greedy": ("array", {"memory": "3G", "time": "soon"}),
}


@pytest.fixture
def strangers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[set[str]]:
    """Install kinds as somebody else's distribution would bring them."""
    lib = tmp_path / "lib"
    about = lib / "strange_kinds-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: strange-kinds\nVersion: 1.0\n")
    lines = [f"{name} = strange_kinds:{name.title()}\n" for name in KINDS]
    (about / "entry_points.txt").write_text("[gateway.fitters]\n" + "".join(lines))
    (lib / "strange_kinds.py").write_text(
        "".join(
            textwrap.dedent(KIND).format(
                name=name, title=name.title(), shape=shape, resources=resources
            )
            for name, (shape, resources) in KINDS.items()
        )
    )
    monkeypatch.syspath_prepend(str(lib))
    for kept in (kinds, declared_resources):
        kept.cache_clear()
    yield set(KINDS)
    for kept in (kinds, declared_resources):
        kept.cache_clear()


@pytest.fixture
def ada(make: SiteMaker, strangers: set[str]) -> Browser:
    assert strangers <= set(kinds())
    site = make(GATEWAY_CLUSTERS__LOCAL__CPUS="4", GATEWAY_CLUSTERS__LOCAL__DEFAULT_TIME="0:05:00")
    site.accounts.add_user("ada", PASSWORD)
    browser = site.browser()
    browser.sign_in("ada")
    return browser


def preview(ada: Browser, **request: Any) -> Any:
    return ada.send("POST", "/api/v1/jobs/preview", json=request)


def directives(answer: Any) -> dict[str, str]:
    assert answer.status_code == 200, answer.json
    lines = [line for line in answer.json["script"].splitlines() if line.startswith("#SBATCH --")]
    pairs = [line.removeprefix("#SBATCH --").partition("=") for line in lines]
    return {name: value for name, _, value in pairs}


def test_many_of_a_kind_for_one_are_refused_where_they_are_asked_for(ada: Browser) -> None:
    for name in ("lone", "summing"):
        answer = preview(ada, kind=name, elements=TWO)
        (error,) = answer.json["errors"]
        assert (answer.status_code, error["pointer"]) == (422, "/elements")
        assert error["detail"].startswith(f"the kind {name} ")
        assert error["detail"].endswith(": submit a job for each")
        assert preview(ada, kind=name).status_code == 200
    answer = preview(ada, kind="lone", campaign={"random": 3})
    assert "/campaign" in [error["pointer"] for error in answer.json["errors"]]
    assert preview(ada, kind="dummy", elements=TWO).status_code == 200


def test_a_job_gets_what_its_kind_declares_and_what_it_asks_for_instead(ada: Browser) -> None:
    declared = directives(preview(ada, kind="lone"))
    assert (declared["time"], declared["mem"]) == ("0-00:20:00", "3072M")
    assert declared["cpus-per-task"] == "4", "no more than the site has: nobody asked for six"
    asked = {"time": "0:01:00", "mem_per_cpu": "1G", "cpus_per_task": 1}
    own = directives(preview(ada, kind="lone", resources=asked))
    assert (own["time"], own["mem-per-cpu"], own["cpus-per-task"]) == ("0-00:01:00", "1024M", "1")
    assert "mem" not in own, "it goes with mem_per_cpu no more than in a request"
    assert directives(preview(ada, kind="summing"))["time"] == "7-00:00:00"
    assert directives(preview(ada, kind="dummy"))["time"] == "0-00:10:00"
    answer = preview(ada, kind="lone", resources={"cpus_per_task": 6})
    assert [error["pointer"] for error in answer.json["errors"]] == ["/resources/cpus_per_task"]


def test_the_site_decides_how_long_a_fit_is_whose_user_does_not_say(ada: Browser) -> None:
    problem = ada.send("POST", "/api/v1/problems", json=CURVE).json["id"]
    fit = directives(preview(ada, problem={"id": problem}))
    assert (fit["time"], fit["cpus-per-task"]) == ("0-00:05:00", "1")


@pytest.mark.parametrize(
    ("kind", "usual"),
    [("dummy", "0:10:00"), ("summing", "7-00:00:00"), ("fit", "0:05:00"), ("greedy", "0:05:00")],
)
def test_the_form_shows_how_long_a_job_of_its_kind_runs_that_asks_for_nothing(
    ada: Browser, kind: str, usual: str
) -> None:
    field = re.search(r'<input[^>]*name="r.time"[^>]*>', ada.get(f"/fits/new?kind={kind}").text)
    assert field is not None
    assert f'placeholder="{usual}"' in field[0]


def test_a_kind_that_declares_what_no_job_can_have_is_told_by_its_name(ada: Browser) -> None:
    answer = preview(ada, kind="greedy")
    (error,) = answer.json["errors"]
    assert (answer.status_code, error["pointer"]) == (422, "/kind")
    for words in ("the kind greedy declares", "memory: ", "time: ", "whoever installed it"):
        assert words in error["detail"]


def test_what_comes_out_is_of_the_type_that_the_kind_declares(
    api: Api, strangers: set[str]
) -> None:
    job = api.submit(kind="dummy", options={"seconds": 0})
    api.wait(job["id"])
    assert api.results(job["id"])["type"] == "generic"
    assert "lone" in strangers
    types = {name: output_type(name) for name in ("fit", "lone", "uninstalled")}
    assert types == {"fit": "fit-result", "lone": "image", "uninstalled": "generic"}
