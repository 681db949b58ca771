"""Routes that validate and redeem vouchers, roll redemptions back, and list them."""

from typing import Annotated, Any, Final, Literal

import asyncpg
from fastapi import Depends, Query, Request, Response

from services.gateway import tenants
from services.gateway.facades.facade import json_response, new_router
from services.gateway.facades.vendor_codes import VENDOR_CODES
from services.gateway.facades.voucherify.bodies import OrderIn, RedeemablesIn, RollbackIn, SessionIn, hundredths
from services.gateway.facades.voucherify.terms import invalid, voucher_id
from services.gateway.facades.voucherify.vouchers import CHANNEL, PACKAGE, Limit, Page
from services.gateway.gateway import Gateway, command_id_of, refusal
from services.gateway.guard import CanRead, CanRedeem, CanValidate, CurrentGateway
from services.gateway.native.bodies import body_of, moment
from services.gateway.native.parameters import Name, NameFilter
from services.gateway.problems import Problem
from shared.domain.model.commands import LockCoupons
from shared.domain.model.ids import OrderKey, derived_id, lock_reference, order_key
from shared.domain.model.money import MoneyError
from shared.domain.model.order import SHIPPING, Order
from shared.domain.model.order_commands import CancelOrder, RedeemCoupons
from shared.domain.model.verdicts import AcceptedCoupon, RefusedCoupon, Verdict
from shared.ledger import listing
from shared.ledger.listing import Filter, Position, Redemption
from shared.ledger.sql import sql

router = new_router()

MAX_ROWS: Final = 10_000
UNITS: Final = {"SECONDS": 1, "MINUTES": 60, "HOURS": 3_600, "DAYS": 86_400}

Body = Annotated[RedeemablesIn, Depends(body_of(RedeemablesIn))]


@router.post("/v1/validations")
async def validate(request: Request, gateway: CurrentGateway, caller: CanValidate, body: Body) -> Response:
    """Validate vouchers; with a session of type LOCK, lock them."""
    order = _order(request, gateway, body.order)
    if body.session is not None:
        caller.require_scope("redeem")
        verdict, session = await _locked(request, gateway, body, body.session, order)
    else:
        session = None
        verdict = await gateway.validate(_command(request, body, order))
    valid = verdict.outcome != "refused"
    document: dict[str, Any] = {
        "id": f"valid_{derived_id('validation', command_id_of(request)).replace('-', '')}",
        "valid": valid,
        "redeemables": [_applicable(one, order, gateway) for one in verdict.accepted] if valid else [],
        "inapplicable_redeemables": [_inapplicable(one) for one in verdict.refused],
        "skipped_redeemables": [],
        "stacking_rules": STACKING,
    }
    if order is not None and valid:
        document["order"] = _order_document(order, verdict)
    if session is not None and valid:
        document["session"] = session
    if not valid:
        document["redeemables"] = document.pop("inapplicable_redeemables")
    return json_response(document)


@router.post("/v1/redemptions")
async def redeem(request: Request, gateway: CurrentGateway, _: CanRedeem, body: Body) -> Response:
    """Redeem all vouchers or none. Several vouchers get a parent redemption."""
    order = _order(request, gateway, body.order)
    command = _command(request, body, order, redeeming=True)
    if body.session is not None and body.session.key is not None:
        command = RedeemCoupons(
            command.command_id, command.order, (), command.customer, body.session.key, atomic=True, channel=CHANNEL,
            priced=command.priced,
        )  # fmt: skip
    gateway.weigh(command)
    verdict = await gateway.execute(command)
    if verdict.outcome == "refused":
        raise refusal(verdict)
    if verdict.outcome != "redeemed":
        raise Problem(
            400, "already_redeemed", "These vouchers are already redeemed for this order.",
            details={"reason": "already_redeemed"},
        )  # fmt: skip
    redemption = _redemption_id(verdict.redemption_id or "")
    several = len(verdict.accepted) > 1
    shared_part = {
        "date": moment(verdict.decided_at),
        "customer_id": verdict.customer_key,
        "tracking_id": None if body.customer is None else body.customer.source_id,
        "result": "SUCCESS",
        "status": "SUCCEEDED",
        "metadata": body.metadata or {},
        "order": _order_document(command.order, verdict),
        "object": "redemption",
    }
    redemptions = [
        shared_part
        | {
            "id": f"{redemption}_{number}" if several else redemption,
            "redemption": redemption if several else None,
            "related_object_type": "voucher",
            "related_object_id": voucher_id(one.coupon_id),
            "voucher": {"id": voucher_id(one.coupon_id), "code": one.code, "campaign": one.campaign_id,
                        "object": "voucher"},
        }
        for number, one in enumerate(verdict.accepted, start=1)
    ]  # fmt: skip
    document: dict[str, Any] = {"redemptions": redemptions, "order": shared_part["order"]}
    if several:
        document["parent_redemption"] = shared_part | {"id": redemption}
    return json_response(document)


