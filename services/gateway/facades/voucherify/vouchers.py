"""Routes that create vouchers and campaigns, and publish vouchers to customers."""

from typing import Annotated, Any, Final

import asyncpg
from fastapi import Depends, Query, Request, Response

from schemas.campaigns import CampaignDefinition, stored_campaign
from services.gateway import tenants
from services.gateway.access.callers import Caller
from services.gateway.facades.facade import json_response, new_router
from services.gateway.facades.voucherify.bodies import CampaignIn, PublicationIn, VoucherIn
from services.gateway.facades.voucherify.terms import (
    campaign_document,
    campaign_of,
    campaign_of_voucher,
    chosen_code,
    invalid,
    voucher_document,
    voucher_id,
)
from services.gateway.gateway import Gateway, command_id_of, refusal
from services.gateway.guard import CanIssue, CanManage, CanRead, CurrentGateway
from services.gateway.native.bodies import body_of, moment
from services.gateway.native.parameters import Code, Name, NameFilter
from services.gateway.problems import Problem
from shared.domain.model.commands import MAX_CREATED, Cause, ChangeCoupon, CreateCoupons, IssueCoupons, VoidCoupon
from shared.domain.model.coupon import code_key
from shared.domain.model.ids import derived_id
from shared.domain.model.reasons import Reason
from shared.ledger import queries, wallets
from shared.ledger.campaigns import CampaignExistsError
from shared.ledger.definitions import DefinitionError
from shared.ledger.sql import sql

router = new_router()

CHANNEL: Final = "voucherify"
PACKAGE: Final = "services.gateway"
CAUSE: Final = "voucherify.publication"
MAX_LISTED: Final = 100
MAX_PAGES: Final = 1_000

Limit = Annotated[int, Query(ge=1, le=MAX_LISTED)]
Page = Annotated[int, Query(ge=1, le=MAX_PAGES)]


@router.post("/v1/vouchers")
async def create_voucher(
    request: Request, gateway: CurrentGateway, caller: CanIssue, body: Annotated[VoucherIn, Depends(body_of(VoucherIn))]
) -> Response:
    """Create a stand-alone voucher, with the given code or a random one."""
    return await _create(request, gateway, caller, body, chosen_code(body))


@router.post("/v1/vouchers/{code}")
async def create_voucher_with_code(
    request: Request,
    code: Name,
    gateway: CurrentGateway,
    caller: CanIssue,
    body: Annotated[VoucherIn, Depends(body_of(VoucherIn))],
) -> Response:
    """Create a stand-alone voucher with the code of the path."""
    return await _create(request, gateway, caller, body, code)


async def _create(request: Request, gateway: Gateway, caller: Caller, body: VoucherIn, code: str | None) -> Response:
    caller.require_scope("manage")
    command_id = command_id_of(request)
    campaign_id = f"voucher-{derived_id('voucher', command_id)}"
    definition = campaign_of_voucher(campaign_id, body, gateway.settings.currency)
    if code is not None and await gateway.pool.fetchval(sql("code_is_taken", PACKAGE), code_key(code), campaign_id):
        raise _taken(code)
    await _save(gateway, definition, new=False)
    codes = () if code is None else (code,)
    verdict = await gateway.execute(CreateCoupons(command_id, campaign_id, 0 if codes else 1, codes, channel=CHANNEL))
    if not verdict.accepted:
        await tenants.change(gateway, campaign_id, lambda before: before.model_copy(update={"status": "archived"}))
        if any(one.reason is Reason.CODE_TAKEN for one in verdict.refused):
            raise _taken(code or "")
        raise refusal(verdict)
    return json_response(await _voucher(gateway, verdict.accepted[0].code))


@router.get("/v1/vouchers")
async def list_vouchers(
    gateway: CurrentGateway, _: CanRead, limit: Limit = 10, page: Page = 1, campaign: NameFilter = None
) -> Response:
    """List vouchers in pages, sorted by id."""
    records = await gateway.pool.fetch(
        sql("vouchers_page", PACKAGE), campaign, limit, (page - 1) * limit, tenants.groups()
    )
    total = await gateway.pool.fetchval(sql("vouchers_count", PACKAGE), campaign, tenants.groups())
    return json_response(
        {"object": "list", "data_ref": "vouchers", "vouchers": [_listed(one) for one in records], "total": total}
    )


