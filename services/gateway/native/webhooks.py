"""Webhooks: who is told, with which secret, what was sent, and sending it again."""

from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import Depends, Path, Query, Response
from pydantic import Field

from schemas.common import Identifier, Moment
from services.gateway.gateway import Gateway
from services.gateway.guard import Here, MayManage, MayRead, sees_all
from services.gateway.native import new_router
from services.gateway.native.answers import answer
from services.gateway.native.bodies import Body, body_of, moment, takes
from services.gateway.native.openapi import told
from services.gateway.native.pages import Cursor, Limit, decode_cursor, page
from services.gateway.problems import Problem
from shared.webhooks import endpoints, log
from shared.webhooks.endpoints import ALL_TYPES, OVERLAP_SECONDS, Endpoint, EndpointError, NewEndpoint

router = new_router("webhooks", Depends(sees_all))
"""Endpoints are told of every campaign, so a key that is bound to groups has nothing to do with them."""

EndpointId = Annotated[UUID, Path()]
DeliveryId = Annotated[int, Path(ge=1, le=2**63 - 1)]

LONGEST_OVERLAP_SECONDS: Final = 30 * 24 * 60 * 60
EXAMPLE: Final = {"url": "https://shop.example/hooks", "event_types": ["coupon.redemption_notified"]}


class EndpointBody(Body):
    """Where to send, and what: `*` is everything."""

    url: Annotated[str, Field(min_length=1, max_length=endpoints.MAX_URL_LENGTH)]
    event_types: Annotated[tuple[Identifier, ...], Field(min_length=1, max_length=20)] = (ALL_TYPES,)


class RotateBody(Body):
    """How long the secret before signs beside the new one."""

    overlap_seconds: Annotated[int, Field(ge=0, le=LONGEST_OVERLAP_SECONDS)] = OVERLAP_SECONDS


class DisableBody(Body):
    """Why, for whoever looks later."""

    reason: Annotated[str, Field(min_length=1, max_length=500)] = "Disabled over HTTP."


class RedeliverBody(Body):
    """From when on what failed is sent again."""

    since: Moment


class SecretAnswer(Body):
    """An endpoint's secret, told only now."""

    endpoint_id: str
    secret: str


class EndpointAnswer(Body):
    """An endpoint, with how many deliveries wait and failed."""

    endpoint_id: str
    url: str
    event_types: list[str]
    status: str
    disabled_reason: str | None
    created_at: str
    pending: int
    failed: int


class EndpointsAnswer(Body):
    """Every endpoint, oldest first."""

    items: list[EndpointAnswer]


class AttemptAnswer(Body):
    """One try, and what came of it."""

    attempt: int
    at: str
    status_code: int | None
    error: str | None
    latency_ms: int | None


class DeliveryAnswer(Body):
    """One event on its way to one endpoint."""

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
    """How many deliveries are due again; a test has its id."""

    redelivered: int
    delivery_id: int | None = None


@router.post(
    "/webhooks", summary="Add an endpoint", status_code=201, openapi_extra=takes(EndpointBody, example=EXAMPLE),
    responses=told(SecretAnswer, 201),
)  # fmt: skip
async def add(gateway: Here, _: MayManage, body: Annotated[EndpointBody, Depends(body_of(EndpointBody))]) -> Response:
    """It is told from now on. The secret is told once, here; receivers check signatures by it (Standard Webhooks)."""
    try:
        made = await endpoints.add(gateway.pool, body.url, body.event_types, allow_private=_allow_private(gateway))
    except EndpointError as error:
        raise Problem(422, "invalid_request", str(error)) from None
    return answer(_secret(made), 201)


@router.get("/webhooks", summary="List endpoints", responses=told(EndpointsAnswer))
async def list_all(gateway: Here, _: MayRead) -> Response:
    """All of them; there are few."""
    return answer({"items": [_endpoint(one) for one in await endpoints.list_all(gateway.pool)]})


@router.get("/webhooks/{endpoint_id}", summary="Show an endpoint", responses=told(EndpointAnswer))
async def show(gateway: Here, _: MayRead, endpoint_id: EndpointId) -> Response:
    """With how many deliveries wait and failed."""
    return await _shown(gateway, endpoint_id)


@router.put(
    "/webhooks/{endpoint_id}", summary="Change an endpoint", openapi_extra=takes(EndpointBody, example=EXAMPLE),
    responses=told(EndpointAnswer),
)  # fmt: skip
async def change(
    gateway: Here, _: MayManage, endpoint_id: EndpointId, body: Annotated[EndpointBody, Depends(body_of(EndpointBody))]
) -> Response:
    """Another address or other types; what waits goes to the new address."""
    await _known(gateway, endpoint_id)
    try:
        await endpoints.change(
            gateway.pool, endpoint_id, body.url, body.event_types, allow_private=_allow_private(gateway)
        )
    except EndpointError as error:
        raise Problem(422, "invalid_request", str(error)) from None
    return await _shown(gateway, endpoint_id)


@router.delete("/webhooks/{endpoint_id}", summary="Remove an endpoint", responses=told(RedeliveredAnswer))
async def remove(gateway: Here, _: MayManage, endpoint_id: EndpointId) -> Response:
    """It is told nothing ever again."""
    await _known(gateway, endpoint_id)
    await endpoints.remove(gateway.pool, endpoint_id)
    return answer({"redelivered": 0, "delivery_id": None})


