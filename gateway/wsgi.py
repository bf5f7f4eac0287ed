"""What gunicorn loads."""

from __future__ import annotations

from gateway.app import create_app
from gateway.settings import load_settings
from gateway.web.logs import configure_logs

configure_logs()
app = create_app(load_settings())
