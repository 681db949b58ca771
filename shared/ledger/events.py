"""Build the events for a verdict. Refusals are published as well."""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final, NamedTuple, assert_never

from schemas.catalogue import CATALOGUE
from schemas.limits import MAX_ID_LENGTH
from shared.domain.coupons.locks import OWN_REFERENCES
from shared.domain.model.commands import (
    ChangeCoupon,
    Command,
    CreateCoupons,
    ExpireLock,
    IssueCoupons,
    LockCoupons,
    RecordCustomer,
    ReleaseLock,
    RevokeReward,
    VoidCoupon,
)
from shared.domain.model.customer import Customer
from shared.domain.model.ids import SHOP_SEPARATOR, derived_id, readable, split_order_key
from shared.domain.model.money import format_minor
from shared.domain.model.order_commands import CancelOrder, FailPayment, PayOrder, RedeemCoupons, ReturnOrder
from shared.domain.model.state import State
from shared.domain.model.verdicts import AcceptedCoupon, KeptCoupon, LedgerEntry, RefusedCoupon, Verdict
from shared.domain.offers.exhausted import ExhaustedCampaign, ExhaustedCoupon, exhausted
from shared.ledger.coupon_events import COUPON_EVENTS
from shared.ledger.event_data import (
    CampaignExhaustedData,
    CauseData,
    CouponExhaustedData,
    CouponIssuedData,
    CouponIssueRefusedData,
    CouponLockedData,
    CouponLockExpiredData,
    CouponRedeemedData,
    CouponRedemptionAdjustedData,
    CouponRedemptionRefusedData,
    CouponRedemptionRestoredData,
    CouponReleasedData,
    CustomerReferenceData,
    EventData,
    JudgedOrderData,
)
from shared.ledger.event_json import event_json
from shared.ledger.event_parts import (
    adjusted_coupon,
    cause_of,
    customer_reference,
    issued_discount,
    locked_coupon,
    message_of,
    order_of_lock,
    redeemed_coupon,
    redeemer,
    refused_coupon,
    released_coupon,
    restored_coupon,
)
from shared.ledger.outbox import OutboxRow, new_outbox_row

_SOURCES: Final = {"orders": "/couponry/redeemer", "ledger": "/couponry/ledger"}
_TOPICS: Final = {entry.name: entry.topic.name for entry in CATALOGUE}


class NewEvent(NamedTuple):
    """An event of a verdict: its type, the record key, which is also its subject, and its data."""

    type: str
    key: str
    data: EventData


def events_of(command: Command, verdict: Verdict, state: State) -> Iterator[OutboxRow]:
    """Yield the events of a verdict in order. Their ids are derived from the command: a retry has the same ids.

    `state` is the state right after the verdict.
    """
    source = _source(command.channel)
    new_events = chain(_of_command(command, verdict, state), _exhausted(verdict, state))
    for number, (kind, key, data) in enumerate(new_events):
        yield new_outbox_row(
            event_id=derived_id("event", verdict.command_id, kind, str(number)),
            topic=_TOPICS[kind],
            key=key,
            type=kind,
            source=source,
            subject=key,
            time=verdict.decided_at,
            data=event_json(data),
        )


def _of_command(command: Command, verdict: Verdict, state: State) -> Iterable[NewEvent]:  # noqa: PLR0911 - one per command
    match command:
        case RedeemCoupons():
            return _redeemed(command, verdict, state)
        case IssueCoupons():
            return _issued(command, verdict, state)
        case PayOrder():
            return _paid(command, verdict, state)
        case LockCoupons():
            return _lock_opened(command, verdict, state)
        case CreateCoupons():
            return _created(command, verdict, state)
        case ReleaseLock() | ExpireLock() | FailPayment() | CancelOrder() | ReturnOrder():
            return _moved(command, verdict, state)
        case VoidCoupon() | ChangeCoupon() | RevokeReward():
            return _moved(command, verdict, state)
        case RecordCustomer():
            return ()  # facts about a customer are not published
        case _:
            assert_never(command)


