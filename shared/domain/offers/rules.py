"""The rules that a campaign may set, except limits: one row per rule, in the order of `Reason`. Judge a coupon by them.

A row says which campaigns require the rule, whether an offer passes it, and what it reports. `judge` stops at the first
rule that fails; `explain` reports all of them. To add a rule: docs/extending.md.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from shared.domain.model.campaign import Campaign
from shared.domain.model.clock import is_open
from shared.domain.model.coupon import Coupon
from shared.domain.model.ids import order_details, order_text
from shared.domain.model.reasons import PRECEDENCE, Reason
from shared.domain.model.state import LockedUse, LockState
from shared.domain.model.verdicts import RefusedCoupon, refuse
from shared.domain.offers import messages
from shared.domain.offers.conditions import failing_condition
from shared.domain.offers.cycles import describe_cycles, has_cycle_left, is_waived
from shared.domain.offers.messages import Describe, order_of
from shared.domain.offers.request import Request, ResolvedOffer
from shared.domain.offers.resolve import eligible_quantity, is_restricted, resolve, resolve_locked, resolve_recurring
from shared.domain.offers.unread import refusal_for_unread

Passes = Callable[[Request, ResolvedOffer], bool]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `of_order`: it needs an order, and is checked again when a lock is burned. The other rules were checked
    when the lock was created.

    `passes` changes nothing.
    """

    field: str
    reason: Reason
    is_required: Callable[[Campaign], bool]
    passes: Passes
    describe: Describe
    of_order: bool = False


def rules_of(campaign: Campaign, *, of_order: bool = True) -> tuple[tuple[Passes, Rule], ...]:
    """Return the rules that this campaign requires, with or without those of an order. Computed once per campaign."""
    found: tuple[tuple[Passes, Rule], ...] | None = campaign.cache.get(of_order)
    if found is None:
        required = [rule for rule in RULES if rule.is_required(campaign) and (of_order or not rule.of_order)]
        found = campaign.cache[of_order] = tuple([(rule.passes, rule) for rule in required])
    return found


def _has_started(request: Request, offer: ResolvedOffer) -> bool:
    campaign_start, start = offer.campaign.window.starts_at, offer.coupon.starts_at
    return (campaign_start is None or request.at >= campaign_start) and (start is None or request.at >= start)


def _has_not_ended(request: Request, offer: ResolvedOffer) -> bool:
    campaign_end, end = offer.campaign.window.ends_at, offer.coupon.ends_at
    return (campaign_end is None or request.at < campaign_end) and (end is None or request.at < end)


def _is_open(request: Request, offer: ResolvedOffer) -> bool:
    return is_open(offer.campaign.window, request.at)


def _is_on_channel(request: Request, offer: ResolvedOffer) -> bool:
    return request.channel in offer.campaign.eligibility.channels


def _is_held_by_customer(request: Request, offer: ResolvedOffer) -> bool:
    holder = offer.coupon.holder_key
    return holder is None or request.customer_key is None or request.customer_key == holder


def _needs_customer(campaign: Campaign) -> bool:
    eligibility = campaign.eligibility
    return bool(
        eligibility.holder_only or eligibility.first_order_only or eligibility.segments_any or eligibility.segments_all
        or campaign.limits.uses_need_customer
    )  # fmt: skip


def _has_customer(request: Request, offer: ResolvedOffer) -> bool:
    return request.customer_key is not None


def _is_in_any_segment(request: Request, offer: ResolvedOffer) -> bool:
    return not offer.campaign.eligibility.segments_any.isdisjoint(request.segments)


def _is_in_all_segments(request: Request, offer: ResolvedOffer) -> bool:
    return offer.campaign.eligibility.segments_all <= request.segments


def _is_in_no_segment(request: Request, offer: ResolvedOffer) -> bool:
    return offer.campaign.eligibility.segments_none.isdisjoint(request.segments)


def _is_first_order(request: Request, offer: ResolvedOffer) -> bool:
    older = offer.older
    return not (request.other_orders if older is None else request.other_orders - {older.order_id})


def _is_order_open(request: Request, offer: ResolvedOffer) -> bool:
    return request.closed_at is None


def _has_validation_code(request: Request, offer: ResolvedOffer) -> bool:
    return request.command.validation_code == offer.campaign.validation_code


def _requires_currency(campaign: Campaign) -> bool:
    return campaign.currency is not None or campaign.discount.amount_minor is None


def _is_in_currency(request: Request, offer: ResolvedOffer) -> bool:
    if offer.campaign.currency is not None:
        return offer.campaign.currency == order_of(request).currency
    return offer.fixed_minor is not None


