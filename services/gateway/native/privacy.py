"""Routes to export and erase a customer, as the GDPR requires."""

import asyncio
from contextlib import aclosing
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import Query, Response
from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from services.gateway.gateway import Gateway
from services.gateway.guard import CanErase, CurrentGateway
from services.gateway.native import new_router
from services.gateway.native.bodies import Body, moment
from services.gateway.native.openapi import responses_of
from services.gateway.native.parameters import Who
from services.gateway.native.responses import json_response
from services.gateway.problems import Problem, response_of
from shared.ledger import erasing, exporting
from shared.ledger.erasing import Erasure, ErasureRefusedError

router = new_router("privacy")

AT_ONCE_SECONDS: Final = 5.0
"""Time that a request waits for its erasure. After it, the response is 202, and any gateway continues the erasure."""


EXPORT_WAIT_SECONDS: Final = 20.0
"""Time that an export waits for others to end. An export of a large ledger takes seconds."""


class ErasureAnswer(Body):
    """An erasure. `status`: running, done. `changed`: the number of rows changed so far, by kind.

    `pseudonym`: the owner of the customer's ledger entries from now on. `references_kept` in `changed` counts rows
    whose order id, command id or code contains a name of the customer; those are not changed.
    """

    erasure_id: str
    status: str
    pseudonym: str
    requested_at: str
    finished_at: str | None
    changed: dict[str, int]


class ExportAnswer(Body):
    """All data in the ledger about a customer, one list per kind of row, with the columns of the ledger's tables."""

    exported_at: str
    customer_keys: list[str]
    known_since: str
    segments: list[str] | None
    identifiers: list[dict[str, Any]]
    coupons: list[dict[str, Any]]
    orders: list[dict[str, Any]]
    locks: list[dict[str, Any]]
    ledger_entries: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    external_requests: list[dict[str, Any]]
    totals: list[dict[str, Any]]
    totals_of_periods: list[dict[str, Any]]
    events: list[dict[str, Any]]
    withheld_events: list[dict[str, Any]]
    webhook_deliveries: list[dict[str, Any]]
    kept_answers: list[dict[str, Any]]


@router.get("/customers/{who}/export", summary="Export a customer", responses=responses_of(ExportAnswer))
async def export(gateway: CurrentGateway, caller: CanErase, who: Who) -> Response:
    """Stream all data in the ledger about this customer, under any of their identifiers (GDPR Art. 15)."""
    caller.require_all_groups()
    customer = await exporting.find_customer(gateway.pool, gateway.names_of(who))
    if customer is None:
        raise _unknown(who)
    return _ExportResponse(gateway, customer)


class _ExportResponse(StreamingResponse):
    """The export, streamed while it has one of the gateway's few slots; 429 if none is free in time."""

    def __init__(self, gateway: Gateway, customer: exporting.CustomerToExport) -> None:
        headers = {"Content-Disposition": 'attachment; filename="customer.json"', "Cache-Control": "no-store"}
        self._gateway = gateway
        self._document = exporting.document(gateway.pool, customer, gateway.identity)
        super().__init__(self._document, media_type="application/json", headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the export. The slot is released when sending ends, however it ends."""
        try:
            async with asyncio.timeout(EXPORT_WAIT_SECONDS):
                await self._gateway.exports.acquire()
        except TimeoutError:
            await response_of(_TOO_MANY_EXPORTS)(scope, receive, send)
            return
        try:
            async with aclosing(self._document):
                await super().__call__(scope, receive, send)
        finally:
            self._gateway.exports.release()


_TOO_MANY_EXPORTS: Final = Problem(
    429,
    "rate_limited",
    "Other exports are running. Send the request again in a minute.",
    headers={"Retry-After": "60"},
)


@router.delete(
    "/customers/{who}",
    summary="Erase a customer",
    responses=responses_of(ErasureAnswer) | responses_of(ErasureAnswer, 202),
)
async def erase(
    gateway: CurrentGateway,
    caller: CanErase,
    who: Who,
    free_text: Annotated[
        bool, Query(description="also search the free text of other customers' requests; slow")
    ] = True,
) -> Response:
    """Replace everything that identifies this customer by a pseudonym; numbers are kept (GDPR Art. 17).

    From the response on, these identifiers are unknown. 202: rows are still being changed; poll the erasure.
    """
    caller.require_all_groups()
    try:
        erasure_id = await erasing.begin(gateway.pool, gateway.names_of(who), caller.name, free_text=free_text)
    except ErasureRefusedError as error:
        raise Problem(409, "conflict", str(error)) from None
    if erasure_id is None:
        raise _unknown(who)
    await erasing.run(gateway.pool, erasure_id, seconds=AT_ONCE_SECONDS, rules=gateway.identity)
    found = await _erasure(gateway, erasure_id)
    return json_response(_document(found), 200 if found.done else 202)


@router.get("/erasures/{erasure_id}", summary="Show an erasure's progress", responses=responses_of(ErasureAnswer))
async def show(gateway: CurrentGateway, _: CanErase, erasure_id: UUID) -> Response:
    """Show an erasure. Poll until its status is done."""
    return json_response(_document(await _erasure(gateway, str(erasure_id))))


async def _erasure(gateway: Gateway, erasure_id: str) -> Erasure:
    found = await erasing.find(gateway.pool, erasure_id)
    if found is None:
        raise Problem(404, "not_found", f"Erasure {erasure_id} doesn't exist.")
    return found


def _document(erasure: Erasure) -> dict[str, Any]:
    return {
        "erasure_id": erasure.erasure_id,
        "status": "done" if erasure.done else "running",
        "pseudonym": erasure.pseudonym,
        "requested_at": moment(erasure.requested_at),
        "finished_at": moment(erasure.finished_at),
        "changed": dict(sorted(erasure.counts.items())),
    }


def _unknown(who: str) -> Problem:
    return Problem(404, "not_found", f"Customer {who!r} doesn't exist.")
