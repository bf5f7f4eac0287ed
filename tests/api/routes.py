"""The routes of the real application, for tests that must meet every one."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from gateway.app import create_app
from gateway.settings import load_settings, prepare_state

_UNDESCRIBED = {"/api/v1/openapi.json", "/api/spec.html"}


@dataclass(frozen=True, kw_only=True, order=True)
class Route:
    """One operation."""

    method: str
    template: str
    """As OpenAPI writes it: ``/api/v1/jobs/{job_id}``."""

    reads: str = ""
    """The media type of its body; empty: it reads none."""

    @property
    def name(self) -> str:
        """Its method, and its address without the version."""
        return f"{self.method} {self.template.removeprefix('/api/v1')}"


@cache
def api_routes() -> tuple[Route, ...]:
    """List what the application's own route map says; no server is asked."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        prepare_state(state)
        app = create_app(
            load_settings(
                {
                    "GATEWAY_STATE": str(state),
                    "GATEWAY_SECRET_KEY": "of-no-gateway-0123456789abcdef-0123456789",
                    "GATEWAY_REDIS_URL": f"unix://{folder}/nobody",
                }
            )
        )
        with app.test_request_context():
            document = app.spec
        assert isinstance(document, dict)
        described = document["paths"]
        found = {
            Route(method=method, template=template, reads=_body_of(described, template, method))
            for rule in app.url_map.iter_rules()
            for template in [re.sub(r"<(?:[^:>]+:)?(\w+)>", r"{\1}", rule.rule)]
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
            if rule.rule not in _UNDESCRIBED
            if rule.rule.startswith("/api/") or rule.rule in ("/healthz", "/readyz")
        }
    return tuple(sorted(found))


def _body_of(described: dict[str, Any], template: str, method: str) -> str:
    body = described.get(template, {}).get(method.lower(), {}).get("requestBody", {})
    return next(iter(body.get("content", {})), "")