def _has_minimum(campaign: Campaign) -> bool:
    return bool(campaign.eligibility.min_order_minor or campaign.eligibility.min_order_exclusive)


def _reaches_minimum(request: Request, offer: ResolvedOffer) -> bool:
    required, amount = offer.campaign.eligibility, order_of(request).amount_minor
    minimum = required.min_order_minor
    return amount > minimum or (amount == minimum and not required.min_order_exclusive)


def _reaches_quantity(request: Request, offer: ResolvedOffer) -> bool:
    minimum = offer.campaign.eligibility.min_quantity
    return eligible_quantity(offer.campaign.scope, order_of(request).lines) >= minimum


def _has_products(request: Request, offer: ResolvedOffer) -> bool:
    return offer.target is not None


def _meets_conditions(request: Request, offer: ResolvedOffer) -> bool:
    return failing_condition(request, offer.coupon, offer.campaign) is None


RULES: Final = (
    Rule(
        "status", Reason.CAMPAIGN_INACTIVE, lambda it: it.status != "active", lambda *_: False,
        messages.describe_status,
    ),
    Rule("window.starts_at", Reason.NOT_STARTED, lambda _: True, _has_started, messages.describe_start),
    Rule("window.ends_at", Reason.EXPIRED, lambda _: True, _has_not_ended, messages.describe_end),
    Rule("window.hours", Reason.OUTSIDE_HOURS, lambda it: bool(it.window.hours), _is_open, messages.describe_hours),
    Rule(
        "eligibility.channels", Reason.CHANNEL_MISMATCH, lambda it: bool(it.eligibility.channels), _is_on_channel,
        messages.describe_channel,
    ),
    Rule(
        "eligibility.holder_only", Reason.WRONG_CUSTOMER, lambda it: it.eligibility.holder_only, _is_held_by_customer,
        messages.describe_holder,
    ),
    Rule("customer", Reason.CUSTOMER_REQUIRED, _needs_customer, _has_customer, messages.describe_customer),
    Rule(
        "eligibility.segments_any", Reason.SEGMENT_MISMATCH, lambda it: bool(it.eligibility.segments_any),
        _is_in_any_segment, messages.describe_segments("in one of", "segments_any"),
    ),
    Rule(
        "eligibility.segments_all", Reason.SEGMENT_MISMATCH, lambda it: bool(it.eligibility.segments_all),
        _is_in_all_segments, messages.describe_segments("in all of", "segments_all"),
    ),
    Rule(
        "eligibility.segments_none", Reason.SEGMENT_MISMATCH, lambda it: bool(it.eligibility.segments_none),
        _is_in_no_segment, messages.describe_segments("in none of", "segments_none"),
    ),
    Rule(
        "eligibility.first_order_only", Reason.NOT_FIRST_ORDER, lambda it: it.eligibility.first_order_only,
        _is_first_order, messages.describe_first_order,
    ),
    Rule("order", Reason.ORDER_MISMATCH, lambda _: True, _is_order_open, messages.describe_closed_order),
    Rule(
        "validation_code", Reason.VALIDATION_CODE_MISMATCH, lambda it: it.validation_code is not None,
        _has_validation_code, messages.describe_validation_code,
    ),
    Rule(
        "eligibility.currency", Reason.CURRENCY_MISMATCH, _requires_currency, _is_in_currency,
        messages.describe_currency, of_order=True,
    ),
    Rule(
        "eligibility.min_order_amount", Reason.BELOW_MINIMUM, _has_minimum, _reaches_minimum,
        messages.describe_minimum, of_order=True,
    ),
    Rule(
        "eligibility.min_quantity", Reason.BELOW_MINIMUM, lambda it: it.eligibility.min_quantity > 0,
        _reaches_quantity, messages.describe_quantity, of_order=True,
    ),
    Rule(
        "applies_to", Reason.NO_ELIGIBLE_PRODUCT, is_restricted, _has_products,
        messages.describe_products, of_order=True,
    ),
    Rule(
        "eligibility.conditions", Reason.CONDITION_FAILED, lambda it: bool(it.eligibility.conditions),
        _meets_conditions, messages.describe_conditions, of_order=True,
    ),
    Rule(
        "recurring_cycles", Reason.EXHAUSTED, lambda it: it.recurring_cycles is not None, has_cycle_left,
        describe_cycles, of_order=True,
    ),
)  # fmt: skip
"""In the order of `Reason`; a test checks it."""


