"""The services of one gateway: the rooms, put together once for a process.

A web process gets all of it but the clusters: only the worker opens those.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import redis

from gateway.accounts.audit import Audit
from gateway.accounts.service import Accounts
from gateway.clusters.contacts import Contacts
from gateway.clusters.drains import Drains
from gateway.clusters.probes import Surveys
from gateway.clusters.service import ClusterAccounts
from gateway.clusters.store import ClusterAccountStore, ContactStore, DrainStore, SurveyStore
from gateway.database import connect
from gateway.datasets.blobs import BlobStore
from gateway.datasets.service import Files
from gateway.datasets.store import DatasetStore
from gateway.jobs.earliest import Starts
from gateway.jobs.earliest_store import EarliestStore
from gateway.jobs.forecast_store import ForecastStore
from gateway.jobs.forecaster import Forecaster
from gateway.jobs.live_store import LiveStore
from gateway.jobs.log_folder import LogFolder
from gateway.jobs.nudge import Nudge
from gateway.jobs.service import JobService
from gateway.jobs.spent import Spent
from gateway.jobs.store import JobStore
from gateway.keepsakes import Keepsakes
from gateway.notifications.mail_store import MailStore
from gateway.notifications.mails import Mails
from gateway.notifications.outbox_store import OutboxStore
from gateway.notifications.service import Notifications
from gateway.notifications.shares import ShareNotices
from gateway.notifications.store import NotificationStore
from gateway.notifications.webhook_store import WebhookStore
from gateway.notifications.webhooks import Webhooks
from gateway.policy.file import PolicyFile
from gateway.policy.service import Policies
from gateway.policy.store import SubmissionStore
from gateway.problems.service import ProblemService
from gateway.problems.store import ProblemStore
from gateway.settings import Settings
from gateway.sharing.groups import PolicyGroups
from gateway.sharing.service import Sharing
from gateway.sharing.store import ShareStore
from gateway.sidecars import Sidecars


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """All that a view or a worker asks for."""

    settings: Settings
    redis: redis.Redis
    accounts: Accounts
    cluster_accounts: ClusterAccounts
    drains: Drains
    contacts: Contacts
    policies: Policies
    surveys: Surveys
    blobs: BlobStore
    datasets: DatasetStore
    files: Files
    problem_store: ProblemStore
    problems: ProblemService
    job_store: JobStore
    live: LiveStore
    logs: LogFolder
    jobs: JobService
    sharing: Sharing
    notification_store: NotificationStore
    notifications: Notifications
    webhooks: Webhooks
    mails: Mails


def open_gateway(settings: Settings) -> Gateway:
    """Put the rooms together; nothing is asked of the store yet."""
    state = settings.state_directory
    client = connect(settings)
    blobs = BlobStore(state / "blobs")
    datasets = DatasetStore(client, Sidecars(state / "sidecars" / "datasets"))
    files = Files(datasets, blobs, settings)
    problem_store = ProblemStore(client, Sidecars(state / "sidecars" / "problems"))
    problems = ProblemService(store=problem_store, files=files, settings=settings)
    accounts = Accounts(client, settings.accounts, settings.secret_key, settings.url)
    cluster_accounts = ClusterAccounts(ClusterAccountStore(client), settings, accounts.audit)
    drains = Drains(DrainStore(client, Keepsakes(state, "drains")), settings, accounts.audit)
    job_store = JobStore(client, Sidecars(state / "sidecars" / "jobs"))
    policies = _open_policies(state, client, job_store, accounts.audit)
    notification_store = NotificationStore(client)
    notices = ShareNotices(notification_store, job_store)
    sharing = _open_sharing(settings, client, accounts, policies, notices)
    live = LiveStore(client, settings.limits.ended_events_s)
    surveys = Surveys(SurveyStore(client), settings, accounts.audit)
    outbox = OutboxStore(client)
    starts = Starts(EarliestStore(client), settings, cluster_accounts, live.wake)
    return Gateway(
        settings=settings,
        redis=client,
        accounts=accounts,
        cluster_accounts=cluster_accounts,
        drains=drains,
        contacts=Contacts(ContactStore(client)),
        policies=policies,
        surveys=surveys,
        blobs=blobs,
        datasets=datasets,
        files=files,
        problem_store=problem_store,
        problems=problems,
        job_store=job_store,
        live=live,
        logs=LogFolder(state / "logs", settings.limits.log_bytes),
        jobs=JobService(
            store=job_store,
            live=live,
            files=files,
            blobs=blobs,
            problems=problems,
            settings=settings,
            wake=Nudge(settings),
            users=accounts,
            logins=cluster_accounts,
            closings=drains,
            policies=policies,
            surveys=surveys,
            forecaster=Forecaster(ForecastStore(client), settings, starts),
            sharing=sharing,
        ),
        sharing=sharing,
        notification_store=notification_store,
        notifications=Notifications(notification_store, sharing),
        webhooks=Webhooks(WebhookStore(client, Keepsakes(state, "webhooks")), outbox, settings),
        mails=Mails(MailStore(client, Keepsakes(state, "mails")), outbox, settings),
    )


def _open_sharing(
    settings: Settings,
    client: redis.Redis,
    accounts: Accounts,
    policies: Policies,
    notices: ShareNotices,
) -> Sharing:
    shares = ShareStore(client, Keepsakes(settings.state_directory, "shares"))
    return Sharing(shares, accounts, PolicyGroups(policies), accounts.audit, settings, notices)


def _open_policies(state: Path, client: redis.Redis, jobs: JobStore, audit: Audit) -> Policies:
    return Policies(
        file=PolicyFile(state),
        submissions=SubmissionStore(client),
        spent=Spent(client),
        living=jobs.active,
        audit=audit,
    )
