"""What a notebook is shown of a fit: drawn from whatever a job told."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from bumps_remote.events import Event
from bumps_remote.notebook import (
    NotebookProgress,
    chart,
    in_notebook,
    job_html,
    parameters_html,
    squares,
)

from tests.client.site import job_document


def steps(*values: Any, **more: Any) -> list[dict[str, Any]]:
    return [{"step": n, "chisq": value, **more} for n, value in enumerate(values)]


def points(drawn: str) -> list[tuple[float, ...]]:
    line = ET.fromstring(drawn.partition("<div>")[0]).findall("polyline")[0]  # noqa: S314 - ours
    return [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]


def heights(drawn: str) -> list[float]:
    return [point[1] for point in points(drawn)]


def test_chi_square_falls_on_the_chart_as_it_falls_in_the_fit() -> None:
    drawn = heights(chart(steps(3.0, 2.0, 1.0)))
    assert drawn == sorted(drawn)
    assert drawn[1] * 2 == drawn[0] + drawn[2]


def test_what_falls_by_decades_is_drawn_logarithmically() -> None:
    drawn = heights(chart(steps(1000.0, 10.0, 0.1)))
    assert drawn[1] * 2 == drawn[0] + drawn[2]
    assert "logarithmic" in chart(steps(1000.0, 1.0))
    assert "logarithmic" not in chart(steps(10.0, -1.0))


def test_a_step_without_a_number_is_left_out_and_one_alone_is_no_chart() -> None:
    assert len(heights(chart(steps(3.0, None, float("nan"), float("inf"), "2", 1.0)))) == 2
    assert chart(steps(1.0)) == chart(steps(None, None)) == chart([]) == ""


def test_another_start_is_drawn_behind_the_first() -> None:
    again = [*steps(3.0, 2.0, 1.0), *steps(5.0, 1.0)]
    across = [point[0] for point in points(chart(again))]
    assert across == sorted(across)
    assert len(across) == 5


def test_a_fit_that_does_not_move_is_drawn() -> None:
    assert len(set(heights(chart(steps(*[2.0] * 5))))) == 1


def test_the_population_lies_behind_the_best() -> None:
    drawn = chart(steps(2.0, 1.0, quantiles=[1.0, 2.0, 3.0, 4.0, 5.0]))
    assert drawn.count("<polygon") == 1
    assert "drawn from 1 to 4" in drawn


def test_a_long_fit_is_drawn_with_few_points_and_its_last() -> None:
    drawn = chart(steps(*[float(n) for n in range(10_000, 0, -1)]))
    assert len(heights(drawn)) < 500
    assert "best χ² 1," in drawn


def test_text_of_a_job_is_no_markup() -> None:
    said = '<img src=x onerror="alert(1)">'
    job = job_document(title=said, reason_text=said, state=said, id=said, verdict={"text": said})
    shown = job_html(job, 'https://x/"><script>') + parameters_html([said], [1.0], [0.1])
    assert "<img" not in shown
    assert "<script" not in shown


def test_a_campaign_says_how_many_of_its_fits_have_ended() -> None:
    progress = {"step": 3, "steps": 12, "chisq": None}
    job = job_document(state="RUNNING", final=False, elements=12, progress=progress)
    assert "3 of 12 fits have ended" in job_html(job)
    assert 'max="12" value="3"' in job_html(job)


def test_each_fit_of_a_campaign_is_a_square_in_the_colour_of_its_end() -> None:
    shown = NotebookProgress()
    for event, index, status in (
        ("start", 0, None), ("end", 0, "done"), ("start", 1, None), ("end", 1, "failed"),
        ("start", 2, None), ("step", 2, None), ("end", 3, "<b>"),
    ):  # fmt: skip
        shown.show(Event(id="", event=event, data={"element": index, "status": status}))
    shown.show(Event(id="", event="job", data=job_document(state="RUNNING", elements=5)))

    text = squares(shown.elements, 5)
    assert text in shown.html()
    drawn = ET.fromstring(text.partition("<div>")[0])  # noqa: S314 - ours
    titles = [rect.findtext("title") for rect in drawn]
    assert titles == ["0: done", "1: failed", "2: running", "3: <b>", "4: waits"]
    colours = [rect.attrib["fill"] for rect in drawn]
    assert len(set(colours)) == 4
    assert colours[1] == colours[3]
    assert drawn.attrib["aria-label"] == "1 <b>, 1 done, 1 failed, 1 running"
    for several in (0, 1, 4_000, None, "5"):
        assert squares({}, several) == ""


def test_a_terminal_is_no_notebook() -> None:
    assert not in_notebook()