def _source(channel: str) -> str:
    return _SOURCES.get(channel) or f"/couponry/{channel}"


def _issued(command: IssueCoupons, verdict: Verdict, state: State) -> Iterator[NewEvent]:
    key, customer = command.customer.customer_id or "", customer_reference(command.customer)
    cause: CauseData = {"type": command.cause.type, "source": command.cause.source, "id": command.cause.id}
    for coupon in verdict.accepted:
        yield NewEvent("coupon.issued", key, _coupon_issued(coupon, customer, cause, verdict, state))
    for refused in verdict.refused:
        yield NewEvent("coupon.issue_refused", key, _issue_refused(refused, customer, cause, verdict))


def _created(command: CreateCoupons, verdict: Verdict, state: State) -> Iterator[NewEvent]:
    """Yield coupons without a holder, each under its own key. Refusals of single codes are not published."""
    source, customer = _source(command.channel), customer_reference(Customer())
    request = command.command_id.removeprefix(f"{source} ")[-MAX_ID_LENGTH:]  # the end is the caller's own id
    cause: CauseData = {"type": "coupons.create", "source": source, "id": request}
    for coupon in verdict.accepted:
        yield NewEvent("coupon.issued", coupon.coupon_id, _coupon_issued(coupon, customer, cause, verdict, state))
    for refused in verdict.refused:
        if refused.code is None:
            data = _issue_refused(refused, customer, cause, verdict)
            yield NewEvent("coupon.issue_refused", command.campaign_id, data)


def _coupon_issued(
    coupon: AcceptedCoupon, customer: CustomerReferenceData, cause: CauseData, verdict: Verdict, state: State
) -> CouponIssuedData:
    campaign = state.campaigns[coupon.campaign_id]
    return {
        "coupon_id": coupon.coupon_id,
        "code": coupon.code or None,
        "campaign_id": coupon.campaign_id,
        "discount": issued_discount(coupon, campaign),
        "uses": campaign.limits.uses_per_coupon,
        "starts_at": coupon.starts_at,
        "ends_at": coupon.ends_at,
        "customer": customer,
        "caused_by": cause,
        "issued_at": verdict.decided_at,
    }


def _issue_refused(
    refused: RefusedCoupon, customer: CustomerReferenceData, cause: CauseData, verdict: Verdict
) -> CouponIssueRefusedData:
    return {
        "campaign_id": refused.campaign_id,
        "reason": refused.reason,
        "message": message_of(refused),
        "details": refused.details,
        "customer": customer,
        "caused_by": cause,
        "refused_at": verdict.decided_at,
    }


def _judged(  # noqa: PLR0917 - private, called twice
    verdict: Verdict, key: str, customer: Customer | None, currency: str, amount_minor: int, channel: str
) -> Iterator[NewEvent]:
    """Yield at most two events for an order: the redeemed coupons, and the refused ones."""
    if not verdict.accepted and not verdict.refused:
        return  # an order that is only recorded may have an invalid currency
    shop_id, order_id = split_order_key(key) if SHOP_SEPARATOR in key else (None, key)
    common: JudgedOrderData = {
        "order_id": order_id,
        "customer": None if customer is None else customer_reference(customer),
        "requested_count": verdict.requested_count,
        "order_amount": format_minor(amount_minor, currency),
        "currency": currency,
        "channel": channel,
    }
    if shop_id is not None:
        common["shop_id"] = shop_id
    if verdict.metadata is not None:
        common["metadata"] = verdict.metadata
    if verdict.outcome == "redeemed" and verdict.accepted:
        redeemed: CouponRedeemedData = {
            "redemption_id": verdict.redemption_id or "",
            **common,
            "discount_amount": format_minor(verdict.discount_minor, currency),
            "coupons": [redeemed_coupon(coupon, currency) for coupon in verdict.accepted],
            "lock_reference": verdict.lock_reference,
            "redeemed_at": verdict.decided_at,
        }
        yield NewEvent("coupon.redeemed", order_id, redeemed)
    if verdict.refused:
        refused: CouponRedemptionRefusedData = {
            **common,
            "coupons": [refused_coupon(coupon) for coupon in verdict.refused],
            "refused_at": verdict.decided_at,
        }
        yield NewEvent("coupon.redemption_refused", order_id, refused)


