"""The page of one's accounts on clusters."""

from __future__ import annotations

from http import HTTPStatus

from apiflask import APIBlueprint
from flask import redirect, render_template, request
from werkzeug.wrappers import Response as AnyResponse

from gateway.clusters.keys import KEY_CHARACTERS
from gateway.clusters.service import WantedAccount, authorized_keys
from gateway.clusters.shared import shared_account_note
from gateway.errors import GatewayError, InvalidError
from gateway.records import Document
from gateway.web.context import gateway, identity
from gateway.web.csrf import FIELD

bp = APIBlueprint("cluster_pages", __name__, enable_openapi=False)

PATH = "/account/clusters"
_FIELDS = frozenset({"login", "key", "private_key", "passphrase", FIELD})
_KEYS = ("keep", "new", "mine")

Page = str | tuple[str, int] | AnyResponse


@bp.get(PATH)
def accounts() -> Page:
    """Show as whom one's jobs run on each cluster, with a form where that is oneself."""
    return _page()


@bp.post(f"{PATH}/<name>")
def register(name: str) -> Page:
    """Register one's account on a cluster."""
    user = identity().user
    try:
        gateway().cluster_accounts.register(name, user, _wanted(), user)
    except InvalidError as error:
        return _page(name, error), int(error.status)
    return redirect(f"{PATH}#{name}", code=303)


@bp.post(f"{PATH}/<name>/remove")
def remove(name: str) -> Page:
    """Forget one's account on a cluster."""
    user = identity().user
    try:
        gateway().cluster_accounts.remove(name, user, user)
    except GatewayError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        # Removed twice, in two tabs: what was wanted is so.
    return redirect(f"{PATH}#{name}", code=303)


def _wanted() -> WantedAccount:
    form = request.form
    if unknown := sorted(set(form) - _FIELDS):
        raise InvalidError.at(f"/{unknown[0][:50]}", "is not a field of this form")
    key = form.get("key", "keep")
    if key not in _KEYS:
        raise InvalidError.at("/key", f"choose one of {', '.join(_KEYS)}")
    brought = form.get("private_key", "").strip()
    if key == "mine" and not brought:
        raise InvalidError.at("/private_key", "paste the key here")
    if len(brought) > KEY_CHARACTERS:
        raise InvalidError.at("/private_key", f"is longer than {KEY_CHARACTERS} characters")
    return WantedAccount(
        login=form.get("login", "").strip(),
        private_key=brought if key == "mine" else "",
        passphrase=form.get("passphrase", "") if key == "mine" else "",
        new_key=key == "new",
    )


def _page(wrong: str = "", error: GatewayError | None = None) -> str:
    services, user = gateway(), identity().user
    return render_template(
        "clusters/accounts.html",
        clusters=[_shown(name) for name in services.settings.clusters],
        user=user,
        wrong=wrong,
        error=error,
        given=request.form,
    )


def _shown(name: str) -> Document:
    """Gather what the page says of a cluster."""
    services = gateway()
    cluster = services.settings.clusters[name]
    own = cluster.is_per_user
    account = services.cluster_accounts.find(name, identity().user) if own else None
    return {
        "name": name,
        "title": cluster.title,
        "own": own,
        "note": shared_account_note(cluster),
        "account": account,
        "lines": authorized_keys(account, cluster) if account else [],
    }
