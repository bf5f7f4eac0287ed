"""What gunicorn loads."""

from __future__ import annotations

import atexit
import gc

from gateway.starting import importing

with importing():
    from gateway.app import create_app
    from gateway.settings import load_settings
    from gateway.web.logs import configure_logs
    from gateway.web.places import Places

configure_logs()
settings = load_settings()
app = Places(create_app(settings), settings.server.threads)

# What is here now stays. The processes forked from this one share its memory as long as no search
# for garbage touches it, and none of them searches all of it once more when it ends.
gc.freeze()
atexit.register(gc.freeze)
