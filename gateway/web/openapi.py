"""How the API describes itself: OpenAPI 3.1 from the views, and a page that needs no network."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint, APIFlask
from apispec.ext.marshmallow.common import make_schema_key
from flask import render_template, request
from marshmallow import Schema
from werkzeug.exceptions import NotFound

from gateway import __version__
from gateway.accounts.models import Scope
from gateway.resources import cupboard
from gateway.web.access import access_of, public, scope_of
from gateway.web.described import described_of, header_parameters
from gateway.web.errors import PROBLEM, kinds, slug, status_slug

SPEC_PATH = "/api/v1/openapi.json"
PROBLEM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "RFC 9457 problem details",
    "required": ["type", "title", "status", "detail", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "instance": {"type": "string"},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {
                    "pointer": {"type": "string", "description": "JSON pointer (RFC 6901)"},
                    "detail": {"type": "string"},
                },
            },
        },
    },
}
_CLOSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
_GENERAL = ("/HTTPError", "/ValidationError")
_ANY = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.REQUEST_URI_TOO_LONG,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_BODY = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.INSUFFICIENT_STORAGE,
)

docs = APIBlueprint("docs", __name__, enable_openapi=False)


class App(APIFlask):
    """APIFlask, but a schema that is part of another is described once.

    Its own registry and that of apispec do not know of each other: a schema met first inside
    another one would be described again under a second name, with a warning.
    """

    def make_default_options_response(self) -> Any:
        """Answer OPTIONS with what this address takes, not what a wider one would."""
        response = super().make_default_options_response()
        wanted = request.url_rule.rule if request.url_rule else None
        rules = (rule for rule in self.url_map.iter_rules() if rule.rule == wanted)
        response.allow.clear()
        response.allow.update(method for rule in rules for method in rule.methods or ())
        return response

    def _register_schema_and_get_ref(
        self, spec: Any, registered_schema_classes: dict[int, str], schema_obj: Any
    ) -> dict[str, Any]:
        plugin = self._ma_plugin
        if plugin is not None and plugin.converter is not None and isinstance(schema_obj, Schema):
            known = plugin.converter.refs.get(make_schema_key(schema_obj))
            if known is not None:
                return {"$ref": f"#/components/schemas/{known}"}
        reference: dict[str, Any] = super()._register_schema_and_get_ref(
            spec, registered_schema_classes, schema_obj
        )
        return reference


def make_app(import_name: str = "gateway") -> APIFlask:
    """Make an app without routes that knows where its pages lie and how it describes itself."""
    html = cupboard("templates") / "html"
    app = App(
        import_name,
        title="bumps-gateway",
        version=__version__,
        spec_path=SPEC_PATH,
        docs_path=None,
        template_folder=str(html),
        static_folder=str(html / "static"),
        static_url_path="/static",
    )
    app.description = "Fits with bumps on a cluster: one click is at most one job."
    app.config.update(
        AUTO_OPERATION_ID=True,
        AUTO_SERVERS=False,
        VALIDATION_ERROR_SCHEMA=PROBLEM_SCHEMA,
        HTTP_ERROR_SCHEMA=PROBLEM_SCHEMA,
        SECURITY_SCHEMES={
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "an API token (bgw_...) made with POST /auth/tokens or on the page",
            },
            "session": {
                "type": "apiKey",
                "in": "cookie",
                "name": "__Host-bgw-access",
                "description": "a browser's session; writes carry X-CSRF-Token too",
            },
        },
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it
    app.view_functions["openapi.spec"] = public(app.view_functions["openapi.spec"])
    app.spec_processor(lambda spec: complete(app, spec))
    return app


def complete(app: APIFlask, spec: Any) -> Any:
    """Add what holds for every operation: who may call it, and the errors it may answer."""
    spec["components"].setdefault("schemas", {})["Problem"] = PROBLEM_SCHEMA
    for unused in ("HTTPError", "ValidationError"):
        spec["components"]["schemas"].pop(unused, None)
    views = {
        f"{method.lower()}_{rule.endpoint.replace('.', '_')}": (rule.endpoint, method)
        for rule in app.url_map.iter_rules()
        for method in rule.methods or ()
    }
    for path in spec["paths"].values():
        for operation in path.values():
            endpoint, method = views[operation["operationId"]]
            schemas = spec["components"]["schemas"]
            _complete_operation(operation, app.view_functions[endpoint], method, schemas)
    return spec


def _complete_operation(
    operation: dict[str, Any], view: Any, method: str, schemas: dict[str, Any]
) -> None:
    access = access_of(view)
    statuses = [*_ANY]
    if access.public:
        operation["security"] = []
    else:
        scope = scope_of(access, method)
        operation["security"] = [{"token": []}, {"session": []}]
        operation["x-scope"] = str(scope)
        statuses += _CLOSED
    if method not in {"GET", "DELETE"}:
        statuses += _BODY
    if method != "GET":
        statuses.append(HTTPStatus.FORBIDDEN)  # a write from another site's page
    statuses += [HTTPStatus(status) for status in described_of(view).statuses]
    for parameter in operation.setdefault("parameters", []):
        _drop_null(parameter["schema"])
    operation["parameters"] += header_parameters(view)
    if access.any_type:
        content: dict[str, Any] = {"application/octet-stream": {"schema": {}}}
        operation["requestBody"] = {"required": False, "content": content}  # a file may be empty
    _require_body(operation, schemas)
    _complete_answers(operation["responses"], statuses)


def _require_body(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Say that a body must be there where a field of it must."""
    body = operation.get("requestBody", {})
    for part in body.get("content", {}).values():
        name = str(part["schema"].get("$ref", "")).rpartition("/")[2]
        if schemas.get(name, {}).get("required"):
            body["required"] = True


def _complete_answers(responses: dict[str, Any], statuses: list[HTTPStatus]) -> None:
    for status in statuses:
        responses.setdefault(str(int(status)), {"description": status.phrase})
    for code, response in responses.items():
        if int(code) >= HTTPStatus.BAD_REQUEST and not _has_own_form(response):
            schema = {"$ref": "#/components/schemas/Problem"}
            response["content"] = {PROBLEM: {"schema": schema}}


def _drop_null(schema: dict[str, Any]) -> None:
    """Take null out of a parameter: an address has none."""
    schema.pop("nullable", None)
    if schema.get("default", "") is None:
        del schema["default"]


def _has_own_form(response: dict[str, Any]) -> bool:
    """Whether a view said itself what such an answer looks like."""
    refs = [
        str(part.get("schema", {}).get("$ref")) for part in response.get("content", {}).values()
    ]
    return any(not ref.endswith(_GENERAL) for ref in refs)


@docs.get("/api/spec.html")
@public
def page() -> str:
    """Show the API's document, read by a small script of ours: no network but this site."""
    return render_template("spec.html", spec_path=SPEC_PATH, scopes=list(Scope))


@docs.get("/errors/<name>")
@public
def error_kind(name: str) -> str:
    """Say what a problem's type means."""
    for kind in kinds():
        if slug(kind) == name:
            text = (kind.__doc__ or "").strip().partition("\n")[0]
            return render_template("error_kind.html", name=name, status=kind.status, text=text)
    for status in HTTPStatus:
        if status_slug(status) == name:
            text = status.description
            return render_template("error_kind.html", name=name, status=status, text=text)
    raise NotFound
