"""Build the parts of events: customers, discounts, coupons."""

from collections.abc import Iterable

from schemas.limits import MAX_TEXT_LENGTH
from shared.domain.model.campaign import Campaign
from shared.domain.model.commands import Command
from shared.domain.model.customer import Customer
from shared.domain.model.ids import split_order_key
from shared.domain.model.money import format_minor
from shared.domain.model.order import SHIPPING
from shared.domain.model.order_commands import CancelOrder, FailPayment, RedeemCoupons, ReturnOrder
from shared.domain.model.state import State
from shared.domain.model.verdicts import AcceptedCoupon, Benefit, KeptCoupon, LedgerEntry, LineShare, RefusedCoupon
from shared.domain.offers.kinds import KINDS
from shared.ledger.event_data import (
    AdjustedCouponData,
    CustomerReferenceData,
    DiscountData,
    LineDiscountData,
    LockedCouponData,
    RedeemedCouponData,
    RefusedCouponData,
    RestoredCouponData,
)


def customer_reference(customer: Customer) -> CustomerReferenceData:
    """Return the identifiers as the command stated them."""
    return {"customer_id": customer.customer_id, "email": customer.email, "mobile": customer.mobile}


def money(minor: int | None, currency: str | None) -> str | None:
    """Return an amount, or None if it or its currency is unknown."""
    return None if minor is None or currency is None else format_minor(minor, currency)


def message_of(refused: RefusedCoupon) -> str:
    """Return the message, cut to the maximum length of an event's text; escaped names can make it longer."""
    message = refused.message
    return message if len(message) <= MAX_TEXT_LENGTH else f"{message[: MAX_TEXT_LENGTH - 1]}…"


def issued_discount(coupon: AcceptedCoupon, campaign: Campaign) -> DiscountData:
    """Return the discount of an issued coupon."""
    discount: DiscountData = {
        "kind": coupon.discount_kind,
        "value": coupon.discount_value,
        "currency": campaign.currency if KINDS[coupon.discount_kind].in_currency else None,
        "max_discount": money(coupon.max_discount_minor, campaign.currency),
    }
    # Only some kinds have these.
    if campaign.discount.product_id is not None:
        discount["product_id"] = campaign.discount.product_id
    if campaign.discount.payload is not None:
        discount["payload"] = campaign.discount.payload
    return discount


def redeemed_coupon(coupon: AcceptedCoupon, currency: str) -> RedeemedCouponData:
    """Return a coupon that was used on an order."""
    shares = coupon.lines
    if coupon.benefit is not None:
        shares = tuple([share for share in shares if share[0] != SHIPPING])
    applied: RedeemedCouponData = {
        "coupon_id": coupon.coupon_id,
        "code": coupon.code or None,
        "campaign_id": coupon.campaign_id,
        "discount": {"kind": coupon.discount_kind, "value": coupon.discount_value},
        "discount_amount": format_minor(coupon.discount_minor or 0, currency),
        "lines": line_discounts(shares, currency),
    }
    if coupon.benefit is not None:
        _add_benefit(applied, coupon, coupon.benefit, currency)
    if coupon.recurring:
        applied["recurring"] = True
    return applied


def _add_benefit(applied: RedeemedCouponData, coupon: AcceptedCoupon, benefit: Benefit, currency: str) -> None:
    """Add a benefit that isn't a discount on goods: a discount on shipping, a free product, or a payload."""
    if KINDS[coupon.discount_kind].takes_from == "shipping":
        applied["shipping_discount_amount"] = format_minor(benefit.shipping_minor, currency)
    if benefit.product_id is not None:
        applied["discount"]["product_id"] = benefit.product_id
        applied["free_product"] = {"product_id": benefit.product_id, "quantity": benefit.product_units}
    if benefit.payload is not None:
        applied["discount"]["payload"] = benefit.payload


def line_discounts(lines: Iterable[LineShare], currency: str) -> list[LineDiscountData]:
    """Return the shares of lines."""
    return [{"line_id": line_id, "discount_amount": format_minor(minor, currency)} for line_id, minor in lines]