def _redeemed(command: RedeemCoupons, verdict: Verdict, state: State) -> Iterator[NewEvent]:
    order, currency = command.order, verdict.currency or command.order.currency
    if verdict.outcome == "held":
        yield from _locked(verdict, verdict.accepted, command.customer, order.order_id, order.currency)
    yield from _judged(verdict, order.order_id, command.customer, currency, order.amount_minor, command.channel)
    if verdict.kept:
        yield from _adjusted(command, verdict)
    yield from _moved(command, verdict, state)


def _adjusted(command: RedeemCoupons, verdict: Verdict) -> Iterator[NewEvent]:
    """Yield one event per redemption with discounts that changed with the order."""
    order, customer = command.order, command.customer
    shop_id, order_id = split_order_key(order.order_id)
    found: dict[str, list[KeptCoupon]] = {}
    for kept in verdict.kept:
        redemption = kept.coupon.redemption_id
        if redemption is not None and kept.coupon.discount_minor != kept.before_minor:
            found.setdefault(redemption, []).append(kept)
    for redemption, coupons in found.items():
        data: CouponRedemptionAdjustedData = {
            "redemption_id": redemption,
            "order_id": order_id,
            "customer": None if customer is None else customer_reference(customer),
            "cause": cause_of(command) or "",
            "order_amount": format_minor(order.amount_minor, order.currency),
            "currency": order.currency,
            "discount_before": format_minor(sum(kept.before_minor for kept in coupons), order.currency),
            "discount_amount": format_minor(sum(kept.coupon.discount_minor or 0 for kept in coupons), order.currency),
            "coupons": [adjusted_coupon(kept, order.currency) for kept in coupons],
            "adjusted_at": verdict.decided_at,
        }
        if shop_id is not None:
            data["shop_id"] = shop_id
        yield NewEvent("coupon.redemption_adjusted", order_id, data)


def _paid(command: PayOrder, verdict: Verdict, state: State) -> Iterator[NewEvent]:
    order = state.orders.get(command.order_id)
    if order is not None and order.currency is not None:
        yield from _judged(verdict, order.order_id, order.customer, order.currency, order.amount_minor, command.channel)
    yield from _moved(command, verdict, state)


def _locked(
    verdict: Verdict,
    coupons: Iterable[AcceptedCoupon],
    customer: Customer | None,
    key: str | None,
    currency: str | None,
) -> Iterator[NewEvent]:
    if verdict.expires_at is None:
        return  # nothing is held
    shop_id, order_id = order_of_lock(key)
    for coupon in coupons:
        data: CouponLockedData = {
            "lock_reference": readable(verdict.lock_reference or ""),
            "coupons": [locked_coupon(coupon, currency)],
            "customer": None if customer is None else customer_reference(customer),
            "order_id": order_id,
            "expires_at": verdict.expires_at,
        }
        if shop_id is not None:
            data["shop_id"] = shop_id
        yield NewEvent("coupon.locked", coupon.coupon_id, data)


def _lock_opened(command: LockCoupons, verdict: Verdict, state: State) -> Iterator[NewEvent]:
    yield from _moved(command, verdict, state)  # the uses that the same reference held before
    if verdict.outcome == "locked":
        yield from _locked(verdict, verdict.accepted, command.customer, command.order_id, verdict.currency)


