"""Webhook endpoints: their URLs, event types and secrets."""

import base64
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID, uuid4

from shared.ledger.database import Connection, Pool
from shared.ledger.sql import sql
from shared.outgoing import addresses
from shared.outgoing.addresses import UrlRefusedError
from shared.runtime.encryption import keyring

SQL_PACKAGE: Final = "shared.webhooks"
ALL_TYPES: Final = "*"
TEST_TYPE: Final = "webhook.test"
"""The type of test events. Endpoints don't subscribe to it."""

OVERLAP_SECONDS: Final = 24 * 60 * 60
"""The seconds in which calls are also signed with the previous secret after a rotation: a day for all receivers."""

EVENT_TYPES: Final = (
    "coupon.redeemed",
    "coupon.redemption_refused",
    "coupon.redemption_adjusted",
    "coupon.redemption_restored",
    "coupon.redemption_notified",
    "customer.erased",
)
"""The types an endpoint can subscribe to: those of the redemption stream, the notifier's own notifications, and
the erasure of a customer that they mentioned.
"""

SECRET_BYTES: Final = 32
"""Standard Webhooks requires 24 to 64 bytes; 32 is the size of the signature's hash."""

MAX_URL_LENGTH: Final = addresses.MAX_URL_LENGTH
ALLOW_PRIVATE: Final = "COUPONRY_WEBHOOKS_ALLOW_PRIVATE"


class EndpointError(ValueError):
    """The endpoint can't be added or changed; the text says why and what to do."""


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    """A new endpoint or a new secret. The secret is only returned here; receivers verify signatures with it."""

    endpoint_id: UUID
    secret: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint. `pending` and `failed` count its deliveries; `disabled_reason` is a sentence."""

    endpoint_id: UUID
    url: str
    event_types: tuple[str, ...]
    status: str
    disabled_reason: str | None
    consecutive_failures: int
    created_at: datetime
    pending: int
    failed: int


MAX_ENDPOINTS: Final = 200
"""The most endpoints. The notifier's transaction writes each event once for every subscribed endpoint."""


def about(endpoint_id: UUID) -> str:
    """Return the owner of an endpoint's secrets, as authenticated by their encryption."""
    return f"webhook endpoint {endpoint_id}"


def check_url(url: str, *, allow_private: bool) -> None:
    """Raise EndpointError if the text of `url` shows that no webhook may be sent to it."""
    try:
        addresses.check_url(url, allow_private=allow_private, setting=ALLOW_PRIVATE)
    except UrlRefusedError as error:
        raise EndpointError(str(error)) from None


async def add(
    connection: Connection | Pool, url: str, event_types: Sequence[str] = (ALL_TYPES,), *, allow_private: bool = False
) -> NewEndpoint:
    """Add an endpoint that receives future events of `event_types` (`*`: all).

    Raises EndpointError, or EncryptionError if the secret can't be encrypted.
    """
    check_url(url, allow_private=allow_private)
    check_types(event_types)
    secret, endpoint_id = _new_secret(), uuid4()
    stored = keyring().encrypt(secret, about(endpoint_id))
    types = list(dict.fromkeys(event_types))
    if (
        await connection.fetchval(sql("endpoint_add", SQL_PACKAGE), endpoint_id, url, stored, types, MAX_ENDPOINTS)
        is None
    ):
        raise EndpointError(f"There are already {MAX_ENDPOINTS} endpoints, the most allowed; remove one first.")
    return NewEndpoint(endpoint_id, secret)


def check_types(event_types: Sequence[str]) -> None:
    """Raise EndpointError for an unknown event type, or for none."""
    known = (*EVENT_TYPES, ALL_TYPES)
    unknown = sorted(set(event_types) - set(known))
    if unknown or not event_types:
        problem = f"Unknown event type {', '.join(unknown)}" if unknown else "No event type given"
        raise EndpointError(f"{problem}; choose among {', '.join(known)}.")


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


async def change(
    connection: Connection | Pool,
    endpoint_id: UUID,
    url: str,
    event_types: Sequence[str],
    *,
    allow_private: bool = False,
) -> None:
    """Replace an endpoint's URL and event types. Raises EndpointError."""
    check_url(url, allow_private=allow_private)
    check_types(event_types)
    types = list(dict.fromkeys(event_types))
    if await connection.fetchval(sql("endpoint_change", SQL_PACKAGE), endpoint_id, url, types) is None:
        raise _unknown(endpoint_id)


async def rotate(
    connection: Connection | Pool, endpoint_id: UUID, overlap_seconds: int = OVERLAP_SECONDS
) -> NewEndpoint:
    """Return a new secret. Calls are signed with both for `overlap_seconds`. Raises EndpointError."""
    secret = _new_secret()
    stored = keyring().encrypt(secret, about(endpoint_id))
    if await connection.fetchval(sql("endpoint_rotate", SQL_PACKAGE), endpoint_id, stored, overlap_seconds) is None:
        raise _unknown(endpoint_id)
    return NewEndpoint(endpoint_id, secret)


async def remove(connection: Connection | Pool, endpoint_id: UUID) -> None:
    """Remove an endpoint permanently. Its log is kept. Raises EndpointError."""
    if await connection.fetchval(sql("endpoint_remove", SQL_PACKAGE), endpoint_id) is None:
        raise _unknown(endpoint_id)


async def show(connection: Connection | Pool, endpoint_id: UUID) -> Endpoint:
    """Return one endpoint. Raises EndpointError if it doesn't exist."""
    for endpoint in await list_all(connection):
        if endpoint.endpoint_id == endpoint_id:
            return endpoint
    raise _unknown(endpoint_id)


async def list_all(connection: Connection | Pool) -> list[Endpoint]:
    """Return every endpoint, oldest first."""
    records = await connection.fetch(sql("endpoints_list", SQL_PACKAGE))
    return [
        Endpoint(
            endpoint_id=record["endpoint_id"],
            url=record["url"],
            event_types=tuple(record["event_types"]),
            status=record["status"],
            disabled_reason=record["disabled_reason"],
            consecutive_failures=record["consecutive_failures"],
            created_at=record["created_at"],
            pending=record["pending"],
            failed=record["failed"],
        )
        for record in records
    ]


async def enable(connection: Connection | Pool, endpoint_id: UUID) -> None:
    """Enable an endpoint; its pending deliveries are sent. Raises EndpointError if it doesn't exist."""
    if await connection.fetchval(sql("endpoint_enable", SQL_PACKAGE), endpoint_id) is None:
        raise _unknown(endpoint_id)


async def disable(connection: Connection | Pool, endpoint_id: UUID, reason: str) -> None:
    """Disable an endpoint for `reason` (a sentence). Raises EndpointError if it doesn't exist."""
    if await connection.fetchval(sql("endpoint_disable", SQL_PACKAGE), endpoint_id, reason) is None:
        raise _unknown(endpoint_id)


def _unknown(endpoint_id: UUID) -> EndpointError:
    return EndpointError(f"No webhook endpoint has the id {endpoint_id}; list the endpoints to see their ids.")
