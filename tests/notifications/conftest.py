"""Fixtures of this room: a small real site."""

from tests.web.fixtures import make, site

__all__ = ["make", "site"]