@router.post("/v1/redemptions/{redemption}/rollback")
async def roll_back(
    request: Request,
    redemption: Name,
    gateway: CurrentGateway,
    _: CanRedeem,
    body: Annotated[RollbackIn, Depends(body_of(RollbackIn, optional=True))],
) -> Response:
    """Roll a redemption back, which cancels its order."""
    verdict = await _rolled_back(request, gateway, redemption)
    [rollback] = _rollbacks(verdict, redemption, body.reason)[:1]
    return json_response(rollback)


@router.post("/v1/redemptions/{redemption}/rollbacks")
async def roll_back_all(
    request: Request,
    redemption: Name,
    gateway: CurrentGateway,
    _: CanRedeem,
    body: Annotated[RollbackIn, Depends(body_of(RollbackIn, optional=True))],
) -> Response:
    """Roll all redemptions of an order back by their parent redemption."""
    verdict = await _rolled_back(request, gateway, redemption)
    rollbacks = _rollbacks(verdict, redemption, body.reason)
    parent = {name: value for name, value in rollbacks[0].items() if name != "voucher"}
    return json_response({"rollbacks": rollbacks, "parent_rollback": parent})


@router.get("/v1/redemptions")
async def list_redemptions(
    gateway: CurrentGateway,
    _: CanRead,
    *,
    limit: Limit = 10,
    page: Page = 1,
    result: Annotated[Literal["SUCCESS", "FAILURE"] | None, Query()] = None,
    campaign: NameFilter = None,
    customer: NameFilter = None,
) -> Response:
    """List redemptions of all channels, newest first. Refusals are listed as failures."""
    if limit * page > MAX_ROWS:
        raise invalid(f"page: only the first {MAX_ROWS:,} redemptions can be listed; use the filters.")
    outcome = {"SUCCESS": "redeemed", "FAILURE": "refused"}.get(result or "")
    async with listing.reading(gateway.pool) as connection:
        holder = None
        if customer is not None:
            holder = await listing.customer_key(connection, gateway.names_of(customer))
        wanted = Filter(outcome=outcome, campaign_id=campaign, customer_key=holder, groups=tenants.groups())
        known = customer is None or holder is not None
        found = await listing.redemptions(connection, wanted, Position(), limit * page + 1) if known else []
    listed = [_listed(one) for one in found[limit * (page - 1) : limit * page]]
    return json_response({"object": "list", "data_ref": "redemptions", "redemptions": listed, "total": len(found)})


STACKING: Final[dict[str, Any]] = {
    "redeemables_limit": 30,
    "applicable_redeemables_limit": 5,
    "applicable_exclusive_redeemables_limit": 1,
    "applicable_redeemables_per_category_limit": 1,
    "exclusive_categories": [],
    "joint_categories": [],
    "redeemables_application_mode": "ALL",
    "redeemables_sorting_rule": "REQUESTED_ORDER",
    "redeemables_products_application_mode": "ONCE",
    "redeemables_no_effect_rule": "SKIP",
    "redeemables_rollback_order_mode": "WITH_ORDER",
}
"""The vendor's clients require these fields. Which coupons can be combined is set in the campaigns."""


def _order(request: Request, gateway: Gateway, body: OrderIn | None) -> Order | None:
    if body is None:
        return None
    try:
        return body.to_domain(gateway.settings.currency, _order_id(request))
    except MoneyError as error:
        raise invalid(f"order: {error}") from None


def _order_id(request: Request) -> OrderKey:
    return order_key(None, f"voucherify {derived_id('order', command_id_of(request))}")


def _command(request: Request, body: RedeemablesIn, order: Order | None, *, redeeming: bool = False) -> Any:
    """Return the command: a redemption with an order, a lock to validate without one."""
    command_id = command_id_of(request)
    if order is None and not redeeming:
        return LockCoupons(
            command_id, lock_reference(command_id), body.codes, 1, body.command_customer, channel=CHANNEL
        )
    return RedeemCoupons(
        command_id, order or Order(_order_id(request), "USD", 0), body.codes, body.command_customer, atomic=True,
        channel=CHANNEL, priced=order is not None, metadata=body.metadata or None,
    )  # fmt: skip


async def _locked(
    request: Request, gateway: Gateway, body: RedeemablesIn, session: SessionIn, order: Order | None
) -> tuple[Verdict, dict[str, Any]]:
    command_id = command_id_of(request)
    seconds = (
        gateway.settings.lock_seconds if session.ttl is None else session.ttl * UNITS[session.ttl_unit or "SECONDS"]
    )
    if seconds > UNITS["DAYS"]:
        raise invalid("session.ttl: must be at most one day.")
    key = session.key or lock_reference(command_id)
    verdict = await gateway.execute(
        LockCoupons(command_id, key, body.codes, seconds, body.command_customer, order, channel=CHANNEL)
    )
    return verdict, {"key": key, "type": "LOCK", "ttl": seconds, "ttl_unit": "SECONDS"}