def _moved(command: Command, verdict: Verdict, state: State) -> Iterator[NewEvent]:
    """Yield one event per restored redemption, and one per released or changed coupon, from the ledger entries.

    Returns in part are restores with 0 uses. They occur with any command that redeems coupons of a returned part.
    """
    restored: dict[tuple[str, str], list[LedgerEntry]] = {}
    for entry in verdict.entries:
        if entry.kind == "restored":
            restored.setdefault((entry.redemption_id or "", cause_of(command) or ""), []).append(entry)
        elif entry.kind == "returned":  # also with other commands: parts that were returned before
            restored.setdefault((entry.redemption_id or "", "order.returned"), []).append(entry)
    reasons = {refused.coupon_id: refused.reason for refused in verdict.refused}
    for (redemption_id, cause), entries in restored.items():
        shop_id, order_id = split_order_key(entries[0].order_id or "")
        data: CouponRedemptionRestoredData = {
            "redemption_id": redemption_id,
            "order_id": order_id,
            "customer": redeemer(command, entries[0], state),
            "cause": cause,
            "coupons": [restored_coupon(entry, state, reasons.get(entry.coupon_id)) for entry in entries],
            "restored_at": verdict.decided_at,
        }
        if shop_id is not None:
            data["shop_id"] = shop_id
        yield NewEvent("coupon.redemption_restored", order_id, data)
    for entry in verdict.entries:
        if entry.kind == "released":
            if not _is_still_held(command, entry, verdict):
                yield _lock_ended(command, entry, verdict, state)
        elif (event := COUPON_EVENTS.get(entry.kind)) is not None:
            kind, build = event
            yield NewEvent(kind, entry.coupon_id, build(command, entry, verdict, state))


def _is_still_held(command: Command, released: LedgerEntry, verdict: Verdict) -> bool:
    """Return whether an order's hold keeps the use: it is only held in another currency, or for a named customer."""
    return isinstance(command, RedeemCoupons) and any(
        entry.kind == "locked"
        and entry.coupon_id == released.coupon_id
        and entry.lock_reference == released.lock_reference
        for entry in verdict.entries
    )


def _lock_ended(command: Command, entry: LedgerEntry, verdict: Verdict, state: State) -> NewEvent:
    lock_reference = entry.lock_reference or ""
    coupon = released_coupon(entry, state)
    shop_id, order_id = order_of_lock(entry.order_id)
    outcomes = {change.lock_reference: change.status for change in verdict.locks}
    if outcomes.get(lock_reference) == "expired":
        expiry: CouponLockExpiredData = {
            "lock_reference": readable(lock_reference),
            "coupons": [coupon],
            "order_id": order_id,
            "expired_at": verdict.decided_at,
        }
        if shop_id is not None:
            expiry["shop_id"] = shop_id
        return NewEvent("coupon.lock_expired", entry.coupon_id, expiry)
    release: CouponReleasedData = {
        "lock_reference": readable(lock_reference),
        "coupons": [coupon],
        "order_id": order_id,
        "released_at": verdict.decided_at,
    }
    if lock_reference.startswith(OWN_REFERENCES) and (cause := cause_of(command)) is not None:
        release["cause"] = cause
        if verdict.order_id == entry.order_id:  # otherwise a newer order took it over
            release["reason"] = next((one.reason for one in verdict.refused if one.coupon_id == entry.coupon_id), None)
    if shop_id is not None:
        release["shop_id"] = shop_id
    return NewEvent("coupon.released", entry.coupon_id, release)


def _exhausted(verdict: Verdict, state: State) -> Iterator[NewEvent]:
    """Yield an event for each coupon and campaign that the verdict took to a limit."""
    for item in exhausted(verdict, state):
        match item:
            case ExhaustedCoupon():
                coupon: CouponExhaustedData = {
                    "coupon_id": item.coupon_id,
                    "code": item.code or None,
                    "campaign_id": item.campaign_id,
                    "limit": item.limit,
                    "exhausted_at": verdict.decided_at,
                }
                yield NewEvent("coupon.exhausted", item.coupon_id, coupon)
            case ExhaustedCampaign():
                campaign: CampaignExhaustedData = {
                    "campaign_id": item.campaign_id,
                    "limit": item.limit,
                    "value": item.value,
                    "currency": item.currency,
                    "until": item.until,
                    "exhausted_at": verdict.decided_at,
                }
                yield NewEvent("campaign.exhausted", item.campaign_id, campaign)
            case _:
                assert_never(item)
