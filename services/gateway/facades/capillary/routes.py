"""`POST {base}/v1.1/coupon/redeem`: coupons redeemed one by one, each with its own item status.

Coupons of one customer on one transaction are decided together, because the coupons of an order affect each other; each
gets its own status. Only a request with a single coupon is followed by a notification, so each command contains the
number of coupons in the whole request.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from fastapi import FastAPI, Request, Response

from schemas.common import present
from services.gateway import tenants
from services.gateway.access.guesses import reserve_guesses
from services.gateway.access.identify import identify
from services.gateway.facades.capillary.bodies import CouponIn, CustomerIn, RedeemBody
from services.gateway.facades.facade import json_response, new_facade, new_router
from services.gateway.facades.vendor_codes import (
    CAPILLARY_MAX_COUPONS,
    CAPILLARY_SUCCEEDED,
    CAPILLARY_TOO_MANY_COUPONS,
    VENDOR_CODES,
)
from services.gateway.gateway import Gateway, command_id_of
from services.gateway.guard import CanRedeem, CurrentGateway
from services.gateway.native.bodies import read_body
from services.gateway.problems import Problem
from shared.domain.model.coupon import code_key
from shared.domain.model.customer import Customer, IdentityRules, e164, identifiers
from shared.domain.model.ids import derived_id, order_key
from shared.domain.model.money import MoneyError, format_minor, parse_minor
from shared.domain.model.order import Order
from shared.domain.model.order_commands import RedeemCoupons
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import AcceptedCoupon, RefusedCoupon, Verdict
from shared.domain.offers.kinds import KINDS
from shared.ledger.sql import sql

router = new_router()

CHANNEL: Final = "capillary"
CUSTOMER_INVALID: Final = 721
AMOUNT_INVALID: Final = 733
REPEATED: Final = 716
ALL_FAILED: Final = 500
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')


@dataclass
class Item:
    """One coupon of the request with its customer, its order and its result. `failed`: (code, message)."""

    coupon: CouponIn
    customer: Customer | None = None
    order: Order | None = None
    priced: bool = False
    verdict: Verdict | None = None
    failed: tuple[int, str] | None = None
    names: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[Any, ...]:
        """Items with the same key are decided together."""
        fields = self.coupon.custom_fields
        return (self.customer, self.order, self.coupon.validation_code, None if fields is None else fields.field)


@router.post("/v1.1/coupon/redeem")
async def redeem(
    request: Request,
    gateway: CurrentGateway,
    _: CanRedeem,
) -> Response:
    """Redeem coupons. Each gets its own status."""
    requested = await _read(request)
    items = [_item(one, number, request, gateway) for number, one in enumerate(requested)]
    _fail_repeated(items)
    groups: dict[tuple[Any, ...], list[Item]] = {}
    for item in items:
        if item.failed is None:
            groups.setdefault(item.key, []).append(item)
    command_id = command_id_of(request)
    async with reserve_guesses(sum(item.failed is None for item in items), whole=True):
        await asyncio.gather(
            *[
                _redeem_group(gateway, f"{command_id}/{number}" if len(groups) > 1 else command_id, group, len(items))
                for number, group in enumerate(groups.values())
            ]
        )
    await _name_customers(gateway, items)
    coupons = [_coupon_document(item) for item in items]
    success_count = sum(one["item_status"]["success"] == "true" for one in coupons)
    if success_count == len(coupons):
        status = {"success": "true", "code": 200, "message": "Success"}
    elif success_count:
        status = {
            "success": "partial",
            "code": 200,
            "message": f"{success_count} of {len(coupons)} coupons were redeemed",
        }
    else:
        status = {"success": "false", "code": ALL_FAILED, "message": "No coupon was redeemed"}
    document = {"status": status, "coupons": {"coupon": coupons[0] if len(coupons) == 1 else coupons}}
    return json_response({"response": document})


async def _read(request: Request) -> Sequence[CouponIn]:
    """Parse the coupons. Raises a Problem; if the JSON has comments, with the place of the first one."""
    content = await request.body()
    try:
        coupons = read_body(RedeemBody, request, content).root.coupons
    except Problem as problem:
        if problem.code == "invalid_json" and (where := comment_in(content.decode("utf-8", "replace"))) is not None:
            raise Problem(
                400, "invalid_json", f"JSON can't contain comments; remove the one at line {where[0]}, column "
                f"{where[1]}.",
            ) from None  # fmt: skip
        raise
    if len(coupons) > CAPILLARY_MAX_COUPONS:
        raise Problem(
            400, "too_many_coupons", f"A request can have at most {CAPILLARY_MAX_COUPONS} coupons, not {len(coupons)}."
        )
    return coupons


def comment_in(text: str) -> tuple[int, int] | None:
    """Return (line, column) of the first `//` outside of JSON strings, or None."""
    bare = _STRING.sub(lambda found: " " * len(found[0]), text)
    at = bare.find("//")
    return None if at < 0 else (text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))


def _item(coupon: CouponIn, number: int, request: Request, gateway: Gateway) -> Item:
    """Convert a coupon with its customer and order, or set `failed` if they are not valid."""
    item = Item(coupon)
    settings = gateway.settings
    if coupon.customer is not None:
        item.customer, item.failed = _customer(coupon.customer, settings.region, gateway.identity)
    transaction = coupon.used_on
    transaction_number = "" if transaction is None or transaction.number is None else transaction.number.strip()
    # Without a number, each coupon gets its own transaction id, which is the same for a retry of the request.
    order_id = transaction_number or f"capillary {derived_id('transaction', command_id_of(request), str(number))}"
    amount = 0
    if transaction is not None and transaction.amount is not None:
        item.priced = True
        try:
            amount = parse_minor(transaction.amount, settings.currency)
        except MoneyError as error:
            item.failed = item.failed or (AMOUNT_INVALID, str(error))
    item.order = Order(order_id=order_key(None, order_id), currency=settings.currency, amount_minor=amount)
    return item


def _customer(
    body: CustomerIn, region: str | None, rules: IdentityRules
) -> tuple[Customer | None, tuple[int, str] | None]:
    mobile = None
    if body.mobile and body.mobile.strip():
        # Capillary sends numbers with the country code but no plus sign, or, in the shop's own country, with neither.
        number = body.mobile.strip()
        mobile = e164(number) or e164(number, region) or e164(f"+{number}")
        if mobile is None:
            return None, (
                CUSTOMER_INVALID,
                f"The mobile number {number!r} is not valid; write it with its country code.",
            )
    customer = Customer(present(body.external_id), body.email or None, mobile)
    if not identifiers(customer, rules):
        return None, None
    return customer, None


def _fail_repeated(items: Sequence[Item]) -> None:
    seen: set[str] = set()
    for item in items:
        key = code_key(item.coupon.code)
        if key in seen:
            item.failed = (REPEATED, f"Coupon {item.coupon.code!r} is in the request more than once.")
        seen.add(key)


async def _redeem_group(gateway: Gateway, command_id: str, group: Sequence[Item], named: int) -> None:
    first = group[0]
    if first.order is None:
        return
    command = RedeemCoupons(
        command_id,
        first.order,
        tuple(item.coupon.code for item in group),
        first.customer,
        channel=CHANNEL,
        validation_code=first.coupon.validation_code or None,
        priced=first.priced,
        named=named,
        metadata=first.coupon.metadata,
    )
    verdict = await gateway.execute(command)
    for item in group:
        item.verdict = verdict


async def _name_customers(gateway: Gateway, items: Sequence[Item]) -> None:
    """Load all identifiers of each customer for the response; a key that is bound to groups gets those it sent."""
    async with gateway.pool.acquire() as connection:
        for item in items:
            if item.customer is None:
                continue
            named = identifiers(item.customer, gateway.identity)
            item.names = dict(named)
            if tenants.groups() is not None:
                continue
            record = await connection.fetchrow(sql("show_customer"), *named[0])
            for name in () if record is None else record["identifiers"]:
                kind, _, value = name.partition(" ")
                item.names.setdefault(kind, value)


def _coupon_document(item: Item) -> dict[str, Any]:
    """Return a coupon of the response. Everything except the status code is a string."""
    accepted, refusal = _outcome(item)
    transaction = item.coupon.used_on
    number = "" if transaction is None or transaction.number is None else transaction.number
    order = item.order
    amount = format_minor(order.amount_minor, order.currency) if order is not None and item.priced else ""
    document: dict[str, Any] = {
        "customer": {
            "mobile": item.names.get("mobile", "").removeprefix("+"),
            "email": item.names.get("email", ""),
            "external_id": item.names.get("id", ""),
        },
        "redemption_id": "" if accepted is None or item.verdict is None else item.verdict.redemption_id or "",
        "code": item.coupon.code if accepted is None else accepted.code,
        "discount_code": "" if accepted is None else accepted.campaign_id,
        "series_code": "" if accepted is None else accepted.campaign_id,
        "series_info": [],
        "is_absolute": "true" if accepted is not None and _is_absolute(accepted) else "false",
        "coupon_value": "" if accepted is None else accepted.discount_value,
        "transaction": {"amount": amount, "number": number},
        "side_effects": [],
    }
    if accepted is not None:
        status = {"success": "true", "code": CAPILLARY_SUCCEEDED, "message": "Coupon processing successful"}
    else:
        code, message = refusal
        status = {"success": "false", "code": code, "message": message}
    return document | {"item_status": status}


def _is_absolute(coupon: AcceptedCoupon) -> bool:
    """Return whether the discount is an amount of money."""
    kind = KINDS.get(coupon.discount_kind)
    return kind is not None and kind.in_currency


def _outcome(item: Item) -> tuple[AcceptedCoupon | None, tuple[int, str]]:
    """Return the redeemed coupon, or None with the code and message of the refusal."""
    if item.failed is not None or item.verdict is None:
        return None, item.failed or (VENDOR_CODES[Reason.NO_EFFECT.value].capillary, "The coupon was not processed.")
    key = code_key(item.coupon.code)
    for accepted in item.verdict.accepted:
        if code_key(accepted.code) == key:
            return accepted, (CAPILLARY_SUCCEEDED, "")
    refused: Mapping[str, RefusedCoupon] = {code_key(one.code or ""): one for one in item.verdict.refused}
    if key in refused:
        return None, (VENDOR_CODES[refused[key].reason.value].capillary, refused[key].message)
    already = VENDOR_CODES[Reason.ALREADY_REDEEMED.value].capillary
    return None, (already, f"Coupon {item.coupon.code!r} is already redeemed on this transaction.")


def _render_problem(request: Request, problem: Problem) -> Response:
    code = CAPILLARY_TOO_MANY_COUPONS if problem.code == "too_many_coupons" else problem.status
    status = {"success": "false", "code": code, "message": problem.detail}
    document = {"response": {"status": status, "coupons": {"coupon": []}}, "request_id": str(uuid4())}
    return json_response(document, problem.status, problem.headers)


def create(gateway: Gateway) -> FastAPI:
    """Create the facade, to be mounted under its base path."""
    return new_facade("Capillary coupon API", gateway, router, identify, _render_problem)