@router.get("/v1/vouchers/{code}")
async def get_voucher(code: Code, gateway: CurrentGateway, _: CanRead) -> Response:
    """Show a voucher by its code or id."""
    return json_response(await _voucher(gateway, code))


@router.post("/v1/vouchers/{code}/disable")
async def disable(request: Request, code: Code, gateway: CurrentGateway, _: CanManage) -> Response:
    """Disable a voucher until it is enabled."""
    return await _switch(request, gateway, code, on=False)


@router.post("/v1/vouchers/{code}/enable")
async def enable(request: Request, code: Code, gateway: CurrentGateway, _: CanManage) -> Response:
    """Enable a voucher."""
    return await _switch(request, gateway, code, on=True)


async def _switch(request: Request, gateway: Gateway, code: str, *, on: bool) -> Response:
    record = await gateway.pool.fetchrow(sql("coupon_alone", PACKAGE), code_key(code), tenants.groups())
    if record is None:
        raise _unknown(code)
    campaign_id = record["campaign_id"]
    if campaign_id.startswith("voucher-"):
        status = "active" if on else "paused"
        await tenants.change(gateway, campaign_id, lambda before: before.model_copy(update={"status": status}))
    elif on and record["status"] == "voided":
        await gateway.execute(ChangeCoupon(command_id_of(request), code, status="active", channel=CHANNEL))
    elif not on:
        await gateway.execute(VoidCoupon(command_id_of(request), code, CHANNEL))
    return json_response(await _voucher(gateway, code))


@router.post("/v1/campaigns")
async def create_campaign(
    request: Request, gateway: CurrentGateway, _: CanManage, body: Annotated[CampaignIn, Depends(body_of(CampaignIn))]
) -> Response:
    """Create a campaign with `vouchers_count` codes."""
    definition = campaign_of(body, gateway.settings.currency)
    await _save(gateway, definition, new=True)
    made = 0
    if body.vouchers_count:
        command = CreateCoupons(command_id_of(request), definition.campaign_id, body.vouchers_count, channel=CHANNEL)
        made = len((await gateway.execute(command)).accepted)
    return json_response(campaign_document(definition, made))


@router.get("/v1/campaigns/{name}")
async def get_campaign(name: Name, gateway: CurrentGateway, _: CanRead) -> Response:
    """Show a campaign by its name."""
    definition, counts = await _campaign(gateway, name)
    return json_response(campaign_document(definition, counts.coupons))


@router.get("/v1/campaigns")
async def list_campaigns(gateway: CurrentGateway, _: CanRead, limit: Limit = 10, page: Page = 1) -> Response:
    """List campaigns in pages, sorted by name."""
    async with gateway.pool.acquire() as connection:
        found = await queries.campaigns_after(connection, None, limit * page, groups=tenants.groups())
        total = await connection.fetchval(sql("campaigns_count", PACKAGE), tenants.groups())
        documents = []
        for one in found[limit * (page - 1) :]:
            counts = await queries.campaign_counts(connection, one.campaign_id)
            documents.append(campaign_document(one.definition, counts.coupons))
    return json_response({"object": "list", "data_ref": "campaigns", "campaigns": documents, "total": total})


@router.post("/v1/campaigns/{name}/vouchers")
async def add_vouchers(
    request: Request,
    name: Name,
    gateway: CurrentGateway,
    _: CanIssue,
    vouchers_count: Annotated[int, Query(ge=1, le=MAX_CREATED)] = 1,
) -> Response:
    """Add codes to a campaign. The response to a single one is the voucher itself."""
    await _campaign(gateway, name)
    verdict = await gateway.execute(CreateCoupons(command_id_of(request), name, vouchers_count, channel=CHANNEL))
    if not verdict.accepted:
        raise refusal(verdict)
    if vouchers_count == 1:
        return json_response(await _voucher(gateway, verdict.accepted[0].code))
    codes = [one.code for one in verdict.accepted]
    return json_response({"vouchers_count": len(codes), "codes": codes, "object": "list", "data_ref": "codes"})


