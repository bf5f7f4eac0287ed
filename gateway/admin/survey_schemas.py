"""What programs read of what a cluster can do."""

from __future__ import annotations

from apiflask import Schema
from marshmallow import fields

from gateway.web.fields import Instant


class SitePartitionSchema(Schema):
    """Nodes with limits of their own, in Slurm's words."""

    name = fields.String(required=True)
    default = fields.Boolean(required=True)
    up = fields.Boolean(required=True)
    max_time = fields.String(required=True)
    default_time = fields.String(required=True)
    nodes = fields.Integer(required=True)
    job_nodes = fields.String(
        required=True, metadata={"description": "how many nodes one job may have"}
    )
    cpus = fields.Integer(required=True, metadata={"description": "of all its nodes"})
    node_cpus = fields.Integer(required=True, metadata={"description": "of its largest node"})
    memory_mb = fields.Integer(required=True, metadata={"description": "of its largest node"})
    gres = fields.String(required=True)


class SiteQosSchema(Schema):
    """A quality of service with its limits; an empty text: none."""

    name = fields.String(required=True)
    max_wall = fields.String(required=True)
    max_jobs_per_user = fields.String(required=True)
    max_submit_per_user = fields.String(required=True)
    max_tres_per_user = fields.String(required=True)


class SiteAssociationSchema(Schema):
    """What an account of Slurm gives whom the gateway is there; an empty text: no limit."""

    account = fields.String(required=True)
    partition = fields.String(required=True)
    qos = fields.String(required=True)
    max_jobs = fields.String(required=True)
    max_submit = fields.String(required=True)
    max_wall = fields.String(required=True)
    max_tres = fields.String(required=True, metadata={"description": "of one job"})
    grp_jobs = fields.String(required=True)
    grp_submit = fields.String(required=True)
    grp_tres = fields.String(required=True, metadata={"description": "of all jobs together"})


class SiteSchema(Schema):
    """What a cluster can do."""

    name = fields.String(required=True)
    version = fields.String(required=True)
    cpus = fields.Integer(required=True, metadata={"description": "of its largest partition"})
    memory_bytes = fields.Integer(required=True, allow_none=True)
    max_array = fields.Integer(required=True, metadata={"description": "MaxArraySize"})
    min_job_age_s = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "how long ended jobs are remembered; null: nobody told"},
    )
    accounting = fields.Boolean(required=True, allow_none=True)
    enforced = fields.List(
        fields.String(), required=True, metadata={"description": "AccountingStorageEnforce"}
    )
    part_limits = fields.String(required=True, metadata={"description": "EnforcePartLimits"})
    private = fields.List(fields.String(), required=True, metadata={"description": "PrivateData"})
    max_jobs = fields.Integer(
        required=True, allow_none=True, metadata={"description": "MaxJobCount"}
    )
    requeues = fields.Boolean(required=True, allow_none=True)
    kill_wait_s = fields.Integer(required=True, allow_none=True)
    message_timeout_s = fields.Integer(
        required=True, allow_none=True, metadata={"description": "MessageTimeout"}
    )
    offers_json = fields.Boolean(required=True, allow_none=True)
    partitions = fields.List(fields.Nested(SitePartitionSchema), required=True)
    qos = fields.List(
        fields.Nested(SiteQosSchema),
        required=True,
        allow_none=True,
        metadata={"description": "null: it could not be asked for"},
    )
    associations = fields.List(fields.Nested(SiteAssociationSchema), required=True)
    notes = fields.List(fields.String(), required=True)


class StrategySchema(Schema):
    """One thing that was found, and what is done about it."""

    found = fields.String(required=True)
    follows = fields.String(required=True)
    good = fields.Boolean(
        required=True, metadata={"description": "false: an administrator should change something"}
    )


class SurveySchema(Schema):
    """The last look at what a cluster can do."""

    cluster = fields.String(required=True)
    probed = Instant(
        required=True, allow_none=True, metadata={"description": "when it was found; null: never"}
    )
    took_s = fields.Float(required=True, allow_none=True)
    failed = Instant(
        required=True, allow_none=True, metadata={"description": "when a look came to nothing"}
    )
    error = fields.String(required=True, metadata={"description": "what was said then"})
    wanted = Instant(
        required=True,
        allow_none=True,
        metadata={"description": "since when somebody waits for another look"},
    )
    found = fields.Nested(SiteSchema, required=True, allow_none=True)
    strategy = fields.List(fields.Nested(StrategySchema), required=True)