@router.post(
    "/webhooks/{endpoint_id}/rotate", summary="Give an endpoint a new secret",
    openapi_extra=takes(RotateBody, optional=True), responses=told(SecretAnswer),
)  # fmt: skip
async def rotate(
    gateway: Here,
    _: MayManage,
    endpoint_id: EndpointId,
    body: Annotated[RotateBody, Depends(body_of(RotateBody, optional=True))],
) -> Response:
    """Told once, here. For a day (or as asked) deliveries are signed with both, so that receivers can change over."""
    await _known(gateway, endpoint_id)
    return answer(_secret(await endpoints.rotate(gateway.pool, endpoint_id, body.overlap_seconds)))


@router.post("/webhooks/{endpoint_id}/enable", summary="Tell an endpoint again", responses=told(EndpointAnswer))
async def enable(gateway: Here, _: MayManage, endpoint_id: EndpointId) -> Response:
    """What waited is sent."""
    await _known(gateway, endpoint_id)
    await endpoints.enable(gateway.pool, endpoint_id)
    return await _shown(gateway, endpoint_id)


@router.post(
    "/webhooks/{endpoint_id}/disable", summary="Tell an endpoint nothing for now",
    openapi_extra=takes(DisableBody, optional=True), responses=told(EndpointAnswer),
)  # fmt: skip
async def disable(
    gateway: Here,
    _: MayManage,
    endpoint_id: EndpointId,
    body: Annotated[DisableBody, Depends(body_of(DisableBody, optional=True))],
) -> Response:
    """What is meant for it waits until it is enabled."""
    await _known(gateway, endpoint_id)
    await endpoints.disable(gateway.pool, endpoint_id, body.reason)
    return await _shown(gateway, endpoint_id)


@router.post("/webhooks/{endpoint_id}/test", summary="Send a test", responses=told(RedeliveredAnswer))
async def send_test(gateway: Here, _: MayManage, endpoint_id: EndpointId) -> Response:
    """An event `webhook.test`, to this endpoint only; what came of it is in its deliveries."""
    await _known(gateway, endpoint_id)
    try:
        delivery_id = await log.send_test(gateway.pool, endpoint_id)
    except EndpointError as error:
        raise Problem(409, "conflict", str(error)) from None
    return answer({"redelivered": 1, "delivery_id": delivery_id})


@router.get(
    "/webhooks/{endpoint_id}/deliveries", summary="What was sent to an endpoint", responses=told(DeliveriesAnswer)
)
async def deliveries(
    gateway: Here,
    _: MayRead,
    endpoint_id: EndpointId,
    *,
    status: Annotated[Literal["pending", "delivered", "failed"] | None, Query()] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Response:
    """With every attempt: when, the answer's status, the error, how long it took."""
    await _known(gateway, endpoint_id)
    before = decode_cursor(cursor, int)
    if before is not None and not 0 < before[0] < 2**63:
        raise Problem(422, "invalid_request", "cursor: is none that was given here; take it from next_cursor.")
    found = await log.page(gateway.pool, endpoint_id, status, before[0] if before else None, limit + 1)
    last = found[min(limit, len(found)) - 1].delivery_id if found else 0
    return answer(page([_delivery(one) for one in found], limit, last))


@router.post(
    "/webhooks/{endpoint_id}/deliveries/{delivery_id}/redeliver", summary="Send a delivery again",
    responses=told(RedeliveredAnswer),
)  # fmt: skip
async def redeliver(gateway: Here, _: MayManage, endpoint_id: EndpointId, delivery_id: DeliveryId) -> Response:
    """Once, at once, whatever became of it."""
    try:
        await log.redeliver(gateway.pool, endpoint_id, delivery_id)
    except EndpointError as error:
        raise Problem(404, "not_found", str(error)) from None
    return answer({"redelivered": 1, "delivery_id": delivery_id})


@router.post(
    "/webhooks/{endpoint_id}/redeliver", summary="Send again what failed",
    openapi_extra=takes(RedeliverBody, example={"since": "2026-11-22T00:00:00Z"}), responses=told(RedeliveredAnswer),
)  # fmt: skip
async def redeliver_failed(
    gateway: Here,
    _: MayManage,
    endpoint_id: EndpointId,
    body: Annotated[RedeliverBody, Depends(body_of(RedeliverBody))],
) -> Response:
    """What failed since a time, the oldest thousand of it at most; ask again for more."""
    await _known(gateway, endpoint_id)
    return answer(
        {"redelivered": await log.redeliver_failed(gateway.pool, endpoint_id, body.since), "delivery_id": None}
    )


async def _known(gateway: Gateway, endpoint_id: UUID) -> Endpoint:
    try:
        return await endpoints.show(gateway.pool, endpoint_id)
    except EndpointError as error:
        raise Problem(404, "not_found", str(error)) from None


async def _shown(gateway: Gateway, endpoint_id: UUID) -> Response:
    return answer(_endpoint(await _known(gateway, endpoint_id)))


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


def _delivery(one: log.Logged) -> dict[str, Any]:
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
