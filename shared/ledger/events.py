"""Build the events for a verdict. Refusals are published as well."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any, Final

import orjson

from schemas import topics
from schemas.limits import MAX_ID_LENGTH, MAX_TEXT_LENGTH, MAX_WRITTEN_BYTES
from shared.domain.model.campaign import DiscountOffer
from shared.domain.model.commands import (
    CancelOrder,
    Cause,
    Command,
    CreateCoupons,
    IssueCoupons,
    LockCoupons,
    PayOrder,
    RecordCustomer,
    RedeemCoupons,
)
from shared.domain.model.customer import Customer
from shared.domain.model.ids import derived_id
from shared.domain.model.money import format_minor
from shared.domain.model.order import SHIPPING
from shared.domain.model.state import State
from shared.domain.model.verdicts import AcceptedCoupon, Benefit, LedgerEntry, LineShare, RefusedCoupon, Verdict
from shared.domain.offers.exhausted import ExhaustedCoupon, exhausted
from shared.domain.offers.kinds import KINDS
from shared.ledger.outbox import OutboxRow

_SOURCES: Final = {"orders": "/couponry/redeemer", "ledger": "/couponry/ledger"}
_ISSUER: Final = "/couponry/issuer"

Data = dict[str, Any]
NewEvent = tuple[str, str, str, str, Data]
"""(topic, key, type, subject, data)"""


def events_of(command: Command, verdict: Verdict, state: State) -> Iterator[OutboxRow]:
    """Yield the events of a verdict in order. Their ids are derived from the command: a retry has the same ids."""
    source = _ISSUER if isinstance(command, IssueCoupons) else _source(command.channel)
    new_events = chain(_EVENT_BUILDERS[type(command).__name__](command, verdict, state), _exhausted(verdict, state))
    for number, (topic, key, kind, subject, data) in enumerate(new_events):
        yield OutboxRow(
            event_id=derived_id("event", verdict.command_id, kind, str(number)),
            topic=topic,
            key=key,
            type=kind,
            source=source,
            subject=subject,
            time=verdict.decided_at,
            data=_json(data),
        )


def _json(data: Data) -> str:
    """Return an event's data as JSON, reduced where it would exceed the broker's message size.

    The shares of lines are left out first (a hundred coupons on an order of thousands of lines), then the payloads of
    custom discounts and the details of refusals (hundreds of coupons, from several requests that wait for one payment).
    The ledger and the campaign have all of it. An event that can't be published would block all later ones.
    """
    body = orjson.dumps(data, option=orjson.OPT_UTC_Z)
    for less in (_without_shares, _without_extras):
        if len(body) <= MAX_WRITTEN_BYTES:
            break
        data = {**data, "coupons": [less(coupon) for coupon in data.get("coupons", ())]}
        body = orjson.dumps(data, option=orjson.OPT_UTC_Z)
    return body.decode()


def _without_shares(coupon: Data) -> Data:
    return {**coupon, "lines": []} if coupon.get("lines") else coupon


def _without_extras(coupon: Data) -> Data:
    less = {name: value for name, value in coupon.items() if name != "details"}
    if "discount" in coupon:
        less["discount"] = {name: value for name, value in coupon["discount"].items() if name != "payload"}
    return less


def _message(refused: RefusedCoupon) -> str:
    """Return the message, cut to the maximum length of an event's text; escaped names can make it longer."""
    message = refused.message
    return message if len(message) <= MAX_TEXT_LENGTH else f"{message[: MAX_TEXT_LENGTH - 1]}…"


def _source(channel: str) -> str:
    return _SOURCES.get(channel) or f"/couponry/{channel}"


def _customer(customer: Customer | None) -> Data | None:
    if customer is None:
        return None
    return {"customer_id": customer.customer_id, "email": customer.email, "mobile": customer.mobile}


def _money(minor: int | None, currency: str | None) -> str | None:
    return None if minor is None or currency is None else format_minor(minor, currency)


