"""The calls create_coupon and update_coupon (2.1), list_coupons and delete_coupon (2.0) of Paddle Classic.

create_coupon creates a campaign with the terms, and coupons in it. Errors also have status 200; the body contains them.
"""

from typing import Annotated, Any, Final

import asyncpg
from fastapi import Depends, FastAPI, Request, Response

from schemas.campaigns import CampaignDefinition, stored_campaign
from services.gateway import tenants
from services.gateway.access.callers import Caller, unauthorized
from services.gateway.access.identify import by_key, identify
from services.gateway.facades.facade import json_response, new_facade, new_router
from services.gateway.facades.paddle import fields as read
from services.gateway.facades.paddle.fields import Fields, PaddleProblem, fields_of
from services.gateway.facades.paddle.terms import campaign_of, changed
from services.gateway.facades.vendor_codes import VENDOR_CODES
from services.gateway.gateway import Gateway, command_id_of, refusal
from services.gateway.guard import CanIssue, CanManage, CanRead, CurrentGateway, early_body
from services.gateway.problems import Problem
from shared.domain.model.commands import MAX_CREATED, CreateCoupons, VoidCoupon
from shared.domain.model.coupon import code_key
from shared.domain.model.ids import derived_id
from shared.domain.model.reasons import Reason
from shared.ledger.definitions import DefinitionError
from shared.ledger.sql import sql

router = new_router()

CHANNEL: Final = "paddle"
PACKAGE: Final = "services.gateway"
MAX_LISTED: Final = 500
BAD_KEY: Final = 102
NO_PERMISSION: Final = 107
BAD_CALL: Final = 101
INTERNAL: Final = 120
NUMBERS: Final = {
    "unauthorized": BAD_KEY, "forbidden": NO_PERMISSION, "not_found": BAD_CALL, "method_not_allowed": BAD_CALL,
}  # fmt: skip

DISCOUNT_TYPES: Final = {"fixed": "flat"}
"""The vendor's discount types by discount kind, where the names differ."""

NO_TERMS: Final = frozenset({"coupon_code", "new_coupon_code", "vendor_id", "vendor_auth_code"})
"""Fields of an update that don't change terms."""

Params = Annotated[Fields, Depends(fields_of)]


@router.post("/api/2.1/product/create_coupon")
async def create_coupon(request: Request, gateway: CurrentGateway, caller: CanIssue, fields: Params) -> Response:
    """Create a campaign with the terms, and its coupons."""
    caller.require_scope("manage")
    command_id = command_id_of(request)
    campaign_id = f"paddle-{derived_id('paddle', command_id)}"
    definition = campaign_of(campaign_id, fields, gateway.settings.currency)
    count = read.whole(fields, "num_coupons", read.MISSING, MAX_CREATED) or 1
    code = read.code_of(fields, "coupon_code")
    if code and await gateway.pool.fetchval(sql("code_is_taken", PACKAGE), code_key(code), campaign_id):
        raise _taken(code)
    await _save(gateway, definition)
    command = CreateCoupons(command_id, campaign_id, 0 if code else count, (code,) if code else (), channel=CHANNEL)
    verdict = await gateway.execute(command)
    if not verdict.accepted:
        if any(one.reason is Reason.CODE_TAKEN for one in verdict.refused):
            # Another request created this code in the meantime. The empty campaign is archived.
            await tenants.change(gateway, campaign_id, lambda before: before.model_copy(update={"status": "archived"}))
            raise _taken(code)
        raise refusal(verdict)
    return _success({"coupon_codes": [one.code for one in verdict.accepted]})


@router.post("/api/2.1/product/update_coupon")
async def update_coupon(request: Request, gateway: CurrentGateway, _: CanManage, fields: Params) -> Response:
    """Change the terms of a coupon, or of all coupons in a group."""
    code, group = read.code_of(fields, "coupon_code"), fields.get("group", "")
    if bool(code) == bool(group):
        raise PaddleProblem(read.MISSING, "coupon_code or group: give exactly one of them.")
    if code:
        record = await gateway.pool.fetchrow(sql("coupon_alone", PACKAGE), code_key(code), tenants.groups())
        if record is None or record["status"] == "voided":
            raise _unknown(code)
        terms = set(fields) - NO_TERMS
        if terms and record["coupons"] > 1:
            raise PaddleProblem(
                read.MISSING,
                f"Coupon {code!r} was created together with others and shares their terms; update them by their group.",
            )
        ids = [record["campaign_id"]]
    else:
        if fields.get("new_coupon_code"):
            raise PaddleProblem(read.MISSING, "new_coupon_code can't be used with a group.")
        ids = [
            row["campaign_id"]
            for row in await gateway.pool.fetch(sql("campaigns_of_group", PACKAGE), group, tenants.groups())
        ]
        if not ids:
            raise PaddleProblem(read.NOT_FOUND, f"Group {group!r} has no coupons.")
    for campaign_id in ids:
        try:
            await tenants.change(
                gateway, campaign_id, lambda before: changed(before, fields, gateway.settings.currency)
            )
        except DefinitionError as error:
            raise PaddleProblem(read.MISSING, str(error)) from None
    if code and fields.get("new_coupon_code"):
        await _rename(request, gateway, code, fields["new_coupon_code"], ids[0])
    updated = 1 if code else await gateway.pool.fetchval(sql("coupons_in_use", PACKAGE), ids)
    return _success({"updated": updated})


