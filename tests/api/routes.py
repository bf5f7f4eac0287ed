"""The routes of the real application, for tests that must meet every one."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gateway.app import create_app
from gateway.settings import load_settings, prepare_state

_UNDESCRIBED = {"/api/v1/openapi.json", "/api/spec.html"}


@dataclass(frozen=True, kw_only=True, order=True)
class Route:
    """One operation."""

    method: str
    template: str
    """As OpenAPI writes it: ``/api/v1/jobs/{job_id}``."""

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
        found = {
            Route(method=method, template=re.sub(r"<(?:[^:>]+:)?(\w+)>", r"{\1}", rule.rule))
            for rule in app.url_map.iter_rules()
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
            if rule.rule not in _UNDESCRIBED
            if rule.rule.startswith("/api/") or rule.rule in ("/healthz", "/readyz")
        }
    return tuple(sorted(found))