def _issued(command: IssueCoupons, verdict: Verdict, state: State) -> Iterator[NewEvent]:
    key = command.customer.customer_id or ""
    cause: Cause = command.cause
    common = {
        "customer": _customer(command.customer),
        "caused_by": {"type": cause.type, "source": cause.source, "id": cause.id},
    }
    for coupon in verdict.accepted:
        yield _coupon_issued(coupon, key, common, verdict, state)
    for refused in verdict.refused:
        yield _issue_refused(refused, key, common, verdict)


def _created(command: CreateCoupons, verdict: Verdict, state: State) -> Iterator[NewEvent]:
    """Yield coupons without a holder, each under its own key. Refusals of single codes are not published."""
    source = _source(command.channel)
    request = command.command_id.removeprefix(f"{source} ")[-MAX_ID_LENGTH:]  # the end is the caller's own id
    cause = {"type": "coupons.create", "source": source, "id": request}
    common = {"customer": _customer(Customer()), "caused_by": cause}
    for coupon in verdict.accepted:
        yield _coupon_issued(coupon, coupon.coupon_id, common, verdict, state)
    for refused in verdict.refused:
        if refused.code is None:
            yield _issue_refused(refused, command.campaign_id, common, verdict)


def _coupon_issued(coupon: AcceptedCoupon, key: str, common: Data, verdict: Verdict, state: State) -> NewEvent:
    campaign = state.campaigns[coupon.campaign_id]
    data = {
        "coupon_id": coupon.coupon_id,
        "code": coupon.code or None,
        "campaign_id": coupon.campaign_id,
        "discount": {
            "kind": coupon.discount_kind,
            "value": coupon.discount_value,
            "currency": campaign.currency if KINDS[coupon.discount_kind].in_currency else None,
            "max_discount": _money(coupon.max_discount_minor, campaign.currency),
            **_more(campaign.discount),
        },
        "uses": campaign.limits.uses_per_coupon,
        "starts_at": coupon.starts_at,
        "ends_at": coupon.ends_at,
        **common,
        "issued_at": verdict.decided_at,
    }
    return topics.COUPONS_ISSUED.name, key, "coupon.issued", key, data


def _issue_refused(refused: RefusedCoupon, key: str, common: Data, verdict: Verdict) -> NewEvent:
    data = {
        "campaign_id": refused.campaign_id,
        "reason": refused.reason,
        "message": _message(refused),
        "details": refused.details,
        **common,
        "refused_at": verdict.decided_at,
    }
    return topics.COUPONS_ISSUED.name, key, "coupon.issue_refused", key, data


def _more(discount: DiscountOffer) -> Data:
    """Return the fields that only some kinds of discount have."""
    said = {"product_id": discount.product_id, "payload": discount.payload}
    return {name: value for name, value in said.items() if value is not None}


def _applied(coupon: AcceptedCoupon, currency: str) -> Data:
    applied: Data = {
        "coupon_id": coupon.coupon_id,
        "code": coupon.code or None,
        "campaign_id": coupon.campaign_id,
        "discount": {"kind": coupon.discount_kind, "value": coupon.discount_value},
        "discount_amount": _money(coupon.discount_minor, currency),
        "lines": _shares(coupon.lines, currency),
    }
    if coupon.benefit is not None:
        _add_benefit(applied, coupon, coupon.benefit, currency)
    if coupon.recurring:
        applied["recurring"] = True
    return applied


def _add_benefit(applied: Data, coupon: AcceptedCoupon, benefit: Benefit, currency: str) -> None:
    """Add a benefit that isn't a discount on goods: a discount on shipping, a free product, or a payload."""
    applied["lines"] = [line for line in applied["lines"] if line["line_id"] != SHIPPING]
    if KINDS[coupon.discount_kind].takes_from == "shipping":
        applied["shipping_discount_amount"] = format_minor(benefit.shipping_minor, currency)
    if benefit.product_id is not None:
        applied["discount"]["product_id"] = benefit.product_id
        applied["free_product"] = {"product_id": benefit.product_id, "quantity": benefit.product_units}
    if benefit.payload is not None:
        applied["discount"]["payload"] = benefit.payload


