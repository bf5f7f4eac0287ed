"""Holds every answer of the API against what the API says of itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx
import jsonschema_rs

SPEC = "/api/v1/openapi.json"
_JSON = ("application/json", "application/problem+json")


class Contract:
    """An OpenAPI document, to check answers by."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.checked = 0
        self._paths = {
            re.compile(_pattern(path)): (path, operations)
            for path, operations in sorted(document["paths"].items())
        }

    def operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        """Find the operation of a request; one without variables wins."""
        found = [
            (template.count("{"), operations)
            for pattern, (template, operations) in self._paths.items()
            if pattern.fullmatch(path) and method.lower() in operations
        ]
        return min(found, key=lambda item: item[0])[1][method.lower()] if found else None

    def faults(self, response: httpx.Response) -> list[str]:
        """Say what an answer has that its description has not; it must have been read."""
        request = response.request
        asked = f"{request.method} {request.url.path} answered {response.status_code}"
        method = "GET" if request.method == "HEAD" else request.method
        operation = self.operation(method, request.url.path)
        if operation is None:
            return [] if response.status_code in (404, 405) else [f"{asked}: no such operation"]
        described = operation["responses"].get(str(response.status_code))
        if described is None:
            return [f"{asked}, which is not among {sorted(operation['responses'])}"]
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        if not response.content:
            return []
        if kind not in described.get("content", {}):
            return [f"{asked} as {kind or 'nothing'}, not {sorted(described.get('content', {}))}"]
        if kind not in _JSON:
            return []
        self.checked += 1
        errors = self._validator(described["content"][kind]["schema"]).iter_errors(response.json())
        return [f"{asked}: {error.message} at {list(error.instance_path)}" for error in errors]

    def _validator(self, schema: Mapping[str, Any]) -> Any:
        if set(schema) == {"$ref"}:
            return self._named(schema["$ref"])
        return jsonschema_rs.Draft202012Validator({**schema, **self._components})

    @property
    def _components(self) -> dict[str, Any]:
        return {"components": self.document["components"]}

    def _named(self, ref: str) -> Any:
        return _validator_of(self, ref)


@cache
def _validator_of(contract: Contract, ref: str) -> Any:
    document = {"components": contract.document["components"]}
    return jsonschema_rs.Draft202012Validator({"$ref": ref, **document})


def _pattern(path: str) -> str:
    """Match the addresses of a path; a file's path may have slashes."""
    parts = re.split(r"\{(\w+)\}", path)
    inner = (".+" if name == "path" else "[^/]+" for name in parts[1::2])
    texts = [re.escape(text) for text in parts[::2]]
    return "".join(text + next(inner, "") for text in texts)


def hold_to(contract: Contract) -> Any:
    """Make an event hook for httpx that fails the test whose answer is not as described."""

    def check(response: httpx.Response) -> None:
        if response.headers.get("Content-Type", "").partition(";")[0] in _JSON:
            response.read()
        elif "Content-Length" not in response.headers:
            return  # a stream of events: it is not read here
        else:
            response.read()
        faults = contract.faults(response)
        assert not faults, faults

    return check
