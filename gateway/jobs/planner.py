"""From a checked request to what an attempt will be: its plan, kept, and its record."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from gateway.clusters.settings import ClusterSettings
from gateway.datasets.blobs import BlobStore
from gateway.errors import ConflictError
from gateway.jobs.expert import NOTHING, difference, told
from gateway.jobs.models import Attempt, Plan
from gateway.jobs.plan import (
    directory,
    keep_plan,
    make_plan,
    make_script,
    script_sha256,
    with_defaults,
)
from gateway.jobs.prepare import Prepared
from gateway.jobs.script import template_version
from gateway.records import now
from gateway.settings import Settings
from scheduler.directives import write_indices

_MANY = 2


class Users(Protocol):
    """Who there is."""

    def count_users(self) -> int:
        """Count all users."""


class Logins(Protocol):
    """Who runs whose jobs."""

    def login(self, cluster: str, user: str) -> str:
        """Say as whom the jobs of a user run; empty where all run as one account.

        InvalidError where each user has an account and this one has none yet.
        """


class Planner:
    """Plans attempts where their clusters may run them."""

    def __init__(self, blobs: BlobStore, settings: Settings, users: Users, logins: Logins) -> None:
        self._blobs = blobs
        self._settings = settings
        self._users = users
        self._logins = logins

    def plan(self, prepared: Prepared) -> Plan:
        """Make the plan of an attempt; nothing but its files is kept.

        Raises
        ------
        ConflictError
            When a file is gone that it needs.
        """
        self._require_walls(prepared.cluster)
        plan = make_plan(prepared.wanted, self._cluster(prepared)[0], self._blobs)
        digests = [*(file.digest for file in plan.files), *(file.digest for file in plan.kept)]
        if not self._blobs.keep(*digests):
            raise ConflictError("a file that this needs is gone: upload it again")
        return plan

    def difference(self, prepared: Prepared, plan: Plan) -> str:
        """Show what its owner added to a script, as a unified diff; empty when it is nothing."""
        wanted = prepared.wanted
        if not wanted.expert:
            return ""
        plain = make_script(replace(wanted, expert=NOTHING), self._cluster(prepared)[0])
        return difference(plain, plan.script)

    def attempt(
        self,
        prepared: Prepared,
        plan: Plan,
        *,
        resumed_from: int | None = None,
        kept_from: int | None = None,
    ) -> Attempt:
        """Keep a plan, and make the attempt that it is for."""
        wanted = prepared.wanted
        cluster, login = self._cluster(prepared)
        return Attempt(
            number=wanted.attempt,
            plan=keep_plan(plan, self._blobs),
            directory=str(directory(cluster, wanted.owner, wanted.id, wanted.attempt)),
            login=login,
            proposal=prepared.proposal,
            script_sha256=script_sha256(plan),
            template=template_version(),
            asked=now(),
            tasks=len(wanted.indices) or wanted.tasks,
            indices=write_indices(wanted.indices),
            method=str(wanted.options.get("fit", "")),
            time_limit_s=plan.job["run"]["time_limit_s"],
            resources=with_defaults(wanted.resources, cluster).to_directives(),
            ranks=wanted.resources.ranks,
            expert=told(wanted.expert),
            resumed_from=resumed_from,
            kept_from=kept_from,
        )

    def _cluster(self, prepared: Prepared) -> tuple[ClusterSettings, str]:
        """Give a cluster as the owner of a job sees it, and who they are there."""
        cluster = self._settings.clusters[prepared.cluster]
        login = self._logins.login(prepared.cluster, prepared.wanted.owner)
        return replace(cluster, base=cluster.base_of(login)), login

    def _require_walls(self, cluster_name: str) -> None:
        """Refuse to run one user's code where it could read another's."""
        cluster = self._settings.clusters[cluster_name]
        walled = cluster.scheduler != "local" or cluster.sandbox != "none"
        if walled or cluster.trusted_users or self._users.count_users() < _MANY:
            return
        raise ConflictError(
            f"the cluster {cluster_name!r} runs jobs with the gateway's own rights, and there is "
            f"more than one user: an administrator must set clusters.{cluster_name}.sandbox = "
            "'bwrap', or trusted_users = true for a group that trusts each other"
        )