def _shares(lines: Iterable[LineShare], currency: str | None) -> list[Data]:
    return [{"line_id": line_id, "discount_amount": _money(minor, currency)} for line_id, minor in lines]


def _refused(coupon: RefusedCoupon) -> Data:
    return {
        "code": coupon.code or None,
        "coupon_id": coupon.coupon_id,
        "campaign_id": coupon.campaign_id,
        "reason": coupon.reason,
        "message": _message(coupon),
        "details": coupon.details,
    }


def _judged(  # noqa: PLR0917 - private, called twice
    verdict: Verdict, order_id: str, customer: Customer | None, currency: str, amount_minor: int, channel: str
) -> Iterator[NewEvent]:
    """Yield at most two events for an order: the redeemed coupons, and the refused ones."""
    if not verdict.accepted and not verdict.refused:
        return  # an order that is only recorded may have an invalid currency
    topic = topics.COUPONS_REDEMPTIONS.name
    common: Data = {
        "order_id": order_id,
        "customer": _customer(customer),
        "requested_count": verdict.requested_count,
        "order_amount": format_minor(amount_minor, currency),
        "currency": currency,
        "channel": channel,
    }
    if verdict.metadata is not None:
        common["metadata"] = verdict.metadata
    if verdict.outcome == "redeemed" and verdict.accepted:
        yield topic, order_id, "coupon.redeemed", order_id, {
            "redemption_id": verdict.redemption_id,
            **common,
            "discount_amount": format_minor(verdict.discount_minor, currency),
            "coupons": [_applied(coupon, currency) for coupon in verdict.accepted],
            "lock_reference": verdict.lock_reference,
            "redeemed_at": verdict.decided_at,
        }  # fmt: skip
    if verdict.refused:
        yield topic, order_id, "coupon.redemption_refused", order_id, {
            **common,
            "coupons": [_refused(coupon) for coupon in verdict.refused],
            "refused_at": verdict.decided_at,
        }  # fmt: skip


def _redeemed(command: RedeemCoupons, verdict: Verdict, state: State) -> Iterator[NewEvent]:
    order, currency = command.order, verdict.currency or command.order.currency
    if verdict.outcome == "held":
        yield from _locked(verdict, verdict.accepted, command.customer, order.order_id, order.currency)
    yield from _judged(verdict, order.order_id, command.customer, currency, order.amount_minor, command.channel)
    yield from _moved(command, verdict, state)


def _paid(command: PayOrder, verdict: Verdict, state: State) -> Iterator[NewEvent]:
    order = state.orders.get(command.order_id)
    if order is not None and order.currency is not None:
        yield from _judged(verdict, order.order_id, order.customer, order.currency, order.amount_minor, command.channel)
    yield from _moved(command, verdict, state)


def _locked(
    verdict: Verdict,
    coupons: Iterable[AcceptedCoupon],
    customer: Customer | None,
    order_id: str | None,
    currency: str | None,
) -> Iterator[NewEvent]:
    for coupon in coupons:
        yield topics.COUPONS_LIFECYCLE.name, coupon.coupon_id, "coupon.locked", coupon.coupon_id, {
            "lock_reference": verdict.lock_reference,
            "coupons": [
                {
                    "coupon_id": coupon.coupon_id,
                    "code": coupon.code or None,
                    "campaign_id": coupon.campaign_id,
                    "discount_amount": _money(coupon.discount_minor, currency),
                }
            ],
            "customer": _customer(customer),
            "order_id": order_id,
            "expires_at": verdict.expires_at,
        }  # fmt: skip


def _lock_opened(command: LockCoupons, verdict: Verdict, state: State) -> Iterator[NewEvent]:
    yield from _moved(command, verdict, state)  # the uses that the same reference held before
    if verdict.outcome == "locked":
        yield from _locked(verdict, verdict.accepted, command.customer, command.order_id, verdict.currency)


