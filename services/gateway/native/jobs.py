"""Routes of jobs, which create more coupons than one request can, and of the codes they created."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse

from services.gateway import jobs, tenants
from services.gateway.access.callers import Caller
from services.gateway.gateway import Gateway
from services.gateway.guard import CanRead, CurrentGateway
from services.gateway.jobs import Job
from services.gateway.native import new_router
from services.gateway.native.bodies import Body, moment
from services.gateway.native.openapi import responses_of
from services.gateway.native.responses import json_response
from services.gateway.native.tables import csv_text
from services.gateway.problems import Problem
from shared.domain.coupons import code_patterns as patterns
from shared.domain.model.ids import derived_id
from shared.ledger.definitions import to_domain

router = new_router("jobs")


class JobAnswer(Body):
    """A job. `status`: waiting, running, done, failed. `done`: coupons created so far, of `total`."""

    job_id: str
    status: str
    campaign_id: str
    total: int
    done: int
    problem: str | None
    created_at: str
    updated_at: str


async def start_job(gateway: Gateway, caller: Caller, command_id: str, campaign_id: str, total: int) -> Response:
    """Start a job that creates `total` coupons, or return the job that the same command started. Raises a Problem."""
    found = await tenants.campaign(gateway, campaign_id)
    if found is None:
        raise Problem(404, "not_found", f"Campaign {campaign_id!r} doesn't exist.")
    campaign = to_domain(found.definition, 0)
    if campaign.source.kind != "generated" or campaign.code.shared_code is not None:
        raise Problem(422, "invalid_request", f"Campaign {campaign_id!r} doesn't generate codes from a pattern.")
    try:
        patterns.check(campaign.code.pattern, campaign.code.charset, total)
    except patterns.CodePatternError as error:
        raise Problem(422, "invalid_request", str(error)) from None
    settings = gateway.settings
    limits = jobs.QueueLimits(settings.http_jobs_per_caller, settings.http_job_coupons_per_caller)
    if total > limits.coupons:
        raise Problem(422, "invalid_request", f"count: must be at most {limits.coupons:,} for a job.")
    try:
        job = await jobs.add(
            gateway.pool, derived_id("job", command_id), caller.name, campaign_id, total, limits=limits
        )
    except jobs.QueueFullError as error:
        raise Problem(429, "rate_limited", str(error), headers={"Retry-After": "60"}) from None
    return json_response(_document(job), 202)


@router.get("/jobs/{job_id}", summary="Show a job's progress", responses=responses_of(JobAnswer))
async def show(gateway: CurrentGateway, _: CanRead, job_id: UUID) -> Response:
    """Show a job. Poll until its status is done or failed."""
    return json_response(_document(await _job(gateway, job_id)))


@router.get(
    "/jobs/{job_id}/codes",
    summary="Download the codes of a job",
    responses=responses_of(JobAnswer)
    | {200: {"description": "Success.", "content": {"text/csv": {"schema": {"type": "string"}},
                                                  "application/x-ndjson": {"schema": {"type": "string"}}}}},
)  # fmt: skip
async def codes(
    request: Request,
    gateway: CurrentGateway,
    _: CanRead,
    job_id: UUID,
    format: Annotated[  # noqa: A002 - the name that callers write
        Literal["csv", "ndjson"] | None, Query(description="by default, the format of the Accept header, or CSV")
    ] = None,
) -> Response:
    """Stream the codes, in parts of 1,000. A job that is not done has those created so far."""
    job = await _job(gateway, job_id)
    as_json = format == "ndjson" or (format is None and "ndjson" in request.headers.get("accept", ""))
    kind = "application/x-ndjson" if as_json else "text/csv; charset=utf-8"
    name = f"codes-{job.job_id}.{'ndjson' if as_json else 'csv'}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_lines(gateway, job, as_json), media_type=kind, headers=headers)


async def _lines(gateway: Gateway, job: Job, as_json: bool) -> AsyncIterator[bytes]:
    if not as_json:
        yield csv_text([["code"]]).encode()
    async for part in jobs.codes(gateway.pool, job):
        if as_json:
            yield b"".join(orjson.dumps({"code": code}) + b"\n" for code in part)
        else:
            yield csv_text([code] for code in part).encode()


async def _job(gateway: Gateway, job_id: UUID) -> Job:
    job = await jobs.find(gateway.pool, str(job_id))
    if job is None or (tenants.groups() is not None and await tenants.campaign(gateway, job.campaign_id) is None):
        raise Problem(404, "not_found", f"Job {job_id} doesn't exist.")
    return job


def _document(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.job_id,
        "status": job.status,
        "campaign_id": job.campaign_id,
        "total": job.total,
        "done": job.done,
        "problem": job.problem,
        "created_at": moment(job.created_at),
        "updated_at": moment(job.updated_at),
    }
