"""Gathers what the pages of jobs show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

from gateway.accounts.models import Identity
from gateway.accounts.rights import Right, may
from gateway.clusters.shared import shared_account_note
from gateway.errors import NotFoundError
from gateway.ids import new_id
from gateway.jobs import page_words as words
from gateway.jobs.advise import NextRequest, next_request
from gateway.jobs.alarm import alarm_of, instead_of
from gateway.jobs.campaign import best_of
from gateway.jobs.efficiency import efficiency_of
from gateway.jobs.element_view import ended_grid, running_grid
from gateway.jobs.grid_map import map_of
from gateway.jobs.history import history_of, is_cut
from gateway.jobs.kinds import kinds
from gateway.jobs.listing import JobFilter, find_jobs
from gateway.jobs.log_find import find_in_log
from gateway.jobs.log_view import read_log
from gateway.jobs.models import Attempt, Job, Progress, Wish
from gateway.jobs.neighbours import neighbours_of
from gateway.jobs.plan import script_sha256
from gateway.jobs.present import API
from gateway.jobs.prospects import prospect
from gateway.jobs.reported import of_this_attempt
from gateway.jobs.result_view import ResultsView, ResultView, read_element, read_results
from gateway.jobs.service import find_attempt
from gateway.jobs.words import state_text
from gateway.services import Gateway
from gateway.web.etag import etag_of
from gateway.web.paging import make_cursor, page_of
from scheduler.base import JobState

_LIVE = frozenset({JobState.PENDING, JobState.RUNNING, JobState.SUSPENDED, JobState.UNKNOWN})
_UNSAID = ("archived", "no")
Context = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A job in the list."""

    job: Job
    progress: Progress | None

    @property
    def left(self) -> str:
        """How long it may take yet; empty where that would be a guess."""
        return words.time_left(self.job, self.progress)

    @property
    def ahead(self) -> str:
        """When it may start, and how long it may take then; empty where nobody knows."""
        return prospect(self.job)

    @property
    def why(self) -> str:
        """Why it is as it is, where its state alone does not say; its place in line, too."""
        attempt = self.job.attempt
        said = attempt.reason_text == state_text(attempt.state)
        return "" if said and attempt.state is not JobState.PENDING else attempt.reason_text

    @property
    def chisq(self) -> float | None:
        """The reduced chi-square: of its result, or the best so far."""
        if self.job.attempt.chisq is not None or self.job.final:
            return self.job.attempt.chisq
        return self.progress.chisq if self.progress else None

    @property
    def fraction(self) -> float | None:
        """Which part of the planned steps is done."""
        return words.fraction(self.progress)

    @property
    def version(self) -> list[Any]:
        """What changes when the row does."""
        return [self.job.id, *self.job.stamp, self.progress.t if self.progress else None]


def list_page(services: Gateway, who: Identity, query: dict[str, Any]) -> Context:
    """Gather what the list shows."""
    store, shared = services.job_store, query.pop("shared")
    page, of = page_of(query), services.jobs.shared.list_of(who, shared=shared)
    jobs, last = find_jobs(of, JobFilter(**query), page.limit, page.after)
    steps = services.live.progress_many([job.id for job in jobs])
    rows = [Row(job=job, progress=of_this_attempt(job.attempt, steps.get(job.id))) for job in jobs]
    states = [] if shared else [state.value for state in JobState]
    counts = store.count_by_state(who.user, states) if states else {}
    chosen = {key: text for key, text in query.items() if text and (key, text) != _UNSAID}
    chosen |= {"shared": "true"} if shared else {}
    next_cursor = None if last is None else make_cursor(last)
    return {
        "rows": rows,
        "counts": {state: count for state, count in counts.items() if count},
        "total": of.count(),
        "shared": shared,
        "chosen": chosen,
        "states": [state.value for state in JobState],
        "kinds": {name: kind.title for name, kind in kinds().items()},
        "first_url": None if page.after is None else list_url(chosen),
        "next_url": None if next_cursor is None else list_url({**chosen, "cursor": next_cursor}),
        "error": None,
        "narrowed": list_url(chosen).partition("?")[2],
        "key": new_id(),
        "tags": sorted({tag for job in jobs for tag in job.tags}),
        "state_url": lambda state: list_url({**chosen, "state": state}),
        "tag_url": lambda tag: list_url({"tag": tag}),
        "live": any(not job.final for job in jobs),
        "version": [row.version for row in rows] + [counts],
    }


