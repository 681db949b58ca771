"""Routes of webhook endpoints: their secrets, their deliveries, and redelivery."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import Depends, Path, Query, Response
from pydantic import Field

from schemas.common import Identifier, Moment
from services.gateway.gateway import Gateway
from services.gateway.guard import CanManage, CanRead, CurrentGateway, require_unrestricted
from services.gateway.native import new_router
from services.gateway.native.bodies import Body, body_of, moment, takes
from services.gateway.native.openapi import responses_of
from services.gateway.native.pages import Cursor, Limit, decode_cursor, page
from services.gateway.native.responses import json_response
from services.gateway.problems import Problem
from shared.webhooks import endpoints, log
from shared.webhooks.endpoints import ALL_TYPES, OVERLAP_SECONDS, Endpoint, EndpointError, NewEndpoint

router = new_router("webhooks", Depends(require_unrestricted))
"""Endpoints get the events of all campaigns, so keys that are bound to groups have no access."""

EndpointId = Annotated[UUID, Path()]
DeliveryId = Annotated[int, Path(ge=1, le=2**63 - 1)]

MAX_OVERLAP_SECONDS: Final = 30 * 24 * 60 * 60
EXAMPLE: Final = {"url": "https://shop.example/hooks", "event_types": ["coupon.redemption_notified"]}


class EndpointBody(Body):
    """A URL and the event types to send to it; `*` means all."""

    url: Annotated[str, Field(min_length=1, max_length=endpoints.MAX_URL_LENGTH)]
    event_types: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=20)] = (ALL_TYPES,)


class RotateBody(Body):
    """The time for which deliveries are signed with both the old and the new secret."""

    overlap_seconds: Annotated[int, Field(ge=0, le=MAX_OVERLAP_SECONDS)] = OVERLAP_SECONDS


class DisableBody(Body):
    """The reason, which is shown with the endpoint."""

    reason: Annotated[str, Field(min_length=1, max_length=500)] = "Disabled over HTTP."


class RedeliverBody(Body):
    """The time from which failed deliveries are sent again."""

    since: Moment


class SecretAnswer(Body):
    """An endpoint's secret. It is shown only in this response."""

    endpoint_id: str
    secret: str


class EndpointAnswer(Body):
    """An endpoint with the number of pending and failed deliveries."""

    endpoint_id: str
    url: str
    event_types: list[str]
    status: str
    disabled_reason: str | None
    created_at: str
    pending: int
    failed: int


class EndpointsAnswer(Body):
    """All endpoints, oldest first."""

    items: list[EndpointAnswer]


class AttemptAnswer(Body):
    """One attempt and its result."""

    attempt: int
    at: str
    status_code: int | None
    error: str | None
    latency_ms: int | None


class DeliveryAnswer(Body):
    """The delivery of one event to one endpoint."""

    delivery_id: int
    event_id: str
    type: str
    status: str
    created_at: str
    delivered_at: str | None
    next_attempt_at: str | None
    attempts: list[AttemptAnswer]


class DeliveriesAnswer(Body):
    """A page of deliveries, newest first."""

    items: list[DeliveryAnswer]
    next_cursor: str | None


class RedeliveredAnswer(Body):
    """The number of deliveries that will be sent again; `delivery_id` for a single one."""

    redelivered: int
    delivery_id: int | None = None


@router.post(
    "/webhooks", summary="Add an endpoint", status_code=201, openapi_extra=takes(EndpointBody, example=EXAMPLE),
    responses=responses_of(SecretAnswer, 201),
)  # fmt: skip
async def add(
    gateway: CurrentGateway, _: CanManage, body: Annotated[EndpointBody, Depends(body_of(EndpointBody))]
) -> Response:
    """Add an endpoint, which gets events from now on. The secret is shown only in this response; receivers verify
    signatures with it (Standard Webhooks).
    """
    try:
        made = await endpoints.add(gateway.pool, body.url, body.event_types, allow_private=_allow_private(gateway))
    except EndpointError as error:
        raise Problem(422, "invalid_request", str(error)) from None
    return json_response(_secret(made), 201)