def _applicable(coupon: AcceptedCoupon, order: Order | None, gateway: Gateway) -> dict[str, Any]:
    document: dict[str, Any] = {
        "status": "APPLICABLE",
        "id": coupon.code,
        "object": "voucher",
        "result": {"discount": {"type": "AMOUNT"}},
    }
    if order is not None:
        taken = hundredths(coupon.discount_minor or 0, order.currency)
        document["result"]["discount"]["amount_off"] = taken
        document["order"] = _amounts(order, coupon.discount_minor or 0)
    return document


def _inapplicable(refused: RefusedCoupon) -> dict[str, Any]:
    codes = VENDOR_CODES[refused.reason.value]
    message = refused.message
    error = {"code": 404 if refused.reason.value == "not_found" else 400, "key": codes.voucherify, "message": message,
             "details": message, "error": {"message": message}}  # fmt: skip
    return {"status": "INAPPLICABLE", "id": refused.code or "", "object": "voucher", "result": {"error": error}}


def _order_document(order: Order, verdict: Verdict) -> dict[str, Any]:
    document: dict[str, Any] = {
        "source_id": order.order_id,
        **_amounts(order, verdict.discount_minor),
        "object": "order",
    }
    parts: dict[str, int] = {}
    for coupon in verdict.accepted:
        for line_id, part in coupon.lines:
            if line_id != SHIPPING:
                parts[line_id] = parts.get(line_id, 0) + part
    document["items"] = [
        {
            "object": "order_item",
            "product_id": line.product_id,
            "quantity": line.quantity,
            "price": hundredths(line.unit_minor, order.currency),
            "amount": hundredths(line.amount_minor, order.currency),
            "discount_amount": hundredths(parts.get(line.line_id, 0), order.currency),
            "subtotal_amount": hundredths(line.amount_minor - parts.get(line.line_id, 0), order.currency),
        }
        for line in order.lines
    ]
    return document


def _amounts(order: Order, discount_minor: int) -> dict[str, int]:
    amount, taken = hundredths(order.amount_minor, order.currency), hundredths(discount_minor, order.currency)
    return {
        "amount": amount,
        "initial_amount": amount,
        "discount_amount": taken,
        "total_discount_amount": taken,
        "applied_discount_amount": taken,
        "total_applied_discount_amount": taken,
        "total_amount": max(amount - taken, 0),
    }


async def _rolled_back(request: Request, gateway: Gateway, redemption: str) -> Verdict:
    """Cancel the order of a redemption. Raises a Problem."""
    uuid = redemption.removeprefix("r_")
    if "_" in uuid:
        raise invalid(
            "One of several redemptions can't be rolled back alone; use its parent: /redemptions/{parent}/rollbacks."
        )
    known = len(uuid) == 32 and all(one in "0123456789abcdef" for one in uuid)
    record: asyncpg.Record | None = (
        await gateway.pool.fetchrow(sql("order_of_redemption", PACKAGE), uuid, tenants.groups()) if known else None
    )
    if record is None:
        raise Problem(
            404, "not_found", f"Cannot find redemption with id {redemption}", details={"resource_id": redemption}
        )
    verdict = await gateway.execute(CancelOrder(command_id_of(request), record["order_id"], channel=CHANNEL))
    if verdict.outcome != "restored":
        raise Problem(
            400, "already_rolled_back", f"Redemption {redemption} has nothing left to roll back.",
            details={"resource_id": redemption},
        )  # fmt: skip
    return verdict


def _rollbacks(verdict: Verdict, redemption: str, reason: str | None) -> list[dict[str, Any]]:
    return [
        {
            "id": f"rr_{derived_id('rollback', verdict.command_id, str(number)).replace('-', '')}",
            "object": "redemption_rollback",
            "date": moment(verdict.decided_at),
            "customer_id": verdict.customer_key,
            "redemption": redemption,
            "reason": reason,
            "result": "SUCCESS",
            "status": "SUCCEEDED",
            "related_object_type": "voucher",
            "related_object_id": voucher_id(one.coupon_id),
            "voucher": {"id": voucher_id(one.coupon_id), "code": one.code, "object": "voucher"},
        }
        for number, one in enumerate(verdict.accepted)
    ]


def _listed(redemption: Redemption) -> dict[str, Any]:
    failed = redemption.outcome == "refused"
    document: dict[str, Any] = {
        "id": _redemption_id(
            redemption.redemption_id or derived_id("failure", redemption.command_id, redemption.code or "")
        ),
        "object": "redemption" if redemption.outcome in {"redeemed", "refused"} else "redemption_rollback",
        "date": moment(redemption.at),
        "result": "FAILURE" if failed else "SUCCESS",
        "status": "FAILED" if failed else "SUCCEEDED",
        "order": {"source_id": redemption.order_id, "object": "order"},
        "related_object_type": "voucher",
        "related_object_id": None if redemption.coupon_id is None else voucher_id(redemption.coupon_id),
        "voucher": {"code": redemption.code, "campaign": redemption.campaign_id, "object": "voucher"},
    }
    if failed and redemption.reason is not None:
        document |= {"failure_code": VENDOR_CODES[redemption.reason].voucherify, "failure_message": redemption.message}
    return document


def _redemption_id(redemption: str) -> str:
    return f"r_{redemption.replace('-', '')}"