@router.post("/v1/publications")
async def publish(
    request: Request,
    gateway: CurrentGateway,
    _: CanIssue,
    body: Annotated[PublicationIn, Depends(body_of(PublicationIn))],
) -> Response:
    """Publish vouchers of a campaign to a customer, once for each `source_id`."""
    command_id = command_id_of(request)
    source, name = command_id.rsplit(" ", 1)
    campaign, count = body.campaign.name, body.campaign.count or 1
    verdict = await gateway.execute(
        IssueCoupons(
            command_id, Cause(CAUSE, source, name), body.customer.command_customer, (campaign,),
            natural_key=None if body.source_id is None else f"{CAUSE} {body.source_id}",
            several=((campaign, count),) if count > 1 else (),
        )
    )  # fmt: skip
    if not verdict.accepted:
        if verdict.refused:
            raise refusal(verdict)
        raise Problem(400, "already_published", f"Publication {body.source_id!r} already exists.")
    vouchers = [await _voucher(gateway, one.code) for one in verdict.accepted]
    ids = [voucher_id(one.coupon_id) for one in verdict.accepted]
    document: dict[str, Any] = {
        "id": f"pub_{derived_id('publication', command_id).replace('-', '')}",
        "object": "publication",
        "created_at": moment(verdict.decided_at),
        "customer_id": verdict.customer_key,
        "tracking_id": body.customer.source_id,
        "metadata": body.metadata or {},
        "channel": "API",
        "source_id": body.source_id,
        "result": "SUCCESS",
        "customer": {"id": verdict.customer_key, "source_id": body.customer.source_id, "email": body.customer.email,
                     "object": "customer"},
        "vouchers_id": ids,
    }  # fmt: skip
    document |= {"voucher": vouchers[0]} if count == 1 else {"vouchers": [one["code"] for one in vouchers]}
    return json_response(document)


async def _save(gateway: Gateway, definition: CampaignDefinition, *, new: bool) -> None:
    try:
        await tenants.save(gateway, definition, new=new)
    except CampaignExistsError:
        raise Problem(
            400, "duplicate_found", f"Campaign {definition.campaign_id!r} already exists; use another name."
        ) from None
    except (DefinitionError, asyncpg.UniqueViolationError) as error:
        raise invalid(str(error)) from None


async def _campaign(gateway: Gateway, name: str) -> tuple[CampaignDefinition, queries.CampaignCounts]:
    found = await tenants.campaign(gateway, name)
    if found is None:
        raise Problem(404, "not_found", f"Campaign {name!r} doesn't exist.", details={"resource_type": "campaign"})
    async with gateway.pool.acquire() as connection:
        counts = await queries.campaign_counts(connection, name)
    return found.definition, counts


async def _voucher(gateway: Gateway, code: str) -> dict[str, Any]:
    """Return the voucher with a code or id. Raises a Problem (404)."""
    hexadecimal = code.removeprefix("v_")
    by_id = code.startswith("v_") and len(hexadecimal) == 32 and all(one in "0123456789abcdef" for one in hexadecimal)
    record = await gateway.pool.fetchrow(
        sql("voucher", PACKAGE), code_key(code), hexadecimal if by_id else None, tenants.groups()
    )
    if record is None:
        raise _unknown(code)
    return _listed(record)


def _listed(record: asyncpg.Record) -> dict[str, Any]:
    row = dict(record)
    definition = stored_campaign(row.pop("definition"))
    holder = row.pop("holder_key")
    return voucher_document(wallets.wallet_coupon(row), definition, holder)


def _taken(code: str) -> Problem:
    return Problem(400, Reason.CODE_TAKEN.value, f"Voucher {code!r} already exists.", details={"reason": "code_taken"})


def _unknown(code: str) -> Problem:
    return Problem(404, "not_found", f"Cannot find voucher with id {code.strip()}", details={"resource_id": code})