def judge(request: Request, code: str, coupon: Coupon | None) -> ResolvedOffer | RefusedCoupon:
    """Return the coupon as an offer with its price on the untouched order, or its refusal. Limits are judged later."""
    if coupon is None or coupon.status == "pooled":
        return refuse(Reason.NOT_FOUND, f"There is no coupon {code.strip()!r}.", code)
    campaign = request.state.campaigns.get(coupon.campaign_id)
    if campaign is None:
        return refuse(Reason.NOT_FOUND, f"The campaign of coupon {coupon.code!r} does not exist.", code, coupon)
    if coupon.status == "voided":
        return _voided(code, coupon)
    offer = resolve(request, code, coupon, campaign)
    if request.command.unread and (unread := refusal_for_unread(request, offer)) is not None:
        return _first_refusal(request, offer, unread)
    for passes, rule in rules_of(campaign, of_order=request.order is not None):
        if not passes(request, offer) and not is_waived(rule.reason, offer):
            return refused_by(rule, request, offer)
    return offer


def _first_refusal(request: Request, offer: ResolvedOffer, unread: RefusedCoupon) -> RefusedCoupon:
    """Return the refusal for a field that could not be read, or that of a rule with an earlier reason."""
    for passes, rule in rules_of(offer.campaign, of_order=request.order is not None):
        if PRECEDENCE[rule.reason] >= PRECEDENCE[unread.reason]:
            break
        if not passes(request, offer) and not is_waived(rule.reason, offer):
            return refused_by(rule, request, offer)
    return unread


def judge_locked(
    request: Request, lock: LockState, locked: LockedUse, is_expired: bool
) -> ResolvedOffer | RefusedCoupon:
    """Judge a coupon of a lock that the request names by the rules of the order. The others were checked for the lock.

    `is_expired`: the lock has expired.
    """
    coupon = request.state.coupons.get(locked.coupon_id)
    campaign = request.state.campaigns.get(locked.campaign_id)
    if coupon is None or campaign is None:
        message = f"The coupon that lock {lock.lock_reference!r} held does not exist any more."
        return RefusedCoupon(Reason.NOT_FOUND, message, None, locked.coupon_id, locked.campaign_id)
    code = coupon.code
    if coupon.status == "voided":
        return _voided(code, coupon)
    if lock.customer_key is not None and request.customer_key is not None and lock.customer_key != request.customer_key:
        message = f"Lock {lock.lock_reference!r} belongs to another customer."
        return refuse(Reason.WRONG_CUSTOMER, message, code, coupon)
    if lock.order_id is not None and lock.order_id != request.order_id:
        theirs, ours = order_text(lock.order_id), order_text(request.order_id)
        message = f"Lock {lock.lock_reference!r} is for order {theirs}, not for {ours}."
        return refuse(Reason.ORDER_MISMATCH, message, code, coupon, order_details(lock.order_id))
    judged = judge_order(request, resolve_locked(request, coupon, campaign, lock, locked))
    if is_expired and isinstance(judged, ResolvedOffer):
        until = lock.expires_at.isoformat()
        message = f"Lock {lock.lock_reference!r} expired at {until}."
        return refuse(Reason.LOCK_EXPIRED, message, code, coupon, {"expired_at": until})
    return judged


def judge_order(request: Request, offer: ResolvedOffer) -> ResolvedOffer | RefusedCoupon:
    """Judge an offer that was promised before by what depends on this order: its state, and the rules of orders."""
    if request.command.unread and (unread := refusal_for_unread(request, offer)) is not None:
        return unread
    for passes, rule in rules_of(offer.campaign, of_order=request.order is not None):
        of_order = rule.of_order or rule.reason is Reason.ORDER_MISMATCH
        if of_order and not passes(request, offer) and not is_waived(rule.reason, offer):
            return refused_by(rule, request, offer)
    return offer


def judge_recurring(request: Request, code: str, coupon: Coupon, campaign: Campaign) -> ResolvedOffer | RefusedCoupon:
    """Judge a coupon that continues with the order's subscription by what depends on the order.

    The other rules were checked for its first use, as for a lock: who may use it, when, and how often.
    """
    if coupon.status == "voided":
        return _voided(code, coupon)
    return judge_order(request, resolve_recurring(request, code, coupon, campaign))


def refused_by(rule: Rule, request: Request, offer: ResolvedOffer) -> RefusedCoupon:
    """Return the refusal of a rule that failed."""
    message, details = rule.describe(request, offer, False)
    return refuse(rule.reason, message, offer.code, offer.coupon, details)


def _voided(code: str, coupon: Coupon) -> RefusedCoupon:
    return refuse(Reason.VOIDED, f"Coupon {coupon.code!r} was taken out of use.", code, coupon)
