"""The new-fit form: whole without a script; a script asks for ``?part=live`` while one types.

The form is read by the schemas of the API and carried out by the same verbs. What is wrong stands
at its field, and nothing that was typed is lost.
"""

from __future__ import annotations

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import Response, redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from gateway.errors import ConflictError, GatewayError, NotFoundError
from gateway.jobs.kinds import find_kind
from gateway.jobs.shared import ReadersJob
from gateway.problems.form_filling import FormValues, fresh, of_example, of_job, of_problem
from gateway.problems.form_look import Look, look_at_problem
from gateway.problems.form_page import FormPage, column_names, default_text, twice
from gateway.problems.form_submit import Sender, content_hash, keep_problem, show_script, submit
from gateway.problems.service import Found
from gateway.problems.uploads import keep_uploads
from gateway.web.access import takes_form
from gateway.web.context import gateway, identity
from gateway.web.correlation import request_id

bp = APIBlueprint("fit_pages", __name__, enable_openapi=False)
Page = str | tuple[str, int] | Response | AnyResponse

FORM_PARTS = 2_000
PATH = "/fits/new"
_MODES = {"check": "check"}
_SENDS = ("fit", "check")
_CLEARS = {
    "drop_data": ("data_digest", "data_name"),
    "drop_json": ("json_digest", "json_name", "json_python"),
}


@bp.record_once
def _add_filters(state: object) -> None:
    filters = {"twice": twice, "column_names": column_names, "default_text": default_text}
    state.app.jinja_env.filters.update(filters)  # type: ignore[attr-defined]  # Flask's own type


@bp.get(PATH)
def new_fit() -> Page:
    """Show the form: empty, with a problem, or with everything of a job."""
    values = _filled()
    page = FormPage(values=values, lenient=True)
    if values.get("parent") and not values.get("base") and values["kind"] == "fit":
        page.alert = "The problem of this job has been deleted: choose another, or upload it again."
    if any(values.get(name) for name in ("base", "parent", "data_text")):
        _look(page, guess=False)
    return _render(page)


@bp.post(PATH)
@takes_form("file_bytes", FORM_PARTS)
def send_fit() -> Page:
    """Do what the pressed button says."""
    sent = form_values()
    does = sent.pop("do", "look")
    live = request.args.get("part") == "live"
    sends = does in (*_SENDS, "save", "preview")
    page = FormPage(values=sent, live=live, lenient=not sends, guessed=does == "guess")
    if not take_files(page, does):
        return _render(page)
    if sends and does != "preview":
        return _send(page, does)
    _look(page, guess=page.guessed)
    return _render(page)


def _send(page: FormPage, does: str) -> Page:
    sent = dict(page.values)
    if does in _MODES:
        sent["mode"] = page.values["mode"] = _MODES[does]
    try:
        look = page.look = _look_at(page.values)
        page.values = look.values
        if look.errors:
            page.errors = look.errors
            _show(page)
            return _render(page)
        if does == "save":
            kept = keep_problem(gateway(), identity(), look, sent)
            return redirect(f"/problems/{kept['id']}", code=303)
        job = submit(gateway(), sender(), look, sent)
    except ConflictError as error:
        page.add(error)
        _show(page)
        return _render(page, HTTPStatus.CONFLICT)
    except GatewayError as error:
        page.add(own(error))
        return _render(page, error.status)
    return redirect(f"/jobs/{job.id}", code=303)


def take_files(page: FormPage, does: str) -> bool:
    """Keep the files that came with a form, and forget the one that a button drops."""
    try:
        keep_uploads(gateway().files, identity(), request.files, page.values)
    except GatewayError as error:
        page.add(own(error))
        return False
    for name in _CLEARS.get(does, ()):
        page.values.pop(name, None)
    return True


def form_values() -> FormValues:
    """Read the form: the last of each name, with line ends as they are here."""
    return {
        name: texts[-1].replace("\r\n", "\n").replace("\r", "\n")
        for name, texts in request.form.lists()
    }


def sender() -> Sender:
    """Say who sends this form."""
    return Sender(identity=identity(), correlation_id=request_id())


def _filled() -> FormValues:
    """Fill the form by what the address names."""
    services, who, asked = gateway(), identity(), request.args
    if asked.get("from"):
        job = services.jobs.get(who, asked["from"])
        own = asked.get("problem")  # a copy, of what somebody else's job ran with
        found = _problem(own or job.problem.id, None if own else job.problem.version or None)
        values = {**fresh(services.settings, job.kind), **of_job(job, found)}
        if isinstance(job, ReadersJob):
            values.pop("proposal", None)  # its owner's
        return values
    kind = asked.get("kind", "fit")
    find_kind(kind)
    values = fresh(services.settings, kind)
    if asked.get("problem"):
        version = asked.get("version", type=int)
        found = services.problems.get(who, asked["problem"], version)
        values |= {name: text for name, text in of_problem(found).items() if text}
    elif "example" in asked and kind == "fit":
        values |= of_example()
    return values


def _problem(id: str | None, version: int | None) -> Found | None:
    """Find the problem of a job; it may be gone."""
    try:
        return gateway().problems.get(identity(), id, version) if id else None
    except NotFoundError:
        return None


def _look_at(values: FormValues, *, guess: bool = False) -> Look:
    if values.get("kind", "fit") != "fit":
        return Look(values=values)
    return look_at_problem(gateway(), identity(), values, guess=guess)


def _look(page: FormPage, *, guess: bool) -> None:
    """Look at the problem, and show the script where nothing is in the way."""
    said = content_hash(page.values)
    page.look = _look_at(page.values, guess=guess)
    page.values = page.look.values
    page.errors.extend(page.look.errors)
    _show(page, said)


def _show(page: FormPage, said: str = "") -> None:
    """Show the script that would run; say what is wrong with the rest of the form."""
    if page.look is None:
        return
    try:
        script = show_script(gateway(), sender(), page.look)
    except GatewayError as error:
        page.add(own(error))
        return
    if not page.errors:
        page.script = script
        page.script_name = said or content_hash(page.values)


def own(error: GatewayError) -> GatewayError:
    """Let pass what is ours, and not the asker's, to mend."""
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise error
    return error


def _render(page: FormPage, status: HTTPStatus | None = None) -> Page:
    again = bool(page.values.get("parent"))
    return render_form(
        page,
        status,
        heading="Run again with changes" if again else "New fit",
        action=PATH,
        editing=False,
    )


def render_form(
    page: FormPage, status: HTTPStatus | None = None, *, heading: str, action: str, editing: bool
) -> Page:
    """Show the form, or the parts of it that a script asked for.

    Parameters
    ----------
    status
        What to answer when something is wrong; 422 where nothing is said.
    """
    wrong = not page.lenient and bool(page.errors or page.alert)
    answer = render_template(
        "problems/_form.html" if page.live else "problems/form.html",
        **page.context(gateway(), identity()),
        heading=heading,
        action=action,
        live_path=f"{action}?part=live",
        editing=editing,
    )
    return (answer, int(status or HTTPStatus.UNPROCESSABLE_ENTITY)) if wrong else answer
