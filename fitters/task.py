"""One job, or one element of it, by its kind; a failure is a result too."""

from __future__ import annotations

from .base import Document, FitError, Job
from .events import Events
from .kinds import load_kind
from .versions import versions


def run_one(job: Job, events: Events) -> Document:
    """Do it and give the result document; what cannot be done fails with a verdict."""
    head: Document = {"format": 1, "kind": job.document["kind"]}
    try:
        result = load_kind(str(job.document["kind"])).fit(job, events)
    except FitError as error:
        result = failed_result(job.document, error)
        events.message("error", str(error))
    events("end", status=result["status"], chisq=result.get("chisq"))
    return {**head, **result}


def failed_result(document: Document, error: FitError) -> Document:
    """Give the result of a job that could not be done."""
    return {
        "status": "failed",
        "verdict": {"code": error.code, "text": str(error)},
        "method": document["options"].get("fit"),
        "options": document["options"],
        "seed": document["run"].get("seed"),
        "versions": versions(),
        "chisq": None,
        "parameters": [],
        "resumable": False,
        "error": error.error,
        "files": [],
    }
