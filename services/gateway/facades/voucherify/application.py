"""The application of the facade: routes, authentication and error format."""

from typing import Final
from uuid import uuid4

from fastapi import APIRouter, FastAPI, Request, Response

from services.gateway.access.callers import Caller, unauthorized
from services.gateway.access.identify import by_key, identify
from services.gateway.facades.facade import json_response, new_facade
from services.gateway.facades.vendor_codes import VENDOR_CODES
from services.gateway.facades.voucherify import redemptions, vouchers
from services.gateway.gateway import Gateway
from services.gateway.problems import Problem
from shared.domain.model.reasons import Reason

KEYS: Final = {
    "unauthorized": "unauthorized",
    "forbidden": "access_forbidden",
    "invalid_json": "invalid_json",
    "invalid_request": "invalid_payload",
    "not_found": "not_found",
    "method_not_allowed": "not_found",
    "duplicate_found": "duplicate_found",
    "rate_limited": "too_many_requests",
    "unavailable": "service_unavailable",
}


async def _identify(request: Request, gateway: Gateway) -> Caller:
    """Return the caller. `X-App-Token` is an API key; `X-App-Id`, the vendor's project id, may have any value."""
    if "authorization" in request.headers:
        return await identify(request, gateway)
    token = request.headers.get("x-app-token") or request.headers.get("x-client-token")
    if token is None:
        raise unauthorized("send the headers X-App-Id and X-App-Token; the token is an API key.")
    return await by_key(request, gateway, token)


def _render_problem(request: Request, problem: Problem) -> Response:
    reason = problem.details.get("reason")
    status = problem.status
    if reason is not None:
        key = VENDOR_CODES[reason].voucherify
        status = 404 if reason in {Reason.NOT_FOUND, Reason.LOCK_NOT_FOUND} else 400
    else:
        key = KEYS.get(problem.code, problem.code)
        status = 400 if status == 422 else status
    document = {
        "code": status,
        "key": key,
        "message": problem.title,
        "details": problem.detail,
        "request_id": f"v-{uuid4().hex[:16]}",
    }
    if (resource := problem.details.get("resource_id")) is not None:
        document["resource_id"] = resource
    return json_response(document, status, problem.headers)


def create(gateway: Gateway) -> FastAPI:
    """Create the facade, to be mounted under its base path."""
    router = APIRouter()
    router.include_router(vouchers.router)
    router.include_router(redemptions.router)
    return new_facade("Voucherify API", gateway, router, _identify, _render_problem)
