"""What is answered to who asks for a job."""

from __future__ import annotations

from marshmallow import fields

from gateway.jobs.schemas import JobSchema


class NewJobSchema(JobSchema):
    """A job that was accepted just now, or before with the same key."""

    warnings = fields.List(fields.String(), required=True)