def refused_coupon(coupon: RefusedCoupon) -> RefusedCouponData:
    """Return a coupon that was refused on an order."""
    return {
        "code": coupon.code or None,
        "coupon_id": coupon.coupon_id,
        "campaign_id": coupon.campaign_id,
        "reason": coupon.reason,
        "message": message_of(coupon),
        "details": coupon.details,
    }


def locked_coupon(coupon: AcceptedCoupon, currency: str | None) -> LockedCouponData:
    """Return a coupon of a lock or of an order's hold."""
    return {
        "coupon_id": coupon.coupon_id,
        "code": coupon.code or None,
        "campaign_id": coupon.campaign_id,
        "discount_amount": money(coupon.discount_minor, currency),
    }


def adjusted_coupon(kept: KeptCoupon, currency: str) -> AdjustedCouponData:
    """Return a coupon that a changed order keeps, with its discount before and now."""
    coupon = kept.coupon
    data: AdjustedCouponData = {
        "coupon_id": coupon.coupon_id,
        "code": coupon.code or None,
        "campaign_id": coupon.campaign_id,
        "discount_before": format_minor(kept.before_minor, currency),
        "discount_amount": format_minor(coupon.discount_minor or 0, currency),
        "lines": line_discounts([share for share in coupon.lines if share[0] != SHIPPING], currency),
    }
    if coupon.benefit is not None and KINDS[coupon.discount_kind].takes_from == "shipping":
        data["shipping_discount_amount"] = format_minor(coupon.benefit.shipping_minor, currency)
    return data


def order_of_lock(key: str | None) -> tuple[str | None, str | None]:
    """Return (the shop's id, the order's id) of a lock's order; each may be None."""
    return (None, None) if key is None else split_order_key(key)


def restored_coupon(entry: LedgerEntry, state: State, reason: str | None = None) -> RestoredCouponData:
    """Return the uses and the discount that a restore takes back. Entries of redemptions always have a currency.

    `reason`: why a changed order can't use the coupon any longer.
    """
    data: RestoredCouponData = {
        "coupon_id": entry.coupon_id,
        "code": coupon_code(entry, state),
        "campaign_id": entry.campaign_id,
        "uses": -entry.used_uses,
        "discount_amount": money(-entry.used_minor, entry.currency) or "",
    }
    if entry.lines and entry.currency is not None:
        data["lines"] = line_discounts(entry.lines, entry.currency)
    if reason is not None:
        data["reason"] = reason
    return data


def redeemer(command: Command, entry: LedgerEntry, state: State) -> CustomerReferenceData | None:
    """Return the customer whose redemption is restored; None for a guest, or if a rehearsal doesn't load them.

    Their identifiers are as an event of the order stated them, if that is known, else as the ledger knows them.
    """
    key, order = entry.customer_key, state.orders.get(entry.order_id or "")
    if key is None:
        return None
    if order is not None and order.customer is not None and order.customer_key == key:
        return customer_reference(order.customer)
    if command.customer is not None and state.customers.get(command.command_id) == key:
        return customer_reference(command.customer)
    known = state.holders.get(key)
    return None if known is None else customer_reference(known)


def released_coupon(entry: LedgerEntry, state: State) -> LockedCouponData:
    """Return the coupon whose uses are no longer held."""
    return {
        "coupon_id": entry.coupon_id,
        "code": coupon_code(entry, state),
        "campaign_id": entry.campaign_id,
        "discount_amount": money(-entry.held_minor, entry.currency),
    }


def coupon_code(entry: LedgerEntry, state: State) -> str | None:
    """Return the code of the entry's coupon; None for a coupon without a code."""
    return state.coupons[entry.coupon_id].code or None


def cause_of(command: Command) -> str | None:
    """Return the type of the order's event behind a command, as events of restores and releases show it."""
    match command:
        case CancelOrder():
            return "order.cancelled"
        case ReturnOrder():
            return "order.returned"
        case FailPayment():
            return "order.payment_failed"
        case RedeemCoupons():
            return "order.changed" if command.changed else "order.placed"
        case _:
            return None
