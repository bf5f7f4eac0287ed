"""What a cluster was found able to do, and what follows, as administrators read it."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.clusters.models import Survey
from gateway.clusters.strategy import Rule, strategy
from gateway.records import Document, to_document
from gateway.services import Gateway


def rules(services: Gateway, cluster: str, survey: Survey) -> Sequence[Rule]:
    """Say what follows; nothing of a cluster that nobody has looked at."""
    settings = services.settings.clusters.get(cluster)
    if settings is None or survey.found is None:
        return ()
    return strategy(survey.found, settings)


def survey_document(services: Gateway, cluster: str, survey: Survey) -> Document:
    """Write it for a program."""
    found: Document | None = to_document(survey.found)
    if found is not None:
        found |= found.pop("manners")
    return {
        "cluster": cluster,
        "probed": survey.probed,
        "took_s": survey.took_s if survey.probed else None,
        "failed": survey.failed,
        "error": survey.error,
        "wanted": survey.wanted,
        "found": found,
        "strategy": rules(services, cluster, survey),
    }