def list_url(query: Mapping[str, str]) -> str:
    """Say where the list is, narrowed in this way."""
    text = urlencode({key: value for key, value in query.items() if value})
    return f"/jobs?{text}" if text else "/jobs"


def job_page(services: Gateway, who: Identity, job_id: str, asked: Mapping[str, str]) -> Context:
    """Gather what the page of a job shows.

    Parameters
    ----------
    asked
        The query: ``attempt``, ``element``, ``held``; ``stream``, ``task``, ``offset``,
        ``until``, ``times`` and ``find`` of the log.
    """
    job = services.jobs.get(who, job_id)
    progress = of_this_attempt(job.attempt, services.live.progress(job.id))
    attempt = find_attempt(job, _index(asked.get("attempt")))
    results = _results(services, job, attempt)
    element = _element(services, attempt, results, asked.get("element"))
    result = element or (results.result if results else None)
    neighbours = neighbours_of(services.job_store, job)
    following = next_request(job, progress, services.settings.clusters.get(job.cluster))
    return {
        "job": job,
        "account_note": shared_account_note(services.settings.clusters.get(job.cluster)),
        "attempt": job.attempt,
        "shown": attempt,
        "progress": progress,
        "fraction": 0.0 if job.elements and not progress else words.fraction(progress),
        "reported": words.instant(progress.t) if progress else None,
        "left": words.time_left(job, progress),
        "ahead": prospect(job),
        "notes": words.notes_on(job),
        "results": results,
        "result": result,
        "element": _index(asked.get("element")) if element else None,
        "advice": words.advice(job, result, following) if attempt is job.attempt else "",
        "following": following,
        "efficiency": efficiency_of(job.attempt),
        "history": history_of(job),
        "history_cut": is_cut(job),
        "neighbours": neighbours,
        "alarm": alarm_of(job),
        "instead": instead_of(job, services.settings.clusters.get(job.cluster)),
        "plots": _plots(job, attempt, results, _index(asked.get("element")) if element else None),
        **_elements(services, job, attempt, results, asked.get("held")),
        "map": map_of(results.elements, _index(asked.get("map")) or 0) if results else None,
        "script": _script(services, job, attempt),
        "log": log_part(services, job, attempt, asked),
        "may_write": may(who, Right.WRITE, job.owner),
        "can": _can(job, results),
        "more": _more(job, following),
        "key": new_id(),
        "api": f"{API}/{job.id}",
        "file_url": file_url,
        "live": not job.final,
        "version": [
            *(*job.stamp, progress.t if progress else None, attempt.number, who.user),
            *neighbours.version,
        ],
    }


def _elements(
    services: Gateway, job: Job, shown: Attempt, results: ResultsView | None, held: str | None
) -> Context:
    """Show the elements of an array: those that run, and those of the attempt that is looked at.

    Parameters
    ----------
    held
        Number of the attempt whose running elements the page keeps up to date by itself.
    """
    grid, is_held = None, _index(held) == job.attempt.number and not job.final
    if not job.elements:
        return {"grid": None, "held": False}
    labels = [str(row["label"]) for row in services.jobs.plan(job, shown.number).job["elements"]]
    if not job.final and not is_held:
        grid = running_grid(labels, services.live.elements(job.id))
    return {
        "grid": grid,
        "grid_version": etag_of(grid.version) if grid else "none",
        "held": is_held,
        "ended": ended_grid(labels, results.elements) if results else None,
        "best": _best(job, results),
    }


