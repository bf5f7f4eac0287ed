"""What jobs of different people have in common on a cluster."""

from __future__ import annotations

from gateway.clusters.settings import ClusterSettings

SHARED_ACCOUNT = (
    "Jobs here run as one account: its users are one trust group, and a job of one can reach the "
    "files of all."
)


def shared_account_note(cluster: ClusterSettings | None) -> str:
    """Say that jobs on a cluster can reach each other's files; empty where they cannot.

    Parameters
    ----------
    cluster
        None for one that the settings know no more: nothing runs there.
    """
    if cluster is None or cluster.is_per_user:
        return ""
    # Only local execution has a sandbox of ours: what a site does is not known here.
    walled = cluster.scheduler == "local" and cluster.sandbox != "none"
    return SHARED_ACCOUNT if cluster.trusted_users or not walled else ""
