"""The pages of problems: the list, one problem with its versions, its form and its buttons."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint
from flask import Response, redirect, render_template, request, url_for

from fitters.bumps_options import METHODS
from gateway.accounts.rights import Right, may
from gateway.datasets.service import Files
from gateway.errors import GatewayError, InvalidError, NotFoundError, PreconditionError
from gateway.problems.curve import preview, resolve
from gateway.problems.fit_pages import (
    FORM_PARTS,
    Page,
    form_values,
    own,
    render_form,
    take_files,
)
from gateway.problems.form_filling import of_problem
from gateway.problems.form_look import look_at_problem, with_places
from gateway.problems.form_page import FormPage
from gateway.problems.models import CurveDocument
from gateway.problems.present import present
from gateway.problems.schemas import CloneSchema, CurveSchema
from gateway.problems.service import Found
from gateway.web.access import public, takes_form
from gateway.web.client_wheel import PLACE, client_wheel
from gateway.web.context import gateway, identity
from gateway.web.etag import etag_of, with_etag
from gateway.web.paging import make_cursor, read_cursor

bp = APIBlueprint("problem_pages", __name__, enable_openapi=False)

_LISTED = 30
_SHOWN_BYTES = 200_000


@bp.get("/help")
@public
def first_steps() -> Page:
    """Say how to begin, with commands to paste, and what the words mean."""
    methods = [method for method in METHODS.values() if not method.hidden]
    url = gateway().settings.url
    return render_template("help.html", url=url, wheel=client_wheel().place, methods=methods)


@bp.get(f"{PLACE}/<name>")
@public
def client(name: str) -> Response:
    """Give the client to pip: its one wheel, and nothing for another name."""
    wheel = client_wheel()
    if name != wheel.name:
        raise NotFoundError(f"this gateway has {wheel.place} and no {name[:80]!r}")
    response = Response(wheel.content, mimetype="application/octet-stream")
    return with_etag(response, etag_of(hashlib.sha256(wheel.content).hexdigest()))


@bp.get("/problems")
def problems() -> Page:
    """List your problems, newest first."""
    words = request.args.get("q", "")[:200].strip()
    asked = request.args.get("cursor")
    after = read_cursor(asked) if asked else None
    found, last = gateway().problems.find(identity(), words, _LISTED, after)
    return render_template(
        "problems/list.html",
        items=found,
        words=words,
        searched=bool(words or asked),
        first_url=url_for(".problems", q=words or None) if asked else None,
        next_url=url_for(".problems", q=words or None, cursor=make_cursor(last)) if last else None,
    )


@bp.get("/problems/<problem_id>")
def problem(problem_id: str) -> Page:
    """Show a problem: what it is, how its start looks, what can be done with it."""
    number = request.args.get("version", type=int)
    return _problem_page(gateway().problems.get(identity(), problem_id, number))


@bp.get("/problems/<problem_id>/edit")
def edit(problem_id: str) -> Page:
    """Show the form of a problem."""
    found = gateway().problems.get(identity(), problem_id)
    values = {
        **of_problem(found),
        "tags": ", ".join(found.problem.tags),
        "notes": found.problem.notes,
        "etag": etag_of(present(found)),
    }
    page = FormPage(values={name: text for name, text in values.items() if text}, lenient=True)
    _look(page)
    return _form(page, problem_id)


@bp.post("/problems/<problem_id>/edit")
@takes_form("file_bytes", FORM_PARTS)
def do_edit(problem_id: str) -> Page:
    """Make the next version; refused when somebody else made one meanwhile."""
    sent = form_values()
    does = sent.pop("do", "look")
    live = request.args.get("part") == "live"
    page = FormPage(values=sent, live=live, lenient=does != "save", guessed=does == "guess")
    now = gateway().problems.get(identity(), problem_id)
    if not take_files(page, does):
        return _form(page, problem_id)
    _look(page)
    if does != "save" or page.errors or page.look is None or page.look.document is None:
        return _form(page, problem_id)
    try:
        _require_same(now, sent.get("etag", ""))
        gateway().problems.update(identity(), problem_id, page.look.document, now.problem.version)
    except GatewayError as error:
        page.add(own(error))
        return _form(page, problem_id, error.status)
    return redirect(f"/problems/{problem_id}", code=303)


@bp.post("/problems/<problem_id>/clone")
def clone(problem_id: str) -> Page:
    """Copy a problem, and go to the copy."""
    name = request.form.get("name", "").strip()
    errors = CloneSchema().validate({"name": name} if name else {})
    if errors:
        raise InvalidError.at("/name", "; ".join(errors["name"]))
    made = gateway().problems.clone(identity(), problem_id, name or None)
    return redirect(f"/problems/{made.problem.id}", code=303)


@bp.post("/problems/<problem_id>/delete")
def delete(problem_id: str) -> Page:
    """Forget a problem; jobs keep what they ran with."""
    gateway().problems.delete(identity(), problem_id)
    return redirect("/problems", code=303)


def _require_same(now: Found, shown: str) -> None:
    if shown != etag_of(present(now)):
        raise PreconditionError(
            f"this problem has changed since you opened it (it is at version "
            f"{now.problem.version} now): open it in another tab and compare; what you typed "
            "is kept here"
        )


def _look(page: FormPage) -> None:
    page.look = look_at_problem(gateway(), identity(), page.values, guess=page.guessed)
    page.values = page.look.values
    page.errors.extend(page.look.errors)


def _form(page: FormPage, id: str, status: HTTPStatus | None = None) -> Page:
    page.values["base"] = id
    return render_form(
        page, status, heading="Edit a problem", action=f"/problems/{id}/edit", editing=True
    )


def _problem_page(found: Found) -> Page:
    services, who = gateway(), identity()
    sizes = services.problems.file_sizes(found.kept)
    entry = found.kept.bundle.entry
    return render_template(
        "problems/problem.html",
        problem=found.problem,
        kept=found.kept,
        version=found.kept.version,
        versions=services.problems.versions(who, found.problem.id),
        files=sorted(sizes.items()),
        entry=entry,
        text=services.problems.entry_text(found.kept, _SHOWN_BYTES),
        cut=sizes[entry] > _SHOWN_BYTES,
        curve=_curve(found, services.files),
        may_write=may(who, Right.WRITE, found.problem.owner),
    )


def _curve(found: Found, files: Files) -> dict[str, Any] | None:
    """Draw a curve as its form does."""
    if found.kept.version.type != "curve":
        return None
    curve: CurveDocument = CurveSchema().load(dict(found.kept.version.document["curve"]))
    owner = found.problem.owner
    resolved = resolve(curve, lambda digest: files.read(owner, digest))
    return {**with_places(preview(resolved)), "formula": resolved.expression.text}