def _best(job: Job, results: ResultsView | None) -> int | None:
    """Say which element of a campaign is best; those of other data cannot be compared."""
    if results is None or not job.request.get("campaign"):
        return None
    found = best_of(
        {"index": item.index, "status": item.result.status, "chisq": item.result.chisq}
        for item in results.elements
    )
    return found.index if found else None


def _results(services: Gateway, job: Job, attempt: Attempt) -> ResultsView | None:
    if attempt.dataset is None:
        return None
    return read_results(services.blobs, services.files.dataset(attempt.dataset), job.elements)


def _element(
    services: Gateway, attempt: Attempt, results: ResultsView | None, text: str | None
) -> ResultView | None:
    """Read the element that is asked for."""
    index = _index(text)
    if results is None or not results.elements or index is None or attempt.dataset is None:
        return None
    short = next((item.result for item in results.elements if item.index == index), None)
    if short is None:
        raise NotFoundError(f"there is no result of an element {index}")
    whole = read_element(services.blobs, services.files.dataset(attempt.dataset), index)
    return replace(whole, label=short.label) if whole else short


def _plots(
    job: Job, attempt: Attempt, results: ResultsView | None, element: int | None
) -> dict[str, str]:
    """Say where the plots find their numbers: name of the plot to address of the file."""
    if results is None:
        return {}
    folder = "out" if element is None else f"out/{element}"
    names = ("curves", "convergence", "traces", "correlations", "histograms")
    return {
        name: file_url(job, attempt, f"{folder}/{name}.json")
        for name in names
        if results.has(f"{folder}/{name}.json")
    }


def file_url(job: Job, attempt: Attempt, path: str) -> str:
    """Say where a result file is."""
    address = f"{API}/{job.id}/files/{quote(path)}"
    return address if attempt is job.attempt else f"{address}?attempt={attempt.number}"


def _script(services: Gateway, job: Job, attempt: Attempt) -> Context:
    plan = services.jobs.plan(job, attempt.number)
    return {"text": plan.script, "sha256": script_sha256(plan)}


def log_part(services: Gateway, job: Job, attempt: Attempt, asked: Mapping[str, str]) -> Context:
    """Read the part of a log that is asked for: its end, or a page from an offset on."""
    stream = "stderr" if asked.get("stream") == "stderr" else "stdout"
    numbers = attempt.numbers
    wanted = _index(asked.get("task")) or 0
    task = next((number for number in numbers if number >= wanted), numbers[-1])
    path = services.logs.path(job.id, attempt.number, stream, task)
    part = read_log(services.logs, path, _index(asked.get("offset")), _index(asked.get("until")))
    return {
        "stream": stream,
        "task": task,
        "tasks": attempt.tasks,
        "first": numbers[0],
        "last": numbers[-1],
        "indices": attempt.indices,
        "timed": asked.get("times") == "yes",
        "part": part,
        "found": find_in_log(services.logs, path, asked.get("find", "")),
    }


def _can(job: Job, results: ResultsView | None) -> dict[str, bool]:
    """Say which buttons make sense now."""
    final = job.final
    done = sum(item.result.status == "done" for item in results.elements) if results else 0
    return {
        "stop": not final and job.wish is Wish.RUN,
        "cancel": not final and job.wish is not Wish.CANCEL,
        "resume": final and job.attempt.resumable,
        "rerun": final,
        "rerun_failed": final and 0 < done < job.elements,
        "delete": final,
    }


def _more(job: Job, following: NextRequest | None) -> list[Context]:
    """Give the fields of the form that continues a fit."""
    names = {"dream": ("samples", "Samples"), "de": ("steps", "Steps")}
    fields = []
    if found := names.get(job.attempt.method):
        name, label = found
        value = job.options.get(name)
        fields.append({"name": f"option.{name}", "label": label, "value": value})
    wanted = following.resources if following else {}
    time = wanted.get("time") or job.attempt.resources.get("time", "")
    fields.append({"name": "resource.time", "label": "Time limit", "value": time})
    return fields


def _index(text: str | None) -> int | None:
    """Read a whole number of a query.

    >>> _index("12"), _index("-1"), _index("x"), _index(None)
    (12, None, None, None)
    """
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None
