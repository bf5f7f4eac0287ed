"""Many jobs in one request: each is accepted, or refused, by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from apiflask import APIBlueprint, Schema
from marshmallow import RAISE, fields, post_load, validate

from gateway.errors import BadRequestError, GatewayError
from gateway.jobs.asking import Request
from gateway.jobs.present import API
from gateway.jobs.schemas import JobRequest, JobRequestSchema
from gateway.jobs.service import Submitted
from gateway.records import Document
from gateway.web.context import gateway, identity
from gateway.web.correlation import request_id
from gateway.web.described import answers
from gateway.web.errors import problem_of
from gateway.web.idempotency import HEADER, idempotency_key, request_hash

MOST = 100
"""Jobs of one request: it takes about a second then."""

_LONGEST_KEY = 255
bp = APIBlueprint("many_jobs", __name__, tag="many jobs")


class ManyJobsSchema(Schema):
    """What is to be run: jobs that have nothing to do with each other."""

    class Meta:
        """Refuse members that it does not know."""

        unknown = RAISE

    jobs = fields.List(
        fields.Nested(JobRequestSchema), required=True, validate=validate.Length(min=1, max=MOST)
    )

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> tuple[JobRequest, ...]:
        """Give the jobs alone."""
        return tuple(data["jobs"])


class MadeSchema(Schema):
    """What came of one of the jobs: an id, or the problem that it has."""

    status = fields.Integer(
        required=True, metadata={"description": "as of the same request to POST /jobs"}
    )
    id = fields.String(allow_none=True, required=True)
    href = fields.String(allow_none=True, required=True)
    state = fields.String(allow_none=True, required=True)
    replayed = fields.Boolean(
        required=True, metadata={"description": "whether the same key had made it before"}
    )
    warnings = fields.List(fields.String(), required=True)
    problem = fields.Dict(
        allow_none=True, required=True, metadata={"description": "as RFC 9457 describes it"}
    )


class ManyMadeSchema(Schema):
    """What came of it, in the order of the jobs."""

    accepted = fields.Integer(required=True)
    items = fields.List(fields.Nested(MadeSchema), required=True)


@bp.post("/jobs/many")
@bp.input(ManyJobsSchema, arg_name="wanted")
@bp.output(ManyMadeSchema, status_code=202)
@answers(headers=("Idempotency-Key",))
def create_jobs(wanted: tuple[JobRequest, ...]) -> Document:
    """Queue up to 100 jobs, and say for each what came of it; sent again, it makes none twice."""
    key = idempotency_key()
    if key is None:
        raise BadRequestError(
            f"send {HEADER}: if the answer is lost, the same request with the same key makes no "
            "job twice"
        )
    items = [_told(made) for made in _submit_each(key, wanted)]
    return {"accepted": sum(item["problem"] is None for item in items), "items": items}


def _submit_each(key: str, wanted: Sequence[JobRequest]) -> Iterator[Submitted | GatewayError]:
    """Submit one after the other, each with a key of its own; a fault holds up no other."""
    asked = Request(identity=identity(), correlation_id=request_id())
    jobs = gateway().jobs.of_one_request()
    for number, one in enumerate(wanted):
        own = replace(
            asked,
            key=f"{key}:{number}"[-_LONGEST_KEY:],
            request_hash=request_hash(["many", one.raw]),
        )
        try:
            yield jobs.submit(own, one)
        except GatewayError as error:
            yield error


def _told(made: Submitted | GatewayError) -> Document:
    found: Document = dict.fromkeys(("id", "href", "state", "problem"))
    found |= {"replayed": False, "warnings": []}
    if isinstance(made, GatewayError):
        return found | {"status": int(made.status), "problem": problem_of(made)}
    return found | {
        "status": 202,
        "id": made.job.id,
        "href": f"{API}/{made.job.id}",
        "state": made.job.attempt.state.value,
        "replayed": made.replayed,
        "warnings": list(made.warnings),
    }
