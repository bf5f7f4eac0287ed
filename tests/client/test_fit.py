"""``fit`` there answers what bumps's own ``fit`` answers here: a whole gateway, real bumps."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import bumps_remote
import numpy as np
import pytest
from bumps.fitters import fit as fit_here
from bumps_remote import Connection, aio
from bumps_remote.errors import JobFailedError, NotFoundError, UsageError, WaitTimeoutError
from bumps_remote.job import Job

from tests.client.test_live_problem import data_file, make_line
from tests.live import LiveGateway


@pytest.fixture
def there(
    live: LiveGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Connection]:
    """Give the connection of a new user on a computer of their own."""
    for name in ("CONFIG", "STATE"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    api = live.user()
    monkeypatch.setenv("BUMPS_REMOTE_URL", live.url)
    monkeypatch.setenv("BUMPS_REMOTE_TOKEN", live.tokens[api.name])
    with Connection() as connection:
        yield connection


def same(ours: Any, theirs: Any, rel: float = 1e-6) -> None:
    assert list(ours.labels) == list(theirs.labels)
    assert ours.x == pytest.approx(theirs.x, rel=rel)
    assert ours.dx == pytest.approx(theirs.dx, rel=max(rel, 1e-3))
    assert ours.chisq == pytest.approx(theirs.chisq, rel=rel)
    assert ours.fun == pytest.approx(theirs.fun, rel=rel)
    assert (ours.dof, ours.numpoints, ours.method) == (theirs.dof, theirs.numpoints, theirs.method)
    assert ours.success is True


def test_a_problem_in_memory_is_fitted_as_bumps_fits_it(there: Connection, tmp_path: Path) -> None:
    problem, session = make_line(name="a line"), tmp_path / "kept" / "s.h5"

    ours = bumps_remote.fit(problem, "lm", session=session, export=tmp_path / "all")

    same(ours, fit_here(make_line(), method="lm"))
    assert ours.state is None
    assert problem.getp() == pytest.approx(ours.x)
    assert (ours.job.id, ours.job.state) == (there.list()[0].id, "COMPLETED")
    assert there.info("last")["title"] == "a line"
    assert session.read_bytes() == (tmp_path / "all" / "out" / "session.h5").read_bytes()
    with pytest.raises(UsageError, match=r"s\.h5 is there already"):
        bumps_remote.fit(problem, "lm", session=session)
    assert len(there.list()) == 1


@pytest.mark.filterwarnings("ignore:Did not converge")
def test_dream_answers_with_its_draws(there: Connection) -> None:
    options = {"samples": 2000, "burn": 50}
    np.random.seed(7)
    theirs = fit_here(make_line(), method="dream", **options)

    ours = there.fit(make_line(), method="dream", seed=7, verbose=True, **options)

    assert list(ours.labels) == list(theirs.labels) == list(ours.state.labels)
    assert ours.state.draw().points.shape == theirs.state.draw().points.shape
    assert np.abs(ours.x - theirs.x).max() < 3 * theirs.dx.max()
    assert ours.dx == pytest.approx(theirs.dx, rel=0.3)
    assert ours.convergence.shape[1] == theirs.convergence.shape[1] == 6
    assert ours.nit > 50


def test_a_finished_job_is_asked_for_the_same_result_later(there: Connection) -> None:
    first = there.fit(make_line(), "amoeba", seed=3)

    again = there.job("last").fit_result()

    assert again.x.tolist() == first.x.tolist()
    assert again.labels == first.labels


LICENSED = """
def line(x, m, b):
    import os
    if os.environ.get("SLURM_JOB_ID"):
        raise ValueError("no licence on this node")
    return m * x + b
"""


def test_a_fit_that_fails_says_why(there: Connection) -> None:
    with pytest.raises(JobFailedError, match="no licence on this node"):
        there.fit(make_line(LICENSED), "lm")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"resume": object()}, r"result\.job\.resume\(\)"),
        ({"parallel": 0}, "how many processors there, at least 1"),
        ({"method": "lm", "samples": 5}, "--samples is no option of lm"),
    ],
)
def test_what_means_nothing_there_is_refused_before_anything_is_sent(
    there: Connection, words: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        there.fit(make_line(), **words)
    assert there.list() == ()


@pytest.mark.usefixtures("there")
def test_a_problem_in_memory_is_mapped_over_files(tmp_path: Path) -> None:
    paths = [data_file(tmp_path, f"s{slope}.dat", slope) for slope in (1, 2, 3)]

    job = bumps_remote.map(make_line(), paths, fit="lm", pack=3)

    rows = job.elements()
    values = [{p["label"]: p["value"] for p in row["parameters"]}["m"] for row in rows]
    assert [row["label"] for row in rows] == ["s1", "s2", "s3"]
    assert values == pytest.approx([1, 2, 3], abs=0.01)
    second = job.fit_result("s2")
    assert dict(zip(second.labels, second.x, strict=True))["m"] == pytest.approx(2, abs=0.01)
    assert second.numpoints == 12
    assert second.convergence is not None

    rows, ended = asyncio.run(awaited_map(paths))
    values = [{p["label"]: p["value"] for p in row["parameters"]}["m"] for row in rows]
    assert values == pytest.approx([1, 2, 3], abs=0.01)
    assert ended >= {0, 1, 2}


async def awaited_map(paths: list[Path]) -> tuple[list[dict[str, Any]], set[Any]]:
    """Map a function that makes problems, and follow it; answer its elements and which ended."""
    job = await aio.map(made_of, paths, fit="lm", pack=3)
    ended = {event.data.get("element") async for event in job if event.event == "end"}
    return await job.elements(), ended


def made_of(path: Path) -> Any:
    x, y, _ = np.loadtxt(path).T
    return make_line(x=x, y=y)


# ---- with await


def test_a_job_that_is_awaited_has_every_verb_of_one_that_is_not() -> None:
    def verbs(kind: type) -> set[str]:
        return {name for name in dir(kind) if not name.startswith("_")}

    assert verbs(Job) - verbs(aio.AsyncJob) == {"progress"}, "what shows events, for both"


def test_several_fits_are_awaited_at_once_and_each_is_its_own(there: Connection) -> None:
    async def both() -> list[Any]:
        given = ((2.0, None), (3.0, 0.3))  # and one uncertainty for all points
        problems = [make_line(y=slope * np.linspace(0, 10, 30), dy=dy) for slope, dy in given]
        return await asyncio.gather(*(aio.fit(one, method="lm") for one in problems))

    first, second = asyncio.run(both())

    assert dict(zip(first.labels, first.x, strict=True))["m"] == pytest.approx(2, abs=1e-4)
    assert dict(zip(second.labels, second.x, strict=True))["m"] == pytest.approx(3, abs=1e-4)
    assert len({first.job.id, second.job.id}) == len(there.list()) == 2


SLOW = """
def line(x, m, b):
    import time
    time.sleep(0.02)
    return m * x + b
