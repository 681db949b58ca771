"""Coupon calls of Gameball v4.0: generate, validate and lock, burn, release, and orders that burn a lock."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import uuid4

from fastapi import Depends, FastAPI, Query, Request, Response

from schemas.campaigns import CampaignDefinition
from schemas.common import IdentifiedCustomer
from schemas.rewards import RewardEarned
from services.gateway import tenants
from services.gateway.access.callers import Caller, unauthorized
from services.gateway.access.identify import address_of, by_key
from services.gateway.facades.facade import json_response, new_facade, new_router
from services.gateway.facades.gameball.bodies import (
    BurnBody,
    LineItemIn,
    OrderBody,
    PredefinedBody,
    ReleaseBody,
    ValidateBody,
)
from services.gateway.facades.vendor_codes import GAMEBALL_FAILED, VENDOR_CODES
from services.gateway.gateway import Gateway, command_id_of, refusal
from services.gateway.guard import CanIssue, CanRedeem, CanValidate, CurrentGateway
from services.gateway.native.bodies import body_of, moment
from services.gateway.native.parameters import Code, Name
from services.gateway.problems import Problem
from services.gateway.settings import MAX_LOCK_SECONDS
from shared.domain.model.commands import Cause, IssueCoupons, LockCoupons, ReleaseLock
from shared.domain.model.ids import lock_reference, order_key
from shared.domain.model.money import MoneyError, decimals, format_minor, naming, parse_minor
from shared.domain.model.order import Line, Order, check_amounts, exact_line
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.quantity import parse_unit_price
from shared.domain.model.verdicts import Verdict
from shared.ledger.definitions import to_domain
from shared.ledger.matching import MatchIndex, TooMuchWorkError
from shared.ledger.order_conversion import quantity_of
from shared.ledger.sql import sql

router = new_router()

BASE: Final = "/api/v4.0/integrations"
CHANNEL: Final = "gameball"
CAUSE: Final = "gameball.redemption"
TYPES: Final[Mapping[str, str]] = {
    "percentage": "percentage",
    "fixed": "fixed",
    "fixed_rate": "fixed_rate",
    "free_shipping": "free_shipping",
    "free_product": "free_product",
    "custom": "custom",
}
COUPON_TYPES: Final[Mapping[str, str]] = {
    "percentage": "percentage_discount",
    "fixed": "fixed_discount",
    "fixed_rate": "fixed_rate_discount",
    "free_shipping": "free_shipping",
    "free_product": "free_product",
    "custom": "custom",
}
ERRORS: Final[Mapping[str, int]] = {
    "unauthorized": 1001,
    "forbidden": 1002,
    "invalid_json": 3003,
    "invalid_request": 3003,
    "missing": 3000,
    "not_found": 4004,
    "rate_limited": 2000,
    "idempotency_key_in_flight": 2001,
    "duplicate_transaction": 9004,
}
CLASSES: Final = {
    1: "Authentication Error", 2: "Request Error", 3: "Payload Error", 4: "General Error", 5: "Server Error",
    9: "Transaction Error",
}  # fmt: skip


@router.post(f"{BASE}/coupons/predefined")
async def predefined(
    request: Request,
    gateway: CurrentGateway,
    _: CanIssue,
    body: Annotated[PredefinedBody, Depends(body_of(PredefinedBody))],
) -> Response:
    """Issue a coupon of the campaign whose `issues_on` matches the rule, as a reward event with `rule_id` does."""
    command_id = command_id_of(request)
    now = datetime.now(UTC)
    reward = RewardEarned(
        reward_id=command_id[-200:],
        rule_id=str(body.ruleId),
        customer=IdentifiedCustomer(customer_id=body.customerId, email=body.email, mobile=body.mobile),
        earned_at=now,
    )
    async with gateway.pool.acquire() as connection:
        known = await gateway.campaigns.refresh(connection)
    index = MatchIndex({name: one for name, one in known.items() if tenants.sees(one.group)})
    try:
        wanted = index.matching("reward.earned", reward).customer
    except TooMuchWorkError as error:
        raise Problem(422, "invalid_request", str(error)) from None
    source, name = command_id.rsplit(" ", 1)
    command = IssueCoupons(
        command_id,
        Cause(CAUSE, source, name),
        body.command_customer,
        tuple(campaign_id for campaign_id, _ in wanted),
        several=tuple((campaign_id, count) for campaign_id, count in wanted if count > 1),
    )
    verdict = await gateway.execute(command)
    if not verdict.accepted:
        raise refusal(verdict)
    codes = [one.code for one in verdict.accepted if one.code]
    first = await _properties(gateway, verdict.accepted[0].campaign_id, verdict.accepted[0].code)
    first |= {"startDate": moment(verdict.accepted[0].starts_at), "expiryDate": moment(verdict.accepted[0].ends_at)}
    return json_response({"code": codes[0] if codes else "", "codes": codes, "coupon": first})


@router.post(f"{BASE}/coupons/burn")
async def burn(
    request: Request, gateway: CurrentGateway, _: CanRedeem, body: Annotated[BurnBody, Depends(body_of(BurnBody))]
) -> Response:
    """Burn all coupons or none on the transaction. A transaction that has burned coupons before gets code 9004."""
    if await gateway.pool.fetchval(sql("order_has_burned", "services.gateway"), body.transactionId, tenants.groups()):
        raise _duplicate(body.transactionId)
    customer = None if body.customerId is None else body.command_customer
    transaction = Order(order_key(None, body.transactionId), gateway.settings.currency, 0)
    command = RedeemCoupons(
        command_id_of(request), transaction, body.coupons or (), customer,
        body.lockReference, atomic=True, channel=CHANNEL, validation_code=body.pin, priced=False,
    )  # fmt: skip
    verdict = await gateway.execute(command)
    if verdict.outcome == "refused":
        raise refusal(verdict)
    if verdict.outcome != "redeemed":
        raise _duplicate(body.transactionId)
    return json_response(
        {
            "success": True,
            "transactionId": body.transactionId,
            "burnedAt": moment(verdict.decided_at),
            "burnedCoupons": [one.code for one in verdict.accepted],
        }
    )


@router.post(f"{BASE}/coupons/release")
async def release(
    request: Request, gateway: CurrentGateway, _: CanRedeem, body: Annotated[ReleaseBody, Depends(body_of(ReleaseBody))]
) -> Response:
    """Release a lock, so that others can use the coupons at once."""
    return await _release(request, gateway, body.lockReference)


@router.delete(f"{BASE}/coupons/{{lock}}")
async def delete(request: Request, gateway: CurrentGateway, _: CanRedeem, lock: Name) -> Response:
    """Release a lock, as `release` does."""
    return await _release(request, gateway, lock)


@router.post(f"{BASE}/coupons/{{code}}/validate")
async def validate(
    request: Request,
    code: Code,
    gateway: CurrentGateway,
    caller: CanValidate,
    *,
    body: Annotated[ValidateBody, Depends(body_of(ValidateBody))],
    lock: Annotated[bool | None, Query()] = None,
    lockDuration: Annotated[int | None, Query(ge=1, le=MAX_LOCK_SECONDS // 60)] = None,  # noqa: N803
) -> Response:
    """Validate a code; with `lock`, lock it for `lockDuration` minutes. A refusal is a 200 with `isValid`: false."""
    hold = body.lock if lock is None else lock
    minutes = body.lockDuration if lockDuration is None else lockDuration
    seconds = gateway.settings.lock_seconds if minutes is None else minutes * 60
    command_id = command_id_of(request)
    command = LockCoupons(
        command_id,
        lock_reference(command_id),
        (code,),
        lock_seconds=seconds,
        customer=body.command_customer,
        channel=CHANNEL,
        validation_code=body.pin,
    )
    if hold:
        caller.require_scope("redeem")
    verdict = await (gateway.execute(command) if hold else gateway.validate(command))
    if verdict.refused:
        first = verdict.refused[0]
        return json_response(
            {
                "isValid": False,
                "lockReference": None,
                "discountType": None,
                "discountAmount": None,
                "code": VENDOR_CODES[first.reason.value].gameball,
                "message": first.message,
                "reason": first.reason.value,
            }
        )
    coupon = verdict.accepted[0]
    document: dict[str, Any] = {
        "isValid": True,
        "lockReference": verdict.lock_reference if hold else None,
        "discountType": TYPES[coupon.discount_kind],
        "discountAmount": _number(coupon.discount_value),
    }
    if hold:
        document["dateToExpire"] = moment(verdict.expires_at)
    return json_response(document | {"coupon": await _properties(gateway, coupon.campaign_id, coupon.code)})


@router.post(f"{BASE}/orders")
async def order(
    request: Request, gateway: CurrentGateway, _: CanRedeem, body: Annotated[OrderBody, Depends(body_of(OrderBody))]
) -> Response:
    """Record the order, and burn its lock."""
    reference = None if body.redemption is None else body.redemption.couponsLockReference
    try:
        ordered = _order(body, gateway.settings.currency)
    except MoneyError as error:
        raise Problem(422, "invalid_request", str(error)) from None
    command = RedeemCoupons(
        command_id_of(request), ordered, (), body.command_customer, reference, atomic=True, at=body.orderDate,
        channel=CHANNEL, priced=body.totalPrice is not None or body.totalPaid is not None,
    )  # fmt: skip
    verdict = await gateway.execute(command)
    if verdict.outcome == "refused":
        raise refusal(verdict)
    return json_response(
        {
            "orderId": body.orderId,
            "customerId": body.customerId,
            "redemption": {
                "couponsLockReference": reference,
                "coupons": [_burned(one.code, one.discount_minor, verdict) for one in verdict.accepted],
            },
        }
    )


def _burned(code: str, discount_minor: int | None, verdict: Verdict) -> dict[str, Any]:
    known = discount_minor is not None and verdict.currency is not None
    return {
        "code": code,
        "discountAmount": _number(format_minor(discount_minor or 0, verdict.currency or "")) if known else None,
    }


def _order(body: OrderBody, currency: str) -> Order:
    """Convert the order. Lines without a price are left out, since they can't have a discount. Raises MoneyError."""
    total = body.totalPrice or body.totalPaid
    lines = tuple([_line(number, item, currency) for number, item in enumerate(body.lineItems or ()) if item.price])
    with naming("totalShipping"):
        shipping = 0 if body.totalShipping is None else parse_minor(body.totalShipping, currency)
    with naming("totalPrice" if body.totalPrice else "totalPaid"):
        amount = 0 if total is None else parse_minor(total, currency)
    order = Order(
        order_id=order_key(body.shop_id, body.orderId), currency=currency, amount_minor=amount, lines=lines,
        shipping_minor=shipping, placed_at=body.orderDate,
    )  # fmt: skip
    return check_amounts(order)


