"""`POST {base}/v1.1/coupon/redeem`: coupons redeemed one by one, each with its own item status.

Coupons of one customer on one transaction are judged together, since an order's coupons bear on each other; each gets
its own verdict. A notification follows only a request with a single coupon, so each part says how many the whole named.
"""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import uuid4

from fastapi import FastAPI, Request, Response

from services.gateway import tenants
from services.gateway.access.guesses import looking_up
from services.gateway.access.identify import identify
from services.gateway.facades.capillary.bodies import CouponIn, CustomerIn, RedeemBody
from services.gateway.facades.facade import json_response, new_facade, new_router
from services.gateway.facades.vendor_codes import (
    CAPILLARY_MOST_COUPONS,
    CAPILLARY_SUCCEEDED,
    CAPILLARY_TOO_MANY_COUPONS,
    VENDOR_CODES,
)
from services.gateway.gateway import Gateway, command_id_of
from services.gateway.guard import Here, MayRedeem
from services.gateway.native.bodies import read_body
from services.gateway.problems import Problem
from shared.domain.model.commands import RedeemCoupons
from shared.domain.model.coupon import code_key
from shared.domain.model.customer import Customer, e164, identifiers
from shared.domain.model.ids import derived_id
from shared.domain.model.money import MoneyError, format_minor, parse_minor
from shared.domain.model.order import Order
from shared.domain.model.reasons import Reason
from shared.domain.model.verdicts import AcceptedCoupon, RefusedCoupon, Verdict
from shared.ledger.sql import sql

router = new_router()

CHANNEL: Final = "capillary"
CUSTOMER_INVALID: Final = 721
AMOUNT_INVALID: Final = 733
REPEATED: Final = 716
ALL_FAILED: Final = 500
ABSOLUTE: Final = frozenset({"fixed", "fixed_rate"})
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')


@dataclass
class Item:
    """One coupon of the request on its way: who, on what, and what came of it. `failed`: (code, message)."""

    asked: CouponIn
    who: Customer | None = None
    order: Order | None = None
    priced: bool = False
    verdict: Verdict | None = None
    failed: tuple[int, str] | None = None
    names: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[Any, ...]:
        """Items of one key are judged together."""
        fields = self.asked.custom_fields
        return (self.who, self.order, self.asked.validation_code, None if fields is None else fields.field)


@router.post("/v1.1/coupon/redeem")
async def redeem(
    request: Request,
    gateway: Here,
    _: MayRedeem,
) -> Response:
    """Redeem each coupon, or say of each why not."""
    asked = await _read(request)
    items = [_item(one, number, request, gateway) for number, one in enumerate(asked)]
    _fail_repeated(items)
    groups: dict[tuple[Any, ...], list[Item]] = {}
    for item in items:
        if item.failed is None:
            groups.setdefault(item.key, []).append(item)
    command_id = command_id_of(request)
    async with looking_up(sum(item.failed is None for item in items), whole=True):
        await asyncio.gather(
            *[
                _redeem_group(gateway, f"{command_id}/{number}" if len(groups) > 1 else command_id, group, len(items))
                for number, group in enumerate(groups.values())
            ]
        )
    await _name_customers(gateway, items)
    told = [_told(item) for item in items]
    good = sum(one["item_status"]["success"] == "true" for one in told)
    if good == len(told):
        status = {"success": "true", "code": 200, "message": "Success"}
    elif good:
        status = {"success": "partial", "code": 200, "message": f"{good} of {len(told)} coupons were redeemed"}
    else:
        status = {"success": "false", "code": ALL_FAILED, "message": "No coupon was redeemed"}
    return json_response({"response": {"status": status, "coupons": {"coupon": told[0] if len(told) == 1 else told}}})


async def _read(request: Request) -> Sequence[CouponIn]:
    """The coupons. Raises a Problem, for comments with where the first one is."""
    content = await request.body()
    try:
        asked = read_body(RedeemBody, request, content).root.coupons
    except Problem as problem:
        if problem.code == "invalid_json" and (where := comment_in(content.decode("utf-8", "replace"))) is not None:
            raise Problem(
                400, "invalid_json", f"JSON has no comments, and one begins at line {where[0]}, column {where[1]}; "
                "remove it.",
            ) from None  # fmt: skip
        raise
    if len(asked) > CAPILLARY_MOST_COUPONS:
        raise Problem(
            400, "too_many_coupons", f"At most {CAPILLARY_MOST_COUPONS} coupons in a request, not {len(asked)}."
        )
    return asked


def comment_in(text: str) -> tuple[int, int] | None:
    """(line, column) of the first `//` outside of a JSON string; None where there is none."""
    bare = _STRING.sub(lambda found: " " * len(found[0]), text)
    at = bare.find("//")
    return None if at < 0 else (text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at))


def _item(asked: CouponIn, number: int, request: Request, gateway: Gateway) -> Item:
    """The coupon with its customer and order as the engine knows them, or why they can't be."""
    item = Item(asked)
    settings = gateway.settings
    if asked.customer is not None:
        item.who, item.failed = _customer(asked.customer, settings.region)
    transaction = asked.used_on
    number_told = "" if transaction is None or transaction.number is None else transaction.number.strip()
    # Without a number each coupon is used on a transaction of its own, the same one when the request is repeated.
    order_id = number_told or f"capillary {derived_id('transaction', command_id_of(request), str(number))}"
    amount = 0
    if transaction is not None and transaction.amount is not None:
        item.priced = True
        try:
            amount = parse_minor(transaction.amount, settings.currency)
        except MoneyError as error:
            item.failed = item.failed or (AMOUNT_INVALID, str(error))
    item.order = Order(order_id, settings.currency, amount)
    return item