"""


def test_giving_up_an_await_leaves_the_job_which_is_then_stopped_with_its_result(
    there: Connection,
) -> None:
    async def given_up() -> Any:
        with pytest.raises(WaitTimeoutError, match=r"within 0\.2 s; it goes on"):
            await aio.fit(make_line(SLOW), method="dream", samples=100_000, timeout_s=0.2)
        job = await aio.job("last")
        async for event in job:
            if event.event == "step":
                break
        task = asyncio.ensure_future(job.wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert not (await job.refresh()).final
        await job.stop()
        assert (await job).final
        assert (await job.results())["results"][0]["status"] == "stopped"
        assert isinstance(await job.log(), str)
        assert (await job.share(link=True))["how"] == "link"
        return await job.fit_result()

    found = asyncio.run(given_up())

    assert found.job.document["verdict"]["code"] == "stopped"
    assert found.state.draw().points.shape[1] == 2
    assert len(there.list()) == 1


@pytest.mark.usefixtures("there")
def test_what_goes_wrong_is_raised_where_it_is_awaited() -> None:
    with pytest.raises(JobFailedError, match="no licence on this node"):
        asyncio.run(aio.fit(make_line(LICENSED), "lm"))
    with pytest.raises(UsageError, match="at least 1"):
        asyncio.run(aio.fit(make_line(), parallel=0))
    with pytest.raises(NotFoundError):
        asyncio.run(aio.job("01J00000000000000000000000"))


# ---- in a notebook

CELLS = (
    "from bumps.names import *",
    "def line(x, m, b):\n    return m * x + b",
    "x = np.linspace(0, 10, 30)\n"
    "model = Curve(line, x, 2.5 * x + 1, 0.3 + 0 * x, m=1, b=0)\n"
    "model.m.range(0, 10); model.b.range(-5, 5)\n"
    "problem = FitProblem(model, name='<script>alert(1)</script>')",
)
README = Path(__file__).parents[2] / "client" / "README.rst"
RUN = "from nbclient.cli import main; main()"


def readme_block(name: str) -> str:
    """Take a piece of Python out of the README."""
    text = README.read_text(encoding="utf-8")
    start = f".. tested: {name}\n\n.. code-block:: python\n\n"
    assert text.count(start) == 1
    lines = text.partition(start)[2].splitlines()
    block = takewhile(lambda line: not line or line.startswith("    "), lines)
    return "\n".join(line[4:] for line in block).strip()


def run_notebook(path: Path, cells: tuple[str, ...]) -> list[list[dict[str, Any]]]:
    """Run a notebook in a kernel of its own; answer what each cell shows in the end."""
    code: dict[str, Any] = {
        "cell_type": "code",
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
    sources = [{**code, "id": f"c{n}", "source": text} for n, text in enumerate(cells)]
    kernel = {"name": "python3", "display_name": "Python", "language": "python"}
    meta = {"kernelspec": kernel}
    whole = {"nbformat": 4, "nbformat_minor": 5, "metadata": meta, "cells": sources}
    path.write_text(json.dumps(whole))
    done = subprocess.run(
        [sys.executable, "-c", RUN, "--inplace", "--timeout=100", str(path)],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [cell["outputs"] for cell in json.loads(path.read_text())["cells"]]


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_notebook_shows_the_fit_while_it_runs_and_its_parameters_after_it(
    there: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))

    read = [readme_block(name) for name in ("in a notebook", "with await")]
    short = [text.replace("samples=20000", "samples=2000") for text in read]
    cells = (*CELLS, *short, "print(result.chisq)")

    *_, fitted, watched, printed = run_notebook(tmp_path / "fit.ipynb", cells)

    shown, result = ("".join(output["data"]["text/html"]) for output in fitted)
    assert "COMPLETED" in shown  # one display, drawn anew, and not a line for each step
    assert 'aria-label="chi-square from' in shown
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in shown
    assert "<script" not in shown + result
    assert re.search(r">m</td><td>2\.(49|5)\d* ± 0\.01\d<", result)
    jobs = there.list()
    assert all(job.id in shown + "".join(watched[0]["data"]["text/html"]) for job in jobs)
    assert [output["output_type"] for output in watched] == ["display_data"]
    assert float("".join(printed[0]["text"])) < 1e-3
