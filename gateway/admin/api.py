"""What programs of administrators may ask of all users' work, and tell."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from apiflask import APIBlueprint

from gateway.accounts.models import Scope
from gateway.admin.audit_schemas import HandedPageSchema, HandedQuery
from gateway.admin.overview import Overview, QueueFilter, look_over, queue
from gateway.admin.schemas import (
    DrainSchema,
    OverviewSchema,
    QueueQuery,
    QueueSchema,
    UsageQuery,
    UsageReportSchema,
    WantedDrainSchema,
)
from gateway.admin.survey_schemas import SurveySchema
from gateway.admin.surveys import survey_document
from gateway.clusters.models import Drain
from gateway.jobs.handed import HandedFilter, handed
from gateway.jobs.line import cpus_of
from gateway.jobs.models import Job
from gateway.jobs.usage import Period, usage
from gateway.records import Document, now
from gateway.web.access import needs
from gateway.web.context import gateway, identity
from gateway.web.described import answers
from gateway.web.paging import page_of, paged

bp = APIBlueprint("admin", __name__, tag="admin")


@bp.get("/admin/clusters")
@bp.output(OverviewSchema)
@needs(Scope.ADMIN)
def list_clusters() -> Overview:
    """Say how each cluster fares: what it last answered, what waits, hangs or is held, its pace."""
    return look_over(gateway())


@bp.get("/admin/jobs")
@bp.input(QueueQuery, location="query", arg_name="query")
@bp.output(QueueSchema)
@needs(Scope.ADMIN)
def list_queue(query: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    """List the jobs of all users that have not ended, oldest first, without what is private."""
    page = page_of(query)
    found, last = queue(gateway(), QueueFilter(**query), page.limit, page.after)
    return paged([_queued(job) for job in found], last)


@bp.get("/admin/usage")
@bp.input(UsageQuery, location="query", arg_name="period")
@bp.output(UsageReportSchema)
@needs(Scope.ADMIN)
def report_usage(period: Period) -> Document:
    """Sum up the core-hours of jobs that were submitted in a period, and what came to nothing.

    By user, cluster and proposal; by kind; by group. Of very many jobs the newest are counted, and
    ``left_out`` says how many are not.
    """
    found = usage(gateway().redis, period, gateway().policies.groups_of)
    return {**vars(found), "since": period.since, "until": period.until, "items": found.rows}


@bp.get("/admin/clusters/<cluster>/probe")
@bp.output(SurveySchema)
@needs(Scope.ADMIN)
@answers(HTTPStatus.NOT_FOUND)
def read_survey(cluster: str) -> Document:
    """Say what a cluster was found able to do, when, and what the gateway makes of it."""
    return survey_document(gateway(), cluster, gateway().surveys.find(cluster))


@bp.post("/admin/clusters/<cluster>/probe")
@bp.output(SurveySchema, status_code=202)
@needs(Scope.ADMIN)
@answers(HTTPStatus.NOT_FOUND)
def ask_for_survey(cluster: str) -> tuple[Document, int]:
    """Have the worker look again: what was found until then is answered, with ``wanted`` set."""
    survey = gateway().surveys.ask(cluster, identity().user)
    gateway().live.wake("")
    return survey_document(gateway(), cluster, survey), 202


@bp.get("/admin/audit")
@bp.input(HandedQuery, location="query", arg_name="query")
@bp.output(HandedPageSchema)
@needs(Scope.ADMIN)
def list_handed(query: dict[str, Any]) -> tuple[dict[str, Any], int, dict[str, str]]:
    """List what was handed over: who, what, when, template, options, script and scheduler's id.

    A page is of so many jobs, each with all its attempts, newest job first. It may have fewer, and
    still have a ``next_cursor``: it looks at a bounded number of jobs.
    """
    page = page_of(query)
    found = handed(gateway().redis, HandedFilter(**query), page.limit, page.after)
    return paged(found.rows, found.last)


@bp.put("/admin/clusters/<cluster>/drain")
@bp.input(WantedDrainSchema, arg_name="wanted")
@bp.output(DrainSchema)
@needs(Scope.ADMIN)
@answers(HTTPStatus.NOT_FOUND)
def drain_cluster(cluster: str, wanted: dict[str, str]) -> Drain:
    """Hand nothing new over to a cluster: jobs wait in the gateway, running ones go on."""
    return gateway().drains.drain(cluster, wanted["reason"], identity().user)


@bp.delete("/admin/clusters/<cluster>/drain")
@bp.output({}, status_code=204)
@needs(Scope.ADMIN)
@answers(HTTPStatus.NOT_FOUND)
def resume_cluster(cluster: str) -> tuple[str, int]:
    """Hand over to a cluster again, beginning with what waits."""
    gateway().drains.resume(cluster, identity().user)
    return "", 204


@bp.put("/admin/drain")
@bp.input(WantedDrainSchema, arg_name="wanted")
@bp.output({}, status_code=204)
@needs(Scope.ADMIN)
def drain_all(wanted: dict[str, str]) -> tuple[str, int]:
    """Hand nothing new over to any cluster."""
    gateway().drains.drain_all(wanted["reason"], identity().user)
    return "", 204


@bp.delete("/admin/drain")
@bp.output({}, status_code=204)
@needs(Scope.ADMIN)
def resume_all() -> tuple[str, int]:
    """Hand over to every cluster again."""
    gateway().drains.resume_all(identity().user)
    return "", 204


def _queued(job: Job) -> Document:
    attempt = job.attempt
    return {
        "id": job.id,
        "owner": job.owner,
        "kind": job.kind,
        "cluster": job.cluster,
        "state": attempt.state.value,
        "submission": attempt.stage.value,
        "native_id": attempt.native_id,
        "cpus": cpus_of(job),
        "asked": attempt.asked,
        "age_s": (now() - attempt.asked).total_seconds(),
        "reason": attempt.reason,
        "reason_text": attempt.reason_text,
    }
