"""The web application: the only place where the rooms' pages and routes meet."""

from __future__ import annotations

from apiflask import APIFlask

from gateway.accounts.api import bp as accounts_api
from gateway.accounts.grant_api import bp as grants_api
from gateway.accounts.grant_pages import bp as grant_pages
from gateway.accounts.pages import bp as accounts_pages
from gateway.admin.api import bp as admin_api
from gateway.admin.audit_pages import bp as audit_pages
from gateway.admin.pages import bp as admin_pages
from gateway.admin.usage_pages import bp as usage_pages
from gateway.clusters.api import bp as clusters_api
from gateway.clusters.pages import bp as cluster_pages
from gateway.datasets.api import bp as files_api
from gateway.health import bp as health
from gateway.jobs.api import bp as jobs_api
from gateway.jobs.bulk_pages import bp as bulk_pages
from gateway.jobs.compare_api import bp as compare_api
from gateway.jobs.compare_pages import bp as compare_pages
from gateway.jobs.many_api import bp as many_api
from gateway.jobs.pages import bp as jobs_pages
from gateway.jobs.share_api import bp as shares_api
from gateway.jobs.share_pages import bp as share_pages
from gateway.metrics import bp as metrics
from gateway.notifications.api import bp as notifications_api
from gateway.notifications.pages import bp as notification_pages
from gateway.policy.api import bp as policy_api
from gateway.problems.api import bp as problems_api
from gateway.problems.fit_pages import bp as fit_pages
from gateway.problems.pages import bp as problem_pages
from gateway.services import open_gateway
from gateway.settings import Settings
from gateway.web.install import install
from gateway.web.openapi import make_app

API = "/api/v1"


def create_app(settings: Settings) -> APIFlask:
    """Make the application of one web process."""
    app = make_app()
    install(app, open_gateway(settings))
    rooms = (accounts_api, files_api, problems_api, jobs_api, clusters_api, notifications_api)
    for blueprint in (*rooms, compare_api, many_api, shares_api, grants_api, policy_api, admin_api):
        app.register_blueprint(blueprint, url_prefix=API)
    pages = (
        accounts_pages,
        grant_pages,
        cluster_pages,
        jobs_pages,
        share_pages,
        bulk_pages,
        compare_pages,
        fit_pages,
        problem_pages,
    )
    administration = (admin_pages, audit_pages, usage_pages)
    for blueprint in (health, metrics, notification_pages, *pages, *administration):
        app.register_blueprint(blueprint)
    return app
