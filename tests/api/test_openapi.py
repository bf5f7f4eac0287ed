"""S3-7: the API's description is valid, whole and true, and can be read offline."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.api.routes import api_routes
from tests.contract import Contract
from tests.live import Api, LiveGateway


@pytest.fixture(scope="module")
def contract(live: LiveGateway) -> Contract:
    return live.contract


def test_the_description_is_valid_openapi_3_1(contract: Contract) -> None:
    assert re.fullmatch(r"3\.1\.\d+", contract.document["openapi"])
    assert [str(error) for error in OpenAPIV31SpecValidator(contract.document).iter_errors()] == []


def test_it_describes_every_route_and_no_other(contract: Contract) -> None:
    described = {
        (method.upper(), path)
        for path, operations in contract.document["paths"].items()
        for method in operations
    }
    assert described == {(route.method, route.template) for route in api_routes()}


def answers_of(contract: Contract) -> list[tuple[str, int, dict[str, Any]]]:
    """List (operation, status, media types) of all described answers."""
    return [
        (f"{method} {path}", int(status), response.get("content", {}))
        for path, operations in contract.document["paths"].items()
        for method, operation in operations.items()
        for status, response in operation["responses"].items()
    ]


def test_every_answer_with_a_body_says_what_it_is(contract: Contract) -> None:
    wrong = [
        (where, status)
        for where, status, content in answers_of(contract)
        if status not in (204, 304)
        and (
            not content
            or any(k.endswith("json") and not p.get("schema") for k, p in content.items())
        )
    ]
    assert wrong == []


def test_every_error_is_a_problem(contract: Contract) -> None:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    wrong = [
        (where, status)
        for where, status, content in answers_of(contract)
        if status >= 400 and content != problem and (where, status) != ("get /readyz", 503)
    ]
    assert wrong == []


def test_no_schema_is_described_twice(contract: Contract) -> None:
    names = set(contract.document["components"]["schemas"])
    assert [name for name in names if re.sub(r"\d+$", "", name) in names - {name}] == []


def test_each_operation_says_who_may_and_that_strangers_may_not(contract: Contract) -> None:
    operations = [
        operation for path in contract.document["paths"].values() for operation in path.values()
    ]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    for operation in operations:
        closed = operation["security"] != []
        assert closed == (operation.get("x-scope") in {"read", "submit", "admin"})
        assert not closed or "401" in operation["responses"]
    assert contract.document["paths"]["/api/v1/users"]["get"]["x-scope"] == "admin"
    assert contract.document["paths"]["/api/v1/auth/login"]["post"]["security"] == []


def test_every_operation_says_in_a_sentence_what_it_does(contract: Contract) -> None:
    silent = [
        f"{method} {path}"
        for path, operations in contract.document["paths"].items()
        for method, operation in operations.items()
        if not operation.get("summary", "").endswith((".", "?"))
    ]
    assert silent == []


def test_the_page_about_it_needs_no_network_but_this_site(live: LiveGateway) -> None:
    page = httpx.get(f"{live.url}/api/spec.html")
    assert page.status_code == 200
    elsewhere = re.findall(r"""(?:src|href)=["'](?:https?:)?//[^"']*""", page.text)
    assert elsewhere == []
    for source in re.findall(r"""<script[^>]*src=["']([^"']+)""", page.text):
        assert httpx.get(f"{live.url}{source}").status_code == 200


def test_an_unknown_version_of_the_api_is_a_problem_document(live: LiveGateway) -> None:
    answer = httpx.get(f"{live.url}/api/v9/jobs")
    assert answer.status_code == 404
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert answer.json()["request_id"] == answer.headers["X-Correlation-ID"]


def test_answers_of_a_whole_run_are_held_against_it(api: Api) -> None:
    before = api.live.contract.checked
    job = api.submit(kind="dummy", options={"seconds": 0})
    api.wait(job["id"])
    for path in ("", "/script", "/log", "/results"):
        assert api.http.get(f"/jobs/{job['id']}{path}").status_code == 200
    for path in ("/me", "/jobs", "/problems", "/functions", "/methods", "/kinds", "/clusters"):
        assert api.http.get(path).status_code == 200
    assert api.live.contract.checked - before >= 12


def test_an_answer_that_is_not_as_described_is_noticed(contract: Contract) -> None:
    def answer(status: int, body: object) -> list[str]:
        request = httpx.Request("GET", "http://x/api/v1/me")
        return contract.faults(httpx.Response(status, json=body, request=request))

    good = {"name": "ada", "admin": False, "scopes": ["read"], "groups": []}
    assert answer(200, good) == []
    assert answer(200, {**good, "admin": "yes"})
    assert answer(200, {"name": "ada"})
    assert answer(299, good)