def _line(number: int, item: LineItemIn, currency: str) -> Line:
    with naming(f"lineItems[{number}].quantity"):
        ordered = quantity_of(item.quantity)
    with naming(f"lineItems[{number}].price"):
        price = parse_unit_price(item.price or "", currency)
    quantity, unit_minor, exact = exact_line(ordered, price)
    return Line(
        line_id=str(number + 1), product_id=item.productId or item.sku or str(number + 1), quantity=quantity,
        unit_minor=unit_minor, variant_id=item.sku, collection_ids=item.collection or (), exact=exact,
    )  # fmt: skip


async def _release(request: Request, gateway: Gateway, reference: str) -> Response:
    verdict = await gateway.execute(ReleaseLock(command_id_of(request), reference, CHANNEL))
    if verdict.outcome == "refused":
        raise refusal(verdict)
    return json_response(
        {
            "success": True,
            "releasedAt": moment(verdict.decided_at),
            "releasedCoupons": [one.code for one in verdict.accepted],
        }
    )


async def _properties(gateway: Gateway, campaign_id: str, code: str) -> dict[str, Any]:
    """Return the coupon's properties in the vendor's format; none if its campaign is not found."""
    found = await tenants.campaign(gateway, campaign_id)
    return {} if found is None else coupon_properties(found.definition, code)


