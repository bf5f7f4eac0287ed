"""Send a form: keep its problem, queue its job, once however often it is sent.

The key of a submission is the key of the page and what the form says: so a double click and a
reload are one job, and a form that was edited is another one, without any script in the browser.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from marshmallow import ValidationError

from gateway.accounts.models import Identity
from gateway.errors import InvalidError, PreconditionError
from gateway.ids import new_id
from gateway.jobs.asking import Request
from gateway.jobs.models import Job
from gateway.jobs.schemas import JobRequest, JobRequestSchema
from gateway.jobs.service import Preview
from gateway.problems.form_look import Look, problem_for_job
from gateway.problems.form_reading import Values, job_document
from gateway.problems.models import Document, content_json, digest_of
from gateway.services import Gateway
from gateway.web.errors import field_errors
from gateway.web.idempotency import parse_key, request_hash

_NOT_CONTENT = frozenset({"csrf_token", "key", "draft", "seen", "do", "part"})
_KEY_LENGTH = 64


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Who sends a form, in which trail."""

    identity: Identity
    correlation_id: str


def content_hash(values: Values) -> str:
    """Name what a form says: two that ask for the same have the same name."""
    said = {
        name: text
        for name, text in values.items()
        if name not in _NOT_CONTENT and text and not name.startswith("_")
    }
    return request_hash(said)


def key_of(values: Values) -> str:
    """Make the idempotency key of a form; empty when its page had none."""
    page = parse_key(values.get("key", "")) or ""
    return f"{page[:_KEY_LENGTH]}.{content_hash(values)}" if page else ""


def show_script(services: Gateway, sender: Sender, look: Look) -> Preview:
    """Show the script that the form would run, byte for byte; nothing is kept.

    Raises
    ------
    InvalidError
        With every field that is wrong.
    """
    problem = None
    if look.found is not None:
        reference = {"id": look.found.problem.id}
    else:
        problem = problem_for_job(look)
        reference = {"id": new_id()}
    wanted = _load(look.values, reference)
    if wanted.kind != "fit":
        problem = None
    return services.jobs.preview(_request(sender, look.values), wanted, problem)


def submit(services: Gateway, sender: Sender, look: Look, sent: Values) -> Job:
    """Keep the problem and queue the job.

    Parameters
    ----------
    sent
        The form as it came, before anything was completed: it makes the key.
    """
    reference = None
    if look.values.get("kind", "fit") == "fit":
        reference = keep_problem(services, sender.identity, look, sent)
    wanted = replace(_load(look.values, reference), draft=sent.get("draft") or None)
    return services.jobs.submit(_request(sender, sent), wanted).job


def keep_problem(services: Gateway, who: Identity, look: Look, sent: Values) -> dict[str, Any]:
    """Keep what the form says as a problem, where it says anything new; answer id and version."""
    if look.found is not None:
        return _reference(look.found.problem.id, look.found.kept.version.number)
    if look.document is None:
        raise InvalidError(look.errors)
    base = look.values.get("base", "")
    if base:
        return _next_version(services, who, look.document, base, look.values)
    made = services.problems.create(who, look.document, key_of(sent), content_hash(sent))
    return _reference(made.problem.id, made.kept.version.number)


def _next_version(
    services: Gateway, who: Identity, document: Document, base: str, values: Values
) -> dict[str, Any]:
    """Make the next version of a problem, unless the one that was shown says the same."""
    number = values.get("base_version", "")
    examined = services.problems.examine(who, document)
    digest = digest_of(content_json(replace(document, content=examined.content)))
    shown = services.problems.get(who, base, int(number) if number.isdigit() else None)
    if shown.kept.version.digest == digest:
        return _reference(base, shown.kept.version.number)
    problem = shown.problem
    named = replace(document, name=problem.name, tags=problem.tags, notes=problem.notes)
    try:
        made = services.problems.update(who, base, named, None)
    except PreconditionError:
        made = services.problems.get(who, base)  # a double click: the first one made it
        if made.problem.digest != digest:
            raise
    return _reference(base, made.kept.version.number)


def _reference(id: str, version: int) -> dict[str, Any]:
    return {"id": id, "version": version}


def _load(values: Values, problem: dict[str, Any] | None) -> JobRequest:
    kind = values.get("kind") or "fit"
    try:
        wanted: JobRequest = JobRequestSchema().load(
            job_document(values, problem if kind == "fit" else None)
        )
    except ValidationError as error:
        raise InvalidError(list(field_errors({"json": error.messages_dict}))) from error
    return wanted


def _request(sender: Sender, values: Values) -> Request:
    return Request(
        identity=sender.identity,
        correlation_id=sender.correlation_id,
        key=key_of(values),
        request_hash=content_hash(values),
    )
