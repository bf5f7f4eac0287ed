"""A site with one user and a courier that goes when it is told to."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from gateway.notifications.courier import Courier
from gateway.notifications.models import Delivery
from tests.web.site import PASSWORD, Site


class Office:
    """Where a user says what to send, and from where it goes."""

    def __init__(self, site: Site) -> None:
        self.site = site
        site.accounts.add_user("ada", PASSWORD)
        self.ada = site.browser()
        self.ada.sign_in("ada")

    def go(self, **rules: Any) -> Delivery:
        """Send what is due now; answer the newest delivery."""
        settings = self.site.services.settings
        settings = replace(settings, notifications=replace(settings.notifications, **rules))
        with ThreadPoolExecutor(2) as pool:
            Courier(settings, self.site.services.redis).round(pool)
        return self.last()

    def last(self) -> Delivery:
        """Answer the newest delivery."""
        return self.site.services.webhooks.deliveries("ada")[0]