def coupon_properties(definition: CampaignDefinition, code: str) -> dict[str, Any]:
    """Return a campaign's terms in the vendor's format."""
    discount, limits, eligibility = definition.discount, definition.limits, definition.eligibility
    window = to_domain(definition, 0).window
    return {
        "code": code,
        "type": COUPON_TYPES[discount.kind],
        "value": _number(discount.value) if discount.value is not None else None,
        "currency": discount.currency,
        "usageLimit": limits.uses_per_coupon,
        "limitPerCustomer": limits.uses_per_customer,
        "startDate": moment(window.starts_at),
        "expiryDate": moment(window.ends_at),
        "capping": _number(discount.max_discount) if discount.max_discount is not None else None,
        "minOrderValue": _number(eligibility.min_order_amount) if eligibility.min_order_amount is not None else None,
        "entitledProductIds": list(definition.applies_to.product_ids),
        "entitledVariantIds": list(definition.applies_to.variant_ids),
        "entitledCollectionIds": list(definition.applies_to.collection_ids),
        "productId": discount.product_id,
        "payload": discount.payload,
    }


def _number(text: str) -> int | float:
    """Convert an amount to a JSON number, whole ones without a decimal point."""
    whole, _, fraction = text.partition(".")
    return int(whole) if not fraction.strip("0") else float(text)


def _duplicate(transaction: str) -> Problem:
    return Problem(422, "duplicate_transaction", f"Transaction {transaction!r} has already burned coupons.")


async def _identify(request: Request, gateway: Gateway) -> Caller:
    """Return the caller. `SecretKey` is an API key; browsers, which can't have a secret, send one as `APIKey`."""
    for name in ("secretkey", "apikey"):
        caller = await gateway.keys.caller(request.headers.get(name, ""), address_of(request))
        if caller is not None:
            return caller
    if "secretkey" in request.headers or "apikey" in request.headers:
        return await by_key(request, gateway, "")
    raise unauthorized("send the headers APIKey and SecretKey; SecretKey is a key created by `couponry keys create`.")


def _render_problem(request: Request, problem: Problem) -> Response:
    reason = problem.details.get("reason")
    if reason is not None:
        code = VENDOR_CODES[reason].gameball
    else:
        missing = problem.code == "invalid_request" and "is missing" in problem.detail
        code = ERRORS.get("missing" if missing else problem.code, 5000 if problem.status >= 500 else GAMEBALL_FAILED)
    return json_response(
        {
            "code": code,
            "type": CLASSES.get(code // 1000, "General Error"),
            "message": problem.detail,
            "requestId": str(uuid4()),
        },
        problem.status,
        problem.headers,
    )


def create(gateway: Gateway) -> FastAPI:
    """Create the facade, to be mounted under its base path."""
    decimals(gateway.settings.currency)  # raises for an unknown currency when the gateway starts
    return new_facade("Gameball coupon API", gateway, router, _identify, _render_problem)