def _customer(told: CustomerIn, region: str | None) -> tuple[Customer | None, tuple[int, str] | None]:
    mobile = None
    if told.mobile and told.mobile.strip():
        # Capillary writes numbers with their country and without a plus; or without either, as the shop's own are.
        number = told.mobile.strip()
        mobile = e164(number) or e164(number, region) or e164(f"+{number}")
        if mobile is None:
            return None, (CUSTOMER_INVALID, f"The mobile number {number!r} isn't one; write it with its country.")
    customer = Customer(told.external_id or None, told.email or None, mobile)
    if not identifiers(customer):
        return None, None
    return customer, None


def _fail_repeated(items: Sequence[Item]) -> None:
    seen: set[str] = set()
    for item in items:
        key = code_key(item.asked.code)
        if key in seen:
            item.failed = (REPEATED, f"Coupon {item.asked.code!r} stands in the request more than once.")
        seen.add(key)


async def _redeem_group(gateway: Gateway, command_id: str, group: Sequence[Item], named: int) -> None:
    first = group[0]
    if first.order is None:
        return
    command = RedeemCoupons(
        command_id,
        first.order,
        tuple(item.asked.code for item in group),
        first.who,
        channel=CHANNEL,
        validation_code=first.asked.validation_code or None,
        priced=first.priced,
        named=named,
        metadata=first.asked.metadata,
    )
    verdict = await gateway.execute(command)
    for item in group:
        item.verdict = verdict


async def _name_customers(gateway: Gateway, items: Sequence[Item]) -> None:
    """All names of each customer, as the answer repeats them; to a key that is bound to groups those of its request."""
    async with gateway.pool.acquire() as connection:
        for item in items:
            if item.who is None:
                continue
            item.names = dict(identifiers(item.who))
            if tenants.groups() is not None:
                continue
            person = await connection.fetchrow(sql("show_customer"), *identifiers(item.who)[0])
            for name in () if person is None else person["identifiers"]:
                kind, _, value = name.partition(" ")
                item.names.setdefault(kind, value)


def _told(item: Item) -> dict[str, Any]:
    """One coupon's answer; everything is a text, but for the status code."""
    good, refused = _outcome(item)
    transaction = item.asked.used_on
    number = "" if transaction is None or transaction.number is None else transaction.number
    order = item.order
    amount = format_minor(order.amount_minor, order.currency) if order is not None and item.priced else ""
    told: dict[str, Any] = {
        "customer": {
            "mobile": item.names.get("mobile", "").removeprefix("+"),
            "email": item.names.get("email", ""),
            "external_id": item.names.get("id", ""),
        },
        "redemption_id": "" if good is None or item.verdict is None else item.verdict.redemption_id or "",
        "code": item.asked.code if good is None else good.code,
        "discount_code": "" if good is None else good.campaign_id,
        "series_code": "" if good is None else good.campaign_id,
        "series_info": [],
        "is_absolute": "true" if good is not None and good.discount_kind in ABSOLUTE else "false",
        "coupon_value": "" if good is None else good.discount_value,
        "transaction": {"amount": amount, "number": number},
        "side_effects": [],
    }
    if good is not None:
        status = {"success": "true", "code": CAPILLARY_SUCCEEDED, "message": "Coupon processing successful"}
    else:
        code, message = refused
        status = {"success": "false", "code": code, "message": message}
    return told | {"item_status": status}


def _outcome(item: Item) -> tuple[AcceptedCoupon | None, tuple[int, str]]:
    """The coupon as it was redeemed, or the code and sentence of why it wasn't."""
    if item.failed is not None or item.verdict is None:
        return None, item.failed or (VENDOR_CODES[Reason.NO_EFFECT.value].capillary, "The coupon was not processed.")
    key = code_key(item.asked.code)
    for accepted in item.verdict.accepted:
        if code_key(accepted.code) == key:
            return accepted, (CAPILLARY_SUCCEEDED, "")
    refused: Mapping[str, RefusedCoupon] = {code_key(one.code or ""): one for one in item.verdict.refused}
    if key in refused:
        return None, (VENDOR_CODES[refused[key].reason.value].capillary, refused[key].message)
    already = VENDOR_CODES[Reason.ALREADY_REDEEMED.value].capillary
    return None, (already, f"Coupon {item.asked.code!r} has been redeemed on this transaction already.")


def _tell(request: Request, problem: Problem) -> Response:
    code = CAPILLARY_TOO_MANY_COUPONS if problem.code == "too_many_coupons" else problem.status
    status = {"success": "false", "code": code, "message": problem.detail}
    document = {"response": {"status": status, "coupons": {"coupon": []}}, "request_id": str(uuid4())}
    return json_response(document, problem.status, problem.headers)


def create(gateway: Gateway) -> FastAPI:
    """The facade, to be mounted under its base path."""
    return new_facade("Capillary coupon API", gateway, router, identify, _tell)
