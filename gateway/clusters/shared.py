"""What jobs of different people have in common on a cluster."""

from __future__ import annotations

from gateway.cluster_settings import ClusterSettings

SHARED_ACCOUNT = "Jobs here run as one account: its users trust each other."


def shared_account_note(cluster: ClusterSettings | None) -> str:
    """Say that jobs on a cluster can reach each other's files; empty where they cannot.

    Parameters
    ----------
    cluster
        None for one that the settings know no more: nothing runs there.
    """
    if cluster is None or cluster.accounts != "service":
        return ""
    return SHARED_ACCOUNT if cluster.trusted_users or cluster.sandbox == "none" else ""
