"""Sites, kinds of job, fit methods, and accounts on clusters as programs read and write them."""

from __future__ import annotations

from apiflask import Schema
from apiflask.validators import Length
from marshmallow import fields

from gateway.accounts.models import NAME_LENGTH
from gateway.clusters.keys import KEY_CHARACTERS
from gateway.clusters.models import KeySource
from gateway.clusters.service import LOGIN_PATTERN, LOGIN_RULE
from gateway.web.fields import Instant


class LibrariesSchema(Schema):
    """What the last fit of a cluster has found installed there."""

    seen = Instant(required=True)
    versions = fields.Dict(keys=fields.String(), values=fields.String(), required=True)


class ClusterSchema(Schema):
    """A site, with what it gives to one job."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    default = fields.Boolean(required=True)
    scheduler = fields.String(required=True)
    accounts = fields.String(
        required=True,
        metadata={"description": "service: all jobs run as one account; per-user: as their owner"},
    )
    trust_group = fields.Boolean(
        required=True,
        metadata={"description": "whether jobs of one user can reach the files of another's"},
    )
    login = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "as whom one's jobs run there, where each user has an account"},
    )
    max_time = fields.String(required=True)
    default_time = fields.String(required=True)
    max_cpus_per_job = fields.Integer(required=True, allow_none=True)
    max_array = fields.Integer(required=True)
    partitions = fields.List(fields.String(), required=True)
    drained = fields.String(
        required=True,
        metadata={"description": "why new jobs wait in the gateway for now; empty: they do not"},
    )
    version = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "of its scheduler, as last found; null: nobody has looked yet"},
    )
    libraries = fields.Nested(
        LibrariesSchema,
        required=True,
        allow_none=True,
        metadata={
            "description": "Python, bumps, refl1d and others where fits run, as the last one that "
            "ended told; null: none has yet"
        },
    )


class ClustersSchema(Schema):
    """All sites."""

    items = fields.List(fields.Nested(ClusterSchema), required=True)


class OptionSchema(Schema):
    """One setting of a kind or of a fit method."""

    name = fields.String(required=True)
    type = fields.String(required=True)
    default = fields.Raw(required=True)
    label = fields.String(required=True)
    help = fields.String(required=True)
    minimum = fields.Float(required=True, allow_none=True)
    maximum = fields.Float(required=True, allow_none=True)
    above = fields.Float(required=True, allow_none=True)
    choices = fields.List(fields.String(), required=True)
    unit = fields.String(required=True)


class KindSchema(Schema):
    """A kind of job."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    shape = fields.String(required=True)
    output_type = fields.String(required=True)
    resources = fields.Dict(required=True)
    options = fields.List(fields.Nested(OptionSchema), required=True)


class KindsSchema(Schema):
    """All kinds of job."""

    items = fields.List(fields.Nested(KindSchema), required=True)


class MethodSchema(Schema):
    """A fit method."""

    name = fields.String(required=True)
    title = fields.String(required=True)
    help = fields.String(required=True)
    parallel = fields.Boolean(required=True)
    resumable = fields.Boolean(required=True)
    options = fields.List(fields.Nested(OptionSchema), required=True)


class MethodsSchema(Schema):
    """All fit methods, and which one is taken when nobody names one."""

    default = fields.String(required=True)
    items = fields.List(fields.Nested(MethodSchema), required=True)


class WhoseSchema(Schema):
    """Whose account."""

    user = fields.String(
        load_default="",
        validate=Length(max=NAME_LENGTH),
        metadata={"description": "one's own when left out; that of others: for administrators"},
    )


class WantedAccountSchema(Schema):
    """An account to be registered."""

    login = fields.String(
        required=True,
        metadata={"description": LOGIN_RULE, "pattern": f"^{LOGIN_PATTERN.pattern}$"},
    )
    private_key = fields.String(
        load_default="",
        validate=Length(max=KEY_CHARACTERS),
        metadata={
            "format": "password",
            "description": "in OpenSSH's form; without it the key stays that there is, or one is "
            "made. It is kept encrypted and never shown",
        },
    )
    passphrase = fields.String(
        load_default="",
        validate=Length(max=1000),
        metadata={"format": "password", "description": "of that key; used once, and not kept"},
    )
    new_key = fields.Boolean(
        load_default=False, metadata={"description": "make a new key in place of the one there is"}
    )


class AuthorizedKeySchema(Schema):
    """A line for a machine."""

    host = fields.String(required=True)
    line = fields.String(required=True)


class ClusterAccountSchema(Schema):
    """An account on a cluster, without its private key."""

    cluster = fields.String(required=True)
    user = fields.String(required=True)
    login = fields.String(required=True)
    source = fields.Enum(KeySource, by_value=True, required=True)
    public_key = fields.String(required=True)
    fingerprint = fields.String(required=True)
    certificate_file = fields.String(
        required=True, metadata={"description": "on the gateway's host; empty: the key alone"}
    )
    authorized_keys = fields.List(
        fields.Nested(AuthorizedKeySchema),
        required=True,
        metadata={"description": "what to put into ~/.ssh/authorized_keys, and where"},
    )
    added = Instant(required=True)
