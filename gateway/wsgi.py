"""What gunicorn loads."""

from __future__ import annotations

from gateway.app import create_app
from gateway.settings import load_settings
from gateway.web.logs import configure_logs
from gateway.web.places import Places

configure_logs()
settings = load_settings()
app = Places(create_app(settings), settings.server.threads)
