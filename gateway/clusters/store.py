"""What the gateway remembers of clusters and of people's accounts there, in Redis.

No other module knows these keys.

====================================  ======  =================================================
key                                   type    holds
====================================  ======  =================================================
``cluster-account:{cluster}:{user}``  string  the account, as JSON; its private key is sealed
``cluster-accounts:{cluster}``        zset    the users who have one, score 0
``clusters:drained``                  hash    cluster -> why, by whom and since when it takes
                                              nothing new, as JSON
``clusters:answered``                 hash    cluster -> when it last answered
``clusters:failed``                   hash    cluster -> when it last failed, and why, as JSON
``clusters:probed``                   hash    cluster -> what it was found able to do, as JSON
``clusters:probe-wanted``             hash    cluster -> since when somebody waits for a look
====================================  ======  =================================================
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import redis
import structlog

from gateway.clusters.libraries import Libraries
from gateway.clusters.models import ClusterAccount, Contact, Drain, Survey
from gateway.errors import NoSpaceError
from gateway.keepsakes import Keepsakes, Stored
from gateway.records import Document, from_document, time_text, to_document

_log = structlog.get_logger("clusters")

# Two requests at once must not both show a key of which one is void.
_PUT = """
local before = redis.call('GET', KEYS[1])
if (before and cjson.decode(before).id or '') ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[3])
return 1
"""


class ClusterAccountStore:
    """Reads and writes accounts; each verb is one atomic step."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client
        self._put = client.register_script(_PUT)

    def put(self, account: ClusterAccount, before: ClusterAccount | None) -> bool:
        """Remember an account in place of the one before; False when that has changed meanwhile."""
        keys = [_key(account.cluster, account.user), _users(account.cluster)]
        text = json.dumps(to_document(account))
        return bool(self._put(keys=keys, args=[before.id if before else "", text, account.user]))

    def find(self, cluster: str, user: str) -> ClusterAccount | None:
        """Read the account of a user; None when there is none."""
        text = self._redis.get(_key(cluster, user))
        return None if text is None else from_document(ClusterAccount, json.loads(text))

    def remove(self, cluster: str, user: str) -> bool:
        """Forget an account; False when there was none."""
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(_key(cluster, user))
            pipe.zrem(_users(cluster), user)
            return bool(pipe.execute()[0])

    def all(self, cluster: str) -> list[ClusterAccount]:
        """Read all accounts on a cluster, by user."""
        users = self._redis.zrangebylex(_users(cluster), "-", "+")
        texts = self._redis.mget([_key(cluster, user) for user in users]) if users else []
        return [from_document(ClusterAccount, json.loads(text)) for text in texts if text]


class DrainStore:
    """Reads and writes which clusters take nothing new, each with a file beside it."""

    def __init__(self, client: redis.Redis, files: Keepsakes) -> None:
        self._redis: Any = client
        self._files = files

    def put(self, cluster: str, drain: Drain) -> None:
        """Remember it, in place of what was there; also where the disk is full."""
        self._redis.hset("clusters:drained", cluster, json.dumps(to_document(drain)))
        try:
            self._files.keep(cluster, self._stored(cluster))
        except NoSpaceError as error:
            _log.warning("a lost store will not know of it", drained=cluster, error=str(error))

    def restore(self, document: Document) -> bool:
        """Bring one back from its file; False when the store has one of that cluster."""
        drain = from_document(Drain, document)
        text = json.dumps(to_document(drain))
        return bool(self._redis.hsetnx("clusters:drained", document["cluster"], text))

    def remove(self, cluster: str) -> None:
        """Forget it."""
        with self._files.dropped(cluster, self._stored(cluster)):
            self._redis.hdel("clusters:drained", cluster)

    def _stored(self, cluster: str) -> Stored:
        def look() -> Document | None:
            found = self.find(cluster)
            return None if found is None else {"cluster": cluster, **to_document(found)}

        return look

    def find(self, cluster: str) -> Drain | None:
        """Read it; None where a cluster is not drained."""
        text = self._redis.hget("clusters:drained", cluster)
        return None if text is None else from_document(Drain, json.loads(text))

    def all(self) -> dict[str, Drain]:
        """Read all, by cluster."""
        texts = self._redis.hgetall("clusters:drained")
        return {name: from_document(Drain, json.loads(texts[name])) for name in sorted(texts)}


class ContactStore:
    """Reads and writes how clusters answered; one worker writes, so nobody is in its way."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client

    def answered(self, cluster: str, moment: datetime) -> None:
        """Remember an answer."""
        self._redis.hset("clusters:answered", cluster, time_text(moment))

    def failed(self, cluster: str, moment: datetime, error: str) -> None:
        """Remember a failure."""
        document = {"failed": time_text(moment), "error": error}
        self._redis.hset("clusters:failed", cluster, json.dumps(document))

    def all(self) -> dict[str, Contact]:
        """Read all, by cluster."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall("clusters:answered")
            pipe.hgetall("clusters:failed")
            answered, failed = pipe.execute()
        return {
            name: from_document(
                Contact,
                {"answered": answered.get(name), **json.loads(failed.get(name, "{}"))},
            )
            for name in {*answered, *failed}
        }


class SurveyStore:
    """Reads and writes what clusters can do; the worker looks, others wish."""

    def __init__(self, client: redis.Redis) -> None:
        self._redis: Any = client
        self.libraries = Libraries(client)

    def put(self, cluster: str, survey: Survey) -> None:
        """Remember a look; nobody waits for it any more."""
        document = to_document(replace(survey, wanted=None))
        with self._redis.pipeline(transaction=True) as pipe:
            pipe.hset("clusters:probed", cluster, json.dumps(document))
            pipe.hdel("clusters:probe-wanted", cluster)
            pipe.execute()

    def want(self, cluster: str, moment: datetime) -> None:
        """Note that somebody waits for a look; who waits already waits longer."""
        self._redis.hsetnx("clusters:probe-wanted", cluster, time_text(moment))

    def wanted(self) -> list[str]:
        """List the clusters that somebody asked about, first come first."""
        found = self._redis.hgetall("clusters:probe-wanted")
        return sorted(found, key=lambda name: (found[name], name))

    def find(self, cluster: str) -> Survey:
        """Read what one can do, with one question; not whether somebody waits for a look."""
        text = self._redis.hget("clusters:probed", cluster)
        return Survey() if text is None else from_document(Survey, json.loads(text))

    def all(self) -> dict[str, Survey]:
        """Read all, by cluster."""
        with self._redis.pipeline(transaction=False) as pipe:
            pipe.hgetall("clusters:probed")
            pipe.hgetall("clusters:probe-wanted")
            probed, wanted = pipe.execute()
        return {
            name: from_document(
                Survey, {**json.loads(probed.get(name, "{}")), "wanted": wanted.get(name)}
            )
            for name in {*probed, *wanted}
        }


def _key(cluster: str, user: str) -> str:
    return f"cluster-account:{cluster}:{user}"


def _users(cluster: str) -> str:
    return f"cluster-accounts:{cluster}"
