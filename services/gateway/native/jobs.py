"""Jobs: making more coupons than one call answers with, and the codes that they made."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, Literal
from uuid import UUID

import orjson
from fastapi import Query, Request, Response
from fastapi.responses import StreamingResponse

from services.gateway import jobs, tenants
from services.gateway.access.callers import Caller
from services.gateway.gateway import Gateway
from services.gateway.guard import Here, MayRead
from services.gateway.jobs import Job
from services.gateway.native import new_router
from services.gateway.native.answers import answer
from services.gateway.native.bodies import Body, moment
from services.gateway.native.openapi import told
from services.gateway.native.tables import csv_text
from services.gateway.problems import Problem
from shared.domain.coupons import code_patterns as patterns
from shared.domain.model.ids import derived_id
from shared.ledger.definitions import to_domain

router = new_router("jobs")


class JobAnswer(Body):
    """A job. `status`: waiting, running, done, failed; `done` of `total` coupons are made."""

    job_id: str
    status: str
    campaign_id: str
    total: int
    done: int
    problem: str | None
    created_at: str
    updated_at: str


async def start_job(gateway: Gateway, caller: Caller, command_id: str, campaign_id: str, total: int) -> Response:
    """A job that makes so many coupons, or the one that the same request began. Raises a Problem."""
    found = await tenants.campaign(gateway, campaign_id)
    if found is None:
        raise Problem(404, "not_found", f"There is no campaign {campaign_id!r}.")
    campaign = to_domain(found.definition, 0)
    if campaign.source.kind != "generated" or campaign.code.shared_code is not None:
        raise Problem(422, "invalid_request", f"Campaign {campaign_id!r} doesn't make codes of its own by a pattern.")
    try:
        patterns.check(campaign.code.pattern, campaign.code.charset, total)
    except patterns.CodePatternError as error:
        raise Problem(422, "invalid_request", str(error)) from None
    settings = gateway.settings
    limits = jobs.QueueLimits(settings.http_jobs_per_caller, settings.http_job_coupons_per_caller)
    if total > limits.coupons:
        raise Problem(422, "invalid_request", f"count: a job makes at most {limits.coupons:,} coupons here.")
    try:
        job = await jobs.add(
            gateway.pool, derived_id("job", command_id), caller.name, campaign_id, total, limits=limits
        )
    except jobs.QueueFullError as error:
        raise Problem(429, "rate_limited", str(error), headers={"Retry-After": "60"}) from None
    return answer(_document(job), 202)


@router.get("/jobs/{job_id}", summary="How far a job is", responses=told(JobAnswer))
async def show(gateway: Here, _: MayRead, job_id: UUID) -> Response:
    """Ask again until it is done or failed."""
    return answer(_document(await _job(gateway, job_id)))


@router.get(
    "/jobs/{job_id}/codes",
    summary="The codes that a job made",
    responses=told(JobAnswer)
    | {200: {"description": "Done.", "content": {"text/csv": {"schema": {"type": "string"}},
                                                  "application/x-ndjson": {"schema": {"type": "string"}}}}},
)  # fmt: skip
async def codes(
    request: Request,
    gateway: Here,
    _: MayRead,
    job_id: UUID,
    format: Annotated[  # noqa: A002 - the name that callers write
        Literal["csv", "ndjson"] | None, Query(description="else what Accept says; CSV")
    ] = None,
) -> Response:
    """Streamed, a thousand at a time; of a job that isn't done, those made so far."""
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
        raise Problem(404, "not_found", f"There is no job {job_id}.")
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