async def _rename(request: Request, gateway: Gateway, code: str, new_code: str, campaign_id: str) -> None:
    """Give an unused coupon a new code, and void the old one. Raises a PaddleProblem."""
    if not 5 <= len(new_code) <= 255 or not new_code.isprintable():
        raise PaddleProblem(read.BAD_CODE, "new_coupon_code must have 5 to 255 characters.")
    record = await gateway.pool.fetchrow(sql("coupon_alone", PACKAGE), code_key(code), tenants.groups())
    if record is not None and (record["used_uses"] or record["held_uses"]):
        raise PaddleProblem(
            read.BAD_CODE, f"Coupon {code!r} has been used, so its code can't change. Create a new coupon instead."
        )
    command_id = command_id_of(request)
    made = await gateway.execute(CreateCoupons(f"{command_id}/new", campaign_id, codes=(new_code,), channel=CHANNEL))
    if not made.accepted:
        raise _taken(new_code)
    await gateway.execute(VoidCoupon(f"{command_id}/old", code, CHANNEL))


@router.post("/api/2.0/product/list_coupons")
async def list_coupons(gateway: CurrentGateway, _: CanRead, fields: Params) -> Response:
    """List coupons for a product, at most 500 at a time."""
    product_id = read.needed(fields, "product_id")
    limit = read.whole(fields, "limit", read.MISSING, MAX_LISTED) or MAX_LISTED
    offset = fields.get("offset", "") or "0"
    if not offset.isascii() or not offset.isdigit() or len(offset) > 6:
        raise PaddleProblem(read.MISSING, "offset must be a whole number from 0 to 999,999.")
    records = await gateway.pool.fetch(
        sql("coupons_of_product", PACKAGE), product_id, limit, int(offset), tenants.groups()
    )
    return _success([_listed(record) for record in records])


@router.post("/api/2.0/product/delete_coupon")
async def delete_coupon(request: Request, gateway: CurrentGateway, _: CanManage, fields: Params) -> Response:
    """Void a coupon."""
    read.needed(fields, "coupon_code")
    code = read.code_of(fields, "coupon_code")
    verdict = await gateway.execute(VoidCoupon(command_id_of(request), code, CHANNEL))
    if verdict.outcome == "refused":
        raise _unknown(code)
    return json_response({"success": True})


def _listed(record: asyncpg.Record) -> dict[str, Any]:
    definition = stored_campaign(record["definition"])
    discount, ends_at = definition.discount, definition.window.ends_at
    return {
        "coupon": record["code"],
        "description": definition.name or None,
        "discount_type": DISCOUNT_TYPES.get(discount.kind, discount.kind),
        "discount_amount": float(discount.value) if discount.value is not None else None,
        "discount_currency": discount.currency,
        "allowed_uses": record["uses_limit"],
        "times_used": record["used_uses"],
        "is_recurring": definition.recurring,
        "expires": None if ends_at is None else str(ends_at)[:19].replace("T", " "),
        "coupon_group": definition.group,
    }


async def _save(gateway: Gateway, definition: CampaignDefinition) -> None:
    try:
        await tenants.save(gateway, definition, new=False)
    except DefinitionError as error:
        raise PaddleProblem(read.MISSING, str(error)) from None


def _success(response: Any) -> Response:
    return json_response({"success": True, "response": response})


def _taken(code: str) -> PaddleProblem:
    return PaddleProblem(read.TAKEN, f"A coupon with the code {code!r} already exists; choose another code.")


def _unknown(code: str) -> PaddleProblem:
    return PaddleProblem(read.NOT_FOUND, f"Coupon {code!r} doesn't exist.")


async def _identify(request: Request, gateway: Gateway) -> Caller:
    """Return the caller. `vendor_auth_code` is an API key; `vendor_id` must be a number, but has no effect."""
    if "authorization" in request.headers:
        return await identify(request, gateway)
    await early_body(request)
    fields = await fields_of(request)
    if not fields.get("vendor_id", "").isdigit():
        raise unauthorized("vendor_id must be a number.")
    return await by_key(request, gateway, fields.get("vendor_auth_code", ""))


def _render_problem(request: Request, problem: Problem) -> Response:
    reason = problem.details.get("reason")
    if isinstance(problem, PaddleProblem):
        number = problem.number
    elif reason is not None:
        number = VENDOR_CODES[reason].paddle or read.MISSING
    else:
        number = NUMBERS.get(problem.code, INTERNAL if problem.status >= 500 else read.MISSING)
    # Errors after which a client may retry keep their status, because clients and proxies depend on it.
    status = problem.status if problem.status in {409, 413, 429, 500, 503} else 200
    error = {"code": number, "message": problem.detail}
    return json_response({"success": False, "error": error}, status, problem.headers if status != 200 else None)


def create(gateway: Gateway) -> FastAPI:
    """Create the facade, to be mounted under its base path."""
    return new_facade("Paddle Classic coupon API", gateway, router, _identify, _render_problem)
