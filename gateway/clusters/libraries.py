"""Which Python and which libraries fits have where they run: each result tells it of its own.

It is what the last fit of a cluster has told: nobody asks compute nodes, and nothing is concluded
from it. A result is written by a user's code, so only known names with plain versions are taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis

from fitters.versions import NAMES
from gateway.records import from_document, now, to_document

_KEY = "clusters:libraries"
_KNOWN = ("python", *NAMES)
_VERSION = re.compile(r"[0-9][0-9A-Za-z.+_-]{0,39}")


@dataclass(frozen=True, kw_only=True)
class Environment:
    """What a fit has found where it ran, and when it said so."""

    seen: datetime
    versions: Mapping[str, str]


def read_versions(told: object) -> dict[str, str]:
    """Read what a result says of libraries; what is not plain is left out.

    >>> read_versions({"bumps": "1.0.5", "python": "3.11.2", "evil": "1", "numpy": "<b>"})
    {'python': '3.11.2', 'bumps': '1.0.5'}
    """
    if not isinstance(told, dict):
        return {}
    found = {name: told.get(name) for name in _KNOWN}
    return {
        name: version
        for name, version in found.items()
        if isinstance(version, str) and _VERSION.fullmatch(version)
    }


class Libraries:
    """Remembers what the last fits have told."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client

    def learn(self, cluster: str, told: object) -> None:
        """Take what a result says of libraries; one that says nothing changes nothing."""
        if versions := read_versions(told):
            environment = to_document(Environment(seen=now(), versions=versions))
            self._redis.hset(_KEY, cluster, json.dumps(environment))

    def all(self) -> dict[str, Environment]:
        """Read all, by cluster."""
        found = self._redis.hgetall(_KEY)
        return {name: from_document(Environment, json.loads(text)) for name, text in found.items()}
