"""``fit`` there answers what bumps's own ``fit`` answers here: a whole gateway, real bumps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bumps_remote
import numpy as np
import pytest
from bumps.fitters import fit as fit_here
from bumps_remote import Connection
from bumps_remote.errors import JobFailedError, UsageError

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
