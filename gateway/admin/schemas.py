"""What only administrators read and write, as programs do."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from apiflask import Schema
from apiflask.validators import Length, OneOf
from marshmallow import ValidationError, fields, post_load

from gateway.accounts.models import NAME_LENGTH
from gateway.clusters.drains import REASON_LENGTH
from gateway.jobs.usage import Period
from gateway.records import now
from gateway.web.fields import Instant
from gateway.web.paging import PageSchema
from scheduler.base import JobState

_USUAL = timedelta(days=29)
_FIRST_YEAR, _LAST_YEAR = 2000, 2999


class WantedDrainSchema(Schema):
    """Why nothing new is to be handed over."""

    reason = fields.String(
        required=True,
        validate=Length(min=1, max=REASON_LENGTH),
        metadata={"description": "what users are told: one line"},
    )


class DrainSchema(Schema):
    """Nothing new is handed over to a cluster."""

    reason = fields.String(required=True)
    by = fields.String(required=True)
    since = Instant(required=True)


class ClusterOverviewSchema(Schema):
    """How one cluster fares."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    scheduler = fields.String(required=True)
    accounts = fields.String(required=True)
    configured = fields.Boolean(
        required=True,
        metadata={"description": "false: the settings know it no more, and it still has jobs"},
    )
    drained = fields.Nested(DrainSchema, required=True, allow_none=True)
    answered = Instant(
        required=True,
        allow_none=True,
        metadata={"description": "when it last did what it was asked; nobody asks without jobs"},
    )
    failed = Instant(
        required=True, allow_none=True, metadata={"description": "when it last did not"}
    )
    error = fields.String(required=True, metadata={"description": "what was said then"})
    states = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "jobs that have not ended, by state"},
    )
    in_line = fields.Integer(
        required=True, metadata={"description": "of these, jobs that wait in the gateway"}
    )
    uncertain = fields.Integer(
        required=True, metadata={"description": "of these, jobs that may have arrived or not"}
    )
    held = fields.Integer(
        required=True, metadata={"description": "of these, jobs that somebody holds over there"}
    )
    stale = fields.Integer(
        required=True, metadata={"description": "of these, jobs whose state is an old one"}
    )
    commands_last_minute = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "all that its scheduler was given; null while no worker tells"},
    )
    questions_per_minute = fields.Integer(
        required=True,
        metadata={"description": "most questions for the jobs of one account; 0: no limit"},
    )


class OverviewSchema(Schema):
    """How all clusters fare."""

    items = fields.List(fields.Nested(ClusterOverviewSchema), required=True, attribute="clusters")
    pulse_s = fields.Float(
        required=True,
        allow_none=True,
        metadata={"description": "since the worker finished a round; null: it is silent"},
    )
    unreadable = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"description": "why the record of a job cannot be read, by its id"},
    )


class QueueQuery(PageSchema):
    """Which jobs that have not ended."""

    user = fields.String(validate=Length(max=NAME_LENGTH))
    state = fields.String(
        validate=OneOf(
            tuple(state.value for state in JobState if not state.final),
            error="{input!r} is no state of a job that lives; known: {choices}",
        )
    )
    cluster = fields.String(validate=Length(max=64))


class QueuedJobSchema(Schema):
    """A job that has not ended, as others may see it."""

    id = fields.String(required=True)
    owner = fields.String(required=True)
    kind = fields.String(required=True)
    cluster = fields.String(required=True)
    state = fields.String(required=True)
    submission = fields.String(required=True)
    native_id = fields.String(required=True, allow_none=True)
    cpus = fields.Integer(required=True)
    asked = Instant(required=True)
    age_s = fields.Float(required=True, metadata={"description": "since it was asked for"})
    reason = fields.String(required=True)
    reason_text = fields.String(required=True)


class QueueSchema(Schema):
    """A page of jobs that have not ended, oldest first."""

    items = fields.List(fields.Nested(QueuedJobSchema), required=True)
    next_cursor = fields.String(required=True, allow_none=True)


def _in_our_times(day: date) -> None:
    if not _FIRST_YEAR <= day.year <= _LAST_YEAR:
        raise ValidationError(f"{day} is not between {_FIRST_YEAR} and {_LAST_YEAR}")


class UsageQuery(Schema):
    """Which days, in UTC; left out: the last 30."""

    since = fields.Date(validate=_in_our_times, metadata={"description": "the first day"})
    until = fields.Date(
        validate=_in_our_times, metadata={"description": "the last day, which is counted"}
    )

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Period:
        """Make the period."""
        until = data.get("until") or max(now().date(), data.get("since", now().date()))
        return Period(since=data.get("since") or until - _USUAL, until=until)


class SumSchema(Schema):
    """What jobs that were submitted in the period have used until now, and what came of it."""

    ended = fields.Dict(
        keys=fields.String(),
        values=fields.Integer(),
        required=True,
        metadata={"description": "attempts that have ended, by state"},
    )
    core_hours = fields.Float(
        required=True,
        metadata={"description": "the time of all tasks, times the processors of each"},
    )
    wasted_core_hours = fields.Float(
        required=True,
        metadata={
            "description": "of these, of attempts that neither completed nor were continued, "
            "and what stood idle in others that used less than half of their processors"
        },
    )
    wasted = fields.Dict(
        keys=fields.String(),
        values=fields.Float(),
        required=True,
        metadata={"description": "the same, by the state in which they ended, or IDLE"},
    )
    success_rate = fields.Float(
        required=True,
        allow_none=True,
        metadata={
            "description": "how many of the attempts that ended completed, from 0 to 1, without "
            "those that were continued or were cancelled before they began; null: there are none"
        },
    )
    estimated = fields.Integer(
        required=True,
        metadata={"description": "arrays counted from first start to last end, as an upper bound"},
    )


class UsageSchema(SumSchema):
    """What one user's jobs have used of one cluster."""

    user = fields.String(required=True)
    cluster = fields.String(required=True)
    proposal = fields.String(
        required=True, metadata={"description": "under which they were submitted; or empty"}
    )


class ShareSchema(SumSchema):
    """What the jobs of one kind, or of one group, have used."""

    name = fields.String(required=True)


class UsageReportSchema(Schema):
    """Who used how much, most first."""

    since = fields.Date(required=True)
    until = fields.Date(required=True)
    items = fields.List(fields.Nested(UsageSchema), required=True)
    kinds = fields.List(fields.Nested(ShareSchema), required=True)
    groups = fields.List(
        fields.Nested(ShareSchema),
        required=True,
        metadata={"description": "by the policy as it is now; who is in two counts in both"},
    )
    total = fields.Nested(SumSchema, required=True)
    left_out = fields.Integer(
        required=True,
        metadata={"description": "older jobs of the period that were too many to be counted"},
    )
    counted_from = Instant(
        required=True,
        allow_none=True,
        metadata={"description": "when the oldest that was counted was made; null: all were"},
    )