@router.get("/webhooks", summary="List endpoints", responses=responses_of(EndpointsAnswer))
async def list_all(gateway: CurrentGateway, _: CanRead) -> Response:
    """List all endpoints, without pages."""
    return json_response({"items": [_endpoint(one) for one in await endpoints.list_all(gateway.pool)]})


@router.get("/webhooks/{endpoint_id}", summary="Show an endpoint", responses=responses_of(EndpointAnswer))
async def show(gateway: CurrentGateway, _: CanRead, endpoint_id: EndpointId) -> Response:
    """Show an endpoint with the number of pending and failed deliveries."""
    return await _show(gateway, endpoint_id)


@router.put(
    "/webhooks/{endpoint_id}", summary="Change an endpoint", openapi_extra=takes(EndpointBody, example=EXAMPLE),
    responses=responses_of(EndpointAnswer),
)  # fmt: skip
async def change(
    gateway: CurrentGateway,
    _: CanManage,
    endpoint_id: EndpointId,
    body: Annotated[EndpointBody, Depends(body_of(EndpointBody))],
) -> Response:
    """Change the URL and the event types. Pending deliveries go to the new URL."""
    await _find(gateway, endpoint_id)
    try:
        await endpoints.change(
            gateway.pool, endpoint_id, body.url, body.event_types, allow_private=_allow_private(gateway)
        )
    except EndpointError as error:
        raise Problem(422, "invalid_request", str(error)) from None
    return await _show(gateway, endpoint_id)


@router.delete("/webhooks/{endpoint_id}", summary="Remove an endpoint", responses=responses_of(RedeliveredAnswer))
async def remove(gateway: CurrentGateway, _: CanManage, endpoint_id: EndpointId) -> Response:
    """Remove an endpoint. Nothing more is sent to it."""
    await _find(gateway, endpoint_id)
    await endpoints.remove(gateway.pool, endpoint_id)
    return json_response({"redelivered": 0, "delivery_id": None})


@router.post(
    "/webhooks/{endpoint_id}/rotate", summary="Rotate an endpoint's secret",
    openapi_extra=takes(RotateBody, optional=True), responses=responses_of(SecretAnswer),
)  # fmt: skip
async def rotate(
    gateway: CurrentGateway,
    _: CanManage,
    endpoint_id: EndpointId,
    body: Annotated[RotateBody, Depends(body_of(RotateBody, optional=True))],
) -> Response:
    """Create a new secret, which is shown only in this response. For a day, or `overlap_seconds`, deliveries are signed
    with both secrets, so that receivers can switch.
    """
    await _find(gateway, endpoint_id)
    return json_response(_secret(await endpoints.rotate(gateway.pool, endpoint_id, body.overlap_seconds)))


@router.post("/webhooks/{endpoint_id}/enable", summary="Enable an endpoint", responses=responses_of(EndpointAnswer))
async def enable(gateway: CurrentGateway, _: CanManage, endpoint_id: EndpointId) -> Response:
    """Enable an endpoint and send its pending deliveries."""
    await _find(gateway, endpoint_id)
    await endpoints.enable(gateway.pool, endpoint_id)
    return await _show(gateway, endpoint_id)


@router.post(
    "/webhooks/{endpoint_id}/disable", summary="Disable an endpoint",
    openapi_extra=takes(DisableBody, optional=True), responses=responses_of(EndpointAnswer),
)  # fmt: skip
async def disable(
    gateway: CurrentGateway,
    _: CanManage,
    endpoint_id: EndpointId,
    body: Annotated[DisableBody, Depends(body_of(DisableBody, optional=True))],
) -> Response:
    """Disable an endpoint. Its deliveries stay pending until it is enabled."""
    await _find(gateway, endpoint_id)
    await endpoints.disable(gateway.pool, endpoint_id, body.reason)
    return await _show(gateway, endpoint_id)