def _moved(command: Command, verdict: Verdict, state: State) -> Iterator[NewEvent]:
    """Yield one event per restored redemption, and one per released or voided coupon, from the ledger entries.

    Returns in part are restores with 0 uses. They occur with any command that redeems coupons of a returned part.
    """
    restored: dict[str, list[LedgerEntry]] = {}
    outcomes = {change.lock_reference: change.status for change in verdict.locks}
    for entry in verdict.entries:
        if entry.kind in ("returned", "restored"):
            restored.setdefault(entry.redemption_id or "", []).append(entry)
    for redemption_id, entries in restored.items():
        order_id = entries[0].order_id or ""
        yield topics.COUPONS_REDEMPTIONS.name, order_id, "coupon.redemption_restored", order_id, {
            "redemption_id": redemption_id,
            "order_id": order_id,
            "cause": "order.cancelled" if isinstance(command, CancelOrder) else "order.returned",
            "coupons": [_given_back(state, entry) for entry in entries],
            "restored_at": verdict.decided_at,
        }  # fmt: skip
    for entry in verdict.entries:
        if entry.kind == "released":
            expired = outcomes.get(entry.lock_reference or "") == "expired"
            kind = "coupon.lock_expired" if expired else "coupon.released"
            yield topics.COUPONS_LIFECYCLE.name, entry.coupon_id, kind, entry.coupon_id, {
                "lock_reference": entry.lock_reference,
                "coupons": [
                    {**_coupon(state, entry), "discount_amount": _money(-entry.held_minor, entry.currency)}
                ],
                "order_id": entry.order_id,
                ("expired_at" if expired else "released_at"): verdict.decided_at,
            }  # fmt: skip
        elif entry.kind == "voided":
            yield topics.COUPONS_LIFECYCLE.name, entry.coupon_id, "coupon.voided", entry.coupon_id, {
                **_coupon(state, entry),
                "voided_at": verdict.decided_at,
            }  # fmt: skip


def _exhausted(verdict: Verdict, state: State) -> Iterator[NewEvent]:
    """Yield an event for each coupon and campaign that the verdict took to a limit."""
    topic = topics.COUPONS_LIFECYCLE.name
    for one in exhausted(verdict, state):
        if isinstance(one, ExhaustedCoupon):
            yield topic, one.coupon_id, "coupon.exhausted", one.coupon_id, {
                "coupon_id": one.coupon_id,
                "code": one.code or None,
                "campaign_id": one.campaign_id,
                "limit": one.limit,
                "exhausted_at": verdict.decided_at,
            }  # fmt: skip
        else:
            yield topic, one.campaign_id, "campaign.exhausted", one.campaign_id, {
                "campaign_id": one.campaign_id,
                "limit": one.limit,
                "value": one.value,
                "currency": one.currency,
                "until": one.until,
                "exhausted_at": verdict.decided_at,
            }  # fmt: skip


def _nothing(command: RecordCustomer, verdict: Verdict, state: State) -> Iterator[NewEvent]:
    """Yield no events: facts about a customer are not published."""
    yield from ()


def _given_back(state: State, entry: LedgerEntry) -> Data:
    data = {
        **_coupon(state, entry),
        "uses": -entry.used_uses,
        "discount_amount": _money(-entry.used_minor, entry.currency),
    }
    if entry.lines:
        data["lines"] = _shares(entry.lines, entry.currency)
    return data


def _coupon(state: State, entry: LedgerEntry) -> Data:
    return {
        "coupon_id": entry.coupon_id,
        "code": state.coupons[entry.coupon_id].code or None,
        "campaign_id": entry.campaign_id,
    }


_EVENT_BUILDERS: Final[dict[str, Callable[[Any, Verdict, State], Iterator[NewEvent]]]] = {
    "IssueCoupons": _issued,
    "CreateCoupons": _created,
    "RedeemCoupons": _redeemed,
    "PayOrder": _paid,
    "CancelOrder": _moved,
    "ReturnOrder": _moved,
    "LockCoupons": _lock_opened,
    "ReleaseLock": _moved,
    "ExpireLock": _moved,
    "VoidCoupon": _moved,
    "RecordCustomer": _nothing,
}