@router.post("/webhooks/{endpoint_id}/test", summary="Send a test event", responses=responses_of(RedeliveredAnswer))
async def send_test(gateway: CurrentGateway, _: CanManage, endpoint_id: EndpointId) -> Response:
    """Send an event `webhook.test` to this endpoint only. Its deliveries show the result."""
    await _find(gateway, endpoint_id)
    try:
        delivery_id = await log.send_test(gateway.pool, endpoint_id)
    except EndpointError as error:
        raise Problem(409, "conflict", str(error)) from None
    return json_response({"redelivered": 1, "delivery_id": delivery_id})


@router.get(
    "/webhooks/{endpoint_id}/deliveries",
    summary="List an endpoint's deliveries",
    responses=responses_of(DeliveriesAnswer),
)
async def deliveries(
    gateway: CurrentGateway,
    _: CanRead,
    endpoint_id: EndpointId,
    *,
    status: Annotated[Literal["pending", "delivered", "failed"] | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """List deliveries with all attempts: time, response status, error and latency."""
    await _find(gateway, endpoint_id)
    before = decode_cursor(cursor, int)
    if before is not None and not 0 < before[0] < 2**63:
        raise Problem(422, "invalid_request", "cursor: is not valid; use `next_cursor` of the previous page.")
    found = await log.page(gateway.pool, endpoint_id, status, before[0] if before else None, limit + 1)
    last = found[min(limit, len(found)) - 1].delivery_id if found else 0
    return json_response(page([_delivery(one) for one in found], limit, last))


@router.post(
    "/webhooks/{endpoint_id}/deliveries/{delivery_id}/redeliver", summary="Send a delivery again",
    responses=responses_of(RedeliveredAnswer),
)  # fmt: skip
async def redeliver(
    gateway: CurrentGateway, _: CanManage, endpoint_id: EndpointId, delivery_id: DeliveryId
) -> Response:
    """Send a delivery again, once and immediately, whatever its status is."""
    try:
        await log.redeliver(gateway.pool, endpoint_id, delivery_id)
    except EndpointError as error:
        raise Problem(404, "not_found", str(error)) from None
    return json_response({"redelivered": 1, "delivery_id": delivery_id})


@router.post(
    "/webhooks/{endpoint_id}/redeliver", summary="Send failed deliveries again",
    openapi_extra=takes(RedeliverBody, example={"since": "2026-11-22T00:00:00Z"}),
    responses=responses_of(RedeliveredAnswer),
)  # fmt: skip
async def redeliver_failed(
    gateway: CurrentGateway,
    _: CanManage,
    endpoint_id: EndpointId,
    body: Annotated[RedeliverBody, Depends(body_of(RedeliverBody))],
) -> Response:
    """Send deliveries that failed since a time again: up to 1,000, the oldest first. Repeat the request for more."""
    await _find(gateway, endpoint_id)
    return json_response(
        {"redelivered": await log.redeliver_failed(gateway.pool, endpoint_id, body.since), "delivery_id": None}
    )


async def _find(gateway: Gateway, endpoint_id: UUID) -> Endpoint:
    try:
        return await endpoints.show(gateway.pool, endpoint_id)
    except EndpointError as error:
        raise Problem(404, "not_found", str(error)) from None


async def _show(gateway: Gateway, endpoint_id: UUID) -> Response:
    return json_response(_endpoint(await _find(gateway, endpoint_id)))


def _allow_private(gateway: Gateway) -> bool:
    return gateway.settings.webhooks_allow_private


def _secret(made: NewEndpoint) -> dict[str, Any]:
    return {"endpoint_id": str(made.endpoint_id), "secret": made.secret}


def _endpoint(one: Endpoint) -> dict[str, Any]:
    return {
        "endpoint_id": str(one.endpoint_id),
        "url": one.url,
        "event_types": list(one.event_types),
        "status": one.status,
        "disabled_reason": one.disabled_reason,
        "created_at": moment(one.created_at),
        "pending": one.pending,
        "failed": one.failed,
    }


def _delivery(one: log.LoggedDelivery) -> dict[str, Any]:
    return {
        "delivery_id": one.delivery_id,
        "event_id": one.event_id,
        "type": one.type,
        "status": one.status,
        "created_at": moment(one.created_at),
        "delivered_at": moment(one.delivered_at),
        "next_attempt_at": moment(one.next_attempt_at),
        "attempts": list(one.tries),
    }
